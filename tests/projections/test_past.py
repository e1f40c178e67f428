"""Read models as they were: at a position, as of a time, beside the live ones."""

from datetime import timedelta
from functools import partial
from itertools import cycle
from typing import Any, NoReturn

import orjson
import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from benchmarks.event_mix import EventMix, append_mix
from projections import registry
from projections.cli import app
from projections.engine.builds import candidate, catalogue, generations, past
from projections.engine.builds.catalogue import SchemaTaken
from projections.engine.builds.past import NoSuchPosition
from projections.engine.builds.rebuild import Leftover
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.engine.projection import Projection
from projections.read_models import balances, orders
from projections.settings import ProjectionSettings
from tests.projections import harness

EVENTS = 400
POSITION = 250
LIMITS = candidate.Limits(batch_positions=60, rows_in_memory=1000)
SEVERAL = candidate.Limits(
    batch_positions=60, rows_in_memory=1000, processes=2, worth_processes_positions=1
)
FIND = partial(registry.find, settings=ProjectionSettings())
BOTH = (orders.PROJECTION, balances.PROJECTION)


@pytest.fixture
def log_url(database_url: str) -> str:
    """A database with a log of the demo's mix; nothing is folded."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        append_mix(connection, EventMix(accounts=5), EVENTS)
    return database_url


def _folded_to(
    connection: psycopg.Connection[Any], projection: Projection, position: int
) -> harness.Contents:
    schema = f"{projection.name}_expected"
    generations.create_tables(connection, projection, schema)
    build = Build(projection, schema, connection, rows_in_memory=10_000, empty=True)
    build.fold(source.read(connection, after=0, up_to=position, event_types=projection.event_types))
    with connection.transaction():
        build.write()
    return harness.contents(connection, projection, schema)


@pytest.mark.parametrize("limits", [LIMITS, SEVERAL], ids=["one process", "several"])
def test_the_past_is_what_a_fold_to_there_gives(log_url: str, limits: candidate.Limits) -> None:
    built = past.look(log_url, BOTH, POSITION, limits, find=FIND)
    with connect(log_url, "test") as connection:
        for projection in BOTH:
            found = harness.contents(connection, projection, built.schema)
            assert any(found.values())
            assert found == _folded_to(connection, projection, POSITION)
        live = connection.execute("SELECT count(*) FROM orders").fetchone()
        row = connection.execute("SELECT count(*) FROM past_250.orders").fetchone()
    assert live == (0,)
    assert row is not None
    assert row[0] > 0


def test_a_time_stands_for_what_was_recorded_by_then(log_url: str) -> None:
    with connect(log_url, "test") as connection:
        times = connection.execute(
            "SELECT recorded_at, max(position) FROM event_store GROUP BY 1 ORDER BY 1"
        ).fetchall()
        for time, position in times:
            assert past.position_at(connection, time) == position
        after, before = times[-1][0] + timedelta(days=1), times[0][0] - timedelta(days=1)
        assert past.position_at(connection, after) == EVENTS
        with pytest.raises(NoSuchPosition, match="later time"):
            past.position_at(connection, before)


def test_a_position_that_the_log_does_not_have_is_named(log_url: str) -> None:
    with pytest.raises(NoSuchPosition, match=f"from 1 to {EVENTS}"):
        past.look(log_url, BOTH, EVENTS + 1, LIMITS)


def test_the_schema_goes_with_the_last_read_model_in_it(log_url: str) -> None:
    def tables() -> list[str]:
        with psycopg.connect(log_url) as connection:
            rows = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'past_250' ORDER BY 1"
            )
            return [name for (name,) in rows]

    past.look(log_url, BOTH, POSITION, LIMITS)
    with pytest.raises(SchemaTaken, match="--drop"):
        past.look(log_url, BOTH[:1], POSITION, LIMITS)
    past.drop(log_url, BOTH[:1], POSITION)
    assert tables() == ["balances", "contra_balances"]
    past.drop(log_url, BOTH, POSITION)
    with psycopg.connect(log_url) as connection:
        assert connection.execute("SELECT to_regnamespace('past_250')").fetchone() == (None,)
        assert catalogue.listed(connection) == []


def test_an_interrupted_look_at_the_past_is_resumed_or_dropped(log_url: str) -> None:
    def interrupt(progress: candidate.BuildProgress) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        past.look(log_url, BOTH, POSITION, LIMITS, on_progress=interrupt)
    with pytest.raises(Leftover, match=r"position 60.*--resume.*--drop"):
        past.look(log_url, BOTH, POSITION, LIMITS)
    past.look(log_url, BOTH, POSITION, LIMITS, resume=True)
    with connect(log_url, "test") as connection:
        for projection in BOTH:
            found = harness.contents(connection, projection, "past_250")
            assert found == _folded_to(connection, projection, POSITION)


def test_who_may_not_read_the_live_rows_may_not_read_those_of_the_past(log_url: str) -> None:
    with psycopg.connect(log_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE orders_1.orders ENABLE ROW LEVEL SECURITY")
        connection.execute("REVOKE ALL ON balances_1.balances FROM ledger_user")
    past.look(log_url, BOTH, POSITION, LIMITS)
    with psycopg.connect(log_url) as connection:
        connection.execute("SET ROLE ledger_user")
        count = sql.SQL("SELECT count(*) FROM past_250.{}")
        orders_seen = connection.execute(count.format(sql.Identifier("orders"))).fetchone()
        assert orders_seen == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(count.format(sql.Identifier("balances")))


def test_the_command_builds_says_how_to_query_and_drops(
    log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", log_url)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["rebuild", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    built = orjson.loads(run("orders", "--to-position", "250", "--json"))
    assert (built["schema"], built["position"]) == ("past_250", 250)
    assert built["projections"][0]["tables"] == ["orders"]
    assert "SELECT * FROM past_400.balances" in run("balances", "--as-of", "2999-01-01T00:00:00Z")
    queries = [line for line in run("--all", "--to-position", "10").splitlines() if "FROM" in line]
    with psycopg.connect(log_url) as connection:
        for query in queries:
            connection.execute(query.encode())
    for position in cycle(("250", "400", "10")):
        removed = orjson.loads(run("--all", "--to-position", position, "--drop", "--json"))
        if not removed["removed"]:
            break
    with psycopg.connect(log_url) as connection:
        assert catalogue.listed(connection) == []
