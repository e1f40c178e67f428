"""What operators do to projections, as events: who did it, why, and with what effect.

They change no balance and no order, and no read model is made of them: a checkpoint moves past
them. They are in the log so that it also tells what was done to what people saw. They are appended
by the database function `record_operation`, in the transaction of the deed itself.

The stream's id is derived from the projection's name (`stream_id`).
"""

from typing import Any, ClassVar
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.event import Event

STREAM_TYPE = "projection"

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a04")


def stream_id(projection_name: str) -> UUID:
    """The id of a projection's stream: UUIDv5 of its name, the same for ever."""
    return uuid5(_NAMESPACE, projection_name)


class ProjectionOperation(Event, frozen=True, kw_only=True):
    """`details` says what the deed was about: positions, generations, what differed."""

    projection_name: str
    actor: str
    reason: str | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class ProjectionPaused(ProjectionOperation, frozen=True, kw_only=True):
    type: ClassVar[str] = "projection.paused"


class ProjectionResumed(ProjectionOperation, frozen=True, kw_only=True):
    type: ClassVar[str] = "projection.resumed"


class ProjectionEventSkipped(ProjectionOperation, frozen=True, kw_only=True):
    """An event that could not be folded shall never be."""

    type: ClassVar[str] = "projection.event_skipped"


class ProjectionEventsRetried(ProjectionOperation, frozen=True, kw_only=True):
    """Events that were parked were folded after all, or tried to be."""

    type: ClassVar[str] = "projection.events_retried"


class ProjectionRebuilt(ProjectionOperation, frozen=True, kw_only=True):
    """Tables that were made anew are the live ones."""

    type: ClassVar[str] = "projection.rebuilt"


class ProjectionRolledBack(ProjectionOperation, frozen=True, kw_only=True):
    """The tables from before a rebuild are the live ones again."""

    type: ClassVar[str] = "projection.rolled_back"


class ProjectionGenerationDropped(ProjectionOperation, frozen=True, kw_only=True):
    """The tables from before a rebuild are gone, and with them the way back."""

    type: ClassVar[str] = "projection.generation_dropped"
