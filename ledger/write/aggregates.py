"""The states of aggregates, in memory while they are in use.

    load()      reads the streams a batch needs: newest snapshot, then the events after it, two
                queries whatever their number; streams already here are not read again. A snapshot
                that is not the state that the log tells of is passed over
    get()       the state of a stream, None before its first event
    past()      the events that led to the state of a stream, for the command that needs them
    record()    evolves the state by an event that was just decided; when a snapshot is due, the
                event is to tell of it
    restore()   takes back what an abandoned decision recorded
    committed() tells which records are in the log
    forget()    drops streams that another writer has changed

States are kept from batch to batch, at most `capacity` streams, least recently used dropped
first. What is here is never trusted beyond the log: the commit checks that nobody else appended
to a stream the batch has read (`ledger.py`).
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import orjson
import psycopg
import structlog

from ledger.eventstore import snapshots
from ledger.eventstore.snapshots import AggregateSnapshot
from ledger.eventstore.store import NewEvent, load_backwards, load_streams
from ledger.kernel.event import Event
from ledger.kernel.money import plain
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns import AGGREGATES
from ledger.operate import metrics

_JSON_NATIVE = (Decimal,)

_log = structlog.get_logger(__name__)


class StreamPlace(NamedTuple):
    """The place of an event in its stream, and the digest of the state after it if a snapshot of
    that state will be kept."""

    version: int
    state_digest: str | None


class Stream:
    """A stream in memory. `pending` are events recorded and not known to be committed."""

    __slots__ = ("pending", "snapshot_version", "state", "stream_type", "version")

    def __init__(self) -> None:
        self.stream_type: str | None = None
        self.state: Any = None
        self.version = 0
        self.snapshot_version = 0
        self.pending: deque[PastEvent] = deque()

    def evolve(self, stream_id: UUID, event: Event, stream_type: str) -> None:
        self.stream_type = stream_type
        self.state = AGGREGATES[stream_type].evolve(self.state, event, stream_id)
        self.version += 1


class Aggregates:
    """See the module's text. Not thread-safe: one batch is decided at a time."""

    def __init__(self, capacity: int, snapshot_interval: int) -> None:
        self._capacity = capacity
        self._snapshot_interval = snapshot_interval
        self._streams: OrderedDict[UUID, Stream] = OrderedDict()
        self._due: list[AggregateSnapshot] = []
        """Snapshots of states that events of this batch have left."""

    def load(self, connection: psycopg.Connection[Any], stream_ids: Collection[UUID]) -> None:
        missing: dict[UUID, int] = {}
        for stream_id in stream_ids:
            if stream_id in self._streams:
                self._streams.move_to_end(stream_id)
            else:
                missing[stream_id] = 0
        metrics.CACHE_HITS.inc(len(stream_ids) - len(missing))
        if not missing:
            return
        metrics.CACHE_MISSES.inc(len(missing))
        for stream_id, stream in self._read(connection, missing).items():
            self._streams[stream_id] = stream

    def _read(
        self, connection: psycopg.Connection[Any], wanted: dict[UUID, int]
    ) -> dict[UUID, Stream]:
        streams = {stream_id: Stream() for stream_id in wanted}
        topics = {kind.topic: kind for kind in AGGREGATES.values()}
        for kept in snapshots.newest(connection, list(wanted), list(topics)):
            snapshot = kept.snapshot
            if not kept.holds():
                _log.error(
                    "snapshot_is_not_the_state",
                    stream_id=str(snapshot.stream_id),
                    event_version=snapshot.event_version,
                    remedy="somebody changed aggregate_snapshots; the log was read instead",
                )
                continue
            stream = streams[snapshot.stream_id]
            aggregate = topics[snapshot.topic]
            stream.stream_type = aggregate.stream_type
            stream.state = msgspec.json.decode(snapshot.state, type=aggregate.state)
            stream.version = stream.snapshot_version = snapshot.event_version
            wanted[snapshot.stream_id] = snapshot.event_version
        for stream_id, events in load_streams(connection, wanted).items():
            for recorded in events:
                streams[stream_id].evolve(stream_id, recorded.decoded(), recorded.stream_type)
        return streams

    def peek(self, stream_id: UUID) -> Any:
        """The state of a loaded stream, of whichever kind it is."""
        return self._streams[stream_id].state

    def get(self, stream_type: str, stream_id: UUID) -> Any:
        """Raises Rejection when the id is that of another kind of aggregate."""
        stream = self._streams[stream_id]
        if stream.stream_type not in {None, stream_type}:
            raise Rejection(
                GeneralRejection.ID_TAKEN,
                f"{stream_id} is the id of an {stream.stream_type}, not of an {stream_type}",
            )
        return stream.state

    def past(
        self, connection: psycopg.Connection[Any], stream_id: UUID, instruments: Collection[str]
    ) -> Iterator[PastEvent]:
        """The events about the instruments that led to the stream's state, newest first: those that
        are not known to be committed, then those of the log below them."""
        stream = self._streams[stream_id]
        below = stream.version - len(stream.pending)
        for past in tuple(reversed(stream.pending)):
            if getattr(past.event, "instrument", None) in instruments:
                yield past
        for recorded in load_backwards(connection, stream_id, below, instruments):
            yield PastEvent(recorded.decoded(), recorded.occurred_at)

    def record(self, stream_type: str, stream_id: UUID, recorded: PastEvent) -> StreamPlace:
        """Evolves the stream."""
        stream = self._streams[stream_id]
        stream.evolve(stream_id, recorded.event, stream_type)
        stream.pending.append(recorded)
        if stream.version - stream.snapshot_version < self._snapshot_interval:
            return StreamPlace(stream.version, None)
        snapshot = _snapshot(stream_id, stream)
        self._due.append(snapshot)
        return StreamPlace(stream.version, snapshot.digest())

    def restore(self, connection: psycopg.Connection[Any], taken_back: dict[UUID, int]) -> None:
        """Undoes the last n records of each of the streams, by reading them anew."""
        for stream_id, count in taken_back.items():
            old = self._streams[stream_id]
            fresh = self._read(connection, {stream_id: 0})[stream_id]
            fresh.pending = deque(list(old.pending)[:-count])
            # A commit beside us may have brought some of them into what was read.
            first = old.version - len(old.pending) + 1
            for version, (event, _) in enumerate(fresh.pending, first):
                if version > fresh.version:
                    fresh.evolve(stream_id, event, event.type.partition(".")[0])
            self._streams[stream_id] = fresh
            self._due = [
                due
                for due in self._due
                if due.stream_id != stream_id or due.event_version <= fresh.version
            ]

    def committed(self, events: Iterable[NewEvent]) -> None:
        """Tells that these, the oldest that were recorded, are in the log."""
        for event in events:
            self._streams[event.stream_id].pending.popleft()
        for stream_id in list(islice(self._streams, max(0, len(self._streams) - self._capacity))):
            if not self._streams[stream_id].pending:
                del self._streams[stream_id]

    def take_snapshots(self) -> list[AggregateSnapshot]:
        """To be kept as soon as all that is recorded is in the log."""
        due, self._due = self._due, []
        return due

    def forget(self, stream_ids: Iterable[UUID]) -> set[UUID]:
        """Drops the streams; returns those of them that were here."""
        return {i for i in stream_ids if self._streams.pop(i, None) is not None}

    def clear(self) -> None:
        self._streams.clear()
        self._due.clear()


def _snapshot(stream_id: UUID, stream: Stream) -> AggregateSnapshot:
    assert stream.stream_type is not None
    stream.snapshot_version = stream.version
    topic = AGGREGATES[stream.stream_type].topic
    return AggregateSnapshot(stream_id, stream.version, topic, state_text(stream.state))


def state_text(state: Any) -> str:
    """A state as snapshots keep it."""
    builtins = msgspec.to_builtins(state, builtin_types=_JSON_NATIVE, str_keys=True)
    return orjson.dumps(builtins, default=plain).decode()
