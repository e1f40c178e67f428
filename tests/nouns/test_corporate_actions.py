"""Splits and new names: balances, positions and open orders follow."""

from decimal import Decimal
from typing import Any

from ledger.nouns.accounts.events import CorporateActionRecorded
from ledger.nouns.orders.state import OrderState
from tests.commands import list_instrument
from tests.nouns.folded import D
from tests.nouns.in_memory import PERPETUAL, SPOT, InMemoryLedger

SPLIT: dict[str, Any] = {"instrument": SPOT, "action": "SPLIT"}


def total(ledger: InMemoryLedger, asset: str, book: str = "main") -> Decimal:
    return ledger.account.balance(book, asset).total


def test_a_short_is_twice_as_many_after_a_split_and_its_orders_hold_the_same() -> None:
    ledger = InMemoryLedger()
    ledger.tell("Deposit", asset="USDT", amount="10000")
    ledger.fill("t1", "SELL", "100", "80")
    stop = ledger.order(
        "BUY", "10", None, instrument=SPOT, order_type="STOP_MARKET", stop_price="90"
    )
    assert ledger.account.held(stop) == D(900)
    told = {**SPLIT, "action_id": "s1", "numerator": 2}
    assert ledger.tell("RecordCorporateAction", **told) is None
    assert ledger.tell("RecordCorporateAction", **told) is None
    assert (ledger.held().quantity, total(ledger, "BTC")) == (D(-200), D(-200))
    order = ledger.states[stop]
    assert isinstance(order, OrderState)
    assert (order.quantity, order.stop_price, ledger.account.held(stop)) == (D(20), D(45), D(900))
    ledger.fill("t2", "BUY", "200", "41")
    assert (ledger.held().quantity, ledger.held().realized_pnl) == (D(0), D(-200))
    assert total(ledger, "BTC") == 0


def test_the_same_action_told_otherwise_changes_nothing() -> None:
    ledger = InMemoryLedger()
    ledger.fill("t1", "BUY", "1", "80")
    ledger.tell("RecordCorporateAction", **SPLIT, action_id="s1", numerator=2)
    told = ledger.tell("RecordCorporateAction", **SPLIT, action_id="s1", numerator=3)
    assert told == "CORPORATE_ACTION_CONFLICT"
    recorded = ledger.events()[-1]
    assert isinstance(recorded, CorporateActionRecorded)
    assert (recorded.conflicts, recorded.postings) == (True, ())
    assert ledger.held().quantity == 2


def test_what_is_left_of_the_last_one_is_paid_for() -> None:
    ledger = InMemoryLedger("CASH")
    ledger.tell("Deposit", asset="USDT", amount="1010")
    ledger.fill("t1", "BUY", "101", "10")
    resting = ledger.order("SELL", "50", "20", instrument=SPOT)
    told = ledger.tell(
        "RecordCorporateAction", **SPLIT, action_id="s1", denominator=2, cash_in_lieu="12"
    )
    assert told is None
    assert (total(ledger, "BTC"), total(ledger, "USDT")) == (D(50), D(12))
    assert ledger.account.held(resting) == D(25)
    held = ledger.held()
    assert (held.quantity, held.cost, held.realized_pnl) == (D(50), D(1000), D(2))
    assert not any(getattr(event, "overdrawn", False) for event in ledger.events())


def test_under_another_name_the_same_goes_on() -> None:
    ledger = InMemoryLedger()
    ledger._decide(list_instrument(instrument="BINANCE:XBTUSDT", base_asset="XBT"))
    ledger.fill("t1", "BUY", "1", "80")
    ledger.fill("t2", "SELL", "0.5", "100")
    resting = ledger.order("SELL", "0.5", "120", instrument=SPOT)
    renamed = {"instrument": SPOT, "action": "RENAME", "new_instrument": "BINANCE:XBTUSDT"}
    assert ledger.tell("RecordCorporateAction", **renamed, action_id="r1") is None
    old, new = ledger.held(), ledger.held("BINANCE:XBTUSDT")
    assert (old.quantity, old.cost, old.realized_pnl) == (D(0), D(0), D(10))
    assert (new.quantity, new.cost, new.realized_pnl) == (D("0.5"), D(40), D(0))
    assert new.opened_at == old.opened_at
    assert (total(ledger, "BTC"), total(ledger, "XBT")) == (D(0), D("0.5"))
    assert ledger.account.holds[resting].asset == "XBT"
    ledger.fill("t3", "SELL", "0.5", "120", "BINANCE:XBTUSDT", order_id=resting)
    assert ledger.held("BINANCE:XBTUSDT").realized_pnl == D(20)


def test_a_trade_from_before_a_split_is_taken_back_as_what_it_has_become() -> None:
    ledger = InMemoryLedger()
    bought = ledger.order("BUY", "4", "10", instrument=SPOT)
    ledger.fill("t1", "BUY", "2", "10", order_id=bought)
    ledger.fill("t2", "BUY", "1", "10", commission="0.1", commission_asset="BTC")
    ledger.tell("RecordCorporateAction", **SPLIT, action_id="s1", numerator=3)
    assert ledger.tell("VoidFill", order_id=bought, trade_id="t1") is None
    assert (total(ledger, "BTC"), ledger.held().quantity) == (D("2.7"), D("2.7"))
    order = ledger.states[bought]
    assert isinstance(order, OrderState)
    assert (order.quantity, order.cum_qty) == (D(12), D(0))


def test_a_trade_from_before_a_new_name_is_taken_back_under_the_new_one() -> None:
    ledger = InMemoryLedger()
    ledger._decide(list_instrument(instrument="BINANCE:XBTUSDT", base_asset="XBT"))
    bought = ledger.fill("t1", "BUY", "2", "80", commission="0.1", commission_asset="BTC")
    ledger.fill("t2", "BUY", "1", "80")
    renamed = {"instrument": SPOT, "action": "RENAME", "new_instrument": "BINANCE:XBTUSDT"}
    ledger.tell("RecordCorporateAction", **renamed, action_id="r1")
    assert total(ledger, "XBT") == D("2.9")
    assert ledger.tell("VoidFill", order_id=bought, trade_id="t1") is None
    assert ledger.held("BINANCE:XBTUSDT").quantity == D(1)
    assert (total(ledger, "XBT"), total(ledger, "BTC")) == (D(1), D(0))


def test_positions_of_contracts_follow_and_lock_the_same() -> None:
    ledger = InMemoryLedger()
    ledger.tell("Deposit", asset="USDT", amount="1000")
    ledger.fill("t1", "SELL", "3", "100", PERPETUAL)
    told = {"instrument": PERPETUAL, "action": "SPLIT", "denominator": 2, "cash_in_lieu": "210"}
    assert ledger.tell("RecordCorporateAction", action_id="s1", **told) is None
    held = ledger.held(PERPETUAL)
    assert (held.quantity, held.cost, held.realized_pnl) == (D(-1), D(200), D(-110))
    assert ledger.account.balance("main", "USDT").total == D(890)
    assert ledger.account.balance("main", "USDT").locked == D(200)
