"""The clock: what decisions know of it.

A stream for all accounts together, and one for each account that snapshots are taken of by name: a
backtest's time has nothing to do with that of the others.
"""

from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid5

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.clock.events import (
    PeriodsEnded,
    SnapshotKind,
    SnapshotRecorded,
    SnapshotsTaken,
)

_NAMESPACE = UUID("f3b1d6c2-5a0e-5b7b-9c58-2a4b8f0f7d11")
MAX_REMEMBERED_IDS = 1_000
"""Ids of streams that are kept once reckoned."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(account_id: UUID | None = None) -> UUID:
    """The id of the stream of an account, or of all together: the same for ever."""
    return uuid5(_NAMESPACE, "all" if account_id is None else str(account_id))


class ClockState(EvolvingState, gc=False, kw_only=True):
    """How far time has come; None: not begun."""

    scheduled: datetime | None = None
    """The newest moment of snapshots that were due."""
    ended: datetime | None = None
    """The newest midnight that was told of."""
    recorded: datetime | None = None
    """The newest moment of what another system told."""


def evolve(state: ClockState | None, event: Event, stream_id: UUID) -> ClockState:
    """The state after an event."""
    state = state or ClockState()
    if isinstance(event, SnapshotsTaken):
        if event.kind is SnapshotKind.SCHEDULED:
            state.scheduled = event.time
    elif isinstance(event, PeriodsEnded):
        state.ended = event.time
    elif isinstance(event, SnapshotRecorded):
        state.recorded = max(state.recorded or event.time, event.time)
    else:
        raise TypeError(f"{type(event).__name__} is not how the clock {stream_id} can go on")
    return state


CLOCK = Aggregate("clock", ClockState, 2, evolve)
