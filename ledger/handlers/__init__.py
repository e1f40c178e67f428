"""What each command means: which rules are asked, and which streams record the answer.

    request   ask the rules; a `Rejection` is the answer, and nothing is recorded
    fact      record it on the order, then what follows from it on the order's account

Whatever happens to an order, its account follows in the same transaction: trades move money, and
the account holds what `order.hold_required` says. The account's events name the order's event as
their cause. A well-formed order that the rules refuse is recorded too (`order.denied`), so that
attempts can be audited.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from ledger import command_data as c
from ledger.commands import Command
from ledger.domain import allocation, instrument, order
from ledger.handlers import accounts, allocations, instruments, order_facts, order_requests
from ledger.work import Work


def decide(work: Work) -> None:
    """Decides the command and records what follows on `work`. Raises Rejection."""
    data = work.command.data
    _HANDLERS[type(data)](work, data)


def streams_of(command: Command) -> Iterator[UUID]:
    """The streams that deciding the command may look at."""
    data = command.data
    if isinstance(data, c.InstrumentCommandData):
        yield instrument.stream_id(data.instrument)
        return
    assert command.account_id is not None
    yield command.account_id
    if isinstance(data, c.OrderCommandData):
        yield data.order_id
        if isinstance(data, c.SubmitOrder | c.OrderFactData) and data.instrument is not None:
            yield instrument.stream_id(data.instrument)
        if not isinstance(data, c.SubmitOrder) or data.strategy_id is None:
            return
    yield allocation.stream_id(command.account_id)


def streams_behind(command: Command, state_of: Callable[[UUID], Any]) -> Iterator[UUID]:
    """The streams that only the state of another one names: a replace does not say which
    instrument its order is for."""
    if isinstance(command.data, c.RequestReplace):
        state = state_of(command.data.order_id)
        if isinstance(state, order.OrderState):
            yield instrument.stream_id(state.instrument)


_HANDLERS: dict[type[c.CommandData], Callable[[Work, Any], None]] = {
    c.OpenAccount: accounts.open_account,
    c.Deposit: accounts.deposit,
    c.Withdraw: accounts.withdraw,
    c.Transfer: accounts.transfer,
    c.AdjustBalance: accounts.adjust_balance,
    c.SuspendAccount: accounts.suspend_account,
    c.ReactivateAccount: accounts.reactivate_account,
    c.CloseAccount: accounts.close_account,
    c.SubmitOrder: order_requests.submit_order,
    c.RequestCancel: order_requests.request_cancel,
    c.RequestReplace: order_requests.request_replace,
    c.AcceptOrder: order_facts.accept_order,
    c.RejectOrder: order_facts.reject_order,
    c.RecordFill: order_facts.record_fill,
    c.VoidFill: order_facts.void_fill,
    c.CancelOrder: order_facts.cancel_order,
    c.RejectCancel: order_facts.reject_cancel,
    c.ReplaceOrder: order_facts.replace_order,
    c.RejectReplace: order_facts.reject_replace,
    c.ExpireOrder: order_facts.expire_order,
    c.AssignStrategy: allocations.assign_strategy,
    c.ChangeAllocation: allocations.change_allocation,
    c.DeactivateStrategy: allocations.deactivate_strategy,
    c.RebalanceAllocations: allocations.rebalance_allocations,
    c.ListInstrument: instruments.list_instrument,
    c.UpdateInstrument: instruments.update_instrument,
    c.DelistInstrument: instruments.delist_instrument,
}
