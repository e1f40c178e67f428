"""An order's money, from the hold to the trade and back."""

from typing import Any
from uuid import uuid4

import pytest

from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts import settlement as account_settlement
from ledger.nouns.accounts.events import AccountType, FundsHeld, FundsReleased, Reason
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import Side
from tests.nouns.desk import EPOCH
from tests.nouns.folded import D, FoldedAccount, FoldedOrder, refused, required


class Desk:
    """An account and one order on it, kept in step as the application does."""

    def __init__(self, account_type: AccountType = AccountType.CASH, **terms: Any) -> None:
        self.account = FoldedAccount(account_type, USDT="1000", BTC="10")
        self.order = FoldedOrder(**terms)
        self._keep_hold()

    def fill(self, trade_id: str, last_qty: str, last_px: str = "100", **more: Any) -> Any:
        return self._settle(
            account_settlement.settle, self.order.fill(trade_id, last_qty, last_px, **more)
        )

    def void(self, trade_id: str) -> Any:
        voided = self.order.tell(order_facts.void_fill, trade_id=trade_id)
        past = [PastEvent(event, EPOCH) for event in reversed(self.account.events)]
        return self._settle(account_settlement.void_trade, voided, past=past)

    def tell(self, decision: Any, **arguments: Any) -> Any:
        self.order.tell(decision, **arguments)
        return self._keep_hold()

    def _settle(self, decision: Any, execution: Any, **more: Any) -> Any:
        return self.account.tell(
            decision,
            execution=execution,
            required=order_state.required_hold(self.order.state),
            **more,
        )

    def _keep_hold(self) -> Any:
        return self.account.tell(
            account_settlement.set_hold, required=order_state.required_hold(self.order.state)
        )


# --- holds ----------------------------------------------------------------------------


def test_a_hold_locks_and_leaves_the_total_alone() -> None:
    made = FoldedAccount(USDT="10")
    made.hold(uuid4(), "USDT", "4")
    assert (made.total("USDT"), made.locked("USDT"), made.available("USDT")) == (D(10), D(4), D(6))


def test_an_order_cannot_hold_more_than_is_available() -> None:
    made = FoldedAccount(USDT="10.5")
    message = refused("INSUFFICIENT_FUNDS", made.hold, uuid4(), "USDT", "12")
    assert message == (
        "available 10.5 USDT in main is less than the 12 USDT this order must hold: "
        "deposit or reduce the quantity"
    )


def test_a_margin_account_holds_without_funds() -> None:
    made = FoldedAccount(AccountType.MARGIN)
    made.hold(uuid4(), "USDT", "12")
    assert (made.total("USDT"), made.available("USDT")) == (D(0), D(-12))


def test_a_replace_asks_only_for_what_the_order_does_not_hold_yet() -> None:
    made, order_id = FoldedAccount(USDT="10"), uuid4()
    made.hold(order_id, "USDT", "6")
    account_settlement.check_hold(made.state, required(order_id, "USDT", "10"))
    refused(
        "INSUFFICIENT_FUNDS",
        account_settlement.check_hold,
        made.state,
        required(order_id, "USDT", "10.1"),
    )


def test_a_smaller_hold_is_never_refused() -> None:
    made, order_id = FoldedAccount(USDT="10"), uuid4()
    made.hold(order_id, "USDT", "6")
    made.tell(account_rules.adjust, asset="USDT", amount=D(-9), reason="statement", actor="ops")
    account_settlement.check_hold(made.state, required(order_id, "USDT", "5"))


def test_a_hold_that_is_right_already_needs_no_event() -> None:
    assert Desk().tell(order_facts.accept) is None


def test_a_replace_in_force_that_needs_more_than_there_is_overdraws() -> None:
    event = Desk(quantity=D(10)).tell(order_facts.replace, price=D(101))
    assert isinstance(event, FundsHeld)
    assert event.overdrawn


@pytest.mark.parametrize("ending", [order_facts.cancel, order_facts.reject, order_facts.expire])
def test_an_ended_orders_hold_is_released_to_the_last_unit(ending: Any) -> None:
    desk = Desk(price=D("0.000000000000000003"), fee_rate=D("0.0007"))
    event = desk.tell(ending)
    assert isinstance(event, FundsReleased)
    assert desk.account.locked("USDT") == 0
    assert desk.account.state.holds == {}


# --- trades ---------------------------------------------------------------------------


def test_a_buy_takes_base_from_the_venue_and_gives_quote() -> None:
    event = Desk().fill("t1", "0.4", "99")
    assert [(p.book, p.asset, p.amount, p.reason) for p in event.postings] == [
        ("main", "BTC", D("0.4"), Reason.TRADE),
        ("venue:BINANCE", "BTC", D("-0.4"), Reason.TRADE),
        ("main", "USDT", D("-39.6"), Reason.TRADE),
        ("venue:BINANCE", "USDT", D("39.6"), Reason.TRADE),
    ]


def test_a_sell_gives_base_and_takes_quote() -> None:
    desk = Desk(side=Side.SELL)
    desk.fill("t1", "0.4", "101")
    assert (desk.account.total("BTC"), desk.account.total("USDT")) == (D("9.6"), D("1040.4"))
    assert desk.account.locked("BTC") == D("0.6")


def test_a_commission_is_charged_in_its_own_asset() -> None:
    desk = Desk()
    event = desk.fill("t1", "1", commission=D("0.01"), commission_asset="BNB")
    assert [(p.book, p.asset, p.amount) for p in event.postings if p.reason is Reason.FEE] == [
        ("main", "BNB", D("-0.01")),
        ("fees:BINANCE", "BNB", D("0.01")),
    ]
    assert event.overdrawn  # there was no BNB


def test_a_negative_commission_is_a_rebate() -> None:
    desk = Desk()
    event = desk.fill("t1", "1", commission=D("-0.01"), commission_asset="USDT")
    assert desk.account.total("USDT") == D("900.01")
    assert not event.overdrawn


def test_a_commission_in_the_asset_bought_lessens_what_was_bought() -> None:
    desk = Desk()
    desk.fill("t1", "1", commission=D("0.001"), commission_asset="BTC")
    assert desk.account.total("BTC") == D("10.999")


def test_a_fill_consumes_its_part_of_the_hold() -> None:
    desk = Desk(fee_rate=D("0.01"))
    assert desk.account.locked("USDT") == D(101)
    desk.fill("t1", "0.4")
    assert desk.account.locked("USDT") == D("60.6")


def test_a_better_price_releases_what_it_saved() -> None:
    desk = Desk()
    desk.fill("t1", "1", "90")
    assert (desk.account.locked("USDT"), desk.account.available("USDT")) == (D(0), D(910))


def test_a_late_fill_moves_money_without_a_hold() -> None:
    desk = Desk()
    desk.tell(order_facts.cancel)
    event = desk.fill("t1", "1")
    assert event.holds == ()
    assert desk.account.total("USDT") == D(900)


def test_a_fill_beyond_the_funds_is_recorded_as_overdrawn() -> None:
    desk = Desk(quantity=D(10))
    assert desk.fill("t1", "10", "101").overdrawn
    assert desk.account.available("USDT") == D(-10)


def test_a_voided_trade_reverses_its_postings_exactly() -> None:
    desk = Desk()
    settled = desk.fill("t1", "1", "99", commission=D("0.01"), commission_asset="BNB")
    voided = desk.void("t1")
    assert [(p.book, p.asset, -p.amount) for p in voided.postings] == [
        (p.book, p.asset, p.amount) for p in settled.postings
    ]
    assert {p.reason for p in voided.postings} == {Reason.TRADE_VOID, Reason.FEE_VOID}
    assert [desk.account.total(asset) for asset in ("USDT", "BTC", "BNB")] == [1000, 10, 0]


def test_a_voided_trade_of_an_open_order_is_held_for_again() -> None:
    desk = Desk()
    desk.fill("t1", "0.4")
    desk.void("t1")
    assert desk.account.locked("USDT") == D(100)


def test_a_voided_trade_of_an_ended_order_is_not_held_for() -> None:
    desk = Desk()
    desk.fill("t1", "1")
    desk.void("t1")
    assert (desk.account.locked("USDT"), desk.account.available("USDT")) == (D(0), D(1000))
