"""What holds for each read model, whatever it says."""

from functools import partial

import psycopg
import pytest

from ledger.nouns import EVENTS
from projections.engine.projection import Projection
from projections.registry import all_projections, find
from projections.settings import ProjectionSettings
from tests.projections import harness
from tests.projections.everything import append_everything
from tests.projections.workers import caught_up, running

PROJECTIONS = all_projections(ProjectionSettings())

MIXED = 160
"""Trades of three accounts, and as many batches as events: more show nothing that these do not."""

every_projection = pytest.mark.parametrize(
    "projection", PROJECTIONS, ids=[projection.name for projection in PROJECTIONS]
)


@pytest.fixture
def log_url(database_url: str) -> str:
    """A database with a log that has everything."""
    append_everything(database_url, MIXED)
    return database_url


def test_the_log_of_these_tests_has_every_type_of_event(log_url: str) -> None:
    with psycopg.connect(log_url) as connection:
        found = {
            row[0] for row in connection.execute("SELECT DISTINCT event_type FROM event_store")
        }
    assert found == set(EVENTS)


@every_projection
def test_rows_do_not_depend_on_batch_boundaries(log_url: str, projection: Projection) -> None:
    harness.check_batch_boundaries(log_url, projection)


@every_projection
def test_rows_do_not_depend_on_folding_streams_apart(log_url: str, projection: Projection) -> None:
    harness.check_parts(log_url, projection)


def test_several_processes_fill_the_rows_that_one_does(log_url: str) -> None:
    harness.check_bulk_fill(log_url, PROJECTIONS, find=partial(find, settings=ProjectionSettings()))


@every_projection
def test_a_crash_at_any_point_of_a_batch_changes_nothing(
    log_url: str, projection: Projection
) -> None:
    harness.check_crashes(log_url, projection)


def test_a_rebuild_equals_the_live_rows(log_url: str) -> None:
    with running(log_url, PROJECTIONS):
        caught_up(log_url)
    for projection in PROJECTIONS:
        harness.check_rebuild(log_url, projection)


def test_every_public_table_shows_the_live_rows(log_url: str) -> None:
    with running(log_url, PROJECTIONS):
        caught_up(log_url)
    with psycopg.connect(log_url) as connection:
        for projection in PROJECTIONS:
            for table in projection.public_tables:
                row = connection.execute(
                    f"SELECT (SELECT count(*) FROM public.{table.name}),"
                    f" (SELECT count(*) FROM {projection.name}_1.{table.name})"
                ).fetchone()
                assert row is not None
                assert row[0] == row[1] > 0


def test_two_sets_of_workers_apply_every_event_once(log_url: str) -> None:
    with (
        running(log_url, PROJECTIONS, owner="one", batch_positions=7),
        running(log_url, PROJECTIONS, owner="two", batch_positions=5),
    ):
        caught_up(log_url)
    with psycopg.connect(log_url) as connection:
        for projection in PROJECTIONS:
            row = connection.execute(
                """SELECT total_events_processed,
                          (SELECT count(*) FROM event_store WHERE event_type = ANY(%s))
                   FROM event_projections WHERE projection_name = %s""",
                [projection.event_types, projection.name],
            ).fetchone()
            assert row is not None
            assert row[0] == row[1]
    for projection in PROJECTIONS:
        harness.check_rebuild(log_url, projection)
