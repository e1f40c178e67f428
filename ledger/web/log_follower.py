"""The end of the log in memory, read once for all who look on.

    events     those that were recorded last, up to `web_stream_buffer_events`
    after      those behind a position, as soon as there are some; None where they are not in
               memory any more: who is that far behind asks the log itself
    moved      how far the log is, as soon as it is beyond a position

Reads while anybody follows, when the log says that something was recorded, and once a second. Who
only wants to know how far it is has no events read.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import structlog

from ledger.eventstore import reader
from ledger.eventstore.reader import RecordedEvent
from ledger.operate.database import connect
from ledger.operate.database_url import acting_as
from ledger.operate.roles import AUDITOR
from ledger.subscriptions.wakeup import Bell, Listener

POLL_SECONDS = 1.0
"""What a lost notification costs."""
PAUSE_SECONDS = 0.05
"""Between two readings: whoever looks on cannot tell it from at once, and a busy log is read twenty
times a second and not a thousand."""

_log = structlog.get_logger(__name__)


class LogFollower:
    """Of one event loop, with a thread of its own while somebody follows."""

    def __init__(self, database_url: str, size: int) -> None:
        self._database_url = acting_as(database_url, AUDITOR)
        self._size = size
        self._events: deque[RecordedEvent] = deque(maxlen=size)
        self._head = 0
        self._moved = asyncio.Event()
        self._following = 0
        self._of_events = 0
        self._reading: _LogReading | None = None

    @property
    def following(self) -> int:
        """How many look on."""
        return self._following

    @property
    def head(self) -> int:
        """The last position that was read, 0 while nobody follows."""
        return self._head

    @contextlib.asynccontextmanager
    async def followed(self, *, events: bool = True) -> AsyncIterator[None]:
        """The end of the log is read for as long as the block lasts; without `events`, only how far
        it is."""
        self._following += 1
        self._of_events += events
        if self._reading is None:
            loop = asyncio.get_running_loop()

            def tell(*found: Any) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is over
                    loop.call_soon_threadsafe(self._take, *found)

            self._reading = _LogReading(self._database_url, self._size, tell)
        self._reading.read_events(self._of_events > 0)
        try:
            yield
        finally:
            self._following -= 1
            self._of_events -= events
            if not self._following:
                self.close()
            elif not self._of_events:
                self._reading.read_events(False)
                self._events.clear()

    def close(self) -> None:
        if self._reading is not None:
            self._reading.stop()
        self._reading = None
        self._events.clear()
        self._head = 0

    async def after(self, position: int, timeout: float) -> list[RecordedEvent] | None:
        """What was recorded behind a position, empty if that is nothing for so long; None if it is
        not in memory."""
        if await self.moved(position, timeout) <= position:
            return []
        events = self._events
        if not events or events[0].position > position + 1 or events[-1].position < self._head:
            return None
        return [event for event in events if event.position > position]

    async def moved(self, position: int, timeout: float) -> int:
        """How far the log is, as soon as that is beyond a position, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._head <= position:
                    await self._moved.wait()
        return self._head

    def _take(self, reading: "_LogReading", head: int, events: list[RecordedEvent]) -> None:
        if reading is not self._reading:
            return  # one that was stopped
        if events and self._events and events[0].position != self._events[-1].position + 1:
            self._events.clear()  # there was more than memory holds
        self._events.extend(events)
        self._head = max(head, self._head)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


Told = Callable[["_LogReading", int, list[RecordedEvent]], None]


class _LogReading:
    """A thread that reads the end of the log until it is stopped."""

    def __init__(self, database_url: str, size: int, tell: Told) -> None:
        self._database_url = database_url
        self._size = size
        self._tell = tell
        self._stop = threading.Event()
        self._bell = Bell()
        self._head = -1
        self._read_to: int | None = None
        self._with_events = False
        threading.Thread(target=self._run, name="web follower", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        self._bell.ring()

    def read_events(self, wanted: bool) -> None:
        """Whether events are read, or only how far the log is."""
        if wanted != self._with_events:
            self._with_events = wanted
            self._bell.ring()  # from here on, and not from the next event on

    def _run(self) -> None:
        listener = Listener(self._database_url, self._stop, bell=self._bell, control=Bell())
        with listener.running():
            while not self._stop.is_set():
                try:
                    with connect(self._database_url, "web follower") as connection:
                        self._read(connection)
                except psycopg.Error as error:
                    _log.warning("log_not_followed", error=str(error).strip())
                    self._stop.wait(POLL_SECONDS)

    def _read(self, connection: psycopg.Connection[Any]) -> None:
        seen = self._bell.rings
        while not self._stop.is_set():
            head = reader.head(connection)
            with_events = self._with_events
            events = self._events(connection, head) if with_events else []
            self._read_to = head if with_events else None
            if head > self._head:
                self._tell(self, head, events)
            self._head = head
            self._stop.wait(PAUSE_SECONDS)
            seen = self._bell.wait(seen, POLL_SECONDS)

    def _events(self, connection: psycopg.Connection[Any], head: int) -> list[RecordedEvent]:
        after = head if self._read_to is None else max(self._read_to, head - self._size)
        return list(reader.read(connection, after=after, up_to=head)) if head > after else []
