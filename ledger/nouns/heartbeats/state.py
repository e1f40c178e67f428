"""Heartbeats: what decisions know of a promise."""

from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID, uuid5

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.heartbeats.events import (
    HeartbeatEnded,
    HeartbeatEvent,
    HeartbeatMissed,
    HeartbeatPromised,
)
from ledger.nouns.limits.state import scope_key
from ledger.nouns.limits.terms import LimitScope

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a08")
MAX_REMEMBERED_IDS = 10_000
"""Ids of streams that are kept once reckoned: of scopes with a promise, some 300 bytes each."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(scope: LimitScope, reference: str | None) -> UUID:
    """The id of the stream of a scope: UUIDv5, the same for ever."""
    return uuid5(_NAMESPACE, scope_key(scope, reference))


class HeartbeatState(EvolvingState, gc=False, kw_only=True):
    """`until` is when something must have been heard; None while nothing is awaited."""

    timeout_seconds: int
    sender: str
    until: datetime | None
    missed: bool = False
    resumes_at: datetime | None = None
    """It is paused until then."""

    @property
    def timeout(self) -> timedelta:
        return timedelta(seconds=self.timeout_seconds)

    def is_awaited(self, moment: datetime) -> bool:
        return self.until is not None and (self.resumes_at is None or self.resumes_at <= moment)


def evolve(state: HeartbeatState | None, event: Event, stream_id: UUID) -> HeartbeatState:
    """The state after an event."""
    if isinstance(event, HeartbeatPromised):
        return HeartbeatState(
            timeout_seconds=event.timeout_seconds, sender=event.sender, until=event.until
        )
    if state is None or not isinstance(event, HeartbeatEvent):
        raise TypeError(f"{type(event).__name__} is not how the heartbeat {stream_id} can go on")
    state.until = event.until
    state.missed = isinstance(event, HeartbeatMissed)
    state.resumes_at = event.resumes_at if isinstance(event, HeartbeatEnded) else None
    return state


HEARTBEAT = Aggregate("heartbeat", HeartbeatState, 1, evolve)
