"""The states of aggregates, in memory while they are in use.

    load()      reads the streams a batch needs (`stream_reader.py`); streams already here are not
                read again
    held()      tells of streams that cannot be read. They are remembered for a while: a flood of
                commands that need one costs those of others nothing
    get()       the state of a stream, None before its first event
    past()      the events that led to the state of a stream, for the command that needs them
    record()    evolves the state by an event that was just decided; when a snapshot is due, the
                event is to tell of it
    restore()   takes back what an abandoned decision recorded
    committed() tells which records are in the log
    abandon()   drops the states that records not kept have made
    forget()    drops streams that another writer has changed
    follow()    takes in what another writer has appended, for who only reads

States are kept from batch to batch, at most `capacity` streams, least recently used dropped
first. What is here is never trusted beyond the log: the commit checks that nobody else appended
to a stream the batch has read (`ledger.py`).
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import orjson
import psycopg
import structlog

from ledger.eventstore import repairs
from ledger.eventstore.reader import RecordedEvent
from ledger.eventstore.snapshots import AggregateSnapshot
from ledger.eventstore.store import NewEvent, load_backwards
from ledger.kernel.event import Event
from ledger.kernel.money import plain
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.streams.events import repairs_of
from ledger.operate import metrics
from ledger.write import stream_reader
from ledger.write.deciders import AGGREGATES
from ledger.write.stream_reader import Gap, HeldStream, Stream, StreamHeld

_JSON_NATIVE = (Decimal,)

_log = structlog.get_logger(__name__)


HELD_SECONDS = 30.0
"""How long a stream that could not be read counts as such, before it is read again: somebody may
have mended the database. A repair or another event of the stream ends it at once."""
MOST_HELD = 10_000
"""Held streams that are remembered: some megabytes."""
RUNBOOK = "docs/runbooks/stuck-stream.md"


class _Held(NamedTuple):
    """`until` is when to read it again."""

    stream: HeldStream
    until: float


class StreamPlace(NamedTuple):
    """The place of an event in its stream, and the digest of the state after it if a snapshot of
    that state will be kept."""

    version: int
    state_digest: str | None


class Aggregates:
    """See the module's text. Not thread-safe: one batch is decided at a time."""

    def __init__(self, capacity: int, snapshot_interval: int) -> None:
        self._capacity = capacity
        self._snapshot_interval = snapshot_interval
        self._streams: OrderedDict[UUID, Stream] = OrderedDict()
        self._held: dict[UUID, _Held] = {}
        self._due: list[AggregateSnapshot] = []
        """Snapshots of states that events of this batch have left."""
        self._hits = 0
        """Streams that were in memory when a decision looked, and are not counted yet."""

    def load(self, connection: psycopg.Connection[Any], stream_ids: Collection[UUID]) -> None:
        now = monotonic()
        missing = []
        for stream_id in stream_ids:
            if stream_id in self._streams:
                self._streams.move_to_end(stream_id)
            elif stream_id not in self._held or self._held[stream_id].until <= now:
                missing.append(stream_id)
        metrics.CACHE_HITS.inc(len(stream_ids) - len(missing) + self._hits)
        self._hits = 0
        if not missing:
            return
        metrics.CACHE_MISSES.inc(len(missing))
        for stream_id, stream in stream_reader.read(connection, missing).items():
            if isinstance(stream, HeldStream):
                self._hold(stream, now)
            else:
                self._held.pop(stream_id, None)
                self._streams[stream_id] = stream

    def used(self, stream_id: UUID) -> Stream | None:
        """The stream, which is then used, if it is in memory and can be read."""
        stream = self._streams.get(stream_id)
        if stream is None or (self._held and stream_id in self._held):
            return None
        self._streams.move_to_end(stream_id)
        self._hits += 1
        return stream

    def _hold(self, stream: HeldStream, now: float) -> None:
        if stream.stream_id not in self._held:
            _log.error("stream_held", **stream.shown(), remedy=f"see {RUNBOOK}")
        self._held[stream.stream_id] = _Held(stream, now + HELD_SECONDS)
        while len(self._held) > MOST_HELD:
            del self._held[next(iter(self._held))]

    def held(self, stream_ids: Iterable[UUID]) -> HeldStream | None:
        """The first of the streams that was loaded and cannot be read."""
        if not self._held:
            return None
        return next((self._held[one].stream for one in stream_ids if one in self._held), None)

    def peek(self, stream_id: UUID) -> Any:
        """The state of a loaded stream, of whichever kind it is."""
        return self._streams[stream_id].state

    @property
    def count(self) -> int:
        """Streams that are in memory."""
        return len(self._streams)

    def is_pending(self, stream_id: UUID) -> bool:
        """Whether events of the stream were recorded that are not known to be committed."""
        stream = self._streams.get(stream_id)
        return stream is not None and bool(stream.pending)

    def get(self, stream_type: str, stream_id: UUID) -> Any:
        """Raises Rejection when the id is that of another kind of aggregate."""
        return self._streams[stream_id].state_as(stream_type, stream_id)

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
        passed_over = repairs.read(connection, [stream_id]).get(stream_id, repairs.NONE).passed_over
        for recorded in load_backwards(connection, stream_id, below, instruments):
            if recorded.event_version not in passed_over:
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
            fresh = stream_reader.read(connection, [stream_id])[stream_id]
            if isinstance(fresh, HeldStream):  # since it was loaded
                raise StreamHeld(f"stream {stream_id} cannot be read any more: {fresh.reason}")
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
        changed = set(stream_ids)
        for one in [one for one in self._held if one in changed or repairs_of(one) in changed]:
            del self._held[one]
        return {i for i in changed if self._streams.pop(i, None) is not None}

    def follow(self, recorded: RecordedEvent, *, begin: bool = False) -> Event | None:
        """The event, once it has led on the state of its stream; with `begin` also of a stream that
        it begins, though nobody has asked for it. None: the stream is not here, or is not any more,
        and is read when it is needed. For who records nothing itself."""
        stream = self._streams.get(recorded.stream_id)
        if stream is None and begin and recorded.event_version == 1:
            stream = self._streams[recorded.stream_id] = Stream()
        if stream is None:
            return None
        try:
            if recorded.event_version != stream.version + 1:
                raise Gap(f"it follows version {stream.version}")
            event = recorded.decoded()
            stream.evolve(recorded.stream_id, event, recorded.stream_type)
        except Exception:  # noqa: BLE001 - whoever needs it reads it anew, and is told what is wrong
            del self._streams[recorded.stream_id]
            return None
        return event

    def abandon(self) -> None:
        """Drops the states that have events which may never be in the log."""
        for one in [one for one, stream in self._streams.items() if stream.pending]:
            del self._streams[one]
        self._due.clear()

    def clear(self) -> None:
        """Forgets all states. What is held stays so: reading it again would not help."""
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
