"""Orders: the requests about them, which may be refused, and what an order's life is.

An order's life:

    submit ─────▶ PENDING ── accept ──▶ NEW ── fill ──▶ PARTIALLY_FILLED ── fill ──▶ FILLED
    (deny) ─────▶ REJECTED                └──────┴── cancel, reject, expire, complete ──▶ ended
    report ─────▶ PENDING, when the venue speaks of an order that we never saw submitted

The requests below raise `Rejection`. All else is told by the venue and always recorded
(`facts`); what does not fit `status.TRANSITIONS` is recorded as `late` and leaves
the status alone. Requests pending at the venue stand beside the status and end with their
answer, so a fill in between loses nothing and a refusal restores nothing.

`state` says what is known of an order and what it must keep locked in its account; `events` what
can have happened. The stream is the order's id.
"""

from decimal import Decimal
from typing import Unpack
from uuid import UUID

from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.limits.decision import RiskDecision
from ledger.nouns.orders.events import (
    OrderCancelRequested,
    OrderDenied,
    OrderEvent,
    OrderReplaceDenied,
    OrderReplaceRequested,
    OrderSubmitted,
    OrderType,
    Side,
    SubmitTerms,
)
from ledger.nouns.orders.rejections import OrderRejection
from ledger.nouns.orders.state import OrderState
from ledger.nouns.orders.status import OrderStatus


def submit(
    state: OrderState | None,
    *,
    order_id: UUID,
    risk: RiskDecision | None = None,
    **terms: Unpack[SubmitTerms],
) -> tuple[OrderSubmitted]:
    """A service asks for a new order. Whether account, instrument and allocation allow it is
    asked of them (`check_order` in each); `risk` is what there is to say of its limits."""
    check_is_new(state, order_id)
    if terms.get("contract") is not None:
        _check_contract_estimate(**terms)
        return (OrderSubmitted(**terms, risk=risk, status=OrderStatus.PENDING),)
    is_buy, is_budget = terms["side"] is Side.BUY, terms.get("quote_quantity") is not None
    if (
        terms["order_type"] is OrderType.MARKET
        and is_buy != is_budget
        and terms.get("price") is None
    ):
        raise Rejection(
            OrderRejection.PRICE_ESTIMATE_REQUIRED,
            f"how much {'a MARKET BUY' if is_buy else 'a MARKET SELL with a budget'} must hold "
            "is unknown",
            None if is_buy else "give price as the estimate, or quantity",
        )
    return (OrderSubmitted(**terms, risk=risk, status=OrderStatus.PENDING),)


def _check_contract_estimate(**terms: Unpack[SubmitTerms]) -> None:
    """What a contract opens locks a share of its value, whichever way it is traded."""
    opens = (terms.get("quantity") or ZERO) > terms.get("closing_quantity", ZERO)
    if terms["order_type"] is OrderType.MARKET and terms.get("price") is None and opens:
        raise Rejection(
            OrderRejection.PRICE_ESTIMATE_REQUIRED,
            f"how much margin {terms['quantity']} of {terms['instrument']} takes is unknown",
            "give price as the estimate",
        )


def deny(
    state: OrderState | None,
    *,
    order_id: UUID,
    code: str,
    reason: str,
    risk: RiskDecision | None = None,
    **terms: Unpack[SubmitTerms],
) -> tuple[OrderEvent, ...]:
    """Our own rules refused the order; the attempt is kept."""
    check_is_new(state, order_id)
    denied = OrderDenied(**terms, risk=risk, status=OrderStatus.REJECTED, code=code, reason=reason)
    return (denied,)


def deny_replace(
    state: OrderState,
    *,
    code: str,
    reason: str,
    risk: RiskDecision,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> tuple[OrderEvent, ...]:
    """A limit refused other terms; the attempt is kept, and the order goes on as it is."""
    return (
        OrderReplaceDenied(
            account_id=state.account_id,
            status=state.status,
            quantity=quantity,
            price=price,
            stop_price=stop_price,
            code=code,
            reason=reason,
            risk=risk,
        ),
    )


def request_cancel(state: OrderState, *, reason: str | None = None) -> tuple[OrderEvent, ...]:
    _check_is_open(state)
    _check_no_cancel_pending(state)
    return (OrderCancelRequested(account_id=state.account_id, status=state.status, reason=reason),)


def request_replace(
    state: OrderState,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> tuple[OrderEvent, ...]:
    """Other terms are asked for. A quantity at or below what is filled is a way to say that
    the rest is no longer wanted."""
    _check_is_open(state)
    _check_no_cancel_pending(state)
    if state.replace_pending is not None:
        raise Rejection(
            OrderRejection.REPLACE_ALREADY_REQUESTED,
            f"a replace of order {state.order_id} waits for the venue",
        )
    if quantity is not None and state.iceberg_qty is not None and quantity < state.iceberg_qty:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"quantity {shown(quantity)} is less than the iceberg_qty {shown(state.iceberg_qty)}",
            "ask for more, or cancel the order",
        )
    if (
        quantity in (None, state.quantity)
        and price in (None, state.price)
        and stop_price in (None, state.stop_price)
    ):
        raise Rejection(
            OrderRejection.NOTHING_TO_REPLACE,
            f"order {state.order_id} has these terms already",
        )
    return (
        OrderReplaceRequested(
            account_id=state.account_id,
            status=state.status,
            quantity=quantity,
            price=price,
            stop_price=stop_price,
        ),
    )


def check_is_new(state: OrderState | None, order_id: UUID) -> None:
    if state is not None:
        raise Rejection(
            OrderRejection.ORDER_ALREADY_EXISTS,
            f"order {order_id} exists and is {state.status}",
        )


def _check_is_open(state: OrderState) -> None:
    if state.status.is_terminal:
        raise Rejection(
            OrderRejection.ORDER_CLOSED,
            f"order {state.order_id} is {state.status} and cannot change",
        )


def _check_no_cancel_pending(state: OrderState) -> None:
    if state.cancel_pending:
        raise Rejection(
            OrderRejection.CANCEL_ALREADY_REQUESTED,
            f"a cancel of order {state.order_id} waits for the venue",
        )
