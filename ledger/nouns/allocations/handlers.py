"""Commands about allocations."""

from ledger import command_data as c
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.allocations import rules as allocation_rules
from ledger.write.unit_of_work import Work


def assign_strategy(work: Work, data: c.AssignStrategy) -> None:
    account_rules.check_not_closed(work.account())
    work.on_allocations(
        allocation_rules.assign(
            work.allocations(),
            account_id=work.account_id,
            strategy_id=data.strategy_id,
            allocation_percent=data.allocation_percent,
            risk_multiplier=data.risk_multiplier,
            auto_rebalance=data.auto_rebalance,
        )
    )


def change_allocation(work: Work, data: c.ChangeAllocation) -> None:
    account_rules.check_not_closed(work.account())
    work.on_allocations(
        allocation_rules.change(
            work.allocations(),
            account_id=work.account_id,
            strategy_id=data.strategy_id,
            allocation_percent=data.allocation_percent,
            risk_multiplier=data.risk_multiplier,
            auto_rebalance=data.auto_rebalance,
        )
    )


def deactivate_strategy(work: Work, data: c.DeactivateStrategy) -> None:
    work.account()
    work.on_allocations(
        allocation_rules.deactivate(
            work.allocations(),
            account_id=work.account_id,
            strategy_id=data.strategy_id,
            reason=data.reason,
        )
    )


def rebalance_allocations(work: Work, _: c.RebalanceAllocations) -> None:
    rebalanced, moved = allocation_rules.rebalance(work.allocations(), account_state=work.account())
    work.on_account(moved, work.on_allocations(rebalanced))
