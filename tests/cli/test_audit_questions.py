"""ledgerctl audit and the past, as scripts and people use them."""

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pyarrow.parquet as parquet
import pytest

from tests.audit.trading import ACCOUNTS, trade
from tests.cli.running import Finished, run

ACCOUNT = str(ACCOUNTS[0])


async def audit(tmp_path: Path, database_url: str, *arguments: str) -> Finished:
    return await run("audit", *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url)


def parsed(finished: Finished) -> Any:
    assert finished.exit_code == 0, finished.stderr
    return orjson.loads(finished.stdout)


async def test_events_come_in_every_format_with_the_columns_of_the_log(
    tmp_path: Path, database_url: str
) -> None:
    trade(database_url, orders=3)
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute("SELECT * FROM event_store ORDER BY position DESC")
        columns = [column.name for column in cursor.description or ()]
        positions = [row[0] for row in cursor.fetchall()]

    async def events(*arguments: str) -> Finished:
        return await audit(tmp_path, database_url, "events", "--newest", *arguments)

    rows = parsed(await events("--json"))
    assert [row["position"] for row in rows] == positions
    assert list(rows[0]) == columns
    assert rows[0]["recorded_at"].endswith("Z")
    assert isinstance(rows[0]["event_data"], dict)
    lines = (await events("--format", "jsonl")).stdout.splitlines()
    assert [orjson.loads(line) for line in lines] == rows
    records = list(csv.DictReader(io.StringIO((await events("--format", "csv")).stdout)))
    assert [int(record["position"]) for record in records] == positions
    assert orjson.loads(records[0]["event_data"]) == rows[0]["event_data"]
    written = await events("--format", "parquet", "-o", "events.parquet")
    assert f"{len(rows)} events written" in written.stderr
    table = parquet.read_table(tmp_path / "events.parquet")
    assert table.column_names == columns
    assert table.column("position").to_pylist() == positions
    shown = (await events("--limit", "2")).stdout.splitlines()
    assert shown[0].split()[:3] == ["position", "recorded_at", "event_type"]
    assert len(shown) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--type", "order.fild"), "no event type"),
        (("--where", "symbol = 1"), "is not a condition"),
        (("--contains", "[1]"), "is not an object"),
        (("--occurred-from", "noon"), "is not a time"),
    ],
)
async def test_a_wrong_question_is_told_what_a_right_one_is(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    wrong = await audit(tmp_path, "postgresql://nobody", "events", *arguments)
    assert wrong.exit_code == 2
    assert told in " ".join(wrong.stderr.replace("│", " ").split())


async def test_what_is_explained_holds_or_exits_with_one(tmp_path: Path, database_url: str) -> None:
    trade(database_url, orders=3)
    asked = ("explain", "balance", "--account", ACCOUNT, "--asset", "USDT")
    report = parsed(await audit(tmp_path, database_url, *asked, "--json"))
    assert report["equal"] is True
    assert [one["sub_account"] for one in report["sub_accounts"]] == ["grid", "main"]
    assert {posting["reason"] for posting in report["postings"]} >= {"DEPOSIT", "TRANSFER"}
    then = await audit(tmp_path, database_url, *asked, "--as-of", "9")
    assert "All equal at position 9." in then.stdout
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE balances SET total = total + 1, locked = locked + 1")
    differs = await audit(tmp_path, database_url, *asked)
    assert differs.exit_code == 1
    assert "NOT EQUAL to balances" in differs.stdout


async def test_a_statement_is_rows_or_a_page(tmp_path: Path, database_url: str) -> None:
    trade(database_url, orders=3)
    asked = ("statement", "--account", ACCOUNT, "--from", "2020-01-01", "--to", "2120-01-01")
    rows = parsed(await audit(tmp_path, database_url, *asked, "--json"))
    assert {row["kind"] for row in rows} == {"OPENING", "MOVEMENT", "CLOSING"}
    written = await audit(tmp_path, database_url, *asked, "--format", "html", "-o", "page.html")
    assert written.exit_code == 0
    assert ACCOUNT in (tmp_path / "page.html").read_text()
    wrong = await audit(
        tmp_path, database_url, "statement", "--account", ACCOUNT, "--from", "2120-01-01",
        "--to", "2020-01-01",
    )  # fmt: skip
    assert wrong.exit_code == 2


async def test_a_query_of_a_past_moment_has_the_columns_of_the_query_of_now(
    tmp_path: Path, database_url: str
) -> None:
    trade(database_url, orders=4)

    async def query(*arguments: str) -> Any:
        finished = await run(
            "query", *arguments, "--json", cwd=tmp_path, LEDGER_DATABASE_URL=database_url
        )
        return parsed(finished)

    for view in ("balances", "orders", "fills", "transactions"):
        now = await query(view, "--account", ACCOUNT)
        assert now
        then = await query(view, "--account", ACCOUNT, "--known-at", "2120-01-01")
        assert sorted(then, key=repr) == sorted(now, key=repr)
        assert await query(view, "--account", ACCOUNT, "--effective-at", "2020-01-01") == []
        assert await query(view, "--account", ACCOUNT, "--known-at", "1") == []
