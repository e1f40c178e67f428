"""Replacing generations while others read and write: nobody notices, and access stays."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from benchmarks.event_mix import EventMix, append_mix
from projections.engine.builds import candidate
from projections.engine.builds.rebuild import rebuild, verify
from projections.engine.builds.rollback import NothingToReturnTo, rollback
from projections.engine.builds.swap import SwapBlocked, Swapped
from projections.read_models import balances, orders
from tests.projections import log as events
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running, wait_until

LIMITS = candidate.Limits(batch_positions=200, rows_in_memory=1000)
LONGEST_LOCK_SECONDS = 0.2
READERS = 2


@pytest.fixture
def live_url(database_url: str) -> str:
    """A database with an order, a deposit, and read models up to the head."""
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
        log.order(events.submitted(), events.accepted())
    with running(database_url, [balances.PROJECTION, orders.PROJECTION]):
        caught_up(database_url, "balances", "orders")
    return database_url


def _execute(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _read_as(database_url: str, role: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        return connection.execute(query.encode()).fetchall()


# --- nobody notices -------------------------------------------------------------------


class Traffic:
    """What readers saw and writers did: the count of orders must never fall, and no query fail."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.counts: list[list[int]] = [[] for _ in range(READERS)]


@contextmanager
def _traffic(database_url: str) -> Iterator[Traffic]:
    """Continuous writes, and reads through the public view, prepared and in transactions."""
    traffic, stop, mix = Traffic(), threading.Event(), EventMix(accounts=3)

    def write() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while not stop.is_set():
                append_mix(connection, mix, 50)

    def reads(number: int) -> Callable[[], None]:
        def read() -> None:
            with psycopg.connect(database_url, autocommit=number == 0) as connection:
                while not stop.is_set():
                    row = connection.execute("SELECT count(*) FROM orders", prepare=True).fetchone()
                    assert row is not None
                    traffic.counts[number].append(row[0])
                    connection.commit()

        return read

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except (psycopg.Error, AssertionError) as error:
                traffic.failures.append(error)

        return run

    works = [write, *(reads(number) for number in range(READERS))]
    with psycopg.connect(database_url, autocommit=True) as connection:
        append_mix(connection, mix, 500)
    threads = [threading.Thread(target=guarded(work)) for work in works]
    with running(database_url, [orders.PROJECTION]):
        caught_up(database_url, "orders")
        for thread in threads:
            thread.start()
        try:
            yield traffic
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        caught_up(database_url, "orders")


def test_rebuild_rollback_and_forward_again_under_writes_and_reads_are_not_noticed(
    database_url: str,
) -> None:
    swaps: list[Swapped] = []
    with _traffic(database_url) as traffic:
        report = rebuild(database_url, orders.PROJECTION, LIMITS)
        assert report.equal
        assert report.swapped is not None
        swaps.append(report.swapped)
        back = rollback(database_url, orders.PROJECTION, LIMITS)
        forward = rollback(database_url, orders.PROJECTION, LIMITS)
        swaps += [back.swapped, forward.swapped]
        assert (back.generation, forward.generation) == (1, 2)
    assert traffic.failures == []
    for counts in traffic.counts:
        assert len(counts) > 10
        assert counts[0] > 0
        assert counts == sorted(counts)
    assert max(swap.lock_seconds for swap in swaps) < LONGEST_LOCK_SECONDS
    assert verify(database_url, orders.PROJECTION, LIMITS).equal


def test_a_transaction_that_holds_a_view_makes_the_swap_wait_and_nobody_else(
    live_url: str,
) -> None:
    done: list[Swapped | None] = []

    def swap() -> None:
        done.append(rebuild(live_url, orders.PROJECTION, LIMITS).swapped)

    def waits() -> bool:
        return bool(
            _execute(
                live_url,
                "SELECT 1 FROM projection_generations WHERE phase = 'SWAPPING'",
            )
        )

    thread = threading.Thread(target=swap)
    with psycopg.connect(live_url) as reader:
        reader.execute("SELECT count(*) FROM orders")
        thread.start()
        wait_until(waits, "the swap to try")
        with psycopg.connect(live_url, autocommit=True) as other:
            other.execute(f"SET statement_timeout = {int(LONGEST_LOCK_SECONDS * 1000)}")
            for _ in range(50):
                assert other.execute("SELECT count(*) FROM orders").fetchone() == (1,)
        assert done == []
        reader.commit()
    thread.join()
    assert done[0] is not None


def test_a_swap_that_readers_do_not_let_through_keeps_its_build_and_says_who(
    live_url: str,
) -> None:
    impatient = replace(LIMITS, swap_patience_seconds=0.1)
    with psycopg.connect(live_url) as reader:
        reader.execute("SELECT count(*) FROM orders")
        with pytest.raises(SwapBlocked, match=f"{reader.info.backend_pid}.*--resume"):
            rebuild(live_url, orders.PROJECTION, impatient)
        assert reader.execute("SELECT count(*) FROM orders").fetchone() == (1,)
    report = rebuild(live_url, orders.PROJECTION, LIMITS, resume=True)
    assert report.generation == 2


# --- going back -----------------------------------------------------------------------


def test_rollback_catches_up_with_what_was_appended_since(live_url: str) -> None:
    rebuild(live_url, balances.PROJECTION, LIMITS)
    with opened_log(live_url) as log:
        log._versions[events.ACCOUNT] = 2
        log.account(events.deposited("USDT", "7"))
    with running(live_url, [balances.PROJECTION]):
        caught_up(live_url, "balances")
        done = rollback(live_url, balances.PROJECTION, LIMITS)
        assert (done.generation, done.previous_generation, done.caught_up) == (1, 2, 2)
        assert _execute(live_url, "SELECT total FROM balances") == [(12,)]
        with opened_log(live_url) as log:
            log._versions[events.ACCOUNT] = 3
            log.account(events.deposited("USDT", "1"))
        caught_up(live_url, "balances")
    assert _execute(live_url, "SELECT total FROM balances") == [(13,)]
    counted = "SELECT total_events_processed FROM event_projections"
    assert _execute(live_url, f"{counted} WHERE projection_name = 'balances'") == [(3,)]
    assert verify(live_url, balances.PROJECTION, LIMITS).equal


def test_rollback_returns_to_rows_that_a_rebuild_replaced(live_url: str) -> None:
    _execute(live_url, "UPDATE balances_1.balances SET total = 6, available = 6")
    rebuild(live_url, balances.PROJECTION, LIMITS, accept_differences=True)
    assert _execute(live_url, "SELECT total FROM balances") == [(5,)]
    rollback(live_url, balances.PROJECTION, LIMITS)
    assert _execute(live_url, "SELECT total FROM balances") == [(6,)]
    rollback(live_url, balances.PROJECTION, LIMITS)
    assert _execute(live_url, "SELECT total FROM balances") == [(5,)]


def test_the_previous_generation_stays_until_the_next_rebuild(live_url: str) -> None:
    def schemas() -> list[str]:
        rows = _execute(
            live_url,
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '^balances_' ORDER BY nspname",
        )
        return [name for (name,) in rows]

    with pytest.raises(NothingToReturnTo, match="no previous generation"):
        rollback(live_url, balances.PROJECTION, LIMITS)
    rebuild(live_url, balances.PROJECTION, LIMITS)
    assert schemas() == ["balances_1", "balances_2"]
    rebuild(live_url, balances.PROJECTION, LIMITS)
    assert schemas() == ["balances_2", "balances_3"]


def test_a_paused_projection_stays_paused_through_swaps(live_url: str) -> None:
    _execute(live_url, "UPDATE event_projections SET status = 'PAUSED'")
    rebuild(live_url, balances.PROJECTION, LIMITS)
    rollback(live_url, balances.PROJECTION, LIMITS)
    assert _execute(
        live_url, "SELECT status FROM event_projections WHERE projection_name = 'balances'"
    ) == [("PAUSED",)]


# --- access ---------------------------------------------------------------------------

ACCESS = """
    CREATE VIEW rich AS SELECT asset, total FROM balances WHERE total > 1;
    CREATE VIEW richest AS SELECT max(total) AS total FROM rich;
    CREATE FUNCTION total_of(wanted text) RETURNS numeric LANGUAGE sql STABLE
        AS 'SELECT sum(total) FROM balances WHERE asset = wanted';
    GRANT USAGE ON SCHEMA public, balances_1 TO {role};
    GRANT SELECT ON balances_1.balances TO {role};
    GRANT SELECT (asset) ON balances_1.contra_balances TO {role};
    GRANT SELECT ON public.balances, public.contra_balances, rich, richest TO {role};
    CREATE POLICY all_books ON balances_1.contra_balances FOR SELECT TO {role} USING (true);
    CREATE POLICY only_usdt ON balances_1.balances FOR SELECT TO {role} USING (asset = 'USDT');
    CREATE POLICY of_their_books ON balances_1.balances AS RESTRICTIVE FOR SELECT TO {role}
        USING (EXISTS (SELECT FROM balances_1.contra_balances AS c WHERE c.asset = balances.asset));
"""


@pytest.fixture
def role(live_url: str) -> Iterator[str]:
    """A role with rights, policies, views and a function upon `balances`, which has two rows of
    which the policies show one."""
    name = "desk_of_" + live_url.partition("test_")[2].partition("?")[0][:12]
    with opened_log(live_url) as log:
        log._versions[events.ACCOUNT] = 2
        log.account(events.deposited("BTC", "3"))
    with running(live_url, [balances.PROJECTION]):
        caught_up(live_url, "balances")
    _execute(live_url, f"CREATE ROLE {name}")
    _execute(live_url, ACCESS.format(role=name))
    yield name
    _execute(live_url, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def _check_access(live_url: str, role: str) -> None:
    assert _read_as(live_url, role, "SELECT asset FROM balances") == [("USDT",)]
    assert _read_as(live_url, role, "SELECT total_of('USDT'), total_of('BTC')") == [(5, None)]
    assert _execute(live_url, "SELECT total FROM richest") == [(5,)]
    ((generation,),) = _execute(
        live_url, "SELECT generation FROM event_projections WHERE projection_name = 'balances'"
    )
    contra = f"balances_{generation}.contra_balances"
    assert len(_read_as(live_url, role, f"SELECT asset FROM {contra}")) == 2
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _read_as(live_url, role, f"SELECT total FROM {contra}")


def test_grants_policies_views_and_functions_survive_swaps_and_rollbacks(
    live_url: str, role: str
) -> None:
    _check_access(live_url, role)
    for _ in range(2):
        rebuild(live_url, balances.PROJECTION, LIMITS)
        _check_access(live_url, role)
    for _ in range(2):
        rollback(live_url, balances.PROJECTION, LIMITS)
        _check_access(live_url, role)


def test_a_right_that_was_taken_away_does_not_come_back_with_an_earlier_generation(
    live_url: str, role: str
) -> None:
    rebuild(live_url, balances.PROJECTION, LIMITS)
    _execute(
        live_url,
        f"REVOKE SELECT ON balances_2.balances FROM {role};"
        "DROP POLICY of_their_books ON balances_2.balances",
    )
    rollback(live_url, balances.PROJECTION, LIMITS)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _read_as(live_url, role, "SELECT asset FROM balances")
    assert _execute(
        live_url,
        "SELECT policyname FROM pg_policies WHERE schemaname = 'balances_1' "
        f"AND tablename = 'balances' AND '{role}' = ANY (roles)",
    ) == [("only_usdt",)]


def test_a_build_that_is_not_live_yet_is_nobody_elses_to_read(live_url: str, role: str) -> None:
    tried: list[str] = []

    def look(progress: candidate.BuildProgress) -> None:
        if progress.phase == "COMPARING":
            for reader in (role, "ledger_user"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    _read_as(live_url, reader, "SELECT asset FROM balances_2.balances")
                tried.append(reader)

    rebuild(live_url, balances.PROJECTION, LIMITS, on_progress=look)
    assert tried == [role, "ledger_user"]
