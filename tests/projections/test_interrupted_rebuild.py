"""Rebuilds that are killed or interrupted: resumed from where they were, or cleared away."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import orjson
import psycopg
import pytest
from typer.testing import CliRunner

from benchmarks.event_mix import EventMix, append_mix
from projections import registry
from projections.cli import app
from projections.engine.builds import candidate, catalogue
from projections.engine.builds.parallel_fill import BulkFailed
from projections.engine.builds.rebuild import (
    Leftover,
    NothingToResume,
    clean,
    rebuild,
    rebuild_all,
    verify,
    verify_all,
)
from projections.engine.connection import connect
from projections.engine.live.build import FoldFailed
from projections.read_models import orders
from projections.settings import ProjectionSettings
from tests.projections.workers import caught_up, running, wait_until

EVENTS = 2_000
ONE_PROCESS = candidate.Limits(batch_positions=100, rows_in_memory=1000)
SEVERAL = candidate.Limits(
    batch_positions=20, rows_in_memory=1000, processes=2, worth_processes_positions=1
)
FIND = partial(registry.find, settings=ProjectionSettings())
PROJECTIONS = tuple(FIND(name) for name in ("orders", "order_fills", "portfolio_snapshots"))

REBUILD_SLOWLY = """
import sys
from tests.projections.test_interrupted_rebuild import *
limits = candidate.Limits(batch_positions=5, rows_in_memory=1000, processes=int(sys.argv[2]),
                          worth_processes_positions=1)
if __name__ == "__main__":
    rebuild_all(sys.argv[1], PROJECTIONS, limits, find=FIND if limits.processes > 1 else None)
"""


@pytest.fixture
def live_url(database_url: str) -> str:
    """A database with a log of the demo's mix, and read models up to the head."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        append_mix(connection, EventMix(accounts=5), EVENTS)
    with running(database_url, PROJECTIONS, batch_positions=2_000):
        caught_up(database_url, *(projection.name for projection in PROJECTIONS))
    return database_url


def _left(database_url: str) -> dict[str, catalogue.KeptBuild]:
    with connect(database_url, "test") as connection:
        return {kept.projection_name: kept for kept in catalogue.listed(connection)}


def _schemas(database_url: str) -> set[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(orders|order_fills)_'"
        )
        return {name for (name,) in rows}


def _kill_in_the_middle(database_url: str, processes: int) -> None:
    """Rebuilds three read models in a process of its own and kills it when some are begun."""

    def some_rows() -> bool:
        return any(0 < kept.reached < EVENTS for kept in _left(database_url).values())

    victim = subprocess.Popen(
        [sys.executable, "-c", REBUILD_SLOWLY, database_url, str(processes)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    try:
        wait_until(some_rows, "the rebuild to have folded something")
    finally:
        victim.kill()
        victim.wait()


def _interrupt(progress: candidate.BuildProgress) -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize("processes", [1, 2])
def test_a_rebuild_that_was_killed_goes_on_from_where_it_was(live_url: str, processes: int) -> None:
    _kill_in_the_middle(live_url, processes)
    left = _left(live_url)
    assert left.keys() == {projection.name for projection in PROJECTIONS}
    with pytest.raises(Leftover, match=r"--resume.*--clean"):
        rebuild_all(live_url, PROJECTIONS, ONE_PROCESS)
    first: dict[str, int] = {}

    def note(progress: candidate.BuildProgress) -> None:
        first.setdefault(progress.projection_name, progress.position)

    reports = rebuild_all(live_url, PROJECTIONS, SEVERAL, resume=True, find=FIND, on_progress=note)
    assert [report.equal for report in reports] == [True] * len(PROJECTIONS)
    assert max(first.values()) > 0
    assert all(kept.purpose == catalogue.PREVIOUS for kept in _left(live_url).values())
    assert all(report.equal for report in verify_all(live_url, PROJECTIONS, ONE_PROCESS))
    with psycopg.connect(live_url) as connection:
        counts = connection.execute(
            """SELECT total_events_processed, generation, last_processed_event_id
               FROM event_projections WHERE projection_name = ANY(%s)""",
            [[projection.name for projection in PROJECTIONS]],
        ).fetchall()
        handled = [
            connection.execute(
                """SELECT count(*), (array_agg(id ORDER BY position DESC))[1]
                   FROM event_store WHERE event_type = ANY(%s)""",
                [projection.event_types],
            ).fetchone()
            for projection in PROJECTIONS
        ]
    assert sorted(counts) == sorted((count, 2, last) for count, last in filter(None, handled))


def test_what_a_killed_rebuild_left_can_be_cleared_away(live_url: str) -> None:
    _kill_in_the_middle(live_url, 2)
    assert len(_schemas(live_url)) == 4
    removed = clean(live_url, PROJECTIONS)
    assert {kept.projection_name for kept in removed} == {p.name for p in PROJECTIONS}
    assert _schemas(live_url) == {"orders_1", "order_fills_1"}
    assert _left(live_url) == {}
    assert clean(live_url, PROJECTIONS) == []
    assert rebuild(live_url, orders.PROJECTION, ONE_PROCESS).equal


def test_several_processes_make_the_same_rows(live_url: str) -> None:
    reports = verify_all(live_url, PROJECTIONS, SEVERAL, find=FIND)
    assert [report.equal for report in reports] == [True] * len(PROJECTIONS)
    rebuilt = rebuild_all(live_url, PROJECTIONS, SEVERAL, find=FIND)
    assert [report.equal for report in rebuilt] == [True] * len(PROJECTIONS)
    assert [report.events for report in rebuilt] == [report.events for report in reports]


def test_there_is_nothing_to_resume_where_nothing_was_interrupted(live_url: str) -> None:
    with pytest.raises(NothingToResume, match="orders"):
        rebuild(live_url, orders.PROJECTION, ONE_PROCESS, resume=True)


def test_a_dry_run_leaves_nothing_even_when_it_is_interrupted(live_url: str) -> None:
    assert rebuild(live_url, orders.PROJECTION, ONE_PROCESS, dry_run=True).equal
    with pytest.raises(KeyboardInterrupt):
        rebuild(live_url, orders.PROJECTION, ONE_PROCESS, dry_run=True, on_progress=_interrupt)
    assert _left(live_url) == {}
    assert _schemas(live_url) == {"orders_1", "order_fills_1"}


@pytest.mark.parametrize(
    ("limits", "error"), [(ONE_PROCESS, FoldFailed), (SEVERAL, BulkFailed)], ids=["one", "several"]
)
def test_an_event_that_does_not_fold_stops_a_rebuild_and_leaves_nothing(
    live_url: str, limits: candidate.Limits, error: type[Exception]
) -> None:
    with psycopg.connect(live_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # history cannot be changed
        row = connection.execute(
            """UPDATE event_store SET event_data = '{"broken": true}' WHERE position =
                   (SELECT max(position) FROM event_store WHERE event_type = 'order.filled')
               RETURNING id"""
        ).fetchone()
    assert row is not None
    with pytest.raises(error, match=str(row[0])):
        rebuild(live_url, orders.PROJECTION, limits, find=FIND)
    assert _left(live_url) == {}
    assert _schemas(live_url) == {"orders_1", "order_fills_1"}


# --- commands -------------------------------------------------------------------------


@pytest.fixture
def ledgerctl(live_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    """Runs `ledgerctl projections … --json`: (exit code, what it printed)."""
    monkeypatch.setenv("LEDGER_DATABASE_URL", live_url)

    def run(*arguments: str) -> tuple[int, Any]:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        return result.exit_code, orjson.loads(result.stdout) if result.stdout else None

    return run


def test_the_commands_resume_clean_and_go_back(
    live_url: str, ledgerctl: Callable[..., tuple[int, Any]]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        rebuild(live_url, orders.PROJECTION, ONE_PROCESS, on_progress=_interrupt)
    assert ledgerctl("rebuild", "orders")[0] == 1
    code, report = ledgerctl("rebuild", "orders", "--resume")
    assert code == 0
    assert report["projections"][0]["swapped"] is True
    assert report["projections"][0]["generation"] == 2
    code, done = ledgerctl("rollback", "orders")
    assert (code, done["generation"], done["previous_generation"]) == (0, 1, 2)
    with pytest.raises(KeyboardInterrupt):
        rebuild(live_url, orders.PROJECTION, ONE_PROCESS, on_progress=_interrupt)
    code, removed = ledgerctl("rebuild", "orders", "--clean")
    assert (code, removed["removed"]) == (0, [{"projection_name": "orders", "schema": "orders_3"}])
    code, report = ledgerctl("rebuild", "orders", "--dry-run")
    assert (code, report["equal"], report["projections"][0]["swapped"]) == (0, True, False)
    assert ledgerctl("rollback", "orders")[1]["generation"] == 2


def test_the_command_that_is_interrupted_says_how_to_go_on(
    live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", live_url)
    monkeypatch.setattr(candidate.Shadow, "enter", _interrupt_at)
    result = CliRunner().invoke(app, ["rebuild", "orders"])
    assert result.exit_code == 130
    assert "orders --resume" in result.stderr
    assert "orders --clean" in result.stderr


def _interrupt_at(self: candidate.Shadow, phase: str) -> NoReturn:
    raise KeyboardInterrupt


def test_verify_still_works_beside_what_was_left(live_url: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        rebuild(live_url, orders.PROJECTION, ONE_PROCESS, on_progress=_interrupt)
    assert verify(live_url, orders.PROJECTION, ONE_PROCESS).equal
    assert _left(live_url)["orders"].purpose == catalogue.NEXT


@pytest.mark.parametrize(
    "arguments",
    [
        ("--clean", "--resume"),
        ("--drop",),
        ("--to-position", "1", "--as-of", "2026-01-01"),
        ("--to-position", "1", "--dry-run"),
        ("--to-position", "0"),
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(
    ledgerctl: Callable[..., tuple[int, Any]], arguments: tuple[str, ...]
) -> None:
    assert ledgerctl("rebuild", "orders", *arguments)[0] == 2
