"""What venues really tell: of replaced orders, of trades taken back before they are told, of fees a
second later, of rests that are forgiven, at any price and with any number of decimals."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from ledger.kernel.event import Event
from ledger.nouns.accounts.events import CommissionCorrected, Reason, TradeSettled
from ledger.nouns.orders.events import (
    Execution,
    OrderCancelled,
    OrderFilled,
    OrderReported,
    VenueFact,
)
from tests.commands import list_instrument
from tests.nouns.deciding import Deciding

MARKET = "BINANCE:BTCUSDT"


def last(events: list[Event], kind: type[Any]) -> Any:
    found = [event for event in events if isinstance(event, kind)]
    assert found, f"no {kind.__name__} among {[event.type for event in events]}"
    return found[-1]


# --- replaced orders --------------------------------------------------------------------


def replaced() -> tuple[Deciding, Any]:
    """An order that was A1 and is B1."""
    ledger = Deciding()
    order = ledger.submit(quantity="1", price="50")
    ledger.send("AcceptOrder", order_id=order, venue_order_id="A1")
    ledger.send("ReplaceOrder", order_id=order, venue_order_id="B1", price="60")
    return ledger, order


def test_the_end_of_what_an_order_was_before_it_was_replaced_is_not_its_end() -> None:
    ledger, order = replaced()
    told = last(ledger.send("CancelOrder", order_id=order, venue_order_id="A1"), OrderCancelled)
    assert (told.superseded, told.late, told.status) == (True, False, "NEW")
    assert ledger.locked("USDT") == "60"
    filled = last(ledger.fill(order, "t1", "1", "60", venue_order_id="B1"), OrderFilled)
    assert (filled.status, filled.late) == ("FILLED", False)
    assert ledger.locked("USDT") == "0"


@pytest.mark.parametrize(
    "fact", ["CancelOrder", "ExpireOrder", "RejectOrder", "CompleteOrder", "AcceptOrder"]
)
def test_no_fact_about_a_former_venue_order_id_changes_the_order(fact: str) -> None:
    ledger, order = replaced()
    told = last(ledger.send(fact, order_id=order, venue_order_id="A1"), VenueFact)
    assert (told.superseded, ledger.order(order).status) == (True, "NEW")
    assert (ledger.order(order).venue_order_id, ledger.locked("USDT")) == ("B1", "60")


def test_an_earlier_replacement_that_is_told_late_keeps_the_terms() -> None:
    ledger, order = replaced()
    ledger.send("ReplaceOrder", order_id=order, venue_order_id="A1", price="70", quantity="3")
    state = ledger.order(order)
    assert (state.price, state.quantity) == (Decimal(60), Decimal(1))


def test_a_cancel_of_what_the_order_is_now_ends_it() -> None:
    ledger, order = replaced()
    ledger.send("CancelOrder", order_id=order, venue_order_id="B1")
    assert (ledger.order(order).status, ledger.locked("USDT")) == ("CANCELLED", "0")


def test_a_fill_of_the_former_id_is_a_fill_of_the_order() -> None:
    ledger, order = replaced()
    ledger.fill(order, "t1", "0.4", "50", venue_order_id="A1")
    assert (ledger.order(order).cum_qty, ledger.order(order).venue_order_id) == (
        Decimal("0.4"),
        "B1",
    )


def test_the_first_word_of_a_venue_gives_the_order_its_venue_order_id() -> None:
    ledger = Deciding()
    order = ledger.submit()
    ledger.fill(order, "t1", "0.1", "100", venue_order_id="A1")
    assert ledger.order(order).venue_order_id == "A1"


def test_a_shown_part_is_never_more_than_the_order() -> None:
    ledger = Deciding()
    order = ledger.submit(quantity="1", iceberg_qty="0.5")
    ledger.send("RequestReplace", order_id=order, quantity="0.4")
    assert ledger.code() == "INVALID_COMMAND"
    ledger.send("ReplaceOrder", order_id=order, quantity="0.4")
    assert ledger.order(order).iceberg_qty == Decimal("0.4")


# --- trades -----------------------------------------------------------------------------


def books(ledger: Deciding) -> dict[str, str]:
    return {asset: ledger.has(asset) for asset in ("USDT", "BTC", "BNB")} | {
        "locked": ledger.locked("USDT")
    }


def test_facts_about_a_trade_mean_the_same_in_whichever_order_they_come() -> None:
    facts: list[tuple[str, dict[str, Any]]] = [
        ("RecordFill", {"trade_id": "t1", "last_qty": "0.2", "last_px": "50"}),
        ("CorrectCommission", {"trade_id": "t1", "commission": "1", "commission_asset": "BNB"}),
        ("VoidFill", {"trade_id": "t1"}),
        ("RecordFill", {"trade_id": "t2", "last_qty": "0.1", "last_px": "40"}),
    ]
    ends = []
    for order_of_arrival in permutations(facts):
        ledger = Deciding()
        order = ledger.submit(quantity="1", price="50")
        for name, data in order_of_arrival:
            ledger.send(name, order_id=order, **data)
        state = ledger.order(order)
        assert not state.foretold
        ends.append((state.status, state.cum_qty, state.cum_quote, books(ledger)))
        ledger.check_folding()
    assert all(end == ends[0] for end in ends)
    assert ends[0][3] == {"USDT": "996", "BTC": "10.1", "BNB": "0", "locked": "45"}


def test_a_voided_trade_id_may_be_told_anew() -> None:
    ledger = Deciding()
    order = ledger.submit(quantity="1")
    ledger.fill(order, "t1", "1", "50")
    ledger.fill(order, "t1", "1", "51")
    assert ledger.code() == "FILL_CONFLICT"
    ledger.send("VoidFill", order_id=order, trade_id="t1")
    assert last(ledger.fill(order, "t1", "1", "51"), OrderFilled).revision == 2
    assert (ledger.code(), ledger.has("USDT"), ledger.has("BTC")) == (None, "949", "11")
    assert ledger.fill(order, "t1", "1", "50") == []
    ledger.check_folding()


def test_a_commission_told_later_is_posted_once() -> None:
    ledger = Deciding(account_type="MARGIN")
    order = ledger.submit(quantity="100", price="20")
    ledger.fill(order, "t1", "100", "20")
    told = {"order_id": order, "trade_id": "t1", "commission_asset": "USDT"}
    ledger.send("CorrectCommission", **told, commission="1")
    assert ledger.has("USDT") == "-1001"
    assert ledger.send("CorrectCommission", **told, commission="1") == []
    corrected = last(ledger.send("CorrectCommission", **told, commission="2"), CommissionCorrected)
    assert ledger.has("USDT") == "-1002"
    assert sum(one.amount for one in corrected.postings) == 0
    assert ledger.account.positions[f"main {MARKET} BOTH"].commission == 2
    assert ledger.fill(order, "t1", "100", "20") == [], "the first report once more"
    ledger.send("VoidFill", order_id=order, trade_id="t1")
    assert (ledger.has("USDT"), ledger.has("BTC")) == ("1000", "10")


def test_a_commission_of_a_trade_in_the_middle_changes_every_position_since() -> None:
    ledger = Deciding()
    orders = []
    for side, trade, px, fee in (
        ("BUY", "t1", "100", "0.01"),
        ("SELL", "t2", "110", "0"),
        ("BUY", "t3", "90", "0"),
    ):
        order = ledger.submit(side=side, quantity="1", price=px)
        orders.append(order)
        ledger.fill(order, trade, "1", px, commission=fee, commission_asset="BTC")
    first = orders[0]
    ledger.send(
        "CorrectCommission", order_id=first, trade_id="t1", commission="2", commission_asset="USDT"
    )
    (position,) = ledger.account.positions.values()
    assert (position.number, position.quantity, position.cost) == (2, Decimal(1), Decimal(90))
    assert (ledger.has("BTC"), ledger.has("USDT")) == ("11", "918")


def test_several_fees_of_one_trade_are_each_posted() -> None:
    ledger = Deciding()
    order = ledger.submit(quantity="1", price="100")
    fees = [{"asset": "BNB", "amount": "0.01"}, {"asset": "USDT", "amount": "0.5"}]
    filled = last(ledger.fill(order, "t1", "1", "100", fees=fees), OrderFilled)
    assert [(fee.asset, fee.amount) for fee in filled.charged] == [
        ("BNB", Decimal("0.01")),
        ("USDT", Decimal("0.5")),
    ]
    assert (ledger.has("USDT"), ledger.has("BNB")) == ("899.5", "-0.01")
    assert ledger.fill(order, "t1", "1", "100", fees=fees[::-1]) == []
    ledger.send("VoidFill", order_id=order, trade_id="t1")
    assert (ledger.has("USDT"), ledger.has("BNB")) == ("1000", "0")


def test_what_the_venue_moved_beside_quantity_times_price_lies_in_a_book_of_its_own() -> None:
    ledger = Deciding()
    order = ledger.submit(quantity="1", price="100")
    events = ledger.fill(order, "t1", "0.333333", "99.99", quote_quantity="33.33")
    postings = last(events, TradeSettled).postings
    assert {p.book: p.amount for p in postings if p.reason is Reason.ROUNDING} == {
        "rounding:BINANCE": Decimal("33.33") - Decimal("0.333333") * Decimal("99.99")
    }
    assert ledger.has("USDT") == "966.67"
    assert ledger.order(order).cum_quote == Decimal("33.33")
    ledger.send("VoidFill", order_id=order, trade_id="t1")
    assert ledger.has("USDT") == "1000"


def test_a_trade_at_zero_moves_nothing_and_a_sale_below_zero_pays() -> None:
    ledger = Deciding()
    bought = ledger.submit(quantity="10", price="1")
    ledger.fill(bought, "t1", "10", "0")
    assert (ledger.has("BTC"), ledger.has("USDT")) == ("20", "1000")
    sold = ledger.submit(side="SELL", quantity="10", price="1")
    ledger.fill(sold, "t2", "10", "-37.63")
    assert (ledger.has("BTC"), ledger.has("USDT")) == ("10", "623.7")
    ledger.check_folding()


def test_a_trade_on_the_other_side_is_booked_as_it_is_told_and_says_so() -> None:
    ledger = Deciding()
    order = ledger.submit(quantity="1", price="100")
    filled = last(ledger.fill(order, "t1", "1", "100", side="SELL"), OrderFilled)
    assert (filled.side, filled.contradicts, filled.status) == ("SELL", ("side",), "FILLED")
    assert (ledger.has("BTC"), ledger.has("USDT"), ledger.locked("USDT")) == ("9", "1100", "0")
    ledger.send("VoidFill", order_id=order, trade_id="t1")
    assert (ledger.has("BTC"), ledger.has("USDT")) == ("10", "1000")


def test_why_it_was_executed_is_kept() -> None:
    ledger = Deciding()
    order = ledger.submit(quantity="1")
    filled = last(ledger.fill(order, "t1", "1", "0", execution_kind="EXPIRY"), OrderFilled)
    assert filled.execution_kind == "EXPIRY"


# --- the end ----------------------------------------------------------------------------


def test_an_order_that_the_venue_calls_done_is_filled_and_its_rest_is_released() -> None:
    ledger = Deciding()
    order = ledger.submit(order_type="MARKET", quantity=None, price=None, quote_quantity="25")
    ledger.fill(order, "t1", "0.250001", "99.735", quote_quantity="24.93385")
    assert (ledger.order(order).status, ledger.locked("USDT")) == ("PARTIALLY_FILLED", "0.06615")
    ledger.send("CompleteOrder", order_id=order)
    assert (ledger.order(order).status, ledger.locked("USDT")) == ("FILLED", "0")
    assert ledger.has("USDT") == "975.06615"


def test_a_market_sale_by_what_it_shall_bring_holds_its_estimate() -> None:
    ledger = Deciding()
    sale: dict[str, Any] = {
        "side": "SELL",
        "order_type": "MARKET",
        "quantity": None,
        "quote_quantity": "50",
    }
    ledger.submit(**sale, price=None)
    assert ledger.code() == "PRICE_ESTIMATE_REQUIRED"
    order = ledger.submit(**sale, price="100")
    assert ledger.locked("BTC") == "0.5"
    ledger.fill(order, "t1", "0.25", "100")
    assert ledger.locked("BTC") == "0.25"
    ledger.fill(order, "t2", "0.25", "100")
    assert (ledger.order(order).status, ledger.locked("BTC")) == ("FILLED", "0")


# --- orders that nobody submitted here --------------------------------------------------


def test_what_a_venue_does_not_tell_of_an_order_is_unknown() -> None:
    ledger = Deciding()
    order = uuid7()
    events = ledger.fill(order, "t1", "1", "50", instrument=MARKET, side="BUY")
    reported = last(events, OrderReported)
    assert (reported.order_type, reported.time_in_force, reported.quantity) == (None, None, None)
    assert ledger.order(order).status == "PARTIALLY_FILLED"
    ledger.send("CompleteOrder", order_id=order)
    assert ledger.order(order).status == "FILLED"


def test_what_a_venue_tells_of_an_order_is_kept() -> None:
    ledger = Deciding()
    ledger.send("AssignStrategy", strategy_id="alpha", allocation_percent="50")
    told = {"time_in_force": "IOC", "stop_price": "90", "strategy_id": "alpha"}
    order = uuid7()
    events = ledger.send("AcceptOrder", order_id=order, instrument=MARKET, side="SELL", **told)
    reported = last(events, OrderReported)
    assert (reported.time_in_force, reported.stop_price) == ("IOC", 90)
    assert (reported.sub_account, reported.environment) == ("alpha", "PAPER")
    filled = last(ledger.fill(order, "t1", "1", "50"), OrderFilled)
    assert (filled.sub_account, filled.settled_in_main) == ("alpha", False)


@pytest.mark.parametrize("strategy_id", ["external", "ghost"])
def test_money_never_goes_to_a_book_that_is_no_sub_account(strategy_id: str) -> None:
    ledger = Deciding()
    order = ledger.submit(quantity="1", price="100", strategy_id=strategy_id)
    assert ledger.code() == (
        "INVALID_COMMAND" if strategy_id == "external" else "STRATEGY_NOT_ASSIGNED"
    )
    filled = last(ledger.fill(order, "t1", "1", "100"), OrderFilled)
    assert (filled.sub_account, filled.settled_in_main, filled.late) == ("main", True, True)
    told = last(
        ledger.fill(
            uuid7(), "t2", "1", "100", instrument=MARKET, side="BUY", strategy_id=strategy_id
        ),
        OrderFilled,
    )
    assert (told.sub_account, told.settled_in_main) == ("main", True)
    assert (ledger.has("BTC"), ledger.has("USDT")) == ("12", "800")
    assert set(ledger.account.balances) == {"main"}


def test_an_instrument_of_another_venue_is_recorded_and_flagged() -> None:
    ledger = Deciding()
    ledger.execute(list_instrument(instrument="OKX:BTCUSDT"))
    events = ledger.fill(uuid7(), "t1", "1", "50", instrument="OKX:BTCUSDT", side="BUY")
    assert last(events, OrderReported).wrong_venue
    assert last(events, TradeSettled).wrong_venue


# --- the end of an account --------------------------------------------------------------


def test_an_account_with_an_open_order_cannot_be_closed_be_it_of_nothing() -> None:
    ledger = Deciding(account_type="MARGIN")
    for asset, amount in (("USDT", "1000"), ("BTC", "10")):
        ledger.send("Withdraw", asset=asset, amount=amount)
    order = uuid7()
    ledger.send("AcceptOrder", order_id=order, instrument=MARKET, side="BUY", order_type="MARKET")
    ledger.send("CloseAccount")
    assert ledger.code() == "ACCOUNT_NOT_EMPTY"
    ledger.send("CancelOrder", order_id=order)
    ledger.send("CloseAccount")
    assert ledger.code() is None
    settled = last(ledger.fill(order, "t1", "1", "50"), TradeSettled)
    assert settled.account_closed
    ledger.check_folding()


def test_what_trades_leave_can_be_withdrawn_to_the_last_unit() -> None:
    ledger = Deciding()
    ledger.fill(uuid7(), "t1", "0.123456789012", "3.123456789012", instrument=MARKET, side="BUY")
    left = ledger.has("USDT")
    assert len(left.partition(".")[2]) == 24
    for asset in ("USDT", "BTC"):
        ledger.send("Withdraw", asset=asset, amount=ledger.has(asset))
        assert ledger.code() is None
    assert {balance.total for balance in ledger.account.balances["main"].values()} == {0}


@pytest.mark.parametrize("asset", ["$WIF", "币安人生", "1000SATS", "stETH+"])
def test_an_asset_may_have_any_name_that_can_be_read(asset: str) -> None:
    ledger = Deciding()
    ledger.send("Deposit", asset=asset, amount="1")
    assert ledger.has(asset) == "1"


def test_a_price_has_as_many_decimals_as_are_told() -> None:
    ledger = Deciding()
    px = "0." + "0" * 20 + "1234567890123456"
    ledger.fill(uuid7(), "t1", "0.1", px, instrument=MARKET, side="BUY")
    assert Decimal(ledger.has("USDT")) == 1000 - Decimal("0.1") * Decimal(px)


def test_every_execution_says_whose_money_it_is() -> None:
    ledger = Deciding(environment="BACKTEST")
    order = ledger.submit(quantity="1")
    assert last(ledger.fill(order, "t1", "0.1", "50"), Execution).environment == "BACKTEST"
