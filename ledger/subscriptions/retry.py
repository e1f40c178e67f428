"""Waiting that ends when the service is stopped, for servers that come back."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import structlog

from ledger.eventstore.store import VersionConflict

FIRST_RETRY_SECONDS = 0.05
"""First pause before the database is tried again; each is twice the one before, up to the setting
retry_wait_seconds."""

_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class Patience:
    """Of a service that ends when `stop` is set."""

    def __init__(self, stop: asyncio.Event, longest_pause: float) -> None:
        self._stop = stop
        self._longest_pause = longest_pause

    async def until_done(self, work: Callable[[], Result]) -> Result | None:
        """The result of `work`, called in a thread until the database is there to do it; None
        when stopped. Work that may be repeated, that is. Raises what the work itself is at
        fault for."""
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                return await asyncio.to_thread(work)
            except (psycopg.DataError, psycopg.IntegrityError):
                raise
            except (psycopg.Error, VersionConflict) as error:
                _log.warning("database_away", error=str(error).strip(), next_try_seconds=pause)
            if await self.pause(pause):
                return None
            pause = min(2 * pause, self._longest_pause)

    async def pause(self, seconds: float) -> bool:
        """Waits; True as soon as the worker is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    async def unless_stopped(self, work: Awaitable[Result]) -> Result | None:
        """The result of `work`; None, and `work` is ended, when the worker is stopped first."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None
