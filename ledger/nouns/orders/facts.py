"""Orders: what the venue tells about them. Nothing here is refused but what cannot be
understood: each fact is recorded, and one that does not fit the order's status says `late`.
"""

from decimal import Decimal
from typing import TypedDict, Unpack
from uuid import UUID

from ledger.kernel.money import ZERO, average
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.orders.events import (
    LiquiditySide,
    OrderAccepted,
    OrderCancelled,
    OrderCancelRejected,
    OrderEvent,
    OrderExpired,
    OrderFillConflicted,
    OrderFilled,
    OrderFillVoided,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReported,
    Origin,
    Side,
    Terms,
    TimeInForce,
)
from ledger.nouns.orders.rejections import OrderRejection
from ledger.nouns.orders.state import OrderState
from ledger.nouns.orders.status import TRANSITIONS, Happening, OrderStatus

_EXPIRY_REASONS = {
    TimeInForce.IOC: "IOC: what was not filled at once is killed",
    TimeInForce.FOK: "FOK: could not be filled at once and whole",
}
"""Why an order of this kind expires, unless the venue gives another reason."""


def report(**terms: Unpack[Terms]) -> tuple[OrderEvent, ...]:
    """The venue speaks of an order that we never saw: it begins here, and the fact that told
    of it follows."""
    return (OrderReported(**terms, status=OrderStatus.PENDING, origin=Origin.EXTERNAL),)


def accept(state: OrderState, *, venue_order_id: str | None = None) -> tuple[OrderEvent, ...]:
    status, late = _after(state, Happening.ACCEPTED)
    return (
        OrderAccepted(
            account_id=state.account_id, status=status, venue_order_id=venue_order_id, late=late
        ),
    )


def reject(state: OrderState, *, reason: str | None = None) -> tuple[OrderEvent, ...]:
    """The venue refuses the order. Once a part has traded, that is a cancel of the rest."""
    status, late = _after(state, Happening.REJECTED)
    if status is OrderStatus.CANCELLED and not late:
        return (OrderCancelled(account_id=state.account_id, status=status, reason=reason),)
    return (OrderRejected(account_id=state.account_id, status=status, reason=reason, late=late),)


def cancel(state: OrderState, *, reason: str | None = None) -> tuple[OrderEvent, ...]:
    """The rest is cancelled, asked for or not."""
    status, late = _after(state, Happening.CANCELLED)
    return (OrderCancelled(account_id=state.account_id, status=status, reason=reason, late=late),)


def reject_cancel(state: OrderState, *, reason: str | None = None) -> tuple[OrderEvent, ...]:
    """The venue will not cancel. Late when no cancel was waiting for an answer."""
    return (
        OrderCancelRejected(
            account_id=state.account_id,
            status=state.status,
            reason=reason,
            late=not state.cancel_pending,
        ),
    )


def expire(state: OrderState, *, reason: str | None = None) -> tuple[OrderEvent, ...]:
    """The rest is dead by the order's own terms."""
    status, late = _after(state, Happening.EXPIRED)
    return (
        OrderExpired(
            account_id=state.account_id,
            status=status,
            reason=reason or _EXPIRY_REASONS.get(state.time_in_force),
            late=late,
        ),
    )


# --- new terms ------------------------------------------------------------------------


def replace(
    state: OrderState,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
    venue_order_id: str | None = None,
) -> tuple[OrderEvent, ...]:
    """New terms are in force, asked for or not. What the venue does not say is as the pending
    request asked, else as it was. At or below what is filled, the order is filled. On an ended
    order the terms are kept too (they were in force before it ended), and nothing reopens."""
    asked = state.replace_pending
    if asked is not None:
        quantity = asked.quantity if quantity is None else quantity
        price = asked.price if price is None else price
        stop_price = asked.stop_price if stop_price is None else stop_price
    quantity = state.quantity if quantity is None else quantity
    whole = quantity is not None and state.cum_qty >= quantity
    status, late = _after(state, Happening.WHOLLY_FILLED if whole else Happening.REPLACED)
    return (
        OrderReplaced(
            account_id=state.account_id,
            status=status,
            quantity=quantity,
            price=state.price if price is None else price,
            stop_price=state.stop_price if stop_price is None else stop_price,
            leaves_qty=_leaves(quantity, state.cum_qty, status),
            overfill_qty=_overfill(quantity, state.cum_qty),
            venue_order_id=venue_order_id,
            late=late,
        ),
    )


def reject_replace(state: OrderState, *, reason: str | None = None) -> tuple[OrderEvent, ...]:
    """The old terms stay. Late when no replace was waiting for an answer."""
    return (
        OrderReplaceRejected(
            account_id=state.account_id,
            status=state.status,
            reason=reason,
            late=state.replace_pending is None,
        ),
    )


# --- trades ---------------------------------------------------------------------------


def fill(
    state: OrderState,
    *,
    trade_id: str,
    last_qty: Decimal,
    last_px: Decimal,
    commission: Decimal = ZERO,
    commission_asset: str | None = None,
    liquidity_side: LiquiditySide | None = None,
) -> tuple[OrderEvent, ...]:
    """A trade, however late or large. One that is known with the same content is nothing new,
    also once it was voided: venues send again, and do not trade twice under one id."""
    if commission and commission_asset is None:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"trade {trade_id!r} has a commission",
            "name its asset",
        )
    known = state.trades.get(trade_id)
    if known is not None:
        if (
            known.last_qty == last_qty
            and known.last_px == last_px
            and known.commission == commission
            and known.commission_asset == commission_asset
            and known.liquidity_side is liquidity_side
        ):
            return ()
        return (
            OrderFillConflicted(
                **_what_trades(state),
                status=state.status,
                trade_id=trade_id,
                last_qty=last_qty,
                last_px=last_px,
                commission=commission,
                commission_asset=commission_asset,
                liquidity_side=liquidity_side,
            ),
        )
    cum_qty = state.cum_qty + last_qty
    cum_quote = state.cum_quote + last_qty * last_px
    whole = _is_whole(state, cum_qty, cum_quote)
    status, late = _after(state, Happening.WHOLLY_FILLED if whole else Happening.PARTLY_FILLED)
    return (
        OrderFilled(
            **_what_trades(state),
            status=status,
            trade_id=trade_id,
            last_qty=last_qty,
            last_px=last_px,
            commission=commission,
            commission_asset=commission_asset,
            liquidity_side=liquidity_side,
            cum_qty=cum_qty,
            cum_quote=cum_quote,
            avg_px=average(cum_quote, cum_qty),
            leaves_qty=_leaves(state.quantity, cum_qty, status),
            overfill_qty=_overfill(state.quantity, cum_qty),
            late=late,
        ),
    )


def void_fill(
    state: OrderState, *, trade_id: str, reason: str | None = None
) -> tuple[OrderEvent, ...]:
    """The venue takes a trade back. An open order has that quantity to fill again; an ended one
    stays ended. Taken back before, it does nothing."""
    trade = state.trades.get(trade_id)
    if trade is None:
        raise Rejection(
            OrderRejection.UNKNOWN_TRADE,
            f"order {state.order_id} has no trade {trade_id!r} to void",
        )
    if trade.voided:
        return ()
    cum_qty = state.cum_qty - trade.last_qty
    cum_quote = state.cum_quote - trade.last_qty * trade.last_px
    status = state.status
    if cum_qty == 0:
        status, _ = _after(state, Happening.UNFILLED)
    return (
        OrderFillVoided(
            **_what_trades(state),
            status=status,
            trade_id=trade_id,
            last_qty=trade.last_qty,
            last_px=trade.last_px,
            commission=trade.commission,
            commission_asset=trade.commission_asset,
            liquidity_side=trade.liquidity_side,
            cum_qty=cum_qty,
            cum_quote=cum_quote,
            avg_px=average(cum_quote, cum_qty) if cum_qty else None,
            leaves_qty=_leaves(state.quantity, cum_qty, status),
            overfill_qty=_overfill(state.quantity, cum_qty),
            reason=reason,
        ),
    )


# --- shared ---------------------------------------------------------------------------


def _after(state: OrderState, happening: Happening) -> tuple[OrderStatus, bool]:
    """The status that follows, and whether the happening came too late to change it."""
    following = TRANSITIONS.get((state.status, happening))
    return (state.status, True) if following is None else (following, False)


def _is_whole(state: OrderState, cum_qty: Decimal, cum_quote: Decimal) -> bool:
    if state.quantity is not None:
        return cum_qty >= state.quantity
    return state.quote_quantity is not None and cum_quote >= state.quote_quantity


def _leaves(quantity: Decimal | None, cum_qty: Decimal, status: OrderStatus) -> Decimal | None:
    """What is still to trade; unknown (None) while a budget is being spent."""
    if status.is_terminal:
        return ZERO
    return None if quantity is None else max(quantity - cum_qty, ZERO)


def _overfill(quantity: Decimal | None, cum_qty: Decimal) -> Decimal:
    return ZERO if quantity is None else max(cum_qty - quantity, ZERO)


class _WhatTrades(TypedDict):
    account_id: UUID
    instrument: str
    base_asset: str
    quote_asset: str
    side: Side
    sub_account: str
    strategy_id: str | None


def _what_trades(state: OrderState) -> _WhatTrades:
    return {
        "account_id": state.account_id,
        "instrument": state.instrument,
        "base_asset": state.base_asset,
        "quote_asset": state.quote_asset,
        "side": state.side,
        "sub_account": state.sub_account,
        "strategy_id": state.strategy_id,
    }
