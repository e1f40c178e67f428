"""Behind every number of a position are the events that made it, and they come to it exactly."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from ledger.audit.ask.explain_position import NoPosition, explain_positions
from ledger.audit.ask.gains import gains
from ledger.eventstore import reader
from ledger.eventstore.session import reading
from ledger.nouns.positions.lots import CostBasis
from tests.cli.running import run
from tests.commands import list_instrument
from tests.databases import temporary_database
from tests.projections.trader import Desk, Trader, desk

D = Decimal
MAX_AGE = timedelta(seconds=300)


@pytest.fixture(scope="module")
def opened(postgres_url: str) -> Iterator[Desk]:
    with temporary_database(postgres_url, template="ledger_template") as url, desk(url) as found:
        found.execute(
            list_instrument(), list_instrument(instrument="BINANCE:BNBUSDT", base_asset="BNB")
        )
        yield found


@pytest.fixture
def trader(opened: Desk) -> Trader:
    """Bought 2 for 3000, one of them sold, and a third bought that was taken back."""
    trader = opened.trader()
    trader.buy("2", "1500", commission="3", commission_asset="USDT")
    trader.sell("1", "1600", commission="1.6", commission_asset="USDT")
    trader.void(trader.buy("1", "1700"))
    opened.fold()
    with psycopg.connect(opened.url) as connection:
        connection.execute(
            "UPDATE event_projections SET last_processed_position = %s", [reader.head(connection)]
        )
    return trader


def test_each_step_has_its_arithmetic_and_they_come_to_the_row(trader: Trader) -> None:
    with reading(trader.desk.url) as connection:
        found = explain_positions(connection, trader.account_id)
    assert found.equal
    bought, sold = found.steps
    assert (bought.what, bought.arithmetic) == ("BUY 2 @ 1500", "cost 0 + 3000 = 3000")
    assert sold.arithmetic == "cost 3000 x 1 of 2 = 1500; 1600 - 1500 = 100"
    assert [sold.realized_pnl, sold.commission, sold.cost] == [100, D("1.6"), 1500]
    assert found.sums() == {
        "USDT": {"realized": 100, "commission": D("4.6"), "funding": 0, "net": D("95.4")}
    }


def test_a_past_position_is_explained_as_it_was(trader: Trader) -> None:
    with reading(trader.desk.url) as connection:
        (first, *_) = explain_positions(connection, trader.account_id).steps
        then = explain_positions(connection, trader.account_id, as_of=first.log_position)
    assert then.equal
    assert [step.what for step in then.steps] == ["BUY 2 @ 1500"]


@pytest.mark.parametrize("column", ["realized_pnl", "unrealized_pnl"])
def test_a_row_that_somebody_changed_is_not_explained(trader: Trader, column: str) -> None:
    more = f"{column} = {column} + 0.00000001"
    if column == "realized_pnl":
        more += ", net_pnl = net_pnl + 0.00000001"
    with (
        psycopg.connect(trader.desk.url) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute(
            f"UPDATE positions SET {more} WHERE account_id = %s".encode(), [trader.account_id]
        )
        found = explain_positions(connection, trader.account_id)
    assert not found.equal
    assert list(found.positions[0].differences) == [column]


def test_what_there_never_was_is_named_with_what_to_check(trader: Trader) -> None:
    with (
        reading(trader.desk.url) as connection,
        pytest.raises(NoPosition, match="check the account"),
    ):
        explain_positions(connection, trader.account_id, instrument="BINANCE:NOTHING")


async def test_the_terminal_tells_it_in_one_object_or_in_lines(
    trader: Trader, tmp_path: Path
) -> None:
    account = ("--account", str(trader.account_id))

    async def ledgerctl(*arguments: str) -> str:
        finished = await run(*arguments, cwd=tmp_path, LEDGER_DATABASE_URL=trader.desk.url)
        assert finished.exit_code == 0, finished.stderr
        return finished.stdout

    told = orjson.loads(await ledgerctl("audit", "explain", "pnl", *account, "--json"))
    assert told["sums"]["USDT"]["net"] == "95.4"
    of_one = ("position", *account, "--instrument", "BINANCE:BTCUSDT")
    lines = await ledgerctl("audit", "explain", *of_one)
    assert "realised 100 - commission 4.6 + funding 0 = net 95.4 USDT" in lines
    report = ("report", "gains", *account, "--method", "FIFO")
    (gain,) = orjson.loads(await ledgerctl(*report, "--format", "json"))
    assert (gain["gain"], gain["cost"], gain["proceeds"]) == ("96.9", "1501.5", "1598.4")
    header, line = (await ledgerctl(*report, "--format", "csv")).splitlines()
    assert header.startswith("asset,side,quantity,acquired_at,disposed_at,proceeds")
    assert line.startswith("BTC,LONG,1,")


# --- gains ------------------------------------------------------------------------------


def told_gains(trader: Trader, method: CostBasis, **period: Any) -> list[Decimal | None]:
    between: dict[str, Any] = {"begin": None, "end": None} | period
    with reading(trader.desk.url) as connection:
        lines = gains(connection, trader.account_id, method=method, max_age=MAX_AGE, **between)
        return [line.gain for line in lines]


def test_a_report_takes_any_method_from_one_log(opened: Desk) -> None:
    trader = opened.trader()
    for price, at in (("100", "08:00"), ("130", "08:01"), ("110", "08:02")):
        trader.buy("1", price, at)
    trader.sell("1", "180", "08:03")
    assert {method.value: told_gains(trader, method) for method in CostBasis} == {
        "FIFO": [80],
        "LIFO": [70],
        "HIFO": [50],
        "AVERAGE": [D("66.666666666666666667")],
    }


def test_a_report_goes_by_the_venues_clock(opened: Desk) -> None:
    trader = opened.trader()
    trader.buy("1", "100", "10:00")
    trader.sell("1", "120", "11:00")
    trader.buy("1", "90", "09:00")
    assert told_gains(trader, CostBasis.FIFO) == [30]


def test_a_commission_in_a_third_asset_is_in_cost_and_proceeds_at_its_price_then(
    opened: Desk,
) -> None:
    trader = opened.trader()
    trader.tell("300", "08:00", instrument="BINANCE:BNBUSDT", kind="LAST")
    trader.buy("1", "100", "08:01", commission="0.01", commission_asset="BNB")
    trader.tell("600", "08:02", instrument="BINANCE:BNBUSDT", kind="LAST")
    trader.sell("1", "110", "08:03", commission="0.01", commission_asset="BNB")
    assert told_gains(trader, CostBasis.FIFO) == [D(110) - 6 - (D(100) + 3)]
