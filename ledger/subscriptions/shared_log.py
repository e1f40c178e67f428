"""One reading of the newest events for all subscriptions of a process.

All of them are woken by the same notification and handle the same events. Whoever comes first reads
them, on its own connection, and they stay here, with what was made of them; the others take them
from here. Leases, checkpoints and fences know nothing of it: an event never changes, so whose
connection read it makes no difference.

    behind     who is further behind than what is kept reads for itself
    nothing    an empty look is everybody's answer until the bell rings again
    stuck      who waits too long for another's reading (its connection may hang) reads itself
    failover   events are kept for one server; one that has taken over may lack the last of them
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

import psycopg

from ledger.subscriptions.wakeup import Bell

KEPT_POSITIONS = 5_000
"""Some seconds of a busy ledger, and about 15 MB. Who is further apart gains nothing."""
FRESH_SECONDS = 0.1
"""An empty look counts for this long when nothing has rung: all poll at about the same time, and
one query is enough. Far below the poll interval, which lost notifications need."""
PATIENCE_SECONDS = 0.5
"""How long to wait for another's reading: many times what one takes."""

_position = attrgetter("position")


class Positioned(Protocol):
    """An event as the subscriptions of the process want it read."""

    @property
    def position(self) -> int: ...


E = TypeVar("E", bound=Positioned)


class SharedLog(Generic[E]):
    """The newest events of the log, for the subscriptions that the `bell` wakes. `read_next` reads
    the events after a position, at most so many, of all types."""

    def __init__(
        self, bell: Bell, read_next: Callable[[psycopg.Connection[Any], int, int], list[E]]
    ) -> None:
        self._bell = bell
        self._read_next = read_next
        self._lock = threading.Lock()
        self._forget(None, 0)

    def _forget(self, server: datetime | None, position: int) -> None:
        self._server = server
        self._events: list[E] = []
        self._first = self._last = position
        self._empty_at_rings, self._empty_until = -1, 0.0

    def read(
        self,
        connection: psycopg.Connection[Any],
        server: datetime,
        *,
        after: int,
        most: int,
    ) -> list[E]:
        """The next events after a position, of all types; at most `most`."""
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            return self._read_next(connection, after, most)
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
        return self._read_next(connection, after, most)

    def _extend(self, connection: psycopg.Connection[Any], most: int) -> list[E]:
        rings = self._bell.rings  # before looking: what comes after the look rings later
        if rings == self._empty_at_rings and time.monotonic() < self._empty_until:
            return []
        events = self._read_next(connection, self._last, most)
        if not events:
            self._empty_at_rings, self._empty_until = rings, time.monotonic() + FRESH_SECONDS
            return []
        # A new list: others may still hold slices of the old one.
        self._events = [*self._events, *events][-KEPT_POSITIONS:]
        self._first, self._last = self._events[0].position - 1, events[-1].position
        return events


def server_of(connection: psycopg.Connection[Any]) -> datetime:
    """What no two servers have in common, and none with itself after a restart."""
    row = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
    assert row is not None
    started: datetime = row[0]
    return started
