"""Waking whoever waits for events, in an asyncio program.

A connection of its own listens for the store's notifications. A lost notification costs a poll
interval, because every wait ends by then; a lost connection is opened again for as long as it
takes.
"""

import asyncio
import contextlib

import psycopg
import structlog
from psycopg import sql

from ledger.eventstore.reader import NOTIFY_CHANNEL
from ledger.operate.database import connect_async

RECONNECT_SECONDS = 1.0
"""Pause between two tries to listen again; the poll stands in meanwhile."""

_log = structlog.get_logger(__name__)


class Wakeup:
    """A bell that the event store rings."""

    def __init__(self, database_url: str, poll_seconds: float) -> None:
        self._database_url = database_url
        self._poll_seconds = poll_seconds
        self._rung = asyncio.Event()
        self.rings = 0
        """How often the bell has rung: pass it to `wait`."""

    def ring(self) -> None:
        self.rings += 1
        self._rung.set()

    async def wait(self, seen: int) -> None:
        """Returns when the bell has rung since `seen`, or when it is time to look."""
        if self.rings != seen:
            return
        self._rung.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), self._poll_seconds)

    async def listen(self) -> None:
        """Rings at every append, until cancelled."""
        while True:
            try:
                async with await connect_async(self._database_url, "listener") as connection:
                    channel = sql.Identifier(NOTIFY_CHANNEL)
                    await connection.execute(sql.SQL("LISTEN {}").format(channel))
                    self.ring()
                    async for _ in connection.notifies():
                        self.ring()
            except psycopg.Error as error:
                _log.warning("listener_lost", error=str(error).strip())
            await asyncio.sleep(RECONNECT_SECONDS)
