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
from ledger.nouns.accounts import handlers as account_handlers
from ledger.nouns.allocations import handlers as allocation_handlers
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.instruments import handlers as instrument_handlers
from ledger.nouns.instruments import rules as instrument_rules
from ledger.nouns.orders import fact_handlers as order_fact_handlers
from ledger.nouns.orders import handlers as order_handlers
from ledger.nouns.orders import rules as order_rules
from ledger.write.unit_of_work import Work


def decide(work: Work) -> None:
    """Decides the command and records what follows on `work`. Raises Rejection."""
    data = work.command.data
    _HANDLERS[type(data)](work, data)


def streams_of(command: Command) -> Iterator[UUID]:
    """The streams that deciding the command may look at."""
    data = command.data
    if isinstance(data, c.InstrumentCommandData):
        yield instrument_rules.stream_id(data.instrument)
        return
    assert command.account_id is not None
    yield command.account_id
    if isinstance(data, c.OrderCommandData):
        yield data.order_id
        if isinstance(data, c.SubmitOrder | c.OrderFactData) and data.instrument is not None:
            yield instrument_rules.stream_id(data.instrument)
        if not isinstance(data, c.SubmitOrder) or data.strategy_id is None:
            return
    yield allocation_rules.stream_id(command.account_id)


def streams_behind(command: Command, state_of: Callable[[UUID], Any]) -> Iterator[UUID]:
    """The streams that only the state of another one names: a replace does not say which
    instrument its order is for."""
    if isinstance(command.data, c.RequestReplace):
        state = state_of(command.data.order_id)
        if isinstance(state, order_rules.OrderState):
            yield instrument_rules.stream_id(state.instrument)


_HANDLERS: dict[type[c.CommandData], Callable[[Work, Any], None]] = {
    c.OpenAccount: account_handlers.open_account,
    c.Deposit: account_handlers.deposit,
    c.Withdraw: account_handlers.withdraw,
    c.Transfer: account_handlers.transfer,
    c.AdjustBalance: account_handlers.adjust_balance,
    c.SuspendAccount: account_handlers.suspend_account,
    c.ReactivateAccount: account_handlers.reactivate_account,
    c.CloseAccount: account_handlers.close_account,
    c.SubmitOrder: order_handlers.submit_order,
    c.RequestCancel: order_handlers.request_cancel,
    c.RequestReplace: order_handlers.request_replace,
    c.AcceptOrder: order_fact_handlers.accept_order,
    c.RejectOrder: order_fact_handlers.reject_order,
    c.RecordFill: order_fact_handlers.record_fill,
    c.VoidFill: order_fact_handlers.void_fill,
    c.CancelOrder: order_fact_handlers.cancel_order,
    c.RejectCancel: order_fact_handlers.reject_cancel,
    c.ReplaceOrder: order_fact_handlers.replace_order,
    c.RejectReplace: order_fact_handlers.reject_replace,
    c.ExpireOrder: order_fact_handlers.expire_order,
    c.AssignStrategy: allocation_handlers.assign_strategy,
    c.ChangeAllocation: allocation_handlers.change_allocation,
    c.DeactivateStrategy: allocation_handlers.deactivate_strategy,
    c.RebalanceAllocations: allocation_handlers.rebalance_allocations,
    c.ListInstrument: instrument_handlers.list_instrument,
    c.UpdateInstrument: instrument_handlers.update_instrument,
    c.DelistInstrument: instrument_handlers.delist_instrument,
}
