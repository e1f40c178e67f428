"""Streams as decisions need them: read whole, or held because they cannot be.

    snapshot    the newest that the log vouches for and this code can read; one that is damaged is
                deleted, as any may be, and the events are read instead
    events      each of the version after the one before, known, and one that its state can take
    repairs     only of a stream that cannot be read so: what an operator passed over
    held        what cannot be read all the same, with the place and the reason

One query for all snapshots and one for all events, whatever the number of streams. Where the
database itself stumbles over a row, halves are read until the stream that has it is alone: whatever
is wrong with a stream, the others are read.
"""

import contextlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg import errors

from ledger.eventstore import repairs, snapshots
from ledger.eventstore.reader import RecordedEvent
from ledger.eventstore.repairs import Repairs
from ledger.eventstore.snapshots import KeptSnapshot
from ledger.eventstore.store import load_streams
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.known_types import known
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.kernel.unit_of_work import PastEvent
from ledger.operate.database import OF_WHAT_IS_ASKED
from ledger.write.deciders import AGGREGATES

MAX_REASON = 500
"""Characters of a reason that are kept: an error may quote what it could not read."""

_log = structlog.get_logger(__name__)


class Gap(LedgerError):
    """A version of a stream does not follow the one before it."""


class HeldStream(NamedTuple):
    """A stream that cannot be read, and why. The event is the one at which reading stops, where
    that is known."""

    stream_id: UUID
    stream_type: str | None
    event_version: int | None
    position: int | None
    reason: str

    @property
    def is_after_a_gap(self) -> bool:
        """Whether nothing but the versions before the event is wrong."""
        return self.reason.startswith(Gap.__name__)

    def shown(self) -> dict[str, Any]:
        """For people and scripts."""
        return self._asdict() | {"stream_id": str(self.stream_id)}


class StreamHeld(LedgerError):
    """A stream that is needed cannot be read."""


class Stream:
    """A stream in memory. `pending` are events recorded and not known to be committed."""

    __slots__ = ("pending", "snapshot_version", "state", "stream_type", "version")

    def __init__(self) -> None:
        self.stream_type: str | None = None
        self.state: Any = None
        self.version = 0
        self.snapshot_version = 0
        self.pending: deque[PastEvent] = deque()

    def state_as(self, stream_type: str, stream_id: UUID) -> Any:
        """Raises Rejection when the id is that of another kind of aggregate."""
        if self.stream_type != stream_type and self.stream_type is not None:
            raise Rejection(
                GeneralRejection.ID_TAKEN,
                f"{stream_id} is the id of an {self.stream_type}, not of an {stream_type}",
            )
        return self.state

    def evolve(self, stream_id: UUID, event: Event, stream_type: str) -> None:
        self.stream_type = stream_type
        self.state = AGGREGATES[stream_type].evolve(self.state, event, stream_id)
        self.version += 1


def read(
    connection: psycopg.Connection[Any], wanted: Sequence[UUID]
) -> dict[UUID, Stream | HeldStream]:
    """All of the streams. Raises psycopg.Error of a database that is not there."""
    try:
        return _read(connection, wanted)
    except (UnicodeError, *OF_WHAT_IS_ASKED) as error:
        if len(wanted) == 1:
            return {wanted[0]: HeldStream(wanted[0], None, None, None, _told(error))}
    half = len(wanted) // 2
    return read(connection, wanted[:half]) | read(connection, wanted[half:])


def _read(
    connection: psycopg.Connection[Any], wanted: Sequence[UUID]
) -> dict[UUID, Stream | HeldStream]:
    begun = _from_snapshots(connection, wanted)
    after = {one: begun[one].version if one in begun else 0 for one in wanted}
    events = load_streams(connection, after)
    streams = {one: _folded(one, begun.get(one) or Stream(), events[one]) for one in wanted}
    held = [one for one, stream in streams.items() if isinstance(stream, HeldStream)]
    if held and (repaired := repairs.read(connection, held)):
        begun = _from_snapshots(connection, list(repaired))  # reading has changed their states
        for one, done in repaired.items():
            streams[one] = _folded(one, begun.get(one) or Stream(), events[one], done)
    return streams


def _from_snapshots(
    connection: psycopg.Connection[Any], wanted: Sequence[UUID]
) -> dict[UUID, Stream]:
    topics = [kind.topic for kind in AGGREGATES.values()]
    begun = {}
    for kept in list(snapshots.newest(connection, wanted, topics)):
        try:
            begun[kept.snapshot.stream_id] = _of_snapshot(kept)
        except (msgspec.MsgspecError, ValueError) as error:
            _log.error(
                "snapshot_not_used",
                stream_id=str(kept.snapshot.stream_id),
                event_version=kept.snapshot.event_version,
                reason=_told(error),
                remedy="none is needed: it is deleted, and the log is read instead",
            )
            with contextlib.suppress(errors.InsufficientPrivilege):  # an operator only looks
                snapshots.delete(connection, kept.snapshot)
    return begun


def _of_snapshot(kept: KeptSnapshot) -> Stream:
    """Raises ValueError, or MsgspecError, for one that is damaged."""
    snapshot = kept.snapshot
    if not kept.holds():
        raise ValueError("it is not the state that the log tells of: somebody changed it")
    stream = Stream()
    stream.stream_type, _, _ = snapshot.topic.rpartition(".")
    kind = known(AGGREGATES[stream.stream_type].state)
    stream.state = msgspec.json.decode(snapshot.state, type=kind)
    stream.version = stream.snapshot_version = snapshot.event_version
    return stream


def _folded(
    stream_id: UUID,
    stream: Stream,
    events: Iterable[RecordedEvent],
    done: Repairs = repairs.NONE,
) -> Stream | HeldStream:
    """The stream with the events, or where it is held."""
    for recorded in events:
        version = recorded.event_version
        try:
            if version != stream.version + 1 and version not in done.after_a_gap:
                raise Gap(f"it follows version {stream.version}: the versions between are missing")
            if version in done.passed_over:
                stream.version = version
            elif stream.version == 0 and recorded.stream_type not in AGGREGATES:
                return _of_no_aggregate(recorded)
            else:
                stream.version = version - 1
                stream.evolve(stream_id, recorded.decoded(), recorded.stream_type)
        except Exception as error:  # noqa: BLE001 - whatever an event does to a state holds it up
            return HeldStream(
                stream_id, recorded.stream_type, version, recorded.position, _told(error)
            )
    return stream


def _of_no_aggregate(first: RecordedEvent) -> Stream:
    """A stream of which nothing is decided: its id is taken."""
    stream = Stream()
    stream.stream_type, stream.version = first.stream_type, first.event_version
    return stream


def _told(error: Exception) -> str:
    text = " ".join(str(error).replace("\x00", "").split())
    return f"{type(error).__name__}: {text}"[:MAX_REASON]
