"""Orders: what decisions know of an order, how events change it, and what it must hold."""

from decimal import Decimal
from typing import Protocol
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.orders.events import (
    LiquiditySide,
    Market,
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderEvent,
    OrderFilled,
    OrderFillVoided,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplaceRequested,
    OrderTerms,
    OrderType,
    Side,
    TimeInForce,
)
from ledger.nouns.orders.status import OrderStatus


class Trade(msgspec.Struct, gc=False):
    """A trade as first reported. A voided one stays known: its id is used up."""

    last_qty: Decimal
    last_px: Decimal
    commission: Decimal
    commission_asset: str | None
    liquidity_side: LiquiditySide | None
    voided: bool = False


class ReplaceRequest(msgspec.Struct, gc=False):
    """What a pending replace asked for; absent fields stay as they are."""

    quantity: Decimal | None
    price: Decimal | None
    stop_price: Decimal | None


class OrderState(EvolvingState, gc=False, kw_only=True):
    """What decisions about an order need to know."""

    order_id: UUID
    account_id: UUID
    instrument: str
    base_asset: str
    quote_asset: str
    side: Side
    order_type: OrderType
    sub_account: str
    strategy_id: str | None
    time_in_force: TimeInForce
    fee_rate: Decimal
    quantity: Decimal | None
    quote_quantity: Decimal | None
    price: Decimal | None
    stop_price: Decimal | None
    status: OrderStatus
    cum_qty: Decimal = ZERO
    cum_quote: Decimal = ZERO
    trades: dict[str, Trade] = msgspec.field(default_factory=dict)
    cancel_pending: bool = False
    replace_pending: ReplaceRequest | None = None


def evolve(state: OrderState | None, event: Event, stream_id: UUID) -> OrderState:
    """The state after an event."""
    if isinstance(event, OrderTerms):
        return _begun(event, stream_id)
    if state is None or not isinstance(event, OrderEvent):
        raise TypeError(
            f"{type(event).__name__} is not how the order {stream_id} can begin or go on"
        )
    state.status = event.status
    match event:
        case OrderFilled():
            state.cum_qty = event.cum_qty
            state.cum_quote = event.cum_quote
            state.trades[event.trade_id] = Trade(
                event.last_qty,
                event.last_px,
                event.commission,
                event.commission_asset,
                event.liquidity_side,
            )
        case OrderFillVoided():
            state.cum_qty = event.cum_qty
            state.cum_quote = event.cum_quote
            state.trades[event.trade_id].voided = True
        case OrderCancelRequested():
            state.cancel_pending = True
        case OrderCancelled() | OrderCancelRejected():
            state.cancel_pending = False
        case OrderReplaceRequested():
            state.replace_pending = ReplaceRequest(event.quantity, event.price, event.stop_price)
        case OrderReplaced():
            state.quantity = event.quantity
            state.price = event.price
            state.stop_price = event.stop_price
            state.replace_pending = None
        case OrderReplaceRejected():
            state.replace_pending = None
        case _:
            pass  # accepted, rejected, expired, a fill conflict: the status says it all
    return state


def _begun(event: OrderTerms, order_id: UUID) -> OrderState:
    return OrderState(
        order_id=order_id,
        account_id=event.account_id,
        instrument=event.instrument,
        base_asset=event.base_asset,
        quote_asset=event.quote_asset,
        side=event.side,
        order_type=event.order_type,
        sub_account=event.sub_account,
        strategy_id=event.strategy_id,
        time_in_force=event.time_in_force,
        fee_rate=event.fee_rate,
        quantity=event.quantity,
        quote_quantity=event.quote_quantity,
        price=event.price,
        stop_price=event.stop_price,
        status=event.status,
    )


ORDER = Aggregate("order", OrderState, 1, evolve)


# --- what an order holds --------------------------------------------------------------


class _Terms(Market, Protocol):
    """What an order's hold follows from: of the event that begins it, and of its state."""

    @property
    def order_type(self) -> OrderType: ...
    @property
    def status(self) -> OrderStatus: ...
    @property
    def quote_quantity(self) -> Decimal | None: ...
    @property
    def fee_rate(self) -> Decimal: ...


def hold_of_new(terms: OrderTerms) -> Decimal:
    """How much of `hold_asset` an order must lock when it begins."""
    return _hold(terms, terms.quantity, terms.price, terms.stop_price, ZERO, ZERO)


def hold_required(state: OrderState) -> Decimal:
    """How much of `hold_asset` the order must keep locked now; nothing once it has ended."""
    return hold_if_replaced(state)


def hold_if_replaced(
    state: OrderState,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> Decimal:
    """What `hold_required` would be under the new terms; absent terms stay as they are."""
    return _hold(
        state,
        state.quantity if quantity is None else quantity,
        state.price if price is None else price,
        state.stop_price if stop_price is None else stop_price,
        state.cum_qty,
        state.cum_quote,
    )


def _hold(
    terms: _Terms,
    quantity: Decimal | None,
    price: Decimal | None,
    stop_price: Decimal | None,
    cum_qty: Decimal,
    cum_quote: Decimal,
) -> Decimal:
    if terms.status.is_terminal:
        return ZERO
    leaves = ZERO if quantity is None else max(quantity - cum_qty, ZERO)
    if terms.side is Side.SELL:
        return leaves
    if terms.order_type is OrderType.MARKET:
        if terms.quote_quantity is not None:
            return max(terms.quote_quantity - cum_quote, ZERO)
        # A market order first heard of from the venue may come without an estimate.
        return ZERO if price is None else leaves * price
    limit = stop_price if price is None else price
    return ZERO if limit is None else leaves * limit * (1 + terms.fee_rate)
