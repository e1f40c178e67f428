"""ledgerctl query: rows of the read models, for scripts and for people."""

import re
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.operate.schema import sql_directory
from projections.questions.catalogue import questions
from projections.questions.commands import print_table
from projections.questions.question import Question
from tests.cli.running import Finished, run

ACCOUNT, ORDER = uuid7(), uuid7()
AT = "2026-11-21T11:00:00+01:00"


@pytest.fixture
def filled_database_url(empty_database_url: str) -> str:
    """The public names with a few rows behind them, whoever folded them."""
    with psycopg.connect(empty_database_url) as connection:
        for name in ("balances", "orders", "order_fills", "transactions"):
            connection.execute((sql_directory() / "read_models" / f"{name}.sql").read_bytes())
        for asset, total in (("BTC", "0.00000001"), ("USDT", "1500.50")):
            connection.execute(
                "INSERT INTO balances VALUES (%s, NULL, 'main', %s, %s, %s, 0, %s, 1)",
                (ACCOUNT, asset, total, total, AT),
            )
        for order_id, status in ((ORDER, "CANCELLED"), (uuid7(), "NEW")):
            connection.execute(
                """INSERT INTO orders (order_id, account_id, sub_account, instrument, side,
                    order_type, quantity, sized_by_quote, filled_quantity, cum_quote,
                    leaves_quantity, cancelled_quantity, overfill_quantity, commission, status,
                    time_in_force, reduce_only, post_only, origin, cancel_requested,
                    replace_requested, created_at, updated_at, last_position)
                VALUES (%s, %s, 'main', 'BINANCE:BTCUSDT', 'BUY', 'LIMIT', 2, false, 0, 0, 2, 0, 0,
                    0, %s, 'GTC', false, false, 'LEDGER', false, false, %s, %s, 1)""",
                (order_id, ACCOUNT, status, AT, AT),
            )
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ledger_auditor")
    return empty_database_url


async def query(tmp_path: Path, database_url: str, *arguments: str) -> Finished:
    return await run("query", *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url)


def rows(finished: Finished) -> list[dict[str, Any]]:
    assert finished.exit_code == 0, finished.stderr
    found: list[dict[str, Any]] = orjson.loads(finished.stdout)
    return found


async def test_balances_are_rows_with_plain_amounts_and_utc_times(
    tmp_path: Path, filled_database_url: str
) -> None:
    account = ("--account", str(ACCOUNT), "--json")
    found = rows(await query(tmp_path, filled_database_url, "balances", *account))
    assert [(row["asset"], row["total"], row["locked"]) for row in found] == [
        ("BTC", "0.00000001", "0"),
        ("USDT", "1500.5", "0"),
    ]
    assert found[0]["account_id"] == str(ACCOUNT)
    assert found[0]["updated_at"] == "2026-11-21T10:00:00Z"
    of_asset = await query(tmp_path, filled_database_url, "balances", *account, "--asset", "BTC")
    assert rows(of_asset) == found[:1]


async def test_orders_can_be_asked_for_by_status_in_either_spelling(
    tmp_path: Path, filled_database_url: str
) -> None:
    for status in ("CANCELLED", "CANCELED", "cancelled"):
        arguments = ("orders", "--account", str(ACCOUNT), "--status", status, "--json")
        found = rows(await query(tmp_path, filled_database_url, *arguments))
        assert [row["order_id"] for row in found] == [str(ORDER)]
    wrong = await query(
        tmp_path, filled_database_url, "orders", "--account", str(ACCOUNT), "--status", "GONE"
    )
    assert wrong.exit_code == 2
    assert "PARTIALLY_FILLED" in wrong.stderr


async def test_one_order_and_a_limit(tmp_path: Path, filled_database_url: str) -> None:
    (order,) = rows(await query(tmp_path, filled_database_url, "order", str(ORDER), "--json"))
    assert (order["quantity"], order["price"]) == ("2", None)
    arguments = ("orders", "--account", str(ACCOUNT), "--limit", "1", "--json")
    assert len(rows(await query(tmp_path, filled_database_url, *arguments))) == 1


async def test_an_account_that_nobody_knows_has_no_rows(
    tmp_path: Path, filled_database_url: str
) -> None:
    for view in ("balances", "orders", "fills", "transactions"):
        account = ("--account", str(uuid7()))
        assert rows(await query(tmp_path, filled_database_url, view, *account, "--json")) == []
        assert "no rows" in (await query(tmp_path, filled_database_url, view, *account)).stdout


async def test_a_person_gets_a_table(tmp_path: Path, filled_database_url: str) -> None:
    shown = await query(tmp_path, filled_database_url, "balances", "--account", str(ACCOUNT))
    assert shown.exit_code == 0
    header, *lines = shown.stdout.splitlines()
    assert header.split()[:3] == ["sub_account", "asset", "total"]
    assert lines[1].split() == ["main", "USDT", "1500.5", "1500.5", "0", "2026-11-21T10:00:00Z"]


async def test_what_is_missing_is_told_in_one_line(
    tmp_path: Path, filled_database_url: str, empty_database_url: str
) -> None:
    no_view = await query(tmp_path, filled_database_url, "snapshots", "--account", str(ACCOUNT))
    no_account = await query(tmp_path, filled_database_url, "balances", "--account", "me")
    assert (no_view.exit_code, no_account.exit_code) == (1, 2)
    assert "ledgerctl migrate" in no_view.stderr
    assert "Traceback" not in no_view.stderr + no_account.stderr


async def test_a_limit_says_how_the_rows_behind_it_are_asked_for(
    tmp_path: Path, filled_database_url: str
) -> None:
    account = ("--account", str(ACCOUNT), "--json", "--limit", "1")
    first = await query(tmp_path, filled_database_url, "balances", *account)
    assert [row["asset"] for row in rows(first)] == ["BTC"]
    (after,) = re.findall(r"^more rows: (--after \S+)$", first.stderr, re.MULTILINE)
    second = await query(tmp_path, filled_database_url, "balances", *account, *after.split())
    assert [row["asset"] for row in rows(second)] == ["USDT"]
    assert second.stderr == ""
    wrong = await query(tmp_path, filled_database_url, "balances", *account, "--after", "there")
    assert wrong.exit_code == 2


async def test_columns_can_be_chosen(tmp_path: Path, filled_database_url: str) -> None:
    account = ("--account", str(ACCOUNT))
    chosen = await query(
        tmp_path, filled_database_url, "balances", *account, "--columns", "asset, total"
    )
    assert chosen.stdout.splitlines() == ["asset  total", "BTC    0.00000001", "USDT   1500.5"]
    wide = await query(tmp_path, filled_database_url, "balances", *account, "--wide")
    assert wide.stdout.split()[:3] == ["account_id", "user_id", "sub_account"]
    wrong = await query(tmp_path, filled_database_url, "balances", *account, "--columns", "colour")
    assert wrong.exit_code == 2
    assert "there is no column 'colour'" in wrong.stderr


async def test_what_must_be_named_is_told_by_its_option(
    tmp_path: Path, filled_database_url: str
) -> None:
    nobody = await query(tmp_path, filled_database_url, "orders")
    assert nobody.exit_code == 2
    assert "--account is missing (or, instead, --user or --strategy)" in nobody.stderr
    no_past = await query(
        tmp_path, filled_database_url, "accounts", "--account", str(ACCOUNT), "--known-at", "3"
    )
    assert no_past.exit_code == 2
    of_user = await query(
        tmp_path, filled_database_url, "orders", "--user", str(ACCOUNT), "--known-at", "0"
    )
    assert of_user.exit_code == 2
    assert "--account is missing: the past is told of one" in of_user.stderr


def test_a_table_in_a_terminal_is_no_wider_than_it_and_cuts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = dict.fromkeys(questions()["orders"].shown, "") | {
        "order_id": str(ORDER),
        "status": "PARTIALLY_FILLED",
        "side": "SELL",
    }
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    print_table(questions()["orders"].shown, [order], wide=False)
    shown = capsys.readouterr()
    header, row, *left_out = shown.out.splitlines()
    assert max(map(len, [header, row, *left_out])) <= 80
    assert row.split() == [str(ORDER), "PARTIALLY_FILLED", "SELL"]
    assert "no room here)" in left_out[-1]
    assert header.split()[:5] == ["order_id", "status", "side", "quantity", "price"]
    print_table(questions()["orders"].shown, [order], wide=True)
    assert capsys.readouterr().out.split()[: len(questions()["orders"].shown)] == list(
        questions()["orders"].shown
    )


@pytest.mark.parametrize("question", questions().values(), ids=lambda question: question.name)
async def test_every_question_is_a_command_with_an_option_for_each_filter(
    tmp_path: Path, question: Question[Any]
) -> None:
    told = await run(
        "query", question.name.replace("_", "-"), "--help", cwd=tmp_path, COLUMNS="200", TERM="dumb"
    )
    assert told.exit_code == 0
    options = set(re.findall(r"--[a-z-]+", told.stdout))
    filters = len(question.filter_of) - (question.argument is not None)
    page_and_form = {"--limit", "--after", "--min-position", "--json", "--wide", "--columns"}
    page_and_form |= {"--plot"} if question.drawn else set()
    assert page_and_form <= options
    flags = sum(option.startswith("--not-") for option in options)
    past = {"--known-at", "--effective-at"} & options
    assert bool(past) == (question.past is not None)
    assert len(options - page_and_form - past - {"--help"}) - flags == filters
