"""Orders: what each of their commands means.

    request   ask the rules of account, allocation, instrument and order; what they refuse leaves a
              denied order, so that attempts can be audited
    fact      record it on the order, then what follows from it on the order's account

Whatever happens to an order, its account follows in the same transaction: trades move money, and
the account holds what `required_hold` says. The account's events name the order's as their cause.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ledger.kernel.command import Command
from ledger.kernel.money import ZERO
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts import settlement
from ledger.nouns.accounts.events import MAIN
from ledger.nouns.accounts.handlers import own_account
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import AccountState, check_active
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.allocations.handlers import allocations_of
from ledger.nouns.allocations.state import stream_id as allocation_stream
from ledger.nouns.instruments import rules as instrument_rules
from ledger.nouns.instruments.handlers import listed_instrument
from ledger.nouns.instruments.state import InstrumentState
from ledger.nouns.instruments.state import stream_id as instrument_stream
from ledger.nouns.limits.assess import LimitExceeded, record_trips
from ledger.nouns.limits.state import SYSTEM_STREAM
from ledger.nouns.orders import facts, risk, rules
from ledger.nouns.orders.commands import (
    AcceptOrder,
    CancelOrder,
    CompleteOrder,
    CorrectCommission,
    ExpireOrder,
    OrderCommandData,
    OrderFactData,
    RecordFill,
    RejectCancel,
    RejectOrder,
    RejectReplace,
    ReplaceOrder,
    RequestCancel,
    RequestReplace,
    SubmitOrder,
    VoidFill,
)
from ledger.nouns.orders.events import (
    OrderCommissionCorrected,
    OrderEvent,
    OrderFillConflicted,
    OrderFilled,
    OrderFillVoided,
    OrderType,
    PositionSide,
    SubmitTerms,
)
from ledger.nouns.orders.rejections import OrderRejection
from ledger.nouns.orders.state import ORDER, OrderState, evolve, required_hold
from ledger.nouns.positions import exposure
from ledger.nouns.positions.leverage import margin_rate_of
from ledger.nouns.positions.position import PositionKey


def _reads(command: Command, data: OrderCommandData) -> Iterator[UUID]:
    assert command.account_id is not None
    yield command.account_id
    yield data.order_id
    if isinstance(data, SubmitOrder | OrderFactData) and data.instrument is not None:
        yield instrument_stream(data.instrument)
    if isinstance(data, SubmitOrder | OrderFactData) and data.strategy_id is not None:
        yield allocation_stream(command.account_id)
    if isinstance(data, SubmitOrder | RequestReplace):
        yield SYSTEM_STREAM


def _instrument_of_order(
    _: Command, data: RequestReplace, state_of: Callable[[UUID], Any]
) -> Iterator[UUID]:
    """A replace does not say which instrument its order is for."""
    state = state_of(data.order_id)
    if isinstance(state, OrderState):
        yield instrument_stream(state.instrument)


# --- requests -------------------------------------------------------------------------


@handles(SubmitOrder, reads=_reads)
def submit_order(work: UnitOfWork, data: SubmitOrder) -> None:
    """Refusals by the rules leave a denied order. Not so an order id that is taken, or an account
    or instrument that is unknown: there is nothing to record such an attempt on."""
    state = own_account(work)
    listed = listed_instrument(work, data.instrument)
    known = work.state(ORDER, data.order_id)
    terms: SubmitTerms = {
        "account_id": work.account_id,
        "instrument": data.instrument,
        "base_asset": listed.base_asset,
        "quote_asset": listed.quote_asset,
        "side": data.side,
        "order_type": data.order_type,
        "sub_account": allocation_rules.sub_account_of(data.strategy_id),
        "quantity": data.quantity,
        "quote_quantity": data.quote_quantity,
        "price": data.price,
        "stop_price": data.stop_price,
        "time_in_force": data.time_in_force,
        "post_only": data.post_only,
        "reduce_only": data.reduce_only,
        "iceberg_qty": data.iceberg_qty,
        "position_side": data.position_side,
        "strategy_id": data.strategy_id,
        "fee_rate": data.fee_rate,
        "client_order_id": data.client_order_id,
        "environment": state.environment,
        "oco_group": data.oco_group,
        "purpose": data.purpose,
        "trailing_offset": data.trailing_offset,
        "trigger_price_type": data.trigger_price_type,
        "signal_id": data.signal_id,
        "expires_at": data.expires_at,
    }
    rules.check_is_new(known, data.order_id)
    try:
        account_rules.check_order(state, instrument=data.instrument)
        if data.strategy_id is not None:
            allocation_rules.check_order(
                allocations_of(work), account_id=work.account_id, strategy_id=data.strategy_id
            )
        instrument_rules.check_order(
            listed,
            quantity=data.quantity,
            price=None if data.order_type is OrderType.MARKET else data.price,
            stop_price=data.stop_price,
            at=work.occurred_at,
        )
        _check_position(state, listed, terms, data.order_id)
        found = risk.check_new(work, state, data.order_id, terms)
        (submitted,) = rules.submit(known, order_id=data.order_id, risk=found, **terms)
        required = required_hold(evolve(None, submitted, data.order_id))
        held = settlement.hold(state, required)
    except Rejection as refused:
        _deny(work, data, known, terms, refused)
        return
    work.record(ACCOUNT, work.account_id, held, work.record(ORDER, data.order_id, (submitted,)))


def _deny(
    work: UnitOfWork,
    data: SubmitOrder,
    known: OrderState | None,
    terms: SubmitTerms,
    refused: Rejection,
) -> None:
    work.denied = refused
    terms["sub_account"] = MAIN
    denied = rules.deny(
        known,
        order_id=data.order_id,
        code=refused.code.value,
        reason=refused.message,
        risk=refused.decision if isinstance(refused, LimitExceeded) else None,
        **terms,
    )
    cause = work.record(ORDER, data.order_id, denied)
    if isinstance(refused, LimitExceeded):
        record_trips(work, work.account_id, refused.tripped, cause)


def _check_position(
    owner: AccountState, listed: InstrumentState, terms: SubmitTerms, order_id: UUID
) -> None:
    """Whether the order may be placed by what is held; says what of it closes something, and what
    the rest would lock."""
    contract = listed.contract
    key = PositionKey(
        terms["sub_account"],
        terms["instrument"],
        terms.get("position_side") or PositionSide.BOTH,
    )
    exposure.check_order(owner, contract, key=key, budget=terms.get("quote_quantity"))
    exposure.check_halted(
        owner,
        key=key,
        side=terms["side"],
        quantity=terms.get("quantity"),
        order_id=order_id,
        base_asset=terms["base_asset"] if contract is None else None,
    )
    closing = exposure.closing_quantity(
        owner,
        contract,
        key=key,
        side=terms["side"],
        quantity=terms.get("quantity"),
        reduce_only=terms.get("reduce_only", False),
        order_id=order_id,
        oco_group=terms.get("oco_group"),
    )
    if closing:
        terms["closing_quantity"] = closing
    if contract is not None:
        terms["contract"] = contract
        terms["margin_rate"] = margin_rate_of(owner, listed)


def _own_order(work: UnitOfWork, order_id: UUID) -> OrderState:
    state = work.state(ORDER, order_id)
    if state is None:
        raise Rejection(OrderRejection.UNKNOWN_ORDER, f"there is no order {order_id}")
    _check_own(work, state)
    return state


def _check_own(work: UnitOfWork, state: OrderState) -> None:
    if state.account_id != work.account_id:
        raise Rejection(
            OrderRejection.ORDER_OF_ANOTHER_ACCOUNT,
            f"order {state.order_id} is not of account {work.account_id}",
        )


@handles(RequestCancel, reads=_reads)
def request_cancel(work: UnitOfWork, data: RequestCancel) -> None:
    own_account(work)
    state = _own_order(work, data.order_id)
    work.record(ORDER, data.order_id, rules.request_cancel(state, reason=data.reason))


@handles(RequestReplace, reads=_reads, reads_behind=_instrument_of_order)
def request_replace(work: UnitOfWork, data: RequestReplace) -> None:
    """The funds must be there for the new terms; they are held once the venue has replaced."""
    owner = own_account(work)
    state = _own_order(work, data.order_id)
    check_active(owner)
    wanted = state.quantity if data.quantity is None else data.quantity
    exposure.check_halted(
        owner,
        key=_key_of(state),
        side=state.side,
        quantity=None if wanted is None else wanted - state.cum_qty,
        order_id=state.order_id,
        base_asset=state.base_asset if state.contract is None else None,
    )
    instrument_rules.check_order(
        listed_instrument(work, state.instrument),
        quantity=data.quantity,
        price=data.price,
        stop_price=data.stop_price,
        at=work.occurred_at,
    )
    events = rules.request_replace(
        state, quantity=data.quantity, price=data.price, stop_price=data.stop_price
    )
    if data.quantity is not None:
        _check_quantity_by_position(owner, state, data.quantity)
    required = required_hold(
        state, quantity=data.quantity, price=data.price, stop_price=data.stop_price
    )
    settlement.check_hold(owner, required)
    try:
        found = risk.check_replace(work, owner, state, data)
    except LimitExceeded as refused:
        work.denied = refused
        denied = rules.deny_replace(
            state,
            code=refused.code.value,
            reason=refused.message,
            risk=refused.decision,
            quantity=data.quantity,
            price=data.price,
            stop_price=data.stop_price,
        )
        cause = work.record(ORDER, data.order_id, denied)
        record_trips(work, work.account_id, refused.tripped, cause)
        return
    if found is not None:
        events = tuple(replace(event, risk=found) for event in events)
    work.record(ORDER, data.order_id, events)


def _key_of(state: OrderState) -> PositionKey:
    return PositionKey(
        state.sub_account, state.instrument, state.position_side or PositionSide.BOTH
    )


def _check_quantity_by_position(owner: AccountState, state: OrderState, quantity: Decimal) -> None:
    """Whether an order that may only close something closes no more than there is."""
    exposure.closing_quantity(
        owner,
        state.contract,
        key=_key_of(state),
        side=state.side,
        quantity=max(quantity - state.cum_qty, ZERO),
        reduce_only=state.reduce_only,
        order_id=state.order_id,
        oco_group=state.oco_group,
    )


# --- facts ----------------------------------------------------------------------------


def _order_of_fact(work: UnitOfWork, data: OrderFactData) -> OrderState:
    """The order that a fact is about. One we never saw begins here, if the fact tells enough."""
    owner = own_account(work)
    state = work.state(ORDER, data.order_id)
    if state is not None:
        _check_own(work, state)
        return state
    if data.instrument is None or data.side is None:
        told = (("instrument", data.instrument), ("side", data.side), ("quantity", data.quantity))
        missing = [name for name, value in told if value is None]
        raise Rejection(
            OrderRejection.UNKNOWN_ORDER,
            f"there is no order {data.order_id}",
            "submit it first, or, if it was placed outside of the ledger, tell its "
            f"{', '.join(missing)}{' if it is known' if 'quantity' in missing else ''} too",
        )
    listed = listed_instrument(work, data.instrument)
    reported = facts.report(
        account_id=work.account_id,
        instrument=data.instrument,
        base_asset=listed.base_asset,
        quote_asset=listed.quote_asset,
        side=data.side,
        order_type=data.order_type,
        sub_account=_sub_account(work, data.strategy_id),
        strategy_id=data.strategy_id,
        quantity=data.quantity,
        price=data.price,
        stop_price=data.stop_price,
        time_in_force=data.time_in_force,
        position_side=data.position_side,
        client_order_id=data.client_order_id,
        venue_order_id=data.venue_order_id,
        environment=owner.environment,
        wrong_venue=not account_rules.is_on_venue(owner, data.instrument),
        contract=listed.contract,
        margin_rate=margin_rate_of(owner, listed),
    )
    work.record(ORDER, data.order_id, reported)
    begun = work.state(ORDER, data.order_id)
    assert begun is not None
    return begun


def _sub_account(work: UnitOfWork, strategy_id: str | None) -> str:
    """Where an order settles that a venue tells of: in the strategy's sub-account, or, of a name
    that has none, in `main`."""
    if strategy_id is None:
        return MAIN
    known = allocation_rules.sub_accounts(allocations_of(work))
    return strategy_id if strategy_id in known else MAIN


def _record_fact(work: UnitOfWork, order_id: UUID, events: tuple[OrderEvent, ...]) -> None:
    """Records a fact on its order and lets the account follow: the account then holds what
    `required_hold` says, and a trade has moved its money. The account's event names the order's
    event as its cause; of a fact that changed nothing, the report of its order if that is new."""
    cause = work.record(ORDER, order_id, events) or work.last_event
    owner = own_account(work)
    state = work.state(ORDER, order_id)
    assert state is not None, "a fact's order is known, or its report was recorded just now"
    required = required_hold(state)
    match events:
        case (OrderFilled() as execution,):
            followed = settlement.settle(
                owner, execution=execution, required=required, at=work.occurred_at
            )
        case (OrderFillVoided() as execution,):
            past = work.past(work.account_id, owner.names_of(execution.instrument))
            followed = settlement.void_trade(
                owner, execution=execution, required=required, past=past
            )
        case (OrderCommissionCorrected() as corrected,):
            past = work.past(work.account_id, owner.names_of(corrected.instrument))
            followed = settlement.correct_commission(
                owner,
                order_id=order_id,
                corrected=corrected,
                past=past,
                position_side=required.position_side,
            )
        case _:
            followed = settlement.set_hold(owner, required)
    work.record(ACCOUNT, work.account_id, followed, cause)


@handles(AcceptOrder, reads=_reads)
def accept_order(work: UnitOfWork, data: AcceptOrder) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state.order_id, facts.accept(state, venue_order_id=data.venue_order_id))


@handles(RejectOrder, reads=_reads)
def reject_order(work: UnitOfWork, data: RejectOrder) -> None:
    state = _order_of_fact(work, data)
    events = facts.reject(state, reason=data.reason, venue_order_id=data.venue_order_id)
    _record_fact(work, state.order_id, events)


@handles(RecordFill, reads=_reads)
def record_fill(work: UnitOfWork, data: RecordFill) -> None:
    """A known trade with other content is recorded as a conflict and moves no money; the sender
    must look into it, so its outcome is REJECTED. What the venue told of the trade before follows
    it: what it is charged, that it is void."""
    state = _order_of_fact(work, data)
    events = facts.fill(
        state,
        trade_id=data.trade_id,
        last_qty=data.last_qty,
        last_px=data.last_px,
        commission=data.commission,
        commission_asset=data.commission_asset,
        fees=data.charged if data.fees else (),
        liquidity_side=data.liquidity_side,
        quote_quantity=data.quote_quantity,
        execution_kind=data.execution_kind,
        side=data.side,
        instrument=data.instrument,
        venue_order_id=data.venue_order_id,
    )
    _record_fact(work, state.order_id, events)
    if events and isinstance(events[0], OrderFillConflicted):
        work.denied = Rejection(
            OrderRejection.FILL_CONFLICT,
            f"trade {data.trade_id!r} of order {data.order_id} is recorded with another content",
            "no money moved; void the first report if it was wrong and send this one again, "
            "or give the trade its own id",
        )
        return
    _follow_what_was_foretold(work, data.order_id, data.trade_id)


def _follow_what_was_foretold(work: UnitOfWork, order_id: UUID, trade_id: str) -> None:
    state = work.state(ORDER, order_id)
    assert state is not None
    told = state.foretold.get(trade_id)
    if told is None:
        return
    is_void, reason = told.voided, told.reason
    if told.fees is not None:
        corrected = facts.correct_commission(state, trade_id=trade_id, fees=told.fees)
        _record_fact(work, order_id, corrected)
        state = work.state(ORDER, order_id)
        assert state is not None
    if is_void:
        _record_fact(work, order_id, facts.void_fill(state, trade_id=trade_id, reason=reason))


@handles(CorrectCommission, reads=_reads)
def correct_commission(work: UnitOfWork, data: CorrectCommission) -> None:
    state = _order_of_fact(work, data)
    events = facts.correct_commission(state, trade_id=data.trade_id, fees=data.charged)
    _record_fact(work, state.order_id, events)


@handles(VoidFill, reads=_reads)
def void_fill(work: UnitOfWork, data: VoidFill) -> None:
    state = _order_of_fact(work, data)
    events = facts.void_fill(state, trade_id=data.trade_id, reason=data.reason)
    _record_fact(work, state.order_id, events)


@handles(CompleteOrder, reads=_reads)
def complete_order(work: UnitOfWork, data: CompleteOrder) -> None:
    state = _order_of_fact(work, data)
    events = facts.complete(state, reason=data.reason, venue_order_id=data.venue_order_id)
    _record_fact(work, state.order_id, events)


@handles(CancelOrder, reads=_reads)
def cancel_order(work: UnitOfWork, data: CancelOrder) -> None:
    state = _order_of_fact(work, data)
    events = facts.cancel(state, reason=data.reason, venue_order_id=data.venue_order_id)
    _record_fact(work, state.order_id, events)


@handles(RejectCancel, reads=_reads)
def reject_cancel(work: UnitOfWork, data: RejectCancel) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state.order_id, facts.reject_cancel(state, reason=data.reason))


@handles(ReplaceOrder, reads=_reads)
def replace_order(work: UnitOfWork, data: ReplaceOrder) -> None:
    state = _order_of_fact(work, data)
    events = facts.replace(
        state,
        quantity=data.quantity,
        price=data.price,
        stop_price=data.stop_price,
        venue_order_id=data.venue_order_id,
    )
    _record_fact(work, state.order_id, events)


@handles(RejectReplace, reads=_reads)
def reject_replace(work: UnitOfWork, data: RejectReplace) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state.order_id, facts.reject_replace(state, reason=data.reason))


@handles(ExpireOrder, reads=_reads)
def expire_order(work: UnitOfWork, data: ExpireOrder) -> None:
    state = _order_of_fact(work, data)
    events = facts.expire(state, reason=data.reason, venue_order_id=data.venue_order_id)
    _record_fact(work, state.order_id, events)
