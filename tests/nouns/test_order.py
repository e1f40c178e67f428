"""What a service may ask of an order, and what the order must hold."""

from uuid import uuid4

import pytest

from ledger.kernel.rejection import Rejection
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import (
    OrderDenied,
    OrderReported,
    OrderType,
    Origin,
    Side,
    SubmitTerms,
    hold_asset,
)
from tests.nouns.folded import BTCUSDT, D, FoldedOrder, refused

TERMS: SubmitTerms = {
    "account_id": uuid4(),
    "instrument": BTCUSDT,
    "base_asset": "BTC",
    "quote_asset": "USDT",
    "side": Side.BUY,
    "order_type": OrderType.LIMIT,
    "sub_account": "main",
    "quantity": D(1),
    "price": D(100),
}


def test_a_submitted_order_is_pending() -> None:
    assert FoldedOrder().status == "PENDING"


def test_a_denied_order_is_rejected_and_keeps_code_and_reason() -> None:
    denied = FoldedOrder(begin=order_rules.deny, code="INSUFFICIENT_FUNDS", reason="deposit first")
    assert denied.status == "REJECTED"
    event = denied.events[0]
    assert isinstance(event, OrderDenied)
    assert (event.code, event.reason) == ("INSUFFICIENT_FUNDS", "deposit first")


def test_a_reported_order_is_external() -> None:
    reported = FoldedOrder(begin=order_facts.report)
    event = reported.events[0]
    assert isinstance(event, OrderReported)
    assert event.origin is Origin.EXTERNAL
    assert reported.tell(order_facts.accept).status == "NEW"


def test_an_order_id_is_used_once_by_submitted_and_denied_orders_alike() -> None:
    first = FoldedOrder()
    with pytest.raises(Rejection, match="ORDER_ALREADY_EXISTS"):
        order_rules.submit(first.state, order_id=first.id, **TERMS)
    with pytest.raises(Rejection, match="ORDER_ALREADY_EXISTS"):
        order_rules.deny(first.state, order_id=first.id, code="WRONG_VENUE", reason="x", **TERMS)


# --- requests beside the status ---------------------------------------------------------


def test_a_cancel_request_leaves_the_status_alone() -> None:
    asked = FoldedOrder()
    asked.tell(order_facts.accept)
    assert asked.tell(order_rules.request_cancel).status == "NEW"
    assert asked.state.cancel_pending


def test_a_fill_between_cancel_request_and_cancel_is_not_lost() -> None:
    asked = FoldedOrder()
    asked.tell(order_rules.request_cancel)
    asked.fill("t1", "0.4")
    asked.tell(order_facts.cancel)
    assert asked.status == "CANCELLED"
    assert asked.state.cum_qty == D("0.4")


def test_a_rejected_cancel_ends_the_request_and_restores_nothing() -> None:
    asked = FoldedOrder()
    asked.tell(order_rules.request_cancel)
    asked.fill("t1", "0.4")
    answer = asked.tell(order_facts.reject_cancel, reason="too late")
    assert (answer.status, answer.late) == ("PARTIALLY_FILLED", False)
    assert not asked.state.cancel_pending


def test_a_cancel_rejected_because_the_order_filled_first_is_not_late() -> None:
    asked = FoldedOrder()
    asked.tell(order_rules.request_cancel)
    asked.fill("t1", "1")
    assert not asked.tell(order_facts.reject_cancel).late


def test_a_cancel_answers_the_request_for_it() -> None:
    asked = FoldedOrder()
    asked.tell(order_rules.request_cancel)
    asked.tell(order_facts.cancel)
    assert asked.tell(order_facts.reject_cancel).late


def test_one_cancel_is_asked_for_at_a_time() -> None:
    asked = FoldedOrder()
    asked.tell(order_rules.request_cancel)
    refused("CANCEL_ALREADY_REQUESTED", order_rules.request_cancel, asked.state)
    refused("CANCEL_ALREADY_REQUESTED", order_rules.request_replace, asked.state, price=D(99))
    asked.tell(order_facts.reject_cancel)
    asked.tell(order_rules.request_cancel)


def test_one_replace_is_asked_for_at_a_time_and_a_cancel_beside_it() -> None:
    asked = FoldedOrder()
    asked.tell(order_rules.request_replace, price=D(99))
    refused("REPLACE_ALREADY_REQUESTED", order_rules.request_replace, asked.state, price=D(98))
    asked.tell(order_rules.request_cancel)
    assert asked.state.cancel_pending
    assert asked.state.replace_pending is not None


def test_a_replace_must_change_something() -> None:
    asked = FoldedOrder()
    refused("NOTHING_TO_REPLACE", order_rules.request_replace, asked.state)
    refused("NOTHING_TO_REPLACE", order_rules.request_replace, asked.state, price=D("100.0"))


@pytest.mark.parametrize("ending", [order_facts.cancel, order_facts.reject, order_facts.expire])
def test_an_ended_order_takes_no_request(ending: object) -> None:
    ended = FoldedOrder()
    assert callable(ending)
    ended.tell(ending)
    refused("ORDER_CLOSED", order_rules.request_cancel, ended.state)
    refused("ORDER_CLOSED", order_rules.request_replace, ended.state, price=D(99))


# --- holds --------------------------------------------------------------------------------


def test_a_buy_holds_quote_at_its_price_with_the_fee() -> None:
    buy = FoldedOrder(quantity=D("0.5"), price=D("50000.12"), fee_rate=D("0.001"))
    assert hold_asset(buy.state) == "USDT"
    assert order_state.required_hold(buy.state).amount == D("25025.06006")


@pytest.mark.parametrize("order_type", [OrderType.STOP_MARKET, OrderType.TAKE_PROFIT])
def test_a_stop_buy_without_a_price_holds_at_its_stop_price(order_type: OrderType) -> None:
    buy = FoldedOrder(order_type=order_type, price=None, stop_price=D(110), fee_rate=D("0.01"))
    assert order_state.required_hold(buy.state).amount == D("111.1")


def test_a_stop_buy_with_a_price_holds_at_its_price() -> None:
    buy = FoldedOrder(order_type=OrderType.STOP_LIMIT, price=D(105), stop_price=D(110))
    assert order_state.required_hold(buy.state).amount == D(105)


def test_a_market_buy_with_a_budget_holds_the_rest_of_the_budget() -> None:
    buy = FoldedOrder(
        order_type=OrderType.MARKET, quantity=None, price=None, quote_quantity=D(1000)
    )
    assert order_state.required_hold(buy.state).amount == D(1000)
    buy.fill("t1", "3", "100")
    assert order_state.required_hold(buy.state).amount == D(700)


def test_a_market_buy_that_spent_more_than_its_budget_holds_nothing() -> None:
    buy = FoldedOrder(order_type=OrderType.MARKET, price=None, quote_quantity=D(50))
    assert buy.fill("t1", "0.6").status == "PARTIALLY_FILLED"
    assert order_state.required_hold(buy.state).amount == 0


def test_a_market_buy_with_an_estimate_holds_at_the_estimate() -> None:
    buy = FoldedOrder(order_type=OrderType.MARKET, price=D(101), fee_rate=D("0.5"))
    assert order_state.required_hold(buy.state).amount == D(101)


def test_a_market_buy_with_neither_budget_nor_estimate_is_refused() -> None:
    message = refused(
        "PRICE_ESTIMATE_REQUIRED", FoldedOrder, order_type=OrderType.MARKET, price=None
    )
    assert "quote_quantity" in message


def test_a_reported_market_buy_without_an_estimate_holds_nothing() -> None:
    buy = FoldedOrder(begin=order_facts.report, order_type=OrderType.MARKET, price=None)
    assert order_state.required_hold(buy.state).amount == 0


def test_a_sell_holds_what_it_has_left_to_sell() -> None:
    sell = FoldedOrder(side=Side.SELL, quantity=D(3), fee_rate=D("0.01"))
    sell.fill("t1", "1")
    assert (hold_asset(sell.state), order_state.required_hold(sell.state).amount) == (
        "BTC",
        D(2),
    )


def test_an_ended_order_holds_nothing() -> None:
    ended = FoldedOrder()
    ended.fill("t1", "0.5")
    ended.tell(order_facts.cancel)
    assert order_state.required_hold(ended.state).amount == 0


def test_a_pending_replace_changes_the_hold_only_once_it_is_in_force() -> None:
    asked = FoldedOrder()
    asked.tell(order_rules.request_replace, price=D(120), quantity=D(2))
    assert order_state.required_hold(asked.state).amount == D(100)
    assert order_state.required_hold(asked.state, price=D(120), quantity=D(2)).amount == D(240)
    asked.tell(order_facts.replace)
    assert order_state.required_hold(asked.state).amount == D(240)


def test_an_event_of_another_kind_is_a_fault_not_a_change() -> None:
    with pytest.raises(TypeError, match="OrderCancelled is not how the order"):
        order_state.evolve(None, FoldedOrder().tell(order_facts.cancel), uuid4())
