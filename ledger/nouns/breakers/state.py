"""Breakers: what decisions know of one."""

from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.breakers.events import (
    BreakerActed,
    BreakerRemoved,
    BreakerResumed,
    BreakerSet,
    BreakerTerms,
    BreakerTripped,
)
from ledger.nouns.limits.terms import LimitScope


def subject_of(scope: LimitScope, reference: str) -> str:
    return f"{scope}:{reference}"


class BreakerState(EvolvingState, gc=False, kw_only=True):
    """`tripped`: for which subjects it is, with whose numbers; `number` counts all trips."""

    terms: BreakerTerms
    removed: bool = False
    number: int = 0
    tripped: dict[str, int] = msgspec.field(default_factory=dict)
    users: dict[str, UUID] = msgspec.field(default_factory=dict)
    """Whose the subjects are that are tripped."""


def evolve(state: BreakerState | None, event: Event, stream_id: UUID) -> BreakerState:
    """The state after an event."""
    if isinstance(event, BreakerSet):
        if state is None:
            return BreakerState(terms=event.terms)
        state.terms, state.removed = event.terms, False
        return state
    if state is None:
        raise TypeError(f"{type(event).__name__} is not how the breaker {stream_id} can begin")
    match event:
        case BreakerRemoved():
            state.removed = True
        case BreakerTripped():
            subject = subject_of(event.scope, event.reference)
            state.number = event.number
            state.tripped[subject] = event.number
            if event.user_id is not None:
                state.users[subject] = event.user_id
        case BreakerResumed():
            subject = subject_of(event.scope, event.reference)
            state.tripped.pop(subject, None)
            state.users.pop(subject, None)
        case BreakerActed():
            pass
        case _:
            raise TypeError(f"{type(event).__name__} is not how the breaker {stream_id} can go on")
    return state


BREAKER = Aggregate("breaker", BreakerState, 1, evolve)
