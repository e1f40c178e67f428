"""Allocations: which strategies may use which share of an account. Events, state, decisions.

The active strategies' percentages of one account sum to at most 100. A strategy that was ever
assigned keeps its sub-account; only an active one may submit orders. `rebalance` moves what is
available so that each strategy owns its share. The stream's id is derived from the account's
(`stream_id`).
"""

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.event import Event, Rejection
from ledger.kernel.money import ZERO, prorate, round_down, shown
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts.rules import MAIN, AccountEvent, AccountState

STREAM_TYPE = "allocation"
STATE_VERSION = 1
"""Shape of `AllocationState` in snapshots; a change of shape is a new number."""

MAX_PERCENT = Decimal(100)
MAX_RISK_MULTIPLIER = Decimal(10)
REBALANCE_PLACES = 8
"""Decimal places of the amounts that a rebalance moves: one satoshi, which every venue takes.
What is finer stays in `main`."""

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a01")
MAX_REMEMBERED_IDS = 10_000
"""Ids of streams that are kept once reckoned: of the accounts in use, some 300 bytes each."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(account_id: UUID) -> UUID:
    """The id of the allocation stream of an account: UUIDv5, the same for ever."""
    return uuid5(_NAMESPACE, str(account_id))


# --- events ---------------------------------------------------------------------------


class AllocationEvent(Event, frozen=True, kw_only=True):
    account_id: UUID


class StrategyAssigned(AllocationEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "allocation.strategy_assigned"
    strategy_id: str
    allocation_percent: Decimal
    risk_multiplier: Decimal = Decimal(1)
    auto_rebalance: bool = False


class AllocationChanged(AllocationEvent, frozen=True, kw_only=True):
    """The assignment as it is from now on, whole."""

    type: ClassVar[str] = "allocation.changed"
    strategy_id: str
    allocation_percent: Decimal
    risk_multiplier: Decimal
    auto_rebalance: bool


class StrategyDeactivated(AllocationEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "allocation.strategy_deactivated"
    strategy_id: str
    reason: str | None = None


class AllocationsRebalanced(AllocationEvent, frozen=True, kw_only=True):
    """Funds were moved to match the percentages; the account's event says which."""

    type: ClassVar[str] = "allocation.rebalanced"


# --- state ----------------------------------------------------------------------------


class Assignment(msgspec.Struct, gc=False):
    allocation_percent: Decimal
    risk_multiplier: Decimal
    auto_rebalance: bool
    active: bool = True


class AllocationState(msgspec.Struct, gc=False, kw_only=True):
    """What decisions about an account's allocations need to know."""

    account_id: UUID
    strategies: dict[str, Assignment] = {}
    """Every strategy ever assigned."""


def evolve(state: AllocationState | None, event: Event, stream_id: UUID) -> AllocationState:
    """The state after an event. The state given is changed, not copied."""
    if not isinstance(event, AllocationEvent):
        raise TypeError(f"{type(event).__name__} is no event of the allocations {stream_id}")
    if state is None:
        state = AllocationState(account_id=event.account_id)
    match event:
        case StrategyAssigned() | AllocationChanged():
            state.strategies[event.strategy_id] = Assignment(
                event.allocation_percent, event.risk_multiplier, event.auto_rebalance
            )
        case StrategyDeactivated():
            state.strategies[event.strategy_id].active = False
        case _:
            pass  # rebalanced: the account's event moved the money
    return state


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
    if not account_rules.is_own_book(strategy_id) or strategy_id == MAIN:
        raise Rejection(
            "INVALID_COMMAND",
            f"strategy_id {strategy_id!r} is the name of another book: choose another",
        )
    if _active(state, strategy_id) is not None:
        raise Rejection(
            "STRATEGY_ALREADY_ASSIGNED",
            f"strategy {strategy_id!r} is assigned to account {account_id}: change its allocation",
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


def _active(state: AllocationState | None, strategy_id: str) -> Assignment | None:
    assignment = None if state is None else state.strategies.get(strategy_id)
    return assignment if assignment is not None and assignment.active else None


def _check_assigned(
    state: AllocationState | None, account_id: UUID, strategy_id: str
) -> Assignment:
    assignment = _active(state, strategy_id)
    if assignment is None:
        raise Rejection(
            "STRATEGY_NOT_ASSIGNED",
            f"strategy {strategy_id!r} is not assigned to account {account_id}: assign it first",
        )
    return assignment


def _check_share(state: AllocationState | None, strategy_id: str, percent: Decimal) -> None:
    others = ZERO
    if state is not None:
        for other_id, assignment in state.strategies.items():
            if assignment.active and other_id != strategy_id:
                others += assignment.allocation_percent
    if others + percent > MAX_PERCENT:
        raise Rejection(
            "ALLOCATION_EXCEEDED",
            f"the other strategies have {shown(others)} % of the account: at most "
            f"{shown(MAX_PERCENT - others)} % is left for {strategy_id!r}, not {shown(percent)} %",
        )


def _check_ranges(percent: Decimal, risk_multiplier: Decimal) -> None:
    if not 0 < percent <= MAX_PERCENT:
        raise Rejection(
            "INVALID_COMMAND",
            f"allocation_percent {shown(percent)} must be above 0 and at most {MAX_PERCENT}",
        )
    if not 0 < risk_multiplier <= MAX_RISK_MULTIPLIER:
        raise Rejection(
            "INVALID_COMMAND",
            f"risk_multiplier {shown(risk_multiplier)} must be above 0 and at most "
            f"{MAX_RISK_MULTIPLIER}",
        )


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


def _share(assignment: Assignment, whole: Decimal) -> Decimal:
    if not assignment.active or whole <= 0:
        return ZERO
    return round_down(whole * assignment.allocation_percent.scaleb(-2), REBALANCE_PLACES)
