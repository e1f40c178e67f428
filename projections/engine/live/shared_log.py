"""One reading of the newest events for all workers of a process.

All workers of a process are woken by the same notification and fold the same events. Whoever comes
first reads them, on its own connection, and they stay here, with the domain event once somebody
has decoded it; the others take what they fold from here. Leases, checkpoints and fences know
nothing of it: an event never changes, so whose connection read it makes no difference.

    behind     a worker that is further behind than what is kept reads for itself
    nothing    an empty look is everybody's answer until the bell rings again
    stuck      who waits too long for another's reading (its connection may hang) reads itself
    failover   events are kept for one server; one that has taken over may lack the last of them
"""

import threading
import time
from bisect import bisect_right
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec
import psycopg

from ledger.kernel.event import Event
from ledger.nouns import EVENTS
from ledger.subscriptions.wakeup import Bell
from projections.engine.live import source
from projections.engine.live.source import LogEvent
from projections.engine.projection import Projection

KEPT_POSITIONS = 5_000
"""Some seconds of a busy ledger, and about 15 MB. Workers that are further apart gain nothing."""
FRESH_SECONDS = 0.1
"""An empty look counts for this long when nothing has rung: all workers poll at about the same
time, and one query is enough. Far below the poll interval, which lost notifications need."""
PATIENCE_SECONDS = 0.5
"""How long to wait for another's reading: many times what one takes."""

_position = attrgetter("position")


class SharedEvent(LogEvent, frozen=True, gc=False):
    """An event that several workers fold."""

    stream_type: str
    event: Event | None = None

    def decoded(self) -> Event:
        """As of any recorded event, but decoded only once. Two threads may do it at the same
        time, with equal results."""
        event = self.event
        if event is None:
            # Not through super(): a frozen struct with slots is made anew by its metaclass.
            event = LogEvent.decoded(self)
            msgspec.structs.force_setattr(self, "event", event)
        return event


class SharedLog:
    """The newest events of the log, for the workers that the `bell` wakes."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._lock = threading.Lock()
        self._forget(None, 0)

    def reader(self, connection: psycopg.Connection[Any]) -> "LogReader":
        """For a worker, on its own connection."""
        return LogReader(self, connection)

    def _forget(self, server: datetime | None, position: int) -> None:
        self._server = server
        self._events: list[SharedEvent] = []
        self._first = self._last = position
        self._empty_at_rings, self._empty_until = -1, 0.0

    def read(
        self,
        connection: psycopg.Connection[Any],
        server: datetime,
        *,
        after: int,
        most: int,
    ) -> list[SharedEvent]:
        """The next events after a position, of all types; at most `most`."""
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            return _read(connection, after, most)
        try:
            if server != self._server or after > self._last:
                self._forget(server, after)
            if after >= self._first:
                if after == self._last:
                    return self._extend(connection, most)
                begin = bisect_right(self._events, after, key=_position)
                return self._events[begin : begin + most]
        finally:
            self._lock.release()
        return _read(connection, after, most)

    def _extend(self, connection: psycopg.Connection[Any], most: int) -> list[SharedEvent]:
        rings = self._bell.rings  # before looking: what comes after the look rings later
        if rings == self._empty_at_rings and time.monotonic() < self._empty_until:
            return []
        events = _read(connection, self._last, most)
        if not events:
            self._empty_at_rings, self._empty_until = rings, time.monotonic() + FRESH_SECONDS
            return []
        # A new list: others may still hold slices of the old one.
        self._events = [*self._events, *events][-KEPT_POSITIONS:]
        self._first, self._last = self._events[0].position - 1, events[-1].position
        return events


class LogReader:
    """One worker's way to the newest events."""

    def __init__(self, shared: SharedLog, connection: psycopg.Connection[Any]) -> None:
        self._shared = shared
        self._connection = connection
        self._server = _server(connection)

    def read(self, projection: Projection, *, after: int, most: int) -> tuple[int, list[LogEvent]]:
        """How far the reading goes (`after` if nothing is new), and the events up to there that
        concern the projection: of the types that it folds, or of types that this code does not
        know in streams of which it folds something."""
        events = self._shared.read(self._connection, self._server, after=after, most=most)
        if not events:
            return after, []
        known, stream_types = projection.fold_of, projection.stream_types
        return events[-1].position, [
            event
            for event in events
            if event.event_type in known
            or (event.event_type not in EVENTS and event.stream_type in stream_types)
        ]


def _read(connection: psycopg.Connection[Any], after: int, most: int) -> list[SharedEvent]:
    return [SharedEvent(*row) for row in source.read_next(connection, after=after, most=most)]


def _server(connection: psycopg.Connection[Any]) -> datetime:
    """What no two servers have in common, and none with itself after a restart."""
    row = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
    assert row is not None
    started: datetime = row[0]
    return started
