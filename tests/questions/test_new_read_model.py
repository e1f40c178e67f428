"""What docs/projections.md says a new read model is: three files, and everything else follows.

The page's read model is put into a copy of the tree. Nothing else is touched there.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.programs.publishing import connected
from tests.projections.everything import append_everything
from tests.projections.test_new_projection import code_of_the_page, sql_of_the_page
from tests.tree import (
    PATIENCE_SECONDS,
    copied,
    environment,
    head_when_answering,
    ledgerctl,
    serving,
)

CLIENT = """
import asyncio, sys
from ledger.client.client import LedgerClient

async def main():
    async with await LedgerClient.connect(sys.argv[1], source="test") as ledger:
        async for row in ledger.queries.volumes.all(page_rows=1, min_position=int(sys.argv[2])):
            print(type(row).__name__, row.instrument, row.quantity)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy with the page's read model."""
    copy = copied(tmp_path_factory.mktemp("tree"))
    (copy / "projections" / "read_models" / "volumes.py").write_text(code_of_the_page(), "utf-8")
    (copy / "sql" / "read_models" / "volumes.sql").write_text(sql_of_the_page(), "utf-8")
    (copy / "sql" / "read_models" / "volumes.indexes.sql").write_text("", "utf-8")
    yield copy
    shutil.rmtree(copy)


def test_it_is_in_the_contract(tree: Path) -> None:
    ledgerctl(tree, "schema", "export", "schemas")
    row = orjson.loads((tree / "schemas" / "rows" / "volumes.1.json").read_bytes())
    assert row["properties"]["quantity"] == {"type": "string", "format": "decimal"}
    document = orjson.loads((tree / "schemas" / "asyncapi.json").read_bytes())
    assert document["channels"]["query_volumes"]["address"] == "ledger.query.volumes"


async def test_it_is_kept_and_asked_over_the_bus_by_the_client_and_at_the_terminal(
    tree: Path, database_url: str, nats_url: str
) -> None:
    settings = {"LEDGER_DATABASE_URL": database_url, "LEDGER_NATS_URL": nats_url}
    append_everything(database_url)
    await asyncio.to_thread(lambda: ledgerctl(tree, "migrate", **settings))
    async with serving(tree, "projections", "queries", **settings), connected(nats_url) as bus:
        head = await head_when_answering(bus)
        asked = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", CLIENT, nats_url, head],
            env=environment(tree, **settings),
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert asked.returncode == 0, asked.stderr
        of_account = await bus.request(
            f"ledger.query.volumes.{'1' * 8}-1111-4111-8111-{'1' * 12}", b"", timeout=10
        )
        assert b"are of no account" in of_account.data
    shown = await asyncio.to_thread(
        lambda: ledgerctl(tree, "query", "volumes", "--min-position", head, "--json", **settings)
    )
    rows = orjson.loads(shown)
    assert rows
    assert asked.stdout.splitlines() == [
        f"Volume {row['instrument']} {row['quantity']}" for row in rows
    ]
    instrument = rows[0]["instrument"]
    one = await asyncio.to_thread(
        lambda: ledgerctl(tree, "query", "volumes", instrument, **settings)
    )
    assert one.splitlines()[0].split() == ["instrument", "quantity", "last_position"]
    assert one.splitlines()[1].split()[0] == instrument
    assert len(one.splitlines()) == 2
