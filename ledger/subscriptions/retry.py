"""Waiting longer and longer between tries of something that fails, for servers that come back;
and waiting that ends when the service is stopped."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import structlog

from ledger.operate.database import OF_WHAT_IS_ASKED

FIRST_RETRY_SECONDS = 0.05
"""A restart of a server is often over in less than a second."""
LONGEST_RETRY_SECONDS = 5.0
"""So that whoever has put the cause right does not wait long for us to notice."""

_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class Backoff:
    """Doubles the pause with each try, with some chance in it, so that many that wait do not all
    come back at one moment."""

    def __init__(self, longest_seconds: float = LONGEST_RETRY_SECONDS) -> None:
        self._longest = longest_seconds
        self._next = min(FIRST_RETRY_SECONDS, longest_seconds)

    def reset(self) -> None:
        """It worked: start anew at the next failure."""
        self._next = min(FIRST_RETRY_SECONDS, self._longest)

    def seconds(self) -> float:
        """The pause before the next try."""
        pause = self._next * random.uniform(0.7, 1.0)
        self._next = min(self._next * 2, self._longest)
        return pause

    def wait(self, stop: threading.Event) -> None:
        """Waits for the next try, or until `stop`."""
        stop.wait(self.seconds())


class Patience:
    """Of an asyncio service that ends when `stop` is set."""

    def __init__(self, stop: asyncio.Event, longest_pause: float) -> None:
        self._stop = stop
        self._longest_pause = longest_pause
        self.trouble: str | None = None
        """What the last try met with; None as soon as one goes well."""

    def backoff(self) -> Backoff:
        """For tries that `pause` lies between."""
        return Backoff(self._longest_pause)

    async def until_done(self, work: Callable[[], Result]) -> Result | None:
        """The result of `work`, called in a thread until the database is there to do it; None
        when stopped. Work that may be repeated, that is. Raises what the work itself is at
        fault for."""
        backoff = self.backoff()
        while True:
            try:
                done = await asyncio.to_thread(work)
            except (psycopg.IntegrityError, *OF_WHAT_IS_ASKED):
                raise
            except psycopg.Error as error:
                pause = backoff.seconds()
                self.trouble = f"{type(error).__name__}: {str(error).strip()}"
                _log.warning(
                    "database_away", error=str(error).strip(), next_try_seconds=round(pause, 3)
                )
            else:
                self.trouble = None
                return done
            if await self.pause(pause):
                return None

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
