"""A transaction that began before a swap goes on seeing what was live when it began."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import IsolationLevel, sql

from ledger import embedded_programs
from ledger.embedded import EmbeddedPostgres
from ledger.plugins import migrate_all
from projections import balances, orders
from projections.engine import generations, shadow
from projections.engine.connection import connect
from projections.engine.operations import Deed
from projections.engine.previous import StillRead, drop, listed
from projections.engine.previous import settle as settle_all
from projections.engine.rebuild import clean, rebuild, rebuild_all
from projections.engine.rollback import NothingToReturnTo, rollback
from projections.engine.swap import NotSettled, SwapBlocked
from tests.cli import running as ledgerctl
from tests.databases import temporary_database
from tests.projections import log as events
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running, wait_until
from tests.roles.acting import login_of

LIMITS = shadow.Limits(batch_positions=200, rows_in_memory=1000, swap_patience_seconds=0.1)
BOTH = [balances.PROJECTION, orders.PROJECTION]
TOTAL = "SELECT total FROM balances"
VIEW = "SELECT pg_get_viewdef('public.balances'::regclass)"
ADA = Deed("ada", "room is needed")


@pytest.fixture
def live_url(database_url: str) -> str:
    """A database with an order, a deposit of 5, and read models up to the head."""
    migrate_all(database_url)
    _fill(database_url)
    return database_url


def _fill(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
        log.order(events.submitted(), events.accepted())
    with running(database_url, BOTH):
        caught_up(database_url, "balances", "orders")


def _deposit(database_url: str, amount: str, version: int) -> None:
    with opened_log(database_url) as log:
        log._versions[events.ACCOUNT] = version
        log.account(events.deposited("USDT", amount))
    with running(database_url, BOTH):
        caught_up(database_url, "balances")


@contextmanager
def _older(
    database_url: str, level: IsolationLevel = IsolationLevel.REPEATABLE_READ
) -> Iterator[psycopg.Connection[Any]]:
    """A transaction with a snapshot that has looked at something else."""
    with psycopg.connect(database_url, application_name="month end report") as reader:
        reader.isolation_level = level
        reader.execute("SELECT count(*) FROM symbols")
        yield reader


@contextmanager
def _older_than_a_rebuild(
    database_url: str, level: IsolationLevel = IsolationLevel.REPEATABLE_READ
) -> Iterator[psycopg.Connection[Any]]:
    """The same, with a snapshot from between the build and the swap of a rebuild of balances."""
    with ExitStack() as stack:
        readers: list[psycopg.Connection[Any]] = []

        def begin(progress: shadow.Progress) -> None:
            if progress.phase == "COMPARING":
                readers.append(stack.enter_context(_older(database_url, level)))

        report = rebuild(database_url, balances.PROJECTION, LIMITS, on_progress=begin)
        assert report.swapped is not None
        (reader,) = readers
        assert f"session {reader.info.backend_pid} (month" in "".join(report.swapped.still_read_by)
        yield reader


def _now(database_url: str, query: str = TOTAL) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


# --- what an older transaction sees -----------------------------------------------------


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_it_sees_its_own_rows_after_rebuild_rollback_and_forward_again(
    live_url: str, level: IsolationLevel
) -> None:
    with _older_than_a_rebuild(live_url, level) as reader:
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    for _ in ("back", "forward"):
        assert settle_all(live_url, BOTH, 5) == ["balances"]
        with _older(live_url, level) as reader:
            assert rollback(live_url, balances.PROJECTION, LIMITS).swapped.still_read_by
            assert reader.execute(TOTAL).fetchall() == [(5,)]


def test_it_does_not_see_what_was_folded_in_the_swap_itself(live_url: str) -> None:
    """The swap folds the last events while the live worker waits."""
    rebuild(live_url, balances.PROJECTION, LIMITS)
    _deposit(live_url, "2", 2)
    with _older(live_url) as reader:
        _deposit(live_url, "4", 3)
        assert rollback(live_url, balances.PROJECTION, LIMITS).caught_up > 0
        assert reader.execute(TOTAL).fetchall() == [(7,)]
    assert _now(live_url) == [(11,)]


def test_it_sees_its_own_rows_when_those_that_are_live_stand_elsewhere(live_url: str) -> None:
    """Going back to tables of other code, which cannot be brought up to date."""
    rebuild(live_url, balances.PROJECTION, LIMITS)
    _now(
        live_url,
        "UPDATE projection_generations SET code_version = 0 WHERE purpose = 'PREVIOUS' RETURNING 1",
    )
    _deposit(live_url, "2", 2)
    with _older(live_url) as reader:
        assert rollback(live_url, balances.PROJECTION, LIMITS).other_code == 0
        assert reader.execute(TOTAL).fetchall() == [(7,)]
        assert _now(live_url) == [(5,)]


def test_it_sees_them_through_views_functions_and_prepared_statements_upon_the_view(
    live_url: str,
) -> None:
    with psycopg.connect(live_url, autocommit=True) as connection:
        connection.execute("CREATE VIEW rich AS SELECT asset, total FROM balances WHERE total > 1")
        connection.execute(
            "CREATE FUNCTION total_of(text) RETURNS numeric LANGUAGE sql STABLE "
            "AS 'SELECT sum(total) FROM balances WHERE asset = $1'"
        )
    with psycopg.connect(live_url) as reader:
        reader.isolation_level = IsolationLevel.REPEATABLE_READ
        reader.execute("PREPARE totals AS SELECT total FROM balances")
        reader.execute("EXECUTE totals")
        reader.commit()
        rebuild(live_url, balances.PROJECTION, LIMITS)
        reader.execute("SELECT count(*) FROM symbols")
        rollback(live_url, balances.PROJECTION, LIMITS)
        for query in ("SELECT total FROM rich", "SELECT total_of('USDT')", "EXECUTE totals"):
            assert reader.execute(query.encode()).fetchall() == [(5,)]


@pytest.mark.parametrize("resumed", [True, False], ids=["resumed", "cleaned"])
def test_a_dump_of_its_snapshot_is_whole_and_can_be_gone_on_with(
    live_url: str, postgres_url: str, tmp_path: Path, resumed: bool
) -> None:
    """It has the views as they are after the swap, and all rows as they were before."""
    dump = tmp_path / "ledger.dump"
    with _older_than_a_rebuild(live_url) as reader:
        (snapshot,) = reader.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        _run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={dump}", live_url)
    with temporary_database(postgres_url) as restored:
        _run("pg_restore", "--exit-on-error", f"--dbname={restored}", str(dump))
        assert _now(restored) == [(5,)]
        assert migrate_all(restored) == []
        if resumed:
            assert rebuild(restored, balances.PROJECTION, LIMITS, resume=True).generation == 2
        else:
            assert [kept.generation for kept in clean(restored, BOTH)] == [2]
        _deposit(restored, "2", 2)
        assert _now(restored) == [(7,)]
        assert "live_generation" not in _now(restored, VIEW)[0][0]


def _run(program: str, *arguments: str) -> None:
    subprocess.run([embedded_programs.postgres() / program, *arguments], check=True)


def test_a_swap_that_nobody_is_older_than_leaves_views_of_one_table(live_url: str) -> None:
    before = _now(live_url, VIEW)
    rebuild(live_url, balances.PROJECTION, LIMITS)
    assert _now(live_url, VIEW) == [(before[0][0].replace("balances_1", "balances_2"),)]


# --- by whom it is swapped ----------------------------------------------------------------


@contextmanager
def _owner_of_a_database(postgres_url: str) -> Iterator[tuple[str, str]]:
    """A database that its owner, no superuser, has migrated: the superuser's URL, the owner's."""
    with (
        temporary_database(postgres_url) as superuser,
        login_of(superuser) as owner,
        psycopg.connect(superuser, autocommit=True) as connection,
    ):
        login = sql.Identifier(urlsplit(owner).username or "")
        database = sql.Identifier(connection.info.dbname)
        for statement in (
            "ALTER DATABASE {database} OWNER TO {login}",
            "GRANT ledger_writer, ledger_projector, ledger_auditor, ledger_operator, ledger_user "
            "TO {login} WITH ADMIN OPTION",
        ):
            connection.execute(sql.SQL(statement).format(database=database, login=login))
        migrate_all(owner)
        try:
            yield superuser, owner
        finally:
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(login))


async def _rebuilt_under_an_older_reader(
    database_url: str, operating_url: str, directory: Path
) -> str:
    """What `ledgerctl projections rebuild` says of it."""

    async def rebuilt(*options: str) -> ledgerctl.Finished:
        return await ledgerctl.run(
            "projections",
            "rebuild",
            "balances",
            *options,
            cwd=directory,
            LEDGER_DATABASE_URL=operating_url,
            LEDGER_REBUILD_SWAP_PATIENCE_SECONDS="0.1",
        )

    with _older(database_url) as reader:
        refused = await rebuilt()
        assert refused.exit_code == 1
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    resumed = await rebuilt("--resume")
    assert "generation 2 is live" in resumed.stdout, resumed.stderr
    return refused.stderr


NAMED = r"not swapped.* \(database session \d+ \(month end report\), for \d+ s\)"


async def test_by_a_superuser(live_url: str, tmp_path: Path) -> None:
    assert re.search(NAMED, await _rebuilt_under_an_older_reader(live_url, live_url, tmp_path))


async def test_by_an_operator_who_sees_no_sessions_of_others(live_url: str, tmp_path: Path) -> None:
    with login_of(live_url, "ledger_operator") as operator:
        said = await _rebuilt_under_an_older_reader(live_url, operator, tmp_path)
    assert re.search(NAMED, said)


async def test_by_an_owner_who_sees_no_sessions_of_others(
    postgres_url: str, tmp_path: Path
) -> None:
    with _owner_of_a_database(postgres_url) as (superuser, owner):
        _fill(superuser)
        said = await _rebuilt_under_an_older_reader(superuser, owner, tmp_path)
    assert re.search(r"session \d+ \(month end report\)[);]", said)


async def test_by_an_operator_on_the_oldest_supported_postgresql(
    postgres15_database_url: str, tmp_path: Path
) -> None:
    migrate_all(postgres15_database_url)
    _fill(postgres15_database_url)
    with login_of(postgres15_database_url, "ledger_operator") as operator:
        said = await _rebuilt_under_an_older_reader(postgres15_database_url, operator, tmp_path)
    assert re.search(NAMED, said)


# --- rights ---------------------------------------------------------------------------------


def test_a_user_sees_their_own_rows_of_what_was_live_and_no_others(live_url: str) -> None:
    other = "UPDATE balances_{}.balances SET user_id = gen_random_uuid() RETURNING 1"
    rebuild(live_url, balances.PROJECTION, LIMITS)
    with psycopg.connect(live_url) as own, psycopg.connect(live_url) as stranger:
        for reader, user in ((own, events.USER), (stranger, events.ACCOUNT)):
            reader.execute("SET ROLE ledger_user")
            reader.execute(f"SET app.current_user_id = '{user}'".encode())
            reader.commit()
            reader.isolation_level = IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM symbols")
        rollback(live_url, balances.PROJECTION, LIMITS)
        _now(live_url, other.format(1))
        assert own.execute(TOTAL).fetchall() == [(5,)]
        assert stranger.execute(TOTAL).fetchall() == []
        own.commit()
        assert own.execute(TOTAL).fetchall() == []


def test_a_dump_that_has_the_new_tables_is_named_and_holds_up_no_worker(live_url: str) -> None:
    with psycopg.connect(live_url, application_name="pg_dump") as dump:

        def begin(progress: shadow.Progress) -> None:
            if progress.phase == "COMPARING":
                dump.execute("LOCK TABLE balances_2.balances IN ACCESS SHARE MODE")

        with running(live_url, BOTH):
            with pytest.raises(SwapBlocked, match=rf"{dump.info.backend_pid} \(pg_dump\)"):
                rebuild(live_url, balances.PROJECTION, LIMITS, on_progress=begin)
            _deposit(live_url, "2", 2)
    assert _now(live_url) == [(7,)]


# --- settling -----------------------------------------------------------------------------


def test_the_next_swap_waits_for_those_older_than_the_last_and_keeps_its_build(
    live_url: str,
) -> None:
    with _older_than_a_rebuild(live_url) as reader:
        who = rf"session {reader.info.backend_pid} \(month end report\), for .*--resume"
        with pytest.raises(SwapBlocked, match=who):
            rebuild(live_url, balances.PROJECTION, LIMITS)
        with pytest.raises(SwapBlocked):
            rollback(live_url, balances.PROJECTION, LIMITS)
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    assert rebuild(live_url, balances.PROJECTION, LIMITS, resume=True).generation == 3
    assert _now(live_url) == [(5,)]


def test_one_who_imports_the_snapshot_of_another_is_waited_for(live_url: str) -> None:
    with _older_than_a_rebuild(live_url) as exporter, psycopg.connect(live_url) as importer:
        (name,) = exporter.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        importer.isolation_level = IsolationLevel.REPEATABLE_READ
        importer.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name)))
        importer.execute("SELECT 1")
        exporter.commit()
        with pytest.raises(NotSettled, match=str(importer.info.backend_pid)):
            settle_all(live_url, BOTH, 0.1)
        assert importer.execute(TOTAL).fetchall() == [(5,)]
        importer.commit()
        assert settle_all(live_url, BOTH, 5) == ["balances"]


def test_a_cursor_of_a_read_committed_transaction_is_waited_for(live_url: str) -> None:
    with psycopg.connect(live_url) as reader:
        reader.execute("DECLARE held CURSOR FOR SELECT total FROM balances, generate_series(1, 3)")
        with pytest.raises(SwapBlocked, match=str(reader.info.backend_pid)):
            rebuild(live_url, balances.PROJECTION, LIMITS)
        assert reader.execute("FETCH ALL held").fetchall() == [(5,)] * 3
    assert rebuild(live_url, balances.PROJECTION, LIMITS, resume=True).swapped is not None


def test_an_idle_read_committed_transaction_is_not_waited_for(live_url: str) -> None:
    with psycopg.connect(live_url) as reader:
        reader.execute("SELECT 1")
        report = rebuild(live_url, balances.PROJECTION, LIMITS)
        assert report.swapped is not None
        assert report.swapped.still_read_by == ()
        assert reader.execute(TOTAL).fetchall() == [(5,)]


def test_a_rebuild_of_all_swaps_the_others_too(live_url: str) -> None:
    with ExitStack() as stack:

        def begin(progress: shadow.Progress) -> None:
            if (progress.projection_name, progress.phase) == ("balances", "COMPARING"):
                stack.enter_context(_older(live_url))

        reports = rebuild_all(live_url, BOTH, LIMITS, on_progress=begin)
        assert [bool(r.swapped and r.swapped.still_read_by) for r in reports] == [True, True]
    assert settle_all(live_url, BOTH, 5) == ["balances", "orders"]
    assert settle_all(live_url, BOTH, 5) == []


def test_settling_goes_on_when_the_last_older_reader_ends(live_url: str) -> None:
    settled: list[str] = []
    with _older_than_a_rebuild(live_url) as reader:
        thread = threading.Thread(target=lambda: settled.extend(settle_all(live_url, BOTH, 30)))
        thread.start()
        at_it = (
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        wait_until(lambda: _now(live_url, at_it) != [], "settling to begin")
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    thread.join()
    assert settled == ["balances"]


def test_a_prepared_transaction_is_named(server_directory: Path) -> None:
    with EmbeddedPostgres(server_directory, fast=True) as server:
        migrate_all(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
        server.stop()
        server.start()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE of_others (x int)")
            connection.execute("PREPARE TRANSACTION 'an order of others'")
            with pytest.raises(SwapBlocked, match="prepared transaction an order of others, for"):
                rebuild(server.url, balances.PROJECTION, LIMITS)
            connection.execute("ROLLBACK PREPARED 'an order of others'")
            assert rebuild(server.url, balances.PROJECTION, LIMITS, resume=True).equal


# --- doing without the generation before ----------------------------------------------------


def test_what_older_transactions_may_read_cannot_be_dropped(live_url: str) -> None:
    with _older_than_a_rebuild(live_url) as reader:
        with pytest.raises(NotSettled, match=str(reader.info.backend_pid)):
            drop(live_url, BOTH, 0.1, ADA)
        with (
            connect(live_url, "test") as connection,
            pytest.raises(generations.GenerationShown, match=r"balances_1.*balances"),
        ):
            generations.drop(connection, "balances_1")
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    assert [one.generation for one in drop(live_url, BOTH, 5, ADA)] == [1]
    assert _now(live_url, "SELECT to_regnamespace('balances_1')") == [(None,)]
    assert _now(live_url) == [(5,)]


def test_tables_in_use_are_not_dropped_and_nobody_queues_behind(live_url: str) -> None:
    rebuild(live_url, balances.PROJECTION, LIMITS)
    with psycopg.connect(live_url, application_name="a notebook") as reader:
        reader.execute("SELECT count(*) FROM balances_1.balances")
        with pytest.raises(StillRead, match=rf"{reader.info.backend_pid} \(a notebook\)"):
            drop(live_url, BOTH, 0.1, ADA)
        assert reader.execute("SELECT count(*) FROM balances_1.balances").fetchone() == (1,)
    assert drop(live_url, BOTH, 5, ADA)


async def test_an_operator_lists_and_drops_them_by_ledgerctl(live_url: str, tmp_path: Path) -> None:
    async def said(operator: str, *arguments: str) -> str:
        done = await ledgerctl.run(
            "projections", *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=operator
        )
        assert done.exit_code == 0, done.stderr
        return done.stdout

    with login_of(live_url, "ledger_operator") as operator:
        await said(operator, "rebuild", "balances")
        assert "balances: generation 1 at position 4" in await said(operator, "generations", "list")
        assert await said(operator, "generations", "settle", "--all") == "nothing to settle\n"
        dropped = await said(operator, "generations", "drop", "--all", "--by", "ada")
        assert dropped.startswith("balances: dropped generation 1, ")
        assert "no read model has" in await said(operator, "generations", "list")
    with pytest.raises(NothingToReturnTo):
        rollback(live_url, balances.PROJECTION, LIMITS)
    recorded = "SELECT event_type FROM event_store ORDER BY position DESC LIMIT 1"
    assert _now(live_url, recorded) == [("projection.generation_dropped",)]


def test_the_list_tells_rows_and_size(live_url: str) -> None:
    rebuild(live_url, orders.PROJECTION, LIMITS)
    rebuild(live_url, orders.PROJECTION, LIMITS)
    with connect(live_url, "test") as connection:
        (was,) = listed(connection, BOTH)
    assert (was.projection_name, was.generation, was.live_generation) == ("orders", 2, 3)
    assert (was.rows, was.is_settled) == (1, True)
    assert was.size_bytes > 0
