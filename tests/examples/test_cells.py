"""Read models of two ledgers, held together in a Citus cluster (examples/cells.py)."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, LiteralString, NamedTuple
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from benchmarks.event_mix import EventMix, append_mix
from examples import cells
from ledger.operate.embedded.servers import EmbeddedPostgres
from projections.engine.live import source
from tests.conftest import POSTGRES15_PROGRAMS, TEMPLATE
from tests.databases import temporary_database
from tests.projections.workers import caught_up, running

CITUS = Path("/usr/share/postgresql/15/extension/citus.control")
EVENTS = 400


@pytest.fixture
def cluster_url(server_directory: Path) -> Iterator[str]:
    """The coordinator of a cluster with one worker beside it."""
    programs = next((path for path in POSTGRES15_PROGRAMS if (path / "initdb").exists()), None)
    if programs is None or not CITUS.exists():
        pytest.skip(f"no Citus for PostgreSQL 15 here: {CITUS} is missing")
    with ExitStack() as stack:
        hosts = []
        for name in ("coordinator", "worker"):
            directory = server_directory / name
            with EmbeddedPostgres(directory, fast=True, programs=programs) as server:
                execute(server.url, "ALTER SYSTEM SET shared_preload_libraries = 'citus'")
                execute(server.url, "ALTER SYSTEM SET max_prepared_transactions = 100")
            server = stack.enter_context(EmbeddedPostgres(directory, fast=True, programs=programs))
            execute(server.url, "CREATE EXTENSION citus")
            hosts.append((parse_qs(urlsplit(server.url).query)["host"][0], server.url))
        (coordinator, url), (worker, _) = hosts
        execute(url, "SELECT citus_set_coordinator_host(%s, 5432)", coordinator)
        execute(url, "SELECT citus_add_node(%s, 5432)", worker)
        both = "SELECT citus_set_node_property(%s, 5432, 'shouldhaveshards', true)"
        execute(url, both, coordinator)
        yield url


def execute(url: str, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


class Cell(NamedTuple):
    """A ledger with accounts of its own that trade."""

    url: str
    mix: EventMix

    def trade(self, events: int) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            append_mix(connection, self.mix, events)


@pytest.fixture
def two(postgres_url: str) -> Iterator[dict[str, Cell]]:
    with ExitStack() as stack:
        made = {}
        for seed, name in enumerate(("one", "other")):
            url = stack.enter_context(temporary_database(postgres_url, template=TEMPLATE))
            made[name] = Cell(url, EventMix(accounts=3, seed=seed))
            made[name].trade(EVENTS)
        yield made


def test_read_models_of_all_cells_are_asked_as_one(
    cluster_url: str, two: dict[str, Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell_urls = {name: cell.url for name, cell in two.items()}
    places = list(cells.follow_all(cluster_url, cell_urls))
    assert {place.position for place in places} == {EVENTS}
    told = in_cells(cell_urls)
    assert in_cluster(cluster_url) == told

    # Spread over the machines; an account's rows are on one of them, a sum is the work of all.
    assert len(execute(cluster_url, MACHINES)) == 2
    account, user = execute(cluster_url, "SELECT account_id, user_id FROM accounts.accounts")[0]
    assert tasks(cluster_url, f"{TOTALS} WHERE account_id = '{account}'") == 1
    assert tasks(cluster_url, TOTALS) > 1
    totals = execute(cluster_url, TOTALS)[0][0]
    assert totals == sum(execute(url, TOTALS_OF_CELL)[0][0] for url in cell_urls.values())

    # Who is overtaken writes nothing, and goes on from where the other is.
    for cell in two.values():
        cell.trade(50)
    with monkeypatch.context() as patch:
        read = source.read
        moved = "UPDATE cell_places SET position = position + %s WHERE cell = 'one'"

        def overtaken(*arguments: Any, **options: Any) -> Any:
            execute(cluster_url, moved, 1)
            return read(*arguments, **options)

        patch.setattr(source, "read", overtaken)
        with pytest.raises(cells.Overtaken):
            list(cells.follow_all(cluster_url, cell_urls))
        execute(cluster_url, moved, -1)
        execute(cluster_url, "UPDATE cell_places SET position = %s", EVENTS)
    assert in_cluster(cluster_url) == told
    list(cells.follow_all(cluster_url, cell_urls))
    assert in_cluster(cluster_url) == in_cells(cell_urls) != told

    # Users see their own rows, on whichever machine these are.
    for statement in SECURED:
        execute(cluster_url, statement)
    with psycopg.connect(cluster_url, user="reader") as connection:
        connection.execute("SET LOCAL citus.propagate_set_commands = 'local'")
        assert connection.execute("SELECT FROM balances.balances").fetchall() == []
        connection.execute(f"SET LOCAL app.user_id = '{user}'".encode())
        seen = connection.execute("SELECT DISTINCT user_id FROM balances.balances").fetchall()
    assert seen == [(user,)]


MACHINES = """
    SELECT DISTINCT nodename FROM citus_shards WHERE table_name = 'balances.balances'::regclass"""
TOTALS = "SELECT sum(total) FROM balances.balances"
TOTALS_OF_CELL = "SELECT sum(total) FROM balances_1.balances"
SECURED: tuple[LiteralString, ...] = (
    "CREATE ROLE reader LOGIN",
    "GRANT USAGE ON SCHEMA balances TO reader",
    "GRANT SELECT ON balances.balances TO reader",
    "ALTER TABLE balances.balances ENABLE ROW LEVEL SECURITY",
    """CREATE POLICY own ON balances.balances FOR SELECT TO reader
       USING (user_id = nullif(current_setting('app.user_id', true), '')::uuid)""",
)


def tasks(url: str, statement: str) -> int:
    """How many shards are asked."""
    lines = execute(url, f"EXPLAIN {statement}")
    (count,) = [line for (line,) in lines if "Task Count" in line]
    return int(count.rpartition(" ")[2])


def in_cluster(cluster_url: str) -> dict[str, list[str]]:
    """Every row of every table."""
    return {
        f"{projection.name}.{table.name}": rows_of(cluster_url, projection.name, table.name)
        for projection in cells.READ_MODELS
        for table in projection.tables
    }


def in_cells(cell_urls: dict[str, str]) -> dict[str, list[str]]:
    """The same, as each cell by itself has them."""
    told: dict[str, list[str]] = {}
    for url in cell_urls.values():
        with running(url, cells.READ_MODELS):
            caught_up(url, *(one.name for one in cells.READ_MODELS))
        for projection in cells.READ_MODELS:
            for table in projection.tables:
                rows = rows_of(url, f"{projection.name}_1", table.name)
                told.setdefault(f"{projection.name}.{table.name}", []).extend(rows)
    return {name: sorted(rows) for name, rows in told.items()}


def rows_of(url: str, schema: str, table: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(f"SELECT t::text FROM {schema}.{table} AS t".encode())
        return sorted(text for (text,) in found)
