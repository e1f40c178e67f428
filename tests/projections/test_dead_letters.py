"""Events that a projection cannot handle: parked with their key, tried again, skipped."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from ledger.nouns.orders.events import OrderAccepted
from projections.cli import app
from projections.engine.builds.candidate import Limits
from projections.engine.builds.rebuild import rebuild, verify
from projections.engine.builds.rollback import PreviousNotWhole, rollback
from projections.engine.connection import connect
from projections.engine.letters import dead_letters, retry
from projections.engine.letters.dead_letters import DeadLetter
from projections.engine.letters.failures import is_poison
from projections.engine.letters.retry import NotParked
from projections.engine.live.build import FoldFailed
from projections.engine.operator_events import Deed
from projections.engine.projection import Projection
from projections.read_models import balances, orders
from projections.registry import find
from projections.settings import ProjectionSettings
from tests.projections import harness
from tests.projections import log as events
from tests.projections.commands import run_command
from tests.projections.log import Log, opened_log
from tests.projections.workers import caught_up, running, statuses, wait_until

LIMITS = Limits(batch_positions=500, rows_in_memory=1_000)
ORDERS = 1_000
POISONED = UUID(int=500)
RECORDED = (
    "INSERT INTO event_store (position, id, stream_id, stream_type, event_type, "
    "event_version, event_data, occurred_at) SELECT max(position) + 1, gen_random_uuid(), %s, "
    "%s, %s, 1, %s, now() FROM event_store"
)


def _with_a_mistake(projection: Projection = orders.PROJECTION) -> Projection:
    """Code that cannot handle the acceptance of one order."""
    right = projection.folds[OrderAccepted]

    def wrong(recorded: Any, event: Any, rows: Any) -> None:
        if recorded.stream_id == POISONED:
            raise ZeroDivisionError("a mistake in the code")
        right(recorded, event, rows)

    return replace(projection, folds={**projection.folds, OrderAccepted: wrong})


def _append_orders(log: Log, count: int) -> int:
    head = 0
    for number in range(1, count + 1):
        order_id = UUID(int=number)
        head = log.order(
            events.submitted(),
            events.accepted(),
            events.filled("10", cum="10", status="FILLED"),
            order_id=order_id,
        )
    return head


def _letters(database_url: str, **which: Any) -> list[DeadLetter]:
    with connect(database_url, "test") as connection:
        return dead_letters.find(connection, **which)


def _retry(database_url: str, projection: Projection, key: str) -> retry.Retried:
    with connect(database_url, "test") as connection:
        return retry.retry(connection, projection, key, rows_in_memory=100)


def _rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def _is_whole(database_url: str, projection: Projection) -> None:
    """The rows equal a clean rebuild, and every event was counted once."""
    report = verify(database_url, projection, LIMITS)
    assert report.equal, report
    assert report.parked == 0
    status = statuses(database_url)[projection.name]
    assert status.total_events_processed == report.events
    harness.check_rebuild(database_url, projection)


def test_a_poison_event_in_one_order_of_a_thousand_holds_up_that_order_alone(
    database_url: str,
) -> None:
    with opened_log(database_url) as log:
        _append_orders(log, ORDERS)
    with running(database_url, [_with_a_mistake()], batch_positions=400):
        caught_up(database_url, "orders")
        status = statuses(database_url)["orders"]
        filled = "SELECT count(*) FROM orders WHERE status = 'FILLED'"
        assert _rows(database_url, filled) == [(ORDERS - 1,)]
        (of_poisoned,) = _rows(
            database_url, f"SELECT status FROM orders WHERE order_id = '{POISONED}'"
        )
        assert of_poisoned == ("PENDING",), "what came before the poison stays applied"
        assert status.why is not None
        assert "1 keys parked with 2 events" in status.why
        assert (status.status, status.needs_person) == ("RUNNING", True)
        assert status.total_events_processed == 3 * ORDERS - 2
    cause, behind = _letters(database_url, name="orders")
    assert (cause.kind, behind.kind) == ("fold", "behind")
    assert cause.partition_key == str(POISONED)
    assert cause.error == "ZeroDivisionError: a mistake in the code"
    assert cause.traceback is not None
    assert 'raise ZeroDivisionError("a mistake in the code")' in cause.traceback
    assert verify(database_url, orders.PROJECTION, LIMITS).parked == 2
    assert verify(database_url, orders.PROJECTION, LIMITS).equal
    with running(database_url, [orders.PROJECTION]):
        wait_until(lambda: statuses(database_url)["orders"].is_owned, "a worker")
        result = _retry(database_url, orders.PROJECTION, cause.partition_key)
        assert (result.applied, result.remaining) == (2, 0)
        with opened_log(database_url) as log:
            log._versions[POISONED] = 3
            log.order(events.cancelled(), order_id=POISONED)
        caught_up(database_url, "orders")
    assert _letters(database_url) == []
    _is_whole(database_url, orders.PROJECTION)


def test_later_events_of_a_parked_key_are_parked_in_later_batches_and_after_a_restart(
    database_url: str,
) -> None:
    with opened_log(database_url) as log:
        _append_orders(log, 1)
        log.order(events.submitted(), events.accepted(), order_id=POISONED)
        with running(database_url, [_with_a_mistake()], batch_positions=1):
            caught_up(database_url, "orders")
        log.order(events.cancelled(), order_id=POISONED)
        with running(database_url, [orders.PROJECTION]):
            caught_up(database_url, "orders")
    assert [letter.kind for letter in _letters(database_url)] == ["fold", "behind"]


def test_a_retry_without_a_fix_says_so_and_changes_nothing_else(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.order(events.submitted(), events.accepted(), order_id=POISONED)
        log.order(events.cancelled(), order_id=POISONED)
    with running(database_url, [_with_a_mistake()]):
        caught_up(database_url, "orders")
    result = _retry(database_url, _with_a_mistake(), str(POISONED))
    assert (result.applied, result.remaining) == (0, 2)
    assert result.error is not None
    assert "a mistake in the code" in result.error
    assert [letter.attempts for letter in _letters(database_url)] == [2, 1]
    assert _rows(database_url, "SELECT status FROM orders") == [("PENDING",)]


def test_a_skipped_event_is_left_out_by_rebuilds_too_and_says_by_whom_and_why(
    database_url: str,
) -> None:
    with opened_log(database_url) as log:
        log.order(events.submitted(), events.accepted(), order_id=POISONED)
        log.order(events.cancelled(), order_id=POISONED)
    with running(database_url, [_with_a_mistake()]):
        caught_up(database_url, "orders")
        letter = _letters(database_url)[0]
        with connect(database_url, "test") as connection:
            result = retry.skip(
                connection,
                orders.PROJECTION,
                letter,
                deed=Deed("olga", "the venue took it back"),
                rows_in_memory=100,
            )
            assert (result.applied, result.remaining) == (1, 0)
            with pytest.raises(NotParked):
                retry.skip(
                    connection,
                    orders.PROJECTION,
                    letter,
                    deed=Deed("olga", "twice"),
                    rows_in_memory=100,
                )
    assert _rows(database_url, "SELECT status, venue_order_id FROM orders") == [("CANCELLED", None)]
    (skipped,) = _letters(database_url, statuses=(dead_letters.SKIPPED,))
    assert (skipped.skipped_by, skipped.skip_reason) == ("olga", "the venue took it back")
    _is_whole(database_url, orders.PROJECTION)


def _undecodable(log: Log) -> None:
    log._connection.execute(
        RECORDED, [events.ACCOUNT, "account", "account.deposited", '{"amount": 1.5}']
    )


def _unknown(log: Log) -> None:
    log._connection.execute(RECORDED, [events.ACCOUNT, "account", "account.blessed", "{}"])


def _refused(log: Log) -> None:
    log._connection.execute("ALTER TABLE balances_1.balances ADD CHECK (total < 1000)")
    log.account(events.deposited("USDT", "1000"))


KINDS = {"decode": _undecodable, "unknown type": _unknown, "database": _refused}


@pytest.mark.parametrize(("kind", "append"), KINDS.items(), ids=KINDS.keys())
def test_the_kinds_of_failure_are_told_apart_and_other_keys_go_on(
    database_url: str, kind: str, append: Callable[[Log], None]
) -> None:
    other = UUID(int=7)
    with opened_log(database_url) as log:
        log.append(other, events.account_opened(), events.deposited("BTC", "1"))
        append(log)
        log.append(other, events.deposited("BTC", "2"))
        head = log.append(other, events.deposited("BTC", "3"))
    with running(database_url, [balances.PROJECTION]):
        caught_up(database_url, "balances")
    (letter,) = _letters(database_url)
    assert (letter.kind, letter.partition_key) == (kind, str(events.ACCOUNT))
    assert _rows(database_url, "SELECT total, last_position FROM balances") == [(6, head)]


def test_what_the_database_refused_is_applied_when_it_no_longer_does(database_url: str) -> None:
    with opened_log(database_url) as log:
        _refused(log)
        log.account(events.deposited("BTC", "1"))
    with running(database_url, [balances.PROJECTION]):
        caught_up(database_url, "balances")
        assert [letter.kind for letter in _letters(database_url)] == ["database", "behind"]
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "ALTER TABLE balances_1.balances DROP CONSTRAINT balances_total_check"
            )
        result = _retry(database_url, balances.PROJECTION, str(events.ACCOUNT))
    assert (result.applied, result.remaining) == (2, 0)
    _is_whole(database_url, balances.PROJECTION)


TRANSIENT = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DiskFull,
    psycopg.errors.AdminShutdown,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedTable,
    psycopg.OperationalError,
)


@pytest.mark.parametrize("error", TRANSIENT)
def test_no_event_is_blamed_for_what_the_database_lacks(error: type[psycopg.Error]) -> None:
    assert not is_poison(error("not today"))


def test_a_lock_that_somebody_holds_is_waited_for_and_nothing_is_parked(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(events.deposited("USDT", "5"))
    with psycopg.connect(database_url) as other:
        pid = other.info.backend_pid
        other.execute("LOCK TABLE balances_1.balances IN ACCESS EXCLUSIVE MODE")
        with running(database_url, [balances.PROJECTION]):
            wait_until(lambda: statuses(database_url)["balances"].blocked_by == [pid], "the lock")
            why = statuses(database_url)["balances"].why
            other.rollback()
            caught_up(database_url, "balances")
    assert why == f"waits for a lock held by pid {pid}"
    assert _letters(database_url) == []


def test_by_choice_a_projection_stops_before_the_event_and_goes_on_after_the_fix(
    database_url: str,
) -> None:
    with opened_log(database_url) as log:
        _append_orders(log, 3)
        log.order(events.submitted(), order_id=POISONED)
        position = log.order(events.accepted(), order_id=POISONED)
        head = log.order(events.cancelled(), order_id=POISONED)
    with running(database_url, [_with_a_mistake()], stop_at_poison=True):
        wait_until(lambda: statuses(database_url)["orders"].error_count >= 2, "a second try")
        status = statuses(database_url)["orders"]
    assert (status.status, status.position, status.parked_keys) == ("ERROR", position - 1, 0)
    assert status.why is not None
    assert "order.accepted" in status.why
    assert f"at position {position}" in status.why
    assert "a mistake in the code" in status.why
    assert [letter.position for letter in _letters(database_url)] == [position]
    with running(database_url, [orders.PROJECTION], stop_at_poison=True):
        caught_up(database_url, "orders")
        status = statuses(database_url)["orders"]
    assert (status.status, status.position, status.error_message) == ("RUNNING", head, None)
    assert _letters(database_url) == []
    _is_whole(database_url, orders.PROJECTION)


def test_a_projection_whose_rows_depend_on_each_other_stops_until_the_event_is_skipped(
    database_url: str,
) -> None:
    projection = find("portfolio_snapshots", ProjectionSettings())
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
        _undecodable_deposit(log)
        log.account(events.deposited("USDT", "6"))
    with running(database_url, [projection]):
        wait_until(lambda: bool(_letters(database_url)), "the stop")
        (letter,) = _letters(database_url)
        assert statuses(database_url)[projection.name].position == letter.position - 1
        with connect(database_url, "test") as connection:
            result = retry.skip(
                connection, projection, letter, deed=Deed("olga", "a test"), rows_in_memory=100
            )
        assert result.stopped
        caught_up(database_url, projection.name)
    _is_whole(database_url, projection)


def test_who_verifies_a_projection_that_stands_still_is_told_where_and_why(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    projection = find("portfolio_snapshots", ProjectionSettings())
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
        _undecodable_deposit(log)
        log.account(events.deposited("USDT", "6"))
    with running(database_url, [projection]):
        wait_until(lambda: bool(_letters(database_url)), "the stop")
        monkeypatch.setenv("LEDGER_DATABASE_URL", database_url)
        done = CliRunner().invoke(app, ["verify", projection.name])
    assert done.exit_code == 0
    assert "portfolio_snapshots at position 2: " in done.stdout
    assert "it stands still there, 2 events behind the log: error: " in done.stdout


def _undecodable_deposit(log: Log) -> None:
    log._connection.execute(RECORDED, [POISONED, "account", "account.deposited", "{}"])


def test_a_rebuild_folds_what_was_parked_and_stops_if_it_still_cannot(database_url: str) -> None:
    with opened_log(database_url) as log:
        _append_orders(log, 3)
        log.order(events.submitted(), events.accepted(), order_id=POISONED)
    with running(database_url, [_with_a_mistake()]):
        caught_up(database_url, "orders")
    with pytest.raises(FoldFailed, match="a mistake in the code"):
        rebuild(database_url, _with_a_mistake(), LIMITS)
    assert statuses(database_url)["orders"].generation == 1
    report = rebuild(database_url, orders.PROJECTION, LIMITS)
    assert (report.equal, report.parked) == (True, 1)
    assert statuses(database_url)["orders"].parked_keys == 0
    _is_whole(database_url, orders.PROJECTION)


# --- the commands -----------------------------------------------------------------------


@pytest.fixture
def parked_url(database_url: str) -> str:
    """A database where live rows lack an order's undecodable acceptance and its cancellation."""
    with opened_log(database_url) as log:
        log.order(events.submitted())
        log._connection.execute(
            RECORDED.replace("1, %s, now()", "2, %s, now()"),
            [events.ORDER, "order", "order.accepted", "{}"],
        )
        log._versions[events.ORDER] = 2
        log.order(events.cancelled())
    with running(database_url, [orders.PROJECTION]):
        caught_up(database_url, "orders")
    return database_url


def test_the_commands_list_show_retry_and_skip(
    parked_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> tuple[int, Any]:
        return run_command(monkeypatch, parked_url, "dead-letters", *arguments)

    code, (listed,) = run("list")
    assert (code, listed["kind"], listed["behind"]) == (0, "decode", 1)
    assert len(run("list", "--behind")[1]) == 2
    code, shown = run("show", listed["id"])
    assert (code, shown["event"]["data"]) == (0, {})
    assert "UndecodableEvent" in shown["traceback"]
    code, (tried,) = run("retry", listed["id"])
    assert (code, tried["applied"], tried["remaining"]) == (1, 0, 2)
    assert run("skip", listed["id"])[0] == 2
    assert run("skip", listed["id"], "--by", "olga", "--reason", " ")[0] == 2
    code, (skipped,) = run("skip", listed["id"], "--by", "olga", "--reason", "not ours")
    assert (code, skipped["applied"], skipped["remaining"]) == (0, 1, 0)
    assert run("list")[1] == []
    (kept,) = run("list", "--skipped")[1]
    assert (kept["skipped_by"], kept["skip_reason"]) == ("olga", "not ours")
    assert run("retry", "--all") == (0, [])


def test_an_id_that_is_not_parked_is_answered_with_the_way_to_find_one(
    parked_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotParked, match="dead-letters list"):
        run_command(monkeypatch, parked_url, "dead-letters", "show", str(UUID(int=1)))


def test_a_generation_that_lacks_events_is_not_returned_to(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.order(events.submitted(), events.accepted(), order_id=POISONED)
    with running(database_url, [_with_a_mistake()]):
        caught_up(database_url, "orders")
    assert rebuild(database_url, orders.PROJECTION, LIMITS).parked == 1
    with pytest.raises(PreviousNotWhole, match="projections rebuild orders"):
        rollback(database_url, orders.PROJECTION, LIMITS)
