"""Orders: what the venue tells about them. Nothing here is refused but what cannot be
understood: each fact is recorded, and one that does not fit the order says in which way.
"""

from decimal import Decimal
from typing import Required, TypedDict, Unpack
from uuid import UUID

from msgspec.structs import replace as changed

from ledger.kernel.environment import Environment
from ledger.kernel.money import ZERO, average
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.instruments.contract import Contract, share
from ledger.nouns.orders.events import (
    ExecutionKind,
    Fee,
    LiquiditySide,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderCancelRejected,
    OrderCommissionCorrected,
    OrderCommissionReported,
    OrderCompleted,
    OrderEvent,
    OrderExpired,
    OrderFillConflicted,
    OrderFilled,
    OrderFillVoided,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReported,
    OrderVoidReported,
    Origin,
    ReportTerms,
    Side,
    TimeInForce,
    charged,
)
from ledger.nouns.orders.state import OrderState, Trade
from ledger.nouns.orders.status import TRANSITIONS, Happening, OrderStatus

_EXPIRY_REASONS = {
    TimeInForce.IOC: "IOC: what was not filled at once is killed",
    TimeInForce.FOK: "FOK: could not be filled at once and whole",
    TimeInForce.GTD: "GTD: its time has come",
    TimeInForce.DAY: "DAY: its trading day has ended",
}
"""Why an order of this kind expires, unless the venue gives another reason."""


def report(*, wrong_venue: bool = False, **terms: Unpack[ReportTerms]) -> tuple[OrderEvent, ...]:
    """The venue speaks of an order that we never saw: it begins here, and the fact that told
    of it follows."""
    return (
        OrderReported(
            **terms, status=OrderStatus.PENDING, origin=Origin.EXTERNAL, wrong_venue=wrong_venue
        ),
    )


def accept(state: OrderState, *, venue_order_id: str | None = None) -> tuple[OrderEvent, ...]:
    return (OrderAccepted(**_said(state, Happening.ACCEPTED, venue_order_id)),)


def reject(
    state: OrderState, *, reason: str | None = None, venue_order_id: str | None = None
) -> tuple[OrderEvent, ...]:
    """The venue refuses the order. Once a part has traded, that is a cancel of the rest."""
    said = _said(state, Happening.REJECTED, venue_order_id)
    if said["status"] is OrderStatus.CANCELLED and not (said["late"] or said["superseded"]):
        return (OrderCancelled(**said, reason=reason),)
    return (OrderRejected(**said, reason=reason),)


def cancel(
    state: OrderState, *, reason: str | None = None, venue_order_id: str | None = None
) -> tuple[OrderEvent, ...]:
    """The rest is cancelled, asked for or not."""
    said = _said(state, Happening.CANCELLED, venue_order_id)
    return (OrderCancelled(**said, reason=reason),)


def complete(
    state: OrderState, *, reason: str | None = None, venue_order_id: str | None = None
) -> tuple[OrderEvent, ...]:
    """The order is done, whatever we think is open of it: a budget that no lot size divides, a
    rest that the venue forgives."""
    said = _said(state, Happening.COMPLETED, venue_order_id)
    return (OrderCompleted(**said, reason=reason),)


def expire(
    state: OrderState, *, reason: str | None = None, venue_order_id: str | None = None
) -> tuple[OrderEvent, ...]:
    """The rest is dead by the order's own terms."""
    said = _said(state, Happening.EXPIRED, venue_order_id)
    lasts = state.time_in_force
    if reason is None and lasts is not None:
        reason = _EXPIRY_REASONS.get(lasts)
    return (OrderExpired(**said, reason=reason),)


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
    order the terms are kept too (they were in force before it ended), and nothing reopens. Told of
    an earlier replacement than the last, the terms stay."""
    asked = state.replace_pending
    if venue_order_id in state.former_venue_order_ids:
        quantity = price = stop_price = None
    elif asked is not None:
        quantity = asked.quantity if quantity is None else quantity
        price = asked.price if price is None else price
        stop_price = asked.stop_price if stop_price is None else stop_price
    quantity = state.quantity if quantity is None else quantity
    whole = quantity is not None and state.cum_qty >= quantity
    happening = Happening.WHOLLY_FILLED if whole else Happening.REPLACED
    said = _said(state, happening, venue_order_id)
    return (
        OrderReplaced(
            **said,
            quantity=quantity,
            price=state.price if price is None else price,
            stop_price=state.stop_price if stop_price is None else stop_price,
            leaves_qty=_leaves(quantity, state.cum_qty, said["status"]),
            overfill_qty=_overfill(quantity, state.cum_qty),
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
    fees: tuple[Fee, ...] = (),
    liquidity_side: LiquiditySide | None = None,
    quote_quantity: Decimal | None = None,
    execution_kind: ExecutionKind = ExecutionKind.TRADE,
    side: Side | None = None,
    instrument: str | None = None,
    venue_order_id: str | None = None,
) -> tuple[OrderEvent, ...]:
    """A trade, however late or large, at whatever price. One that is known with the same content is
    nothing new, also once it was voided: venues send again. Under the id of a voided one another
    content is another trade."""
    if commission and commission_asset is None:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"trade {trade_id!r} has a commission",
            "name its asset",
        )
    trade = Trade(
        side=side or state.side,
        last_qty=last_qty,
        last_px=last_px,
        quote_quantity=quote_quantity,
        fees=charged(commission, commission_asset, fees),
        liquidity_side=liquidity_side,
        execution_kind=execution_kind,
        settled_in_main=state.strategy_id not in (None, state.sub_account),
        contradicts=_contradictions(state, side, instrument),
    )
    known = state.trades.get(trade_id)
    if known is not None and known.is_told_by(trade):
        return ()
    told = _what_trades(state, trade_id, trade)
    told["venue_order_id"] = venue_order_id
    if not trade.fees:  # as it was told: an asset in which nothing was charged
        told["commission_asset"] = commission_asset
    if known is not None and not known.voided:
        told["revision"] = known.revision
        return (OrderFillConflicted(**told, status=state.status),)
    if known is not None:
        told["revision"] = known.revision + 1
    cum_qty = state.cum_qty + last_qty
    cum_quote = state.cum_quote + trade.quote_moved
    whole = _is_whole(state, cum_qty, cum_quote)
    status, late = _after(state, Happening.WHOLLY_FILLED if whole else Happening.PARTLY_FILLED)
    return (
        OrderFilled(
            **told,
            status=status,
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
    stays ended. Taken back before, it does nothing; not told of yet, it is void when it comes."""
    trade = state.trades.get(trade_id)
    if trade is None:
        foretold = state.foretold.get(trade_id)
        if foretold is not None and foretold.voided:
            return ()
        return (
            OrderVoidReported(
                account_id=state.account_id, status=state.status, trade_id=trade_id, reason=reason
            ),
        )
    if trade.voided:
        return ()
    cum_qty = state.cum_qty - trade.counts_for
    cum_quote = state.cum_quote - trade.quote_moved
    status = state.status
    if cum_qty == 0:
        status, _ = _after(state, Happening.UNFILLED)
    return (
        OrderFillVoided(
            **_what_trades(state, trade_id, trade),
            status=status,
            cum_qty=cum_qty,
            cum_quote=cum_quote,
            avg_px=average(cum_quote, cum_qty) if cum_qty else None,
            leaves_qty=_leaves(state.quantity, cum_qty, status),
            overfill_qty=_overfill(state.quantity, cum_qty),
            reason=reason,
        ),
    )


def adjust(
    state: OrderState,
    *,
    instrument: str,
    base_asset: str,
    quote_asset: str,
    contract: Contract | None,
    numerator: int,
    denominator: int,
) -> tuple[OrderEvent, ...]:
    """What is traded was split, or has another name: as much more is ordered for as much less each.
    Of a price that does not come out even, the 18th place is rounded."""
    more = (Decimal(numerator), Decimal(denominator))
    less = (Decimal(denominator), Decimal(numerator))

    def each(amount: Decimal | None, ratio: tuple[Decimal, Decimal]) -> Decimal | None:
        return None if amount is None else share(amount, *ratio)

    quantity, cum_qty = each(state.quantity, more), share(state.cum_qty, *more)
    return (
        OrderAdjusted(
            account_id=state.account_id,
            status=state.status,
            instrument=instrument,
            base_asset=base_asset,
            quote_asset=quote_asset,
            numerator=numerator,
            denominator=denominator,
            quantity=quantity,
            price=each(state.price, less),
            stop_price=each(state.stop_price, less),
            iceberg_qty=each(state.iceberg_qty, more),
            closing_quantity=share(state.closing_quantity, *more),
            cum_qty=cum_qty,
            leaves_qty=_leaves(quantity, cum_qty, state.status),
            contract=contract,
        ),
    )


def correct_commission(
    state: OrderState, *, trade_id: str, fees: tuple[Fee, ...]
) -> tuple[OrderEvent, ...]:
    """What a trade was charged in all is told after it, or told otherwise. Known, it does nothing;
    of a trade not told of yet, it is what that is charged when it comes."""
    trade = state.trades.get(trade_id)
    if trade is None:
        foretold = state.foretold.get(trade_id)
        if foretold is not None and foretold.fees == fees:
            return ()
        return (
            OrderCommissionReported(
                account_id=state.account_id, status=state.status, trade_id=trade_id, fees=fees
            ),
        )
    if set(trade.fees) == set(fees):
        return ()
    return (
        OrderCommissionCorrected(
            **_what_trades(state, trade_id, changed(trade, fees=fees)),
            status=state.status,
            previous_fees=trade.fees,
            voided=trade.voided,
        ),
    )


# --- shared ---------------------------------------------------------------------------


class _Said(TypedDict):
    """What a fact of the venue says of itself."""

    account_id: UUID
    status: OrderStatus
    venue_order_id: str | None
    late: bool
    superseded: bool


def _said(state: OrderState, happening: Happening, venue_order_id: str | None) -> _Said:
    superseded = venue_order_id in state.former_venue_order_ids
    status, late = (state.status, False) if superseded else _after(state, happening)
    return {
        "account_id": state.account_id,
        "status": status,
        "venue_order_id": venue_order_id,
        "late": late,
        "superseded": superseded,
    }


def _after(state: OrderState, happening: Happening) -> tuple[OrderStatus, bool]:
    """The status that follows, and whether the happening came too late to change it."""
    following = TRANSITIONS.get((state.status, happening))
    return (state.status, True) if following is None else (following, False)


def _is_whole(state: OrderState, cum_qty: Decimal, cum_quote: Decimal) -> bool:
    if state.quantity is not None:
        return cum_qty >= state.quantity
    return state.quote_quantity is not None and cum_quote >= state.quote_quantity


def _leaves(quantity: Decimal | None, cum_qty: Decimal, status: OrderStatus) -> Decimal | None:
    """What is still to trade; unknown (None) while a budget is being spent, and of an order whose
    quantity nobody told."""
    if status.is_terminal:
        return ZERO
    return None if quantity is None else max(quantity - cum_qty, ZERO)


def _overfill(quantity: Decimal | None, cum_qty: Decimal) -> Decimal:
    return ZERO if quantity is None else max(cum_qty - quantity, ZERO)


def _contradictions(
    state: OrderState, side: Side | None, instrument: str | None
) -> tuple[str, ...]:
    """What the venue tells of a trade otherwise than the order says."""
    told = (("side", side, state.side), ("instrument", instrument, state.instrument))
    return tuple([name for name, said, known in told if said not in (None, known)])


class _Executed(TypedDict, total=False):
    """What an event says of the trade that it is about."""

    account_id: Required[UUID]
    instrument: Required[str]
    base_asset: Required[str]
    quote_asset: Required[str]
    sub_account: Required[str]
    strategy_id: str | None
    environment: Environment | None
    trade_id: Required[str]
    side: Required[Side]
    last_qty: Required[Decimal]
    last_px: Required[Decimal]
    commission: Decimal
    commission_asset: str | None
    fees: tuple[Fee, ...]
    quote_quantity: Decimal | None
    liquidity_side: LiquiditySide | None
    execution_kind: ExecutionKind
    contradicts: tuple[str, ...]
    settled_in_main: bool
    revision: int
    venue_order_id: str | None


def _what_trades(state: OrderState, trade_id: str, trade: Trade) -> _Executed:
    what: _Executed = {
        "account_id": state.account_id,
        "instrument": state.instrument,
        "base_asset": state.base_asset,
        "quote_asset": state.quote_asset,
        "sub_account": state.sub_account,
        "strategy_id": state.strategy_id,
        "environment": state.environment,
        "trade_id": trade_id,
        "side": trade.side,
        "last_qty": trade.last_qty,
        "last_px": trade.last_px,
        "quote_quantity": trade.quote_quantity,
        "liquidity_side": trade.liquidity_side,
        "execution_kind": trade.execution_kind,
        "contradicts": trade.contradicts,
        "settled_in_main": trade.settled_in_main,
        "revision": trade.revision,
    }
    if len(trade.fees) == 1:
        (fee,) = trade.fees
        what["commission"], what["commission_asset"] = fee.amount, fee.asset
    else:
        what["fees"] = trade.fees
    return what
