"""ledgerctl database: PostgreSQL's own numbers, for whoever looks after it."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest

from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from tests.cli.running import run
from tests.databases import create_database


@pytest.fixture(scope="module")
def counting_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of a server that counts statements, with a table that nobody looks after."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("counting"), fast=True) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
        server.stop()
        server.start()
        url = create_database(server.url, name="counting")
        migrate_all(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.execute(
                "CREATE TABLE neglected (id int, text text) WITH (autovacuum_enabled = off)"
            )
            connection.execute(
                "INSERT INTO neglected SELECT n, n FROM generate_series(1, 60000) AS n"
            )
            connection.execute("CREATE INDEX neglected_text ON neglected (text)")
            connection.execute("DELETE FROM neglected WHERE id % 3 = 0")
            for _ in range(101):
                connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'often asked'")
            connection.execute("CREATE ROLE somebody PASSWORD 'of nobody else'")
            connection.execute("SELECT pg_stat_force_next_flush()")
        yield url


async def read(url: str, cwd: Path, name: str) -> list[dict[str, object]]:
    done = await run("database", name, "--json", cwd=cwd, LEDGER_DATABASE_URL=url)
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, object]] = orjson.loads(done.stdout)
    return found


async def test_it_tells_how_busy_the_server_is_and_which_statements_are_slow(
    tmp_path: Path, counting_url: str
) -> None:
    (told,) = await read(counting_url, tmp_path, "performance")
    for name in ("transactions_per_second", "statements_per_second", "mean_statement_ms"):
        assert float(str(told[name])) > 0
    assert 0 <= float(str(told["cache_hit_percent"])) <= 100
    slow = await read(counting_url, tmp_path, "statements")
    (asked,) = [one for one in slow if "relname =" in str(one["query"])]
    assert (asked["kind"], asked["calls"]) == ("often", 101)
    assert "often asked" not in str(slow)
    assert "of nobody else" not in str(slow)


async def test_it_tells_what_is_large_unused_and_neglected(
    tmp_path: Path, counting_url: str
) -> None:
    tables = await read(counting_url, tmp_path, "tables")
    assert tables[0]["table_name"] == "neglected"
    (log,) = [one for one in tables if one["table_name"] == "event_store"]
    assert int(str(log["parts"])) >= 1
    (unused,) = await read(counting_url, tmp_path, "indexes")
    assert unused["index_name"] == "neglected_text"
    neglected = await read(counting_url, tmp_path, "maintenance")
    assert (neglected[0]["priority"], neglected[0]["remedy"]) == (
        "HIGH",
        "VACUUM (ANALYZE) public.neglected",
    )


async def test_without_the_extension_it_says_what_is_missing(
    tmp_path: Path, database_url: str
) -> None:
    done = await run("database", "statements", cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
    assert (done.exit_code, "shared_preload_libraries" in done.stdout) == (0, True)
    assert await read(database_url, tmp_path, "statements") == []
    (told,) = await read(database_url, tmp_path, "performance")
    assert told["mean_statement_ms"] is None
