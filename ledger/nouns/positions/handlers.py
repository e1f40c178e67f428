"""Positions: what each of their commands means. What happens is told on the account's stream."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from ledger.kernel.command import AccountCommandData, Command
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts import settlement
from ledger.nouns.accounts.handlers import own_account
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.instruments.handlers import listed_instrument
from ledger.nouns.instruments.state import InstrumentState
from ledger.nouns.instruments.state import stream_id as instrument_stream
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders.state import ORDER, OrderState, required_hold
from ledger.nouns.positions import facts, leverage
from ledger.nouns.positions.commands import (
    RecordCorporateAction,
    SetBorrowingLimit,
    SetLeverage,
)
from ledger.nouns.positions.position import margin_hold_id
from ledger.nouns.positions.rejections import PositionRejection


def _reads(command: Command, data: AccountCommandData) -> Iterator[UUID]:
    assert command.account_id is not None
    yield command.account_id
    if isinstance(data, SetLeverage | RecordCorporateAction):
        yield instrument_stream(data.instrument)
    if isinstance(data, RecordCorporateAction) and data.new_instrument is not None:
        yield instrument_stream(data.new_instrument)


@handles(SetLeverage, reads=_reads)
def set_leverage(work: UnitOfWork, data: SetLeverage) -> None:
    state = own_account(work)
    listed = listed_instrument(work, data.instrument)
    events = leverage.set_leverage(state, listed, leverage=data.leverage, mode=data.mode)
    work.record(ACCOUNT, work.account_id, events)


@handles(SetBorrowingLimit, reads=_reads)
def set_borrowing_limit(work: UnitOfWork, data: SetBorrowingLimit) -> None:
    events = leverage.set_borrowing_limit(own_account(work), asset=data.asset, limit=data.limit)
    work.record(ACCOUNT, work.account_id, events)


# --- corporate actions ----------------------------------------------------------------


def _open_orders(
    command: Command, _: RecordCorporateAction, state_of: Callable[[UUID], Any]
) -> Iterator[UUID]:
    """Only the account knows which there are."""
    assert command.account_id is not None
    owner = state_of(command.account_id)
    if isinstance(owner, AccountState):
        yield from orders_of(owner)


def orders_of(owner: AccountState) -> list[UUID]:
    """The open ones of an account: all that hold something, but positions."""
    positions = {margin_hold_id(owner.account_id, p.key) for p in owner.positions.values()}
    return [order_id for order_id in owner.holds if order_id not in positions]


@handles(RecordCorporateAction, reads=_reads, reads_behind=_open_orders)
def record_corporate_action(work: UnitOfWork, data: RecordCorporateAction) -> None:
    """Money, positions and open orders follow. Where less is held after it, what orders hold
    shrinks first, so that nothing seems to be missing in between."""
    state = own_account(work)
    listed = listed_instrument(work, data.instrument)
    new = None if data.new_instrument is None else listed_instrument(work, data.new_instrument)
    told = facts.Told(
        data.action_id, data.action, data.numerator, data.denominator, data.cash_in_lieu
    )
    events = facts.record_corporate_action(state, listed, new, told, work.occurred_at)
    if not events or events[0].conflicts:
        work.record(ACCOUNT, work.account_id, events)
        if events:
            work.denied = Rejection(
                PositionRejection.CORPORATE_ACTION_CONFLICT,
                f"the action {data.action_id!r} is recorded with another content",
            )
        return
    orders = [
        order
        for order_id in orders_of(state)
        if (order := work.state(ORDER, order_id)) is not None
        and order.instrument == data.instrument
    ]
    grows = data.numerator >= data.denominator
    if grows:
        work.record(ACCOUNT, work.account_id, events)
    for order in orders:
        _adjust(work, order, listed if new is None else new, data)
    if not grows:
        events = facts.record_corporate_action(
            own_account(work), listed, new, told, work.occurred_at
        )
        work.record(ACCOUNT, work.account_id, events)


def _adjust(
    work: UnitOfWork, order: OrderState, listed: InstrumentState, data: RecordCorporateAction
) -> None:
    adjusted = order_facts.adjust(
        order,
        instrument=listed.terms.instrument,
        base_asset=listed.base_asset,
        quote_asset=listed.quote_asset,
        contract=listed.contract,
        numerator=data.numerator,
        denominator=data.denominator,
    )
    cause = work.record(ORDER, order.order_id, adjusted)
    state = work.state(ORDER, order.order_id)
    assert state is not None
    held = settlement.set_hold(own_account(work), required_hold(state))
    work.record(ACCOUNT, work.account_id, held, cause)
