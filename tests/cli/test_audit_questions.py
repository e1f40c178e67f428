"""ledgerctl audit and the past, as scripts and people use them."""

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pyarrow.parquet as parquet
import pytest
from msgspec.structs import replace

from ledger.write.ledger import Ledger
from tests.audit.trading import ACCOUNTS, trade
from tests.cli.running import Finished, run
from tests.commands import command

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
        (("--contains", '{"a":[{"b":"\\u0000"}]}'), "has the NUL character, which no event has"),
        (("--contains", '{"a":1,"a":2}'), "stands twice"),
        (("--where", 'data.a == "\\u0000"'), "has the NUL character, which no event has"),
        (("--columns", "position,amount"), "there is no column 'amount'; there are: position,"),
        (("--occurred-from", "noon"), "is not a time"),
    ],
)
async def test_a_wrong_question_is_told_what_a_right_one_is(
    tmp_path: Path, database_url: str, arguments: tuple[str, ...], told: str
) -> None:
    wrong = await audit(tmp_path, database_url, "events", *arguments)
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


async def test_nothing_is_said_of_what_is_not_there(tmp_path: Path, database_url: str) -> None:
    trade(database_url, orders=1)
    nobody = "00000000-0000-4000-8000-000000000000"
    period = ("--from", "2020-01-01", "--to", "2120-01-01")
    for form in ("table", "html", "json"):
        asked = ("statement", "--account", nobody, *period, "--format", form)
        unknown = await audit(tmp_path, database_url, *asked)
        assert (unknown.exit_code, unknown.stdout) == (1, "")
        assert f"there is no account {nobody}" in unknown.stderr
    for question in (
        f"query balances --account {ACCOUNT} --known-at 99999",
        f"audit explain balance --account {ACCOUNT} --asset BTC --as-of 99999",
    ):
        beyond = await run(*question.split(), cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
        assert (beyond.exit_code, beyond.stdout) == (2, "")
        assert "the log ends at position" in beyond.stderr


async def test_what_was_refused_is_found_by_service_code_type_account_and_time(
    tmp_path: Path, database_url: str
) -> None:
    trade(database_url, orders=1)
    with Ledger(database_url) as ledger:
        refused = [
            command("Withdraw", account, asset="USDT", amount="99999999") for account in ACCOUNTS
        ]
        ledger.execute([replace(refused[0], source="desk"), refused[1]])

    async def commands(*arguments: str) -> Any:
        return parsed(await audit(tmp_path, database_url, "commands", *arguments, "--json"))

    rejected = await commands("--status", "REJECTED")
    assert [row["command_id"] for row in rejected] == sorted(
        (str(one.id) for one in refused), reverse=True
    )
    assert "less than the 99999999 USDT to withdraw" in rejected[0]["message"]
    (first, second) = (str(one.id) for one in refused)
    for arguments, found in (
        (("--source", "desk"), [first]),
        (("--account", str(ACCOUNTS[1])), [second]),
        (("--code", "INSUFFICIENT_FUNDS", "--type", "Withdraw", "--source", "desk"), [first]),
        (("--type", "Deposit"), []),
        (("--to", "2020-01-01"), []),
        (("--from", "2020-01-01", "--limit", "1"), [rejected[0]["command_id"]]),
    ):
        rows = await commands("--status", "rejected", *arguments)
        assert [row["command_id"] for row in rows] == found, arguments
    wrong = await audit(tmp_path, database_url, "commands", "--type", "Withdrw")
    assert wrong.exit_code == 2
    assert "no command; there are: OpenAccount" in wrong.stderr


async def test_a_trace_tells_who_did_it_why_and_by_which_service(
    tmp_path: Path, database_url: str
) -> None:
    trade(database_url, orders=0)
    said = {"actor": "Jane Doe", "reason": "count of 3 May"}
    adjusted = command("AdjustBalance", ACCOUNTS[0], asset="USDT", amount="-1", **said)
    with Ledger(database_url) as ledger:
        ledger.execute([replace(adjusted, source="treasury desk")])
    shown = await audit(tmp_path, database_url, "trace", str(adjusted.id))
    assert f'AdjustBalance {adjusted.id} from "treasury desk": ACCEPTED' in shown.stdout
    assert ', actor "Jane Doe", reason "count of 3 May"\n' in shown.stdout
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")  # as if it were forgotten
        connection.execute("DELETE FROM command_inbox WHERE command_id = %s", (adjusted.id,))
        event = connection.execute("SELECT max(id::text) FROM event_store").fetchone()
    assert event is not None
    alone = await audit(tmp_path, database_url, "trace", event[0])
    assert 'from "treasury desk"' in alone.stdout
