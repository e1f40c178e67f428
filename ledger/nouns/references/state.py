"""References: what is known under one.

Each has a stream of its own, found by its name: so the log remembers all of them for ever, and no
state has to. The state of an account has the size of what it holds, not of what it was told.
"""

from typing import NamedTuple
from uuid import UUID, uuid5

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.references.events import (
    ReferenceEvent,
    ReferenceRecorded,
    ReferenceScope,
    ToldMovement,
)

_NAMESPACE = UUID("d0d3c1a6-8f7c-5a8e-9a1b-0c1d5e8f2b11")


class Reference(NamedTuple):
    """A name, and what it is unique among: movements of one account, scope and asset."""

    account_id: UUID
    scope: ReferenceScope
    text: str
    asset: str = ""

    @property
    def stream_id(self) -> UUID:
        """UUIDv5 of all that, the same for ever."""
        return uuid5(_NAMESPACE, f"{self.account_id} {self.scope} {self.asset} {self.text}")


class ReferenceState(EvolvingState, gc=False, kw_only=True):
    movement: ToldMovement


def evolve(state: ReferenceState | None, event: Event, stream_id: UUID) -> ReferenceState:
    """The state after an event."""
    if isinstance(event, ReferenceRecorded):
        return ReferenceState(movement=event.movement)
    if state is None or not isinstance(event, ReferenceEvent):
        raise TypeError(f"{type(event).__name__} is not how the reference {stream_id} can go on")
    return state


REFERENCE = Aggregate("reference", ReferenceState, 1, evolve)
