"""Pages that follow the log, for however many look on.

    moved   how far the log is, told to all who look on at the same time
    parts   what of a page follows the log: made once for all who see the same, and shared by them

A page is never older than what its reader was told. How often they are told follows from the work
that it makes: pages are made one after the other, and no more of the time goes into that than
`web_live_share`. So few see each change at once, and many, or a busy machine, see it a little
later; those who trade do not pay for those who look on.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from ledger.web.log_follower import LogFollower

LEAST_SECONDS = 0.2
"""Between two times that everybody is told: with making a page and showing it, what was committed
is seen within half a second."""
MOST_SECONDS = 5.0
"""Also on the busiest machine: whoever looks on is to see that the ledger goes on."""
KEPT_PAGES = 200
"""Parts of pages that are kept for others, a few kilobytes each."""
REMEMBERED = 0.7
"""How much of what making took the times before counts, beside the last time."""


class LiveParts(NamedTuple):
    """What of a page follows the log, as of a position. `is_behind`: the read models were a moment
    behind the log, so the same position may show more in the next moment."""

    status: int
    body: bytes
    position: int
    is_behind: bool
    made_at: float

    def serves(self, position: int) -> bool:
        """Whether it is as new as who was told of a position has to see it."""
        age = time.monotonic() - self.made_at
        return self.position >= position and not (self.is_behind and age >= LEAST_SECONDS)


class LivePages:
    """Of one event loop."""

    def __init__(self, follower: LogFollower, share: float) -> None:
        self._follower = follower
        self._share = share
        self._watching = 0
        self._beating: asyncio.Task[None] | None = None
        self._told, self._head = asyncio.Event(), 0
        self._one_at_a_time = asyncio.Lock()
        self._kept: dict[Any, LiveParts] = {}
        self._worked = self._usual_work = 0.0

    @property
    def pause_seconds(self) -> float:
        """Between two times that everybody is told."""
        return min(max(self._usual_work / self._share, LEAST_SECONDS), MOST_SECONDS)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """The log is followed for as long as the block lasts."""
        async with self._follower.followed(events=False):
            self._watching += 1
            if self._beating is None:
                self._head = 0
                self._beating = asyncio.create_task(self._beat())
            try:
                yield
            finally:
                self._watching -= 1
                if not self._watching:
                    self._beating.cancel()
                    self._beating = None
                    self._kept.clear()

    async def moved(self, position: int, timeout: float) -> int:
        """How far the log is, when everybody is told that it is beyond a position, or after so
        long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._head <= position:
                    await self._told.wait()
        return self._head

    async def parts(
        self, key: Any, position: int, make: Callable[[], Awaitable[LiveParts]]
    ) -> LiveParts:
        """Those of the page, at the position or later; `key` is all that they depend on."""
        kept = self._kept.get(key)
        if kept is not None and kept.serves(position):
            return kept
        async with self._one_at_a_time:
            kept = self._kept.get(key)  # another one may have wanted the same
            if kept is not None and kept.serves(position):
                return kept
            begun = time.monotonic()
            made = await make()
            self._worked += time.monotonic() - begun
        self._kept.pop(key, None)
        if made.status == 200 and self._watching:
            self._kept[key] = made
            while len(self._kept) > KEPT_PAGES:
                del self._kept[next(iter(self._kept))]
        return made

    async def _beat(self) -> None:
        while True:
            head = await self._follower.moved(self._head, MOST_SECONDS)
            if head > self._head:
                self._head = head
                told, self._told = self._told, asyncio.Event()
                told.set()
            await asyncio.sleep(self.pause_seconds)
            worked, self._worked = self._worked, 0.0
            before = max(self._usual_work, worked)  # more work is felt at once, less by and by
            self._usual_work = REMEMBERED * before + (1 - REMEMBERED) * worked
