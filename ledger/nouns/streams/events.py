"""What operators do to streams that cannot be read, as events: who did it, why, to which event.

The log is never changed: an event that cannot be read stays where it is, and another one says that
it is passed over. Appended by the database function `repair_stream`; decisions heed it
(`ledger/eventstore/repairs.py`), and so do whoever makes states of a stream anew, read models
(`projections/engine/letters/passed_over.py`) and questions about the past.

The stream's id is derived from that of the stream that is repaired (`repairs_of`).
"""

from typing import ClassVar
from uuid import UUID, uuid5

from ledger.kernel.event import Event

STREAM_TYPE = "stream"

_NAMESPACE = UUID("b3a6b4f0-6a0e-5b6e-8b56-6d0f6b7f2c11")


def repairs_of(stream_id: UUID) -> UUID:
    """The id of the stream of a stream's repairs: UUIDv5 of its id, the same for ever."""
    return uuid5(_NAMESPACE, str(stream_id))


class StreamRepair(Event, frozen=True, kw_only=True):
    """Of the event with that version of the stream."""

    repaired_stream_id: UUID
    event_version: int
    position: int
    actor: str
    reason: str


class StreamEventPassedOver(StreamRepair, frozen=True, kw_only=True):
    """The event changes nothing: states are made without it."""

    type: ClassVar[str] = "stream.event_passed_over"


class StreamGapAccepted(StreamRepair, frozen=True, kw_only=True):
    """The event follows the one before it, although versions between them are missing."""

    type: ClassVar[str] = "stream.gap_accepted"
