"""Orders: what decisions know of an order, how events change it, and what it must hold."""

from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.kernel.environment import Environment
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO, average
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.accounts.events import MAIN, ClosingOrder, OcoMember
from ledger.nouns.instruments.contract import Contract, share
from ledger.nouns.orders.events import (
    Execution,
    ExecutionKind,
    Fee,
    LiquiditySide,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderCommissionCorrected,
    OrderCommissionReported,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderFillVoided,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplaceRequested,
    OrderTerms,
    OrderType,
    OrderVoidReported,
    PositionSide,
    Purpose,
    Side,
    TimeInForce,
    VenueFact,
    hold_asset,
)
from ledger.nouns.orders.status import OrderStatus


class Trade(msgspec.Struct, gc=False):
    """A trade as it is booked. A voided one stays known, and what was booked under its id before:
    a venue that tells one of them again tells nothing new. `told` are the fees of the fill's own
    report, once they were corrected."""

    side: Side
    last_qty: Decimal
    last_px: Decimal
    quote_quantity: Decimal | None
    fees: tuple[Fee, ...]
    liquidity_side: LiquiditySide | None
    execution_kind: ExecutionKind
    settled_in_main: bool = False
    contradicts: tuple[str, ...] = ()
    voided: bool = False
    told: tuple[Fee, ...] | None = None
    split_to: Decimal | None = None
    """What its quantity has become by splits since."""
    earlier: tuple["Trade", ...] = ()

    @property
    def quote_moved(self) -> Decimal:
        return self.last_qty * self.last_px if self.quote_quantity is None else self.quote_quantity

    @property
    def counts_for(self) -> Decimal:
        """How much of the order it has filled, as that is counted now."""
        return self.last_qty if self.split_to is None else self.split_to

    @property
    def revision(self) -> int:
        return len(self.earlier) + 1

    def is_told_by(self, execution: "Trade") -> bool:
        """Whether the venue tells of this trade, or of one that was under its id before."""
        return any(
            (
                known.side is execution.side
                and known.last_qty == execution.last_qty
                and known.last_px == execution.last_px
                and known.quote_quantity == execution.quote_quantity
                and known.liquidity_side is execution.liquidity_side
                and known.execution_kind is execution.execution_kind
                and _are_charged(execution.fees, known)
            )
            for known in (self, *self.earlier)
        )


def _are_charged(fees: tuple[Fee, ...], known: Trade) -> bool:
    """Whether these are the fees of a trade, now or as its report told them."""
    return set(fees) in (set(known.fees), None if known.told is None else set(known.told))


class Foretold(msgspec.Struct, gc=False):
    """What the venue told about a trade before the trade itself."""

    fees: tuple[Fee, ...] | None = None
    voided: bool = False
    reason: str | None = None


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
    order_type: OrderType | None
    sub_account: str
    strategy_id: str | None
    time_in_force: TimeInForce | None
    fee_rate: Decimal
    quantity: Decimal | None
    quote_quantity: Decimal | None
    price: Decimal | None
    stop_price: Decimal | None
    iceberg_qty: Decimal | None
    reduce_only: bool
    position_side: PositionSide | None
    oco_group: UUID | None
    purpose: Purpose | None
    signal_id: str | None
    environment: Environment | None
    contract: Contract | None
    margin_rate: Decimal | None
    closing_quantity: Decimal
    venue_order_id: str | None
    former_venue_order_ids: list[str] = msgspec.field(default_factory=list)
    """Those that it had before it was replaced."""
    status: OrderStatus
    cum_qty: Decimal = ZERO
    cum_quote: Decimal = ZERO
    trades: dict[str, Trade] = msgspec.field(default_factory=dict)
    foretold: dict[str, Foretold] = msgspec.field(default_factory=dict)
    """By the id of a trade that has not come."""
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
    if isinstance(event, VenueFact | Execution):
        _know_by_venue_id(state, event)
        if isinstance(event, VenueFact) and event.superseded:
            return state
    match event:
        case Execution():
            _execute(state, event)
        case OrderVoidReported() | OrderCommissionReported():
            _foretell(state, event)
        case OrderCancelRequested():
            state.cancel_pending = True
        case OrderCancelled() | OrderCancelRejected():
            state.cancel_pending = False
        case OrderReplaceRequested():
            state.replace_pending = ReplaceRequest(event.quantity, event.price, event.stop_price)
        case OrderReplaced() | OrderAdjusted():
            _change_terms(state, event)
        case OrderReplaceRejected():
            state.replace_pending = None
        case _:
            pass  # accepted, rejected, completed, expired: the status says it all
    return state


def _change_terms(state: OrderState, event: OrderReplaced | OrderAdjusted) -> None:
    state.quantity = event.quantity
    state.price = event.price
    state.stop_price = event.stop_price
    if isinstance(event, OrderReplaced):
        state.iceberg_qty = iceberg_of(state.iceberg_qty, event.quantity)
        state.replace_pending = None
        return
    state.instrument = event.instrument
    state.base_asset, state.quote_asset = event.base_asset, event.quote_asset
    state.contract = event.contract
    state.cum_qty = event.cum_qty
    state.iceberg_qty, state.closing_quantity = event.iceberg_qty, event.closing_quantity
    for trade in state.trades.values():
        trade.split_to = share(
            trade.counts_for, Decimal(event.numerator), Decimal(event.denominator)
        )


def _begun(event: OrderTerms, order_id: UUID) -> OrderState:
    return OrderState(
        order_id=order_id,
        account_id=event.account_id,
        instrument=event.instrument,
        base_asset=event.base_asset,
        quote_asset=event.quote_asset,
        side=event.side,
        order_type=event.order_type,
        # Whether there is a sub-account of the name, nobody has asked for a denied order.
        sub_account=MAIN if isinstance(event, OrderDenied) else event.sub_account,
        strategy_id=event.strategy_id,
        time_in_force=event.time_in_force,
        fee_rate=event.fee_rate,
        quantity=event.quantity,
        quote_quantity=event.quote_quantity,
        price=event.price,
        stop_price=event.stop_price,
        iceberg_qty=event.iceberg_qty,
        reduce_only=event.reduce_only,
        position_side=event.position_side,
        oco_group=event.oco_group,
        purpose=event.purpose,
        signal_id=event.signal_id,
        environment=event.environment,
        contract=event.contract,
        margin_rate=event.margin_rate,
        closing_quantity=event.closing_quantity,
        venue_order_id=event.venue_order_id,
        status=event.status,
    )


def iceberg_of(iceberg_qty: Decimal | None, quantity: Decimal | None) -> Decimal | None:
    """How much of an order is shown when its quantity has changed: never more than all of it."""
    if iceberg_qty is None or quantity is None:
        return iceberg_qty
    return min(iceberg_qty, quantity)


def gives_venue_id(event: VenueFact | Execution, known: str | None) -> bool:
    """Whether the order has the event's venue_order_id from here on. The first that is told is its
    id; another one only if the venue has accepted or replaced the order under it."""
    if event.venue_order_id is None or (isinstance(event, VenueFact) and event.superseded):
        return False
    return known is None or isinstance(event, OrderAccepted | OrderReplaced)


def _know_by_venue_id(state: OrderState, event: VenueFact | Execution) -> None:
    known, told = state.venue_order_id, event.venue_order_id
    if not gives_venue_id(event, known):
        return
    if known is not None and known != told:
        state.former_venue_order_ids.append(known)
    state.venue_order_id = told


def _execute(state: OrderState, event: Execution) -> None:
    match event:
        case OrderFilled():
            state.cum_qty = event.cum_qty
            state.cum_quote = event.cum_quote
            state.trades[event.trade_id] = _booked(event, state.trades.get(event.trade_id))
            foretold = state.foretold.get(event.trade_id)
            if foretold is not None and set(foretold.fees or ()) == set(event.charged):
                _fees_have_come(state, event.trade_id, foretold)
        case OrderFillVoided():
            state.cum_qty = event.cum_qty
            state.cum_quote = event.cum_quote
            state.trades[event.trade_id].voided = True
            state.foretold.pop(event.trade_id, None)
        case OrderCommissionCorrected():
            _correct_fees(state, event)
        case _:
            pass  # a conflict is known, and changes nothing


def _booked(event: OrderFilled, known: Trade | None) -> Trade:
    trade = Trade(
        side=event.side,
        last_qty=event.last_qty,
        last_px=event.last_px,
        quote_quantity=event.quote_quantity,
        fees=event.charged,
        liquidity_side=event.liquidity_side,
        execution_kind=event.execution_kind,
        settled_in_main=event.settled_in_main,
        contradicts=event.contradicts,
    )
    if known is not None:
        trade.earlier = (*known.earlier, msgspec.structs.replace(known, earlier=()))
    return trade


def _correct_fees(state: OrderState, event: OrderCommissionCorrected) -> None:
    trade = state.trades[event.trade_id]
    if trade.told is None:
        trade.told = trade.fees
    trade.fees = event.charged
    foretold = state.foretold.get(event.trade_id)
    if foretold is not None:
        _fees_have_come(state, event.trade_id, foretold)


def _fees_have_come(state: OrderState, trade_id: str, foretold: Foretold) -> None:
    foretold.fees = None
    if not foretold.voided:
        del state.foretold[trade_id]


def _foretell(state: OrderState, event: OrderVoidReported | OrderCommissionReported) -> None:
    foretold = state.foretold.setdefault(event.trade_id, Foretold())
    if isinstance(event, OrderVoidReported):
        foretold.voided, foretold.reason = True, event.reason
    else:
        foretold.fees = event.fees


ORDER = Aggregate("order", OrderState, 3, evolve)


# --- what an order holds --------------------------------------------------------------


class RequiredHold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order asks of its account: how much of which asset it must keep locked, taken alone,
    and, while it is open, what it is in its group. What it is for, and the price that it names, are
    told with its trades."""

    order_id: UUID
    sub_account: str
    asset: str
    side: Side
    amount: Decimal
    is_open: bool
    oco_group: UUID | None = None
    member: OcoMember | None = None
    closing: ClosingOrder | None = None
    contract: Contract | None = None
    margin_rate: Decimal | None = None
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    purpose: Purpose | None = None
    signal_id: str | None = None
    named_price: Decimal | None = None


def required_hold(
    state: OrderState,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> RequiredHold:
    """What the order must hold now, nothing once it has ended; or would have to under new terms,
    of which those that are absent stay as they are."""
    quantity = state.quantity if quantity is None else quantity
    price = state.price if price is None else price
    stop_price = state.stop_price if stop_price is None else stop_price
    is_open = not state.status.is_terminal
    unit = _hold_of_unit(state, price, stop_price)
    if state.contract is not None and quantity is not None and not _opens(state, quantity):
        unit = ZERO
    member = None
    if is_open and state.oco_group is not None and quantity is not None:
        member = OcoMember(
            order_id=state.order_id,
            instrument=state.instrument,
            quantity=quantity,
            unit=unit,
            purpose=state.purpose,
            level=_level(state, price, stop_price),
        )
    return RequiredHold(
        order_id=state.order_id,
        sub_account=state.sub_account,
        asset=hold_asset(state),
        side=state.side,
        amount=_hold(state, quantity, price, unit) if is_open else ZERO,
        is_open=is_open,
        oco_group=state.oco_group,
        member=member,
        closing=_closing(state, quantity) if is_open else None,
        contract=state.contract,
        margin_rate=state.margin_rate,
        position_side=state.position_side or PositionSide.BOTH,
        purpose=state.purpose,
        signal_id=state.signal_id,
        named_price=stop_price if price is None else price,
        reduce_only=state.reduce_only,
    )


def _closing(state: OrderState, quantity: Decimal | None) -> ClosingOrder | None:
    """What is left of the part that closes something."""
    whole = quantity if state.reduce_only else state.closing_quantity
    if not whole:
        return None
    return ClosingOrder(
        instrument=state.instrument,
        position_side=state.position_side or PositionSide.BOTH,
        side=state.side,
        quantity=max(whole - state.cum_qty, ZERO),
        oco_group=state.oco_group,
    )


def _hold(
    state: OrderState, quantity: Decimal | None, price: Decimal | None, unit: Decimal
) -> Decimal:
    if state.quote_quantity is not None:
        rest = max(state.quote_quantity - state.cum_quote, ZERO)
        if state.side is Side.BUY:
            return rest
        return average(rest, price) if price else ZERO
    if quantity is None:  # first heard of from the venue, which did not tell it
        return ZERO
    leaves = max(quantity - state.cum_qty, ZERO)
    if state.contract is not None:
        leaves = min(leaves, _opens(state, quantity))
    return leaves * unit


def _opens(state: OrderState, quantity: Decimal) -> Decimal:
    """How much of it is not to close something."""
    closing = quantity if state.reduce_only else state.closing_quantity
    return max(quantity - closing, ZERO)


def _hold_of_unit(state: OrderState, price: Decimal | None, stop_price: Decimal | None) -> Decimal:
    """What one unit of the base asset takes. Nothing for a BUY that nobody gave a price."""
    if state.contract is not None:
        return _margin_of_unit(state, state.contract, stop_price if price is None else price)
    if state.side is Side.SELL:
        return Decimal(1)
    if state.order_type is OrderType.MARKET:
        return ZERO if price is None else max(price, ZERO)
    limit = stop_price if price is None else price
    return ZERO if limit is None else max(limit, ZERO) * (1 + state.fee_rate)


def _margin_of_unit(state: OrderState, contract: Contract, price: Decimal | None) -> Decimal:
    """What one contract takes to open: its margin and fee; its premium, where that is paid."""
    if price is None or price <= 0:
        return ZERO
    pays = contract.premium_paid and state.side is Side.BUY
    rate = Decimal(1) if pays or state.margin_rate is None else state.margin_rate
    return contract.value(Decimal(1), price) * (rate + state.fee_rate)


def _level(state: OrderState, price: Decimal | None, stop_price: Decimal | None) -> Decimal | None:
    """The price by which an order is known among those of its group: of a stop what sets it off, of
    all others what it trades at. An estimate is none."""
    if state.purpose is None or state.order_type is OrderType.MARKET:
        return None
    if state.purpose is Purpose.STOP_LOSS or price is None:
        return stop_price or price
    return price
