"""Waiting until a read model, or another subscription, has reached a position.

Subscriptions tell nobody when they move. So while anybody waits, one query looks at all of them
every few milliseconds, for all who wait.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

LOOK_SECONDS = 0.01
"""Pause between two looks: a tenth of the time in which a read model follows."""


class Reached:
    """How far the read models are, for any number who wait."""

    def __init__(self, pool: "AsyncConnectionPool[psycopg.AsyncConnection[Any]]") -> None:
        self._pool = pool
        self._positions: dict[str, int] = {}
        self._moved = asyncio.Condition()
        self._waiting = 0
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, read_model: str, position: int, timeout: float) -> int:
        """Where the read model is, once it has reached the position or the time is over."""
        async with self._while_looking(), self._moved:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._moved.wait_for(
                        lambda: self._positions.get(read_model, 0) >= position
                    )
        return self._positions.get(read_model, 0)

    @asynccontextmanager
    async def _while_looking(self) -> AsyncIterator[None]:
        self._waiting += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            # A database that is away ends the waiting by its time, not by an error.
            with contextlib.suppress(psycopg.Error, PoolTimeout):
                async with self._pool.connection() as connection:
                    cursor = await connection.execute(
                        "SELECT projection_name, last_processed_position"
                        " FROM public.event_projections"
                    )
                    found = dict(await cursor.fetchall())
                async with self._moved:
                    self._positions = found
                    self._moved.notify_all()
            await asyncio.sleep(LOOK_SECONDS)
