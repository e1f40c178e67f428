"""Allocations: what decisions know of an account's shares, and how events change it."""

from decimal import Decimal
from functools import lru_cache
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.allocations.events import (
    AllocationChanged,
    AllocationEvent,
    StrategyAssigned,
    StrategyDeactivated,
)

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a01")
MAX_REMEMBERED_IDS = 10_000
"""Ids of streams that are kept once reckoned: of the accounts in use, some 300 bytes each."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(account_id: UUID) -> UUID:
    """The id of the allocation stream of an account: UUIDv5, the same for ever."""
    return uuid5(_NAMESPACE, str(account_id))


class AssignmentTerms(msgspec.Struct, gc=False):
    allocation_percent: Decimal
    risk_multiplier: Decimal
    auto_rebalance: bool
    active: bool = True


class AllocationState(EvolvingState, gc=False, kw_only=True):
    """What decisions about an account's allocations need to know."""

    account_id: UUID
    strategies: dict[str, AssignmentTerms] = msgspec.field(default_factory=dict)
    """Every strategy ever assigned."""


def evolve(state: AllocationState | None, event: Event, stream_id: UUID) -> AllocationState:
    """The state after an event."""
    if not isinstance(event, AllocationEvent):
        raise TypeError(f"{type(event).__name__} is no event of the allocations {stream_id}")
    if state is None:
        state = AllocationState(account_id=event.account_id)
    match event:
        case StrategyAssigned() | AllocationChanged():
            state.strategies[event.strategy_id] = AssignmentTerms(
                event.allocation_percent, event.risk_multiplier, event.auto_rebalance
            )
        case StrategyDeactivated():
            state.strategies[event.strategy_id].active = False
        case _:
            pass  # rebalanced: the account's event moved the money
    return state


ALLOCATION = Aggregate("allocation", AllocationState, 1, evolve)
