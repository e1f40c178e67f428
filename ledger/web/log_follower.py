"""The end of the log in memory, read once for all who look on.

    events     those that were recorded last, up to `web_stream_buffer_events`
    after      those behind a position, as soon as there are some; None where they are not in
               memory any more: who is that far behind asks the log itself

Reads while anybody follows, when the log says that something was recorded, and once a second.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator

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
    """Of one event loop, with threads of its own while somebody follows."""

    def __init__(self, database_url: str, size: int) -> None:
        self._database_url = database_url
        self._size = size
        self._events: deque[RecordedEvent] = deque(maxlen=size)
        self._head = 0
        self._read = asyncio.Condition()
        self._following = 0
        self._stop: threading.Event | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def following(self) -> int:
        """How many look on."""
        return self._following

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """The end of the log is read for as long as the block lasts."""
        self._following += 1
        if self._reading is None:
            self._stop = threading.Event()
            self._reading = asyncio.create_task(self._run(self._stop))
        try:
            yield
        finally:
            self._following -= 1
            if not self._following:
                await self.close()

    async def close(self) -> None:
        reading, stop = self._reading, self._stop
        self._reading = self._stop = None
        self._events.clear()
        self._head = 0
        if stop is not None:
            stop.set()
        if reading is not None:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def after(self, position: int, timeout: float) -> list[RecordedEvent] | None:
        """What was recorded behind a position, empty if that is nothing for so long; None if it is
        not in memory."""
        async with self._read:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._read.wait_for(lambda: self._head > position)
            if self._head <= position:
                return []
            if not self._events or self._events[0].position > position + 1:
                return None
            return [event for event in self._events if event.position > position]

    async def _run(self, stop: threading.Event) -> None:
        bell = Bell()
        url = acting_as(self._database_url, AUDITOR)
        seen = -1
        with Listener(url, stop, bell=bell, control=Bell()).running():
            while True:
                try:
                    connection = await asyncio.to_thread(connect, url, "web follower")
                except (psycopg.Error, OSError) as error:
                    _log.warning("log_not_followed", error=str(error).strip())
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                try:
                    while True:
                        await self._take(await asyncio.to_thread(self._newest, connection))
                        await asyncio.sleep(PAUSE_SECONDS)
                        seen = await bell.rung(seen, POLL_SECONDS)
                except psycopg.Error as error:
                    _log.warning("log_not_followed", error=str(error).strip())
                finally:
                    await asyncio.to_thread(connection.close)

    def _newest(self, connection: psycopg.Connection[None]) -> tuple[int, list[RecordedEvent]]:
        head = reader.head(connection)
        after = self._head or head
        after = max(after, head - self._size)
        return head, reader.read(connection, after=after, up_to=head) if head > after else []

    async def _take(self, found: tuple[int, list[RecordedEvent]]) -> None:
        head, events = found
        if events and self._events and events[0].position != self._events[-1].position + 1:
            self._events.clear()  # there was more than memory holds
        async with self._read:
            self._events.extend(events)
            self._head = max(head, self._head)
            self._read.notify_all()
