"""What the venue tells about orders is always recorded; what does not fit says so."""

from typing import Any

import pytest

from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders.events import (
    LiquiditySide,
    OrderCancelled,
    OrderFillConflicted,
    OrderType,
    Side,
    TimeInForce,
)
from tests.nouns.folded import D, FoldedOrder, refused


def ended(decision: Any = order_facts.cancel) -> FoldedOrder:
    made = FoldedOrder()
    made.tell(decision)
    return made


# --- status ---------------------------------------------------------------------------


def test_an_order_goes_from_pending_by_new_and_partially_filled_to_filled() -> None:
    made = FoldedOrder()
    assert made.tell(order_facts.accept).status == "NEW"
    assert made.fill("t1", "0.4").status == "PARTIALLY_FILLED"
    assert made.fill("t2", "0.6").status == "FILLED"


def test_a_fill_may_come_before_the_acceptance() -> None:
    made = FoldedOrder()
    assert not made.fill("t1", "0.4").late
    accepted = made.tell(order_facts.accept)
    assert (accepted.status, accepted.late) == ("PARTIALLY_FILLED", False)


def test_a_second_acceptance_is_recorded_as_late() -> None:
    made = FoldedOrder()
    made.tell(order_facts.accept)
    again = made.tell(order_facts.accept)
    assert (again.status, again.late) == ("NEW", True)


def test_a_venue_rejection_before_any_trade_rejects_the_order() -> None:
    assert ended(order_facts.reject).status == "REJECTED"


def test_a_venue_rejection_of_a_partly_filled_order_is_a_cancel_of_the_rest() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    event = made.tell(order_facts.reject, reason="margin call")
    assert isinstance(event, OrderCancelled)
    assert (event.status, event.reason) == ("CANCELLED", "margin call")


def test_partly_filled_then_cancelled_is_cancelled_with_what_was_filled() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    made.tell(order_facts.cancel)
    assert (made.status, made.state.cum_qty) == ("CANCELLED", D("0.4"))


@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
def test_the_killed_rest_of_an_ioc_or_fok_is_expired_with_a_reason(
    time_in_force: TimeInForce,
) -> None:
    made = FoldedOrder(time_in_force=time_in_force)
    event = made.tell(order_facts.expire)
    assert event.status == "EXPIRED"
    assert event.reason.startswith(time_in_force)


def test_the_venues_reason_of_an_expiry_is_kept() -> None:
    made = FoldedOrder(time_in_force=TimeInForce.IOC)
    assert made.tell(order_facts.expire, reason="auction").reason == "auction"


@pytest.mark.parametrize(
    "decision", [order_facts.cancel, order_facts.reject, order_facts.expire, order_facts.replace]
)
@pytest.mark.parametrize(
    "fact",
    [
        order_facts.accept,
        order_facts.cancel,
        order_facts.reject,
        order_facts.expire,
        order_facts.replace,
    ],
)
def test_a_terminal_order_keeps_its_status_and_the_fact_is_late(decision: Any, fact: Any) -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    made.tell(decision, **({"quantity": D("0.4")} if decision is order_facts.replace else {}))
    before = made.status
    event = made.tell(fact)
    assert (event.status, event.late, made.status) == (before, True, before)


def test_an_answer_to_no_request_is_late() -> None:
    made = FoldedOrder()
    assert made.tell(order_facts.reject_cancel).late
    assert made.tell(order_facts.reject_replace).late


def test_a_cancel_that_nobody_asked_for_is_not_late() -> None:
    assert not FoldedOrder().tell(order_facts.cancel).late


# --- fills ----------------------------------------------------------------------------


def test_the_average_price_is_weighted_by_quantity() -> None:
    made = FoldedOrder(quantity=D(3))
    made.fill("t1", "1", "100")
    event = made.fill("t2", "2", "101")
    assert event.cum_quote == D(302)
    assert event.avg_px == D("100.666666666666666667")


def test_a_late_fill_raises_what_is_filled_and_keeps_the_status() -> None:
    made = ended()
    event = made.fill("t1", "0.4")
    assert (event.status, event.late, event.cum_qty, event.leaves_qty) == (
        "CANCELLED",
        True,
        D("0.4"),
        0,
    )


def test_more_than_the_quantity_fills_the_order_and_is_told() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    event = made.fill("t2", "0.8")
    assert (event.status, event.cum_qty, event.leaves_qty, event.overfill_qty, event.late) == (
        "FILLED",
        D("1.2"),
        0,
        D("0.2"),
        False,
    )


def test_a_late_fill_can_overfill() -> None:
    made = FoldedOrder()
    made.fill("t1", "1")
    event = made.fill("t2", "0.5")
    assert (event.late, event.overfill_qty) == (True, D("0.5"))


def test_the_same_trade_again_does_nothing() -> None:
    made = FoldedOrder()
    same = {"commission": D("0.1"), "commission_asset": "BNB"}
    made.fill("t1", "0.4", "100", **same)
    assert made.fill("t1", "0.40", "100.0", **same) is None
    assert made.state.cum_qty == D("0.4")


@pytest.mark.parametrize(
    "other",
    [
        {"last_qty": "0.5"},
        {"last_px": "101"},
        {"commission": D("0.2")},
        {"commission_asset": "USDT"},
        {"liquidity_side": LiquiditySide.MAKER},
    ],
)
def test_a_known_trade_with_other_content_is_a_conflict_and_changes_nothing(
    other: dict[str, Any],
) -> None:
    made = FoldedOrder()
    first: dict[str, Any] = {"last_qty": "0.4", "last_px": "100"}
    first |= {"commission": D("0.1"), "commission_asset": "BNB"}
    made.fill("t1", **first)
    event = made.fill("t1", **(first | other))
    assert isinstance(event, OrderFillConflicted)
    assert (made.status, made.state.cum_qty) == ("PARTIALLY_FILLED", D("0.4"))


def test_a_fill_of_a_denied_order_is_recorded() -> None:
    denied = FoldedOrder(begin=order_rules.deny, code="INSUFFICIENT_FUNDS", reason="deposit first")
    event = denied.fill("t1", "1")
    assert (event.status, event.late) == ("REJECTED", True)


def test_a_commission_without_an_asset_cannot_be_booked() -> None:
    refused("INVALID_COMMAND", FoldedOrder().fill, "t1", "1", commission=D(1))


def test_a_fill_while_a_replace_is_pending_carries_the_old_terms() -> None:
    made = FoldedOrder()
    made.tell(order_rules.request_replace, quantity=D(2))
    assert made.fill("t1", "0.4").leaves_qty == D("0.6")


def test_a_budget_order_is_filled_once_the_budget_is_spent() -> None:
    made = FoldedOrder(
        order_type=OrderType.MARKET, quantity=None, price=None, quote_quantity=D(100)
    )
    first = made.fill("t1", "0.5", "100")
    assert (first.status, first.leaves_qty) == ("PARTIALLY_FILLED", None)
    last = made.fill("t2", "0.5", "100")
    assert (last.status, last.leaves_qty, last.overfill_qty) == ("FILLED", 0, 0)


# --- voids ----------------------------------------------------------------------------


def test_a_voided_trade_is_taken_off_exactly_as_it_was_booked() -> None:
    made = FoldedOrder(side=Side.SELL)
    made.fill("t1", "0.4", "100", commission=D("0.1"), commission_asset="BNB")
    made.fill("t2", "0.3", "110")
    event = made.tell(order_facts.void_fill, trade_id="t1", reason="bust")
    assert (event.last_qty, event.last_px, event.commission, event.commission_asset) == (
        D("0.4"),
        D(100),
        D("0.1"),
        "BNB",
    )
    assert (event.status, event.cum_qty, event.cum_quote, event.avg_px, event.leaves_qty) == (
        "PARTIALLY_FILLED",
        D("0.3"),
        D(33),
        D(110),
        D("0.7"),
    )


def test_voiding_the_only_trade_of_an_open_order_makes_it_new() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    event = made.tell(order_facts.void_fill, trade_id="t1")
    assert (event.status, event.cum_qty, event.avg_px, event.leaves_qty) == ("NEW", 0, None, 1)


def test_voiding_a_trade_of_a_filled_order_does_not_reopen_it() -> None:
    made = FoldedOrder()
    made.fill("t1", "1")
    event = made.tell(order_facts.void_fill, trade_id="t1")
    assert (event.status, event.cum_qty, event.leaves_qty) == ("FILLED", 0, 0)


def test_voiding_lessens_an_overfill() -> None:
    made = FoldedOrder()
    made.fill("t1", "1")
    made.fill("t2", "0.5")
    assert made.tell(order_facts.void_fill, trade_id="t1").overfill_qty == 0
    assert made.state.cum_qty == D("0.5")


def test_voiding_twice_does_nothing() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    made.tell(order_facts.void_fill, trade_id="t1")
    assert made.tell(order_facts.void_fill, trade_id="t1") is None


def test_a_voided_trade_sent_again_stays_voided() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    made.tell(order_facts.void_fill, trade_id="t1")
    assert made.fill("t1", "0.4") is None
    assert made.state.cum_qty == 0


def test_under_the_id_of_a_voided_trade_another_content_is_another_trade() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4", "50")
    assert isinstance(made.fill("t1", "0.4", "51"), OrderFillConflicted)
    made.tell(order_facts.void_fill, trade_id="t1")
    again = made.fill("t1", "0.4", "51")
    assert (again.revision, again.cum_quote) == (2, D("20.4"))
    assert made.fill("t1", "0.4", "50") is None, "the first report once more"
    assert made.fill("t1", "0.4", "51") is None
    assert made.tell(order_facts.void_fill, trade_id="t1").revision == 2
    assert made.state.cum_qty == 0


def test_a_trade_that_is_taken_back_before_it_is_told_is_remembered() -> None:
    made = FoldedOrder()
    told = made.tell(order_facts.void_fill, trade_id="t1", reason="bust")
    assert (told.type, told.status) == ("order.void_reported", "PENDING")
    assert made.tell(order_facts.void_fill, trade_id="t1") is None
    assert made.state.foretold["t1"].voided


# --- replaces -------------------------------------------------------------------------


def test_a_replace_is_recorded_with_the_terms_whole() -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    event = made.tell(order_facts.replace, price=D(99))
    assert (event.status, event.quantity, event.price, event.leaves_qty) == (
        "PARTIALLY_FILLED",
        D(1),
        D(99),
        D("0.6"),
    )


def test_what_the_venue_does_not_say_is_as_the_pending_request_asked() -> None:
    made = FoldedOrder()
    made.tell(order_rules.request_replace, quantity=D(2), price=D(99))
    event = made.tell(order_facts.replace, quantity=D(3))
    assert (event.quantity, event.price) == (D(3), D(99))
    assert made.state.replace_pending is None


def test_a_rejected_replace_leaves_the_old_terms() -> None:
    made = FoldedOrder()
    made.tell(order_rules.request_replace, quantity=D(2))
    assert not made.tell(order_facts.reject_replace).late
    assert (made.state.quantity, made.state.replace_pending) == (D(1), None)


@pytest.mark.parametrize(("quantity", "overfill"), [("0.4", "0"), ("0.3", "0.1")])
def test_a_replace_at_or_below_what_is_filled_fills_the_order(quantity: str, overfill: str) -> None:
    made = FoldedOrder()
    made.fill("t1", "0.4")
    made.tell(order_rules.request_replace, quantity=D(quantity))
    event = made.tell(order_facts.replace)
    assert (event.status, event.leaves_qty, event.overfill_qty, event.late) == (
        "FILLED",
        0,
        D(overfill),
        False,
    )


def test_a_replace_may_come_before_the_acceptance() -> None:
    assert FoldedOrder().tell(order_facts.replace, price=D(99)).status == "NEW"


def test_a_late_replace_keeps_its_terms_and_reopens_nothing() -> None:
    made = FoldedOrder()
    made.fill("t1", "1.5")
    event = made.tell(order_facts.replace, quantity=D(2))
    assert (event.status, event.late, event.leaves_qty, event.overfill_qty) == (
        "FILLED",
        True,
        0,
        0,
    )
    assert made.state.quantity == D(2)
