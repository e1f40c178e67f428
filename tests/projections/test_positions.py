"""What an account holds, at which price, and what it made: by its rows, now and at past moments."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from ledger.kernel.money import average
from tests.commands import list_instrument
from tests.databases import temporary_database
from tests.projections.trader import Desk, Trader, desk

D = Decimal
PERPETUAL, INVERSE = "BINANCE:BTCUSDT-PERP", "BINANCE:BTCUSD-PERP"


@pytest.fixture(scope="module")
def opened(postgres_url: str) -> Iterator[Desk]:
    with temporary_database(postgres_url, template="ledger_template") as url, desk(url) as found:
        found.execute(
            list_instrument(),
            list_instrument(instrument="BINANCE:BNBUSDT", base_asset="BNB"),
            list_instrument(instrument=PERPETUAL, kind="PERPETUAL"),
            list_instrument(
                instrument=INVERSE,
                kind="PERPETUAL",
                inverse=True,
                quote_asset="USD",
                max_quantity="1000000",
            ),
        )
        yield found


@pytest.fixture
def trader(opened: Desk) -> Trader:
    return opened.trader()


def test_a_partial_close_realises_and_a_turn_begins_a_new_position(trader: Trader) -> None:
    trader.sell("1", "100", "10:00")
    trader.buy("1.5", "90", "10:01")
    closed, opened = trader.rows("positions")
    assert (closed["side"], closed["status"], closed["realized_pnl"]) == ("SHORT", "CLOSED", 10)
    assert (opened["number"], opened["quantity"], opened["average_entry_price"]) == (
        2,
        D("0.5"),
        90,
    )
    trader.sell("0.5", "95", "10:02")
    assert [row["realized_pnl"] for row in trader.rows("positions")] == [10, D("2.5")]
    short, long = trader.rows("round_trips")
    assert (short["side"], short["entry_price"], short["exit_price"]) == ("SHORT", 100, 90)
    assert (long["gross_pnl"], long["largest_quantity"], long["duration_seconds"]) == (
        *(D("2.5"), D("0.5")),
        60,
    )


def test_a_fee_in_what_was_bought_makes_it_less(trader: Trader) -> None:
    trader.buy("2", "1500", commission="0.002", commission_asset="BTC")
    trader.sell("1.998", "1600", commission="3.1968", commission_asset="USDT")
    (row,) = trader.rows("positions")
    assert (row["quantity"], row["cost"], row["status"]) == (0, 0, "CLOSED")
    assert (row["commission"], row["net_pnl"]) == (D("3.1968"), D("193.6032"))
    (gain,) = trader.rows("gains")
    assert (gain["quantity"], gain["cost"], gain["gain"]) == (D("1.998"), 3000, D("193.6032"))


def test_three_for_ten_sold_one_by_one(trader: Trader) -> None:
    trader.buy("3", "3.33")
    for _ in range(3):
        trader.sell("1", "4")
    (row,) = trader.rows("positions")
    assert (row["realized_pnl"], row["cost"]) == (D("2.01"), 0)
    assert sum(gain["gain"] for gain in trader.rows("gains")) == D("2.01")


def test_without_the_purchase_the_sale_was_a_short_one(trader: Trader) -> None:
    bought = trader.buy("1", "100")
    trader.sell("1", "110")
    assert [gain["gain"] for gain in trader.rows("gains")] == [10]
    trader.void(bought)
    (row,) = trader.rows("positions")
    assert (row["realized_pnl"], row["quantity"], row["average_entry_price"]) == (0, -1, 110)
    assert (row["side"], row["status"]) == ("SHORT", "OPEN")
    assert trader.rows("round_trips") == []
    assert trader.rows("gains") == []
    (lot,) = (lot for lot in trader.rows("lots") if lot["status"] == "OPEN")
    assert (lot["side"], lot["quantity"], lot["cost"]) == ("SHORT", -1, 110)


def test_a_trade_that_is_taken_back_takes_back_the_numbers_that_came_of_it(trader: Trader) -> None:
    trader.buy("1", "100")
    closing = trader.sell("1", "110")
    trader.buy("2", "120")
    trader.sell("2", "125")
    assert [row["number"] for row in trader.rows("round_trips")] == [1, 2]
    trader.void(closing)
    (row,) = trader.rows("positions")
    assert (row["number"], row["quantity"], row["realized_pnl"]) == (1, 1, average(D(70), D(3)))
    assert trader.rows("round_trips") == []


def test_a_purchase_told_last_is_the_first_by_the_venues_clock(opened: Desk) -> None:
    trader = opened.trader(cost_basis="FIFO")
    trader.buy("1", "100", "10:00")
    trader.sell("1", "120", "11:00")
    trader.buy("1", "90", "09:00")
    assert [gain["gain"] for gain in trader.rows("gains")] == [20]
    (gain,) = trader.at("gains", effective_at="12:00")
    assert (gain["gain"], gain["method"]) == (30, "FIFO")
    (left,) = (lot for lot in trader.at("lots", effective_at="12:00") if lot["quantity"])
    assert left["cost"] == 100
    (left,) = (lot for lot in trader.rows("lots") if lot["quantity"])
    assert left["cost"] == 90
    assert trader.at("gains", effective_at="10:30") == []


def test_a_pooled_sale(trader: Trader) -> None:
    trader.buy("1000", "4", commission="150", commission_asset="USDT")
    trader.buy("500", "4.1", commission="80", commission_asset="USDT")
    trader.sell("700", "4.8", commission="100", commission_asset="USDT")
    trader.sell("400", "5.2", commission="105", commission_asset="USDT")
    first, second = (gain["gain"] for gain in trader.rows("gains"))
    assert first == average(D(988), D(3))
    assert first + second == average(D(988 + 901), D(3))
    (lot,) = trader.rows("lots")
    assert (lot["quantity"], average(lot["cost"], D(1))) == (400, average(D(5024), D(3)))


def test_the_cost_of_a_deposit_is_unknown(trader: Trader) -> None:
    trader.send("Deposit", asset="BTC", amount="2")
    trader.sell("1", "100")
    (gain,) = trader.rows("gains")
    assert (gain["cost"], gain["proceeds"], gain["gain"]) == (None, 100, None)


def test_a_position_is_worth_what_the_newest_price_says(trader: Trader) -> None:
    trader.buy("2", "100", "10:00")
    (row,) = trader.rows("positions")
    assert (row["mark_price"], row["mark_kind"], row["unrealized_pnl"]) == (100, "TRADE", 0)
    trader.tell("107", "10:05", kind="MARK")
    (row,) = trader.rows("positions")
    assert (row["mark_price"], row["mark_kind"], row["unrealized_pnl"]) == (107, "MARK", 14)
    trader.buy("1", "103", "10:06")
    (row,) = trader.rows("positions")
    assert (row["mark_price"], row["unrealized_pnl"]) == (103, 6)
    trader.sell("3", "104", "10:07")
    (trip,) = trader.rows("round_trips")
    assert (trip["best_unrealized_pnl"], trip["worst_unrealized_pnl"]) == (14, 0)


def test_a_commission_in_a_third_asset_is_valued_at_its_price_then_or_named(
    trader: Trader,
) -> None:
    trader.buy("1", "100", "07:00", commission="0.5", commission_asset="NOTLISTED")
    (row,) = trader.rows("positions")
    assert (row["commission"], row["unvalued_commissions"]) == (0, {"NOTLISTED": "0.5"})
    trader.tell("300", "08:00", instrument="BINANCE:BNBUSDT", kind="LAST")
    trader.sell("1", "110", "08:01", commission="0.01", commission_asset="BNB")
    (row,) = trader.rows("positions")
    assert (row["commission"], row["net_pnl"]) == (3, 7)
    assert row["valued_commissions"] == {"BNB": "3.00"}
    (gain,) = (gain for gain in trader.rows("gains") if gain["asset"] == "BTC")
    assert gain["unvalued_fees"] == ["BNB", "NOTLISTED"]


def test_a_commission_is_valued_where_its_asset_changes_hands(trader: Trader) -> None:
    """And not by a perpetual whose name comes first."""
    trader.desk.execute(
        list_instrument(instrument="BINANCE:BNBPERP", base_asset="BNB", kind="PERPETUAL")
    )
    trader.tell("350", "08:00", instrument="BINANCE:BNBPERP", kind="LAST")
    trader.tell("300", "08:00", instrument="BINANCE:BNBUSDT", kind="LAST")
    trader.buy("1", "110", "08:01", commission="0.01", commission_asset="BNB")
    (row,) = trader.rows("positions")
    assert row["valued_commissions"] == {"BNB": "3.00"}


# --- contracts --------------------------------------------------------------------------


def test_an_inverse_contract_is_reckoned_in_its_coin(opened: Desk) -> None:
    trader = opened.trader(cost_basis="FIFO")
    trader.send("Deposit", asset="BTC", amount="100")
    trader.sell("100000", "10000", instrument=INVERSE)
    trader.buy("100000", "11000", instrument=INVERSE)
    lost = -average(D(10), D(11))
    (row,) = trader.rows("positions")
    assert (row["settlement_asset"], row["realized_pnl"], row["side"]) == ("BTC", lost, "SHORT")
    (trip,) = trader.rows("round_trips")
    assert (trip["entry_price"], trip["gross_pnl"]) == (10000, lost)
    (gain,) = (gain for gain in trader.rows("gains") if gain["asset"] == INVERSE)
    assert (gain["gain"], gain["proceeds_asset"]) == (lost, "BTC")
    trader.buy("100", "10000", instrument=INVERSE)
    trader.buy("100", "20000", instrument=INVERSE)
    *_, again = trader.rows("positions")
    assert again["average_entry_price"] == average(D(40000), D(3))


def test_a_linear_contract_wins_in_its_settlement_asset(trader: Trader) -> None:
    trader.send("Deposit", asset="USDT", amount="10000")
    trader.buy("2", "100", "06:00", instrument=PERPETUAL, commission="1", commission_asset="USDT")
    trader.sell("3", "130", "06:01", instrument=PERPETUAL)
    closed, opened = trader.rows("positions")
    assert (closed["realized_pnl"], closed["commission"], closed["net_pnl"]) == (60, 1, 59)
    assert (opened["side"], opened["quantity"], opened["average_entry_price"]) == ("SHORT", -1, 130)
    trader.tell("125", "06:02", instrument=PERPETUAL, kind="MARK")
    *_, opened = trader.rows("positions")
    assert (opened["unrealized_pnl"], opened["mark_kind"]) == (5, "MARK")
    (gain,) = (gain for gain in trader.rows("gains") if gain["asset"] == PERPETUAL)
    assert (gain["cost"], gain["proceeds"], gain["gain"]) == (201, 260, 59)


def test_a_contract_that_is_taken_back(trader: Trader) -> None:
    trader.send("Deposit", asset="USDT", amount="10000")
    bought = trader.buy("1", "100", instrument=PERPETUAL)
    trader.sell("1", "110", instrument=PERPETUAL)
    trader.void(bought)
    (row,) = trader.rows("positions")
    assert (row["quantity"], row["realized_pnl"], row["average_entry_price"]) == (-1, 0, 110)
    assert trader.rows("round_trips") == []
    assert trader.rows("gains") == []


def test_a_commission_that_is_corrected_is_in_cost_and_position(trader: Trader) -> None:
    order_of = trader.order_of
    bought = trader.buy("1", "100", commission="1", commission_asset="USDT")
    trader.sell("1", "110")
    told = {"commission": "3", "commission_asset": "USDT"}
    trader.send("CorrectCommission", order_id=order_of(bought), trade_id=bought, **told)
    (row,) = trader.rows("positions")
    assert (row["commission"], row["net_pnl"]) == (3, 7)
    (gain,) = trader.rows("gains")
    assert (gain["cost"], gain["gain"]) == (103, 7)
    (trip,) = trader.rows("round_trips")
    assert trip["net_pnl"] == 7


def test_a_round_trip_tells_its_signal_why_it_ended_and_what_slipped(trader: Trader) -> None:
    trader.buy("2", "101", named="100", signal_id="s-7")
    trader.sell("1", "109", named="110")
    trader.sell("1", "95", named="96", purpose="STOP_LOSS")
    (trip,) = trader.rows("round_trips")
    assert (trip["signal_id"], trip["close_reason"], trip["slippage"]) == ("s-7", "STOP_LOSS", 4)


def test_a_round_trip_that_the_venue_ended_says_so(trader: Trader) -> None:
    trader.buy("1", "100")
    trader.sell("1", "50", execution_kind="LIQUIDATION")
    (trip,) = trader.rows("round_trips")
    assert (trip["signal_id"], trip["close_reason"]) == (None, "LIQUIDATION")


# --- flows ------------------------------------------------------------------------------


def test_funding_is_the_positions_and_told_twice_counts_once(trader: Trader) -> None:
    trader.send("Deposit", asset="USDT", amount="1000")
    trader.buy("1", "100", instrument=PERPETUAL)
    flow = {"kind": "FUNDING", "asset": "USDT", "instrument": PERPETUAL}
    trader.send("RecordCashFlow", flow_id="f-1", amount="-0.01", **flow)
    trader.send("RecordCashFlow", flow_id="f-1", amount="-0.01", **flow)
    trader.send("RecordCashFlow", flow_id="f-2", amount="-0.02", **flow)
    (row,) = trader.rows("positions")
    assert (row["funding"], row["net_pnl"], row["realized_pnl"]) == (D("-0.03"), D("-0.03"), 0)


def test_funding_that_is_told_after_the_position_was_closed_is_still_its(trader: Trader) -> None:
    trader.send("Deposit", asset="USDT", amount="1000")
    trader.buy("1", "100", instrument=PERPETUAL)
    trader.sell("1", "101", instrument=PERPETUAL)
    flow = {"kind": "FUNDING", "asset": "USDT", "instrument": PERPETUAL}
    trader.send("RecordCashFlow", flow_id="f-1", amount="0.5", **flow)
    (row,) = trader.rows("positions")
    assert (row["status"], row["net_pnl"]) == ("CLOSED", D("1.5"))
    (trip,) = trader.rows("round_trips")
    assert (trip["funding"], trip["net_pnl"]) == (D("0.5"), D("1.5"))


def test_a_deposit_whose_cost_is_told_is_a_lot_of_that_cost(trader: Trader) -> None:
    told = {"cost": "50", "acquired_at": "2020-01-01T00:00:00Z"}
    trader.send("Deposit", asset="BTC", amount="1", **told)
    trader.sell("1", "100")
    (gain,) = trader.rows("gains")
    assert (gain["gain"], gain["acquired_at"].year) == (50, 2020)


def test_a_conversion_is_a_disposal_and_a_lot_that_cost_what_was_given(trader: Trader) -> None:
    trader.send("Deposit", asset="USDT", amount="1000")
    convert = {"kind": "CONVERSION", "asset": "USDT", "counter_asset": "BTC"}
    trader.send("RecordCashFlow", flow_id="c-1", amount="-100", counter_amount="2", **convert)
    trader.send("RecordCashFlow", flow_id="c-2", amount="70", counter_amount="-1", **convert)
    (gain,) = trader.rows("gains")
    assert (gain["asset"], gain["cost"], gain["gain"]) == ("BTC", 50, 20)


def test_a_split_is_followed_by_position_and_lots(trader: Trader) -> None:
    trader.send("Deposit", asset="USDT", amount="100000")
    trader.sell("100", "80", "01:00", instrument=PERPETUAL)
    action = {"action_id": "a-1", "instrument": PERPETUAL, "action": "SPLIT"}
    trader.send("RecordCorporateAction", "01:30", numerator=2, denominator=1, **action)
    trader.buy("200", "41", "02:00", instrument=PERPETUAL)
    (row,) = trader.rows("positions")
    assert (row["quantity"], row["realized_pnl"]) == (0, -200)
    (trip,) = trader.rows("round_trips")
    assert (trip["entry_price"], trip["exit_price"], trip["largest_quantity"]) == (40, 41, 200)
    (gain,) = trader.rows("gains")
    assert (gain["quantity"], gain["gain"]) == (200, -200)
