"""Allocations: which strategies may use which share of an account.

The active strategies' percentages of one account sum to at most 100. A strategy that was ever
assigned keeps its sub-account; only an active one may submit orders. `rebalance` moves what is
available so that each strategy owns its share. The stream's id is derived from the account's
(`state.stream_id`).
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from ledger.kernel import fields
from ledger.kernel.fields import MAX_ALLOCATION_PERCENT
from ledger.kernel.money import ZERO, prorate, round_down, shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts.events import MAIN, AccountEvent
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.allocations.events import (
    AllocationChanged,
    AllocationEvent,
    AllocationsRebalanced,
    StrategyAssigned,
    StrategyDeactivated,
)
from ledger.nouns.allocations.rejections import AllocationRejection
from ledger.nouns.allocations.state import AllocationState, AssignmentTerms
from ledger.nouns.allocations.terms import check_name

T = TypeVar("T")

REBALANCE_PLACES = 8
"""Decimal places of the amounts that a rebalance moves: one satoshi, which every venue takes.
What is finer stays in `main`."""


# --- assignments ----------------------------------------------------------------------


def assign(
    state: AllocationState | None,
    *,
    account_id: UUID,
    strategy_id: str,
    allocation_percent: Decimal,
    risk_multiplier: Decimal = Decimal(1),
    auto_rebalance: bool = False,
) -> tuple[AllocationEvent, ...]:
    """Gives a strategy a share of the account; one that was deactivated begins anew."""
    _check_ranges(allocation_percent, risk_multiplier)
    _check("strategy_id", check_name, strategy_id)
    if _active(state, strategy_id) is not None:
        raise Rejection(
            AllocationRejection.STRATEGY_ALREADY_ASSIGNED,
            f"strategy {strategy_id!r} is assigned to account {account_id}",
        )
    _check_share(state, strategy_id, allocation_percent)
    return (
        StrategyAssigned(
            account_id=account_id,
            strategy_id=strategy_id,
            allocation_percent=allocation_percent,
            risk_multiplier=risk_multiplier,
            auto_rebalance=auto_rebalance,
        ),
    )


def change(
    state: AllocationState | None,
    *,
    account_id: UUID,
    strategy_id: str,
    allocation_percent: Decimal | None = None,
    risk_multiplier: Decimal | None = None,
    auto_rebalance: bool | None = None,
) -> tuple[AllocationEvent, ...]:
    """What is not given stays as it is."""
    assignment = _check_assigned(state, account_id, strategy_id)
    if allocation_percent is None:
        allocation_percent = assignment.allocation_percent
    if risk_multiplier is None:
        risk_multiplier = assignment.risk_multiplier
    _check_ranges(allocation_percent, risk_multiplier)
    _check_share(state, strategy_id, allocation_percent)
    return (
        AllocationChanged(
            account_id=account_id,
            strategy_id=strategy_id,
            allocation_percent=allocation_percent,
            risk_multiplier=risk_multiplier,
            auto_rebalance=assignment.auto_rebalance if auto_rebalance is None else auto_rebalance,
        ),
    )


def deactivate(
    state: AllocationState | None,
    *,
    account_id: UUID,
    strategy_id: str,
    reason: str | None = None,
) -> tuple[AllocationEvent, ...]:
    """Takes the share away. Orders of the strategy go on; new ones are refused; its money stays
    in its sub-account until it is transferred or rebalanced."""
    _check_assigned(state, account_id, strategy_id)
    return (StrategyDeactivated(account_id=account_id, strategy_id=strategy_id, reason=reason),)


def _active(state: AllocationState | None, strategy_id: str) -> AssignmentTerms | None:
    assignment = None if state is None else state.strategies.get(strategy_id)
    return assignment if assignment is not None and assignment.active else None


def _check_assigned(
    state: AllocationState | None, account_id: UUID, strategy_id: str
) -> AssignmentTerms:
    assignment = _active(state, strategy_id)
    if assignment is None:
        raise Rejection(
            AllocationRejection.STRATEGY_NOT_ASSIGNED,
            f"strategy {strategy_id!r} is not assigned to account {account_id}",
        )
    return assignment


def _check_share(state: AllocationState | None, strategy_id: str, percent: Decimal) -> None:
    others = ZERO
    if state is not None:
        for other_id, assignment in state.strategies.items():
            if assignment.active and other_id != strategy_id:
                others += assignment.allocation_percent
    if others + percent > MAX_ALLOCATION_PERCENT:
        raise Rejection(
            AllocationRejection.ALLOCATION_EXCEEDED,
            f"the other strategies have {shown(others)} % of the account",
            f"at most {shown(MAX_ALLOCATION_PERCENT - others)} % is left for {strategy_id!r}, "
            f"not {shown(percent)} %",
        )


def _check_ranges(percent: Decimal, risk_multiplier: Decimal) -> None:
    _check("allocation_percent", fields.percent, percent)
    _check("risk_multiplier", fields.multiplier, risk_multiplier)


def _check(name: str, check: Callable[[T], T], value: T) -> None:
    try:
        check(value)
    except ValueError as error:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND, f"{name} {value}: {error}", "give another"
        ) from None


# --- what others ask of the allocations -----------------------------------------------


def sub_accounts(state: AllocationState | None) -> frozenset[str]:
    """The sub-accounts of the account."""
    return frozenset({MAIN}) if state is None else frozenset({MAIN, *state.strategies})


def sub_account_of(strategy_id: str | None) -> str:
    """Where an order of this strategy, or of none, holds and settles."""
    return MAIN if strategy_id is None else strategy_id


def check_order(
    state: AllocationState | None, *, account_id: UUID, strategy_id: str | None
) -> None:
    """Whether the strategy may submit orders on the account."""
    if strategy_id is not None:
        _check("strategy_id", check_name, strategy_id)
        _check_assigned(state, account_id, strategy_id)


# --- rebalancing ----------------------------------------------------------------------


def rebalance(
    state: AllocationState | None, *, account_state: AccountState
) -> tuple[tuple[AllocationEvent, ...], tuple[AccountEvent, ...]]:
    """Moves what is available so that each active strategy owns its percentage of the account's
    whole total of each asset: the events of the allocations and of the account. First what
    strategies have too much goes to `main`, then what others lack comes from there, in
    proportion when `main` has less than they lack. A deactivated strategy's share is nothing.
    """
    moves = () if state is None else tuple(_moves(state, account_state))
    account_events = account_rules.rebalance(account_state, moves)
    return (AllocationsRebalanced(account_id=account_state.account_id),), account_events


def _moves(
    state: AllocationState, account_state: AccountState
) -> Iterator[tuple[str, str, str, Decimal]]:
    """(from, to, asset, amount), in an order that depends on names only."""
    assets = {asset for balances in account_state.balances.values() for asset in balances}
    for asset in sorted(assets):
        whole = sum(
            (
                balances[asset].total
                for balances in account_state.balances.values()
                if asset in balances
            ),
            ZERO,
        )
        pool = account_state.balance(MAIN, asset).available
        lacking: dict[str, Decimal] = {}
        for strategy_id, assignment in sorted(state.strategies.items()):
            owned = account_state.balance(strategy_id, asset)
            difference = _share(assignment, whole) - owned.total
            if difference > 0:
                lacking[strategy_id] = difference
                continue
            surplus = round_down(min(-difference, owned.available), REBALANCE_PLACES)
            if surplus > 0:
                pool += surplus
                yield strategy_id, MAIN, asset, surplus
        lacked = sum(lacking.values(), ZERO)
        for strategy_id, lack in lacking.items():
            amount = (
                round_down(lack, REBALANCE_PLACES)
                if pool >= lacked
                else prorate(max(pool, ZERO), lack, lacked, REBALANCE_PLACES)
            )
            if amount > 0:
                yield MAIN, strategy_id, asset, amount


def _share(assignment: AssignmentTerms, whole: Decimal) -> Decimal:
    if not assignment.active or whole <= 0:
        return ZERO
    return round_down(whole * assignment.allocation_percent.scaleb(-2), REBALANCE_PLACES)
