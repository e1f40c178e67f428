"""Verifying and rebuilding read models while they are used, and the commands for it."""

import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from ledger.operate.plugins import migrate_all
from projections.engine.builds import candidate, generations
from projections.engine.builds.candidate import AlreadyRunning
from projections.engine.builds.rebuild import RebuildDiffers, rebuild, verify
from projections.engine.connection import connect
from projections.engine.projection import Row, Table
from projections.install import install
from projections.read_models import balances, orders
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.databases import temporary_database
from tests.projections import log as events
from tests.projections.commands import run_command
from tests.projections.everything import append_everything
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running, statuses

LIMITS = candidate.Limits(batch_positions=100, rows_in_memory=100)


@pytest.fixture
def live_url(database_url: str) -> str:
    """A database with two orders, a deposit, and read models up to the head."""
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


def _schemas(database_url: str) -> list[str]:
    rows = _execute(
        database_url,
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '^balances_' ORDER BY nspname",
    )
    return [name for (name,) in rows]


DAMAGES = {
    "a changed value": ("UPDATE balances_1.balances SET total = 6, available = 6", "different"),
    "a row too few": ("DELETE FROM balances_1.balances", "only rebuilt"),
    "a row too many": (
        """INSERT INTO balances_1.contra_balances
           SELECT account_id, user_id, 'fees:X', asset, total, updated_at, last_position
           FROM balances_1.contra_balances""",
        "only live",
    ),
}


@pytest.mark.parametrize(("damage", "kind"), DAMAGES.values(), ids=DAMAGES.keys())
def test_verify_names_rows_that_were_tampered_with(live_url: str, damage: str, kind: str) -> None:
    assert verify(live_url, balances.PROJECTION, LIMITS).equal
    _execute(live_url, damage)
    report = verify(live_url, balances.PROJECTION, LIMITS)
    assert not report.equal
    assert report.comparison is not None
    (difference,) = report.comparison.differences
    assert difference.kind == kind
    assert difference.key["asset"] == "USDT"
    assert difference.event is not None
    assert (difference.event.position, difference.event.type) == (2, "account.deposited")
    if kind == "different":
        assert difference.columns == {"total": ("6", "5"), "available": ("6", "5")}


def test_verify_leaves_nothing_behind_and_changes_nothing(live_url: str) -> None:
    before = _execute(live_url, "SELECT * FROM balances_1.balances")
    verify(live_url, balances.PROJECTION, LIMITS)
    assert _execute(live_url, "SELECT * FROM balances_1.balances") == before
    assert _schemas(live_url) == ["balances_1"]


def test_a_rebuild_that_differs_is_not_swapped_in_unless_told(live_url: str) -> None:
    _execute(live_url, DAMAGES["a changed value"][0])
    with pytest.raises(RebuildDiffers, match=r"1 rows.*--accept-differences"):
        rebuild(live_url, balances.PROJECTION, LIMITS)
    assert _schemas(live_url) == ["balances_1"]
    assert _execute(live_url, "SELECT total FROM balances") == [(6,)]
    rebuild(live_url, balances.PROJECTION, LIMITS, accept_differences=True)
    assert _schemas(live_url) == ["balances_1", "balances_2"]
    assert _execute(live_url, "SELECT total FROM balances") == [(5,)]


def test_live_rows_behind_the_log_are_compared_at_their_own_position(live_url: str) -> None:
    with opened_log(live_url) as log:
        log._versions[events.ACCOUNT] = 2
        log.account(events.deposited("USDT", "5"))
    report = verify(live_url, balances.PROJECTION, LIMITS)
    assert report.equal
    assert report.position == 4


def test_views_upon_the_read_model_survive_a_rebuild(live_url: str) -> None:
    _execute(live_url, "CREATE VIEW rich AS SELECT asset FROM balances WHERE total > 1")
    rebuild(live_url, balances.PROJECTION, LIMITS)
    assert _execute(live_url, "SELECT asset FROM rich") == [("USDT",)]


@pytest.mark.parametrize("role", generations.READERS)
def test_readers_may_read_before_and_after_a_rebuild(live_url: str, role: str) -> None:
    for _ in range(2):
        with psycopg.connect(live_url) as connection:
            connection.execute(f"SET ROLE {role}".encode())
            connection.execute(f"SET app.current_user_id = '{events.USER}'".encode())
            assert connection.execute("SELECT asset FROM balances").fetchall() == [("USDT",)]
        rebuild(live_url, balances.PROJECTION, LIMITS)


def test_two_rebuilds_of_one_projection_do_not_meet(
    live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "LOCK_PATIENCE_SECONDS", 0.1)
    with (
        connect(live_url, "test") as connection,
        candidate.only_one(connection, balances.PROJECTION),
        pytest.raises(AlreadyRunning, match="balances"),
    ):
        rebuild(live_url, balances.PROJECTION, LIMITS)


def test_the_oldest_supported_postgresql_does_as_well(postgres15_url: str) -> None:
    with temporary_database(postgres15_url) as database_url:
        migrate_all(database_url)
        append_everything(database_url)
        projections = all_projections(ProjectionSettings())
        with running(database_url, projections):
            caught_up(database_url)
        for projection in projections:
            assert rebuild(database_url, projection, LIMITS).equal


def test_installing_twice_at_once_makes_everything_once(live_url: str) -> None:
    threads = [threading.Thread(target=install, args=(live_url,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _execute(live_url, "SELECT total FROM balances") == [(5,)]
    assert _schemas(live_url) == ["balances_1"]


def test_a_view_that_cannot_take_the_new_shape_says_what_to_do(live_url: str) -> None:
    class Other(Row):
        asset: str

    other = replace(balances.PROJECTION, tables=(Table("balances", Other, key=("asset",)),))
    with connect(live_url, "test") as connection:
        generations.define(connection, other)
        connection.execute(
            "CREATE SCHEMA balances_other; CREATE TABLE balances_other.balances (asset text)"
        )
        with pytest.raises(generations.ViewNotReplaceable, match="new columns last"):
            generations.point_views(connection, other, "balances_other")


# --- commands -------------------------------------------------------------------------


def test_status_tells_position_head_and_lag(live_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, rows = run_command(monkeypatch, live_url, "status")
    by_name = {row["projection_name"]: row for row in rows}
    assert code == 1  # no worker runs
    assert by_name["balances"]["position"] == by_name["balances"]["head"] == 4
    assert by_name["balances"]["lag_events"] == by_name["balances"]["lag_seconds"] == 0
    assert by_name["symbols"]["lag_events"] == 4
    assert by_name["symbols"]["lag_seconds"] > 0


def test_verify_exits_1_on_a_difference_and_names_it(
    live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, report = run_command(monkeypatch, live_url, "verify")
    assert (code, report["equal"]) == (0, True)
    _execute(live_url, DAMAGES["a changed value"][0])
    code, report = run_command(monkeypatch, live_url, "verify", "balances")
    (difference,) = report["projections"][0]["differences"]
    assert code == 1
    assert difference["columns"]["total"] == {"live": "6", "rebuilt": "5"}
    assert difference["event"]["type"] == "account.deposited"


def test_rebuild_exits_1_on_a_difference_until_it_is_accepted(
    live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _execute(live_url, DAMAGES["a changed value"][0])
    assert run_command(monkeypatch, live_url, "rebuild", "balances")[0] == 1
    assert run_command(monkeypatch, live_url, "rebuild", "balances", "--accept-differences")[0] == 0
    assert run_command(monkeypatch, live_url, "verify", "balances")[0] == 0
    code, report = run_command(monkeypatch, live_url, "rebuild", "--all")
    assert code == 0
    assert len(report["projections"]) == len(statuses(live_url))


def test_rebuild_needs_a_name_or_all(live_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command(monkeypatch, live_url, "rebuild")[0] == 2
    assert run_command(monkeypatch, live_url, "rebuild", "orders", "--all")[0] == 2
