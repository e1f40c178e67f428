"""Who works on a projection: leases, and what operators say to whoever it is."""

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ledger.operate import roles
from ledger.operate.database_url import acting_as
from ledger.operate.settings import Settings
from ledger.programs.registry import Places, find
from ledger.subscriptions import checkpoint, lease
from ledger.subscriptions.checkpoint import Checkpoint, Fenced
from projections.engine import pause as control
from projections.engine.builds import catalogue
from projections.engine.connection import connect
from projections.engine.operator_events import Deed
from projections.read_models import balances, orders
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.projections import log as events
from tests.projections.commands import run_command
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running, statuses, wait_until


def _claim(connection: psycopg.Connection[Any], owner: str) -> Checkpoint | None:
    return lease.claim(connection, "balances", owner, lease_seconds=60)


def _claimed(connection: psycopg.Connection[Any], owner: str) -> Checkpoint:
    claimed = _claim(connection, owner)
    assert claimed is not None
    return claimed


def test_a_living_owner_keeps_its_projection_whoever_starts(database_url: str) -> None:
    with connect(database_url, "one") as one, connect(database_url, "two") as two:
        first = _claimed(one, "first")
        assert _claim(two, "second") is None
        assert checkpoint.reread(one, first).epoch == first.epoch


def test_a_released_projection_is_free_at_once(database_url: str) -> None:
    with connect(database_url, "one") as one, connect(database_url, "two") as two:
        first = _claimed(one, "first")
        lease.release(one, first)
        assert _claimed(two, "second").epoch == first.epoch + 1


@pytest.mark.parametrize("role", [None, roles.PROJECTOR])
def test_a_projection_is_free_when_its_lease_is_over_and_the_earlier_owner_is_cut_off(
    database_url: str, role: str | None
) -> None:
    url = database_url if role is None else acting_as(database_url, role)
    with connect(url, "one") as one, connect(url, "two") as two:
        _claimed(one, "first")
        one.execute("BEGIN")
        one.execute("SELECT FROM event_projections FOR UPDATE")  # and then it hangs
        assert _claim(two, "second") is None
        two.execute("UPDATE projection_leases SET leased_until = clock_timestamp()")
        assert _claim(two, "second") is not None
        assert two.execute("SELECT current_user = %s", [role or two.info.user]).fetchone() == (
            True,
        )
        with pytest.raises(psycopg.errors.AdminShutdown):
            one.execute("SELECT 1")


def test_an_owner_that_was_killed_is_followed_before_its_lease_is_over(database_url: str) -> None:
    with connect(database_url, "one") as one, connect(database_url, "two") as two:
        _claimed(one, "first")
        one.close()
        wait_until(lambda: _claim(two, "second") is not None, "the connection to be gone")


def test_a_lease_is_renewed_while_its_worker_is_busy_elsewhere(database_url: str) -> None:
    with running(database_url, [balances.PROJECTION]):
        wait_until(lambda: statuses(database_url)["balances"].is_owned, "a worker")
        before = statuses(database_url)["balances"]
        wait_until(
            lambda: (
                (statuses(database_url)["balances"].lease_seconds_left or 0)
                > (before.lease_seconds_left or 0)
            ),
            "a renewal",
        )
        assert statuses(database_url)["balances"].epoch == before.epoch


def test_a_second_process_takes_nothing_and_takes_over_when_the_first_ends(
    database_url: str,
) -> None:
    with running(database_url, [balances.PROJECTION], owner="second", poll_seconds=3_600):
        wait_until(lambda: statuses(database_url)["balances"].owner == "second", "the second")
        with running(database_url, [balances.PROJECTION], owner="third", poll_seconds=3_600):
            with opened_log(database_url) as log:
                log.account(events.deposited("USDT", "5"))
            caught_up(database_url, "balances")
            assert statuses(database_url)["balances"].owner == "second"
        assert statuses(database_url)["balances"].epoch == 1
    assert statuses(database_url)["balances"].owner is None
    with running(database_url, [balances.PROJECTION], owner="fourth"):
        wait_until(lambda: statuses(database_url)["balances"].owner == "fourth", "the fourth")
        assert statuses(database_url)["balances"].lease_changes == 2


def test_a_worker_that_lost_its_lease_steps_back(database_url: str) -> None:
    with running(database_url, [balances.PROJECTION], owner="first", poll_seconds=0.02):
        wait_until(lambda: statuses(database_url)["balances"].owner == "first", "the first")
        with connect(database_url, "other") as other:

            def overtakes() -> bool:
                other.execute("UPDATE projection_leases SET leased_until = '-infinity'")
                return _claim(other, "other") is not None

            wait_until(overtakes, "a claim between two renewals")
            with opened_log(database_url) as log:
                head = log.account(events.deposited("USDT", "5"))
            claimed = checkpoint.reread(other, _claimed(other, "other"))
            assert claimed.position == 0
            checkpoint.advance(other, claimed, to=head, handled=0, event_id=None, rate=None)
    assert statuses(database_url)["balances"].total_events_processed == 0


# --- pause and resume -------------------------------------------------------------------


def test_a_pause_holds_at_once_and_a_resume_is_noticed_within_a_second(database_url: str) -> None:
    with (
        opened_log(database_url) as log,
        running(database_url, [balances.PROJECTION], poll_seconds=3_600),
        connect(database_url, "operator") as operator,
    ):
        log.account(events.deposited("USDT", "1"))
        caught_up(database_url, "balances")
        assert control.pause(operator, ["balances"], Deed("olga", "month end")) == ["balances"]
        assert control.pause(operator, ["balances"], Deed("igor")) == []
        log.account(events.deposited("USDT", "2"))
        status = statuses(database_url)["balances"]
        assert (status.status, status.lag_events, status.owner) == (
            "PAUSED",
            2,
            None,
        )  # the pause is in the log, too
        assert status.why is not None
        assert status.why.startswith("paused by olga since ")
        assert status.why.endswith(": month end")
        assert status.needs_person
        started = time.monotonic()
        assert control.resume(operator, ["balances"], Deed("olga")) == ["balances"]
        caught_up(database_url, "balances")
        assert time.monotonic() - started < 1
        status = statuses(database_url)["balances"]
    assert (status.status, status.paused_by, status.total_events_processed) == ("RUNNING", None, 2)


def test_a_paused_projection_stays_so_for_every_worker_that_starts(database_url: str) -> None:
    with connect(database_url, "operator") as operator:
        control.pause(operator, ["balances"], Deed("olga"))
    with opened_log(database_url) as log:
        log.account(events.deposited("USDT", "1"))
        log.order(events.submitted())
    with running(database_url, [balances.PROJECTION, orders.PROJECTION]):
        caught_up(database_url, "orders")
    status = statuses(database_url)["balances"]
    assert (status.status, status.position, status.epoch) == ("PAUSED", 0, 1)


def test_a_batch_begun_before_a_pause_cannot_be_committed_after_it(database_url: str) -> None:
    with connect(database_url, "worker") as worker, connect(database_url, "operator") as operator:
        claimed = _claimed(worker, "me")
        control.pause(operator, ["balances"], Deed("olga"))
        with pytest.raises(Fenced):
            checkpoint.advance(worker, claimed, to=9, handled=0, event_id=None, rate=None)
        with pytest.raises(Fenced):
            checkpoint.hold(worker, claimed)


def test_the_commands_pause_and_resume(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> tuple[int, Any]:
        return run_command(monkeypatch, database_url, *arguments)

    pause = ("pause", "balances", "--by", "olga", "--reason", "month end")
    assert run(*pause) == (0, [{"projection_name": "balances", "changed": True}])
    assert run(*pause)[1][0]["changed"] is False
    code, rows = run("status")
    (row,) = (row for row in rows if row["projection_name"] == "balances")
    assert code == 1
    assert (row["paused_by"], row["pause_reason"]) == ("olga", "month end")
    assert sum(row["changed"] for row in run("pause", "--all")[1]) == len(rows) - 1
    assert find("projections").ready(Places(Settings(), database_url)), (
        "paused by a person is not broken"
    )
    assert all(row["changed"] for row in run("resume", "--all")[1])
    assert run("pause")[0] == 2
    assert run("resume", "balances", "--all")[0] == 2


# --- status -----------------------------------------------------------------------------


def test_status_exits_0_only_while_every_projection_is_looked_after(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, all_projections(ProjectionSettings())):
        wait_until(lambda: all(row.is_owned for row in statuses(database_url).values()), "workers")
        code, rows = run_command(monkeypatch, database_url, "status")
        assert (code, [row["why"] for row in rows if row["why"]]) == (0, [])
        assert all(row["owner"] == "test" and row["rebuild"] is None for row in rows)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE event_projections SET updated_at = updated_at - %s", [timedelta(seconds=10)]
        )
    code, rows = run_command(monkeypatch, database_url, "status")
    assert code == 1
    assert {row["why"] for row in rows} == {"no owner: start `ledgerctl serve projections`"}


def test_status_tells_rate_and_time_to_catch_up(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(*(events.deposited("USDT", "1") for _ in range(40)))
    with connect(database_url, "test") as connection:
        claimed = _claimed(connection, "me")
        checkpoint.advance(connection, claimed, to=10, handled=10, event_id=None, rate=Decimal(15))
        status = statuses(database_url)["balances"]
    assert (status.lag_events, status.rate_per_second) == (30, Decimal(15))
    assert status.seconds_to_catch_up == 2.0
    assert status.lag_seconds > 0


def test_status_tells_how_far_a_rebuild_is(database_url: str) -> None:
    with connect(database_url, "test") as connection:
        catalogue.begin(connection, orders.PROJECTION, 2, target=70)
    told = statuses(database_url)["orders"].rebuild
    assert told is not None
    assert (told.phase, told.target_position, told.is_running) == ("FOLDING", 70, False)
