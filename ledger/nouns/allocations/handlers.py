"""Allocations: what each of their commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import AccountCommandData, Command
from ledger.kernel.noun import handles
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.handlers import own_account
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import check_not_closed
from ledger.nouns.allocations import rules
from ledger.nouns.allocations.commands import (
    AssignStrategy,
    ChangeAllocation,
    DeactivateStrategy,
    RebalanceAllocations,
)
from ledger.nouns.allocations.state import ALLOCATION, AllocationState, stream_id


def _reads(command: Command, _: AccountCommandData) -> Iterator[UUID]:
    assert command.account_id is not None
    yield command.account_id
    yield stream_id(command.account_id)


def allocations_of(work: UnitOfWork) -> AllocationState | None:
    """Of the command's account; None before the first."""
    return work.state(ALLOCATION, stream_id(work.account_id))


@handles(AssignStrategy, reads=_reads)
def assign_strategy(work: UnitOfWork, data: AssignStrategy) -> None:
    check_not_closed(own_account(work))
    work.record(
        ALLOCATION,
        stream_id(work.account_id),
        rules.assign(
            allocations_of(work),
            account_id=work.account_id,
            strategy_id=data.strategy_id,
            allocation_percent=data.allocation_percent,
            risk_multiplier=data.risk_multiplier,
            auto_rebalance=data.auto_rebalance,
        ),
    )


@handles(ChangeAllocation, reads=_reads)
def change_allocation(work: UnitOfWork, data: ChangeAllocation) -> None:
    check_not_closed(own_account(work))
    work.record(
        ALLOCATION,
        stream_id(work.account_id),
        rules.change(
            allocations_of(work),
            account_id=work.account_id,
            strategy_id=data.strategy_id,
            allocation_percent=data.allocation_percent,
            risk_multiplier=data.risk_multiplier,
            auto_rebalance=data.auto_rebalance,
        ),
    )


@handles(DeactivateStrategy, reads=_reads)
def deactivate_strategy(work: UnitOfWork, data: DeactivateStrategy) -> None:
    own_account(work)
    work.record(
        ALLOCATION,
        stream_id(work.account_id),
        rules.deactivate(
            allocations_of(work),
            account_id=work.account_id,
            strategy_id=data.strategy_id,
            reason=data.reason,
        ),
    )


@handles(RebalanceAllocations, reads=_reads)
def rebalance_allocations(work: UnitOfWork, _: RebalanceAllocations) -> None:
    rebalanced, moved = rules.rebalance(allocations_of(work), account_state=own_account(work))
    cause = work.record(ALLOCATION, stream_id(work.account_id), rebalanced)
    work.record(ACCOUNT, work.account_id, moved, cause)
