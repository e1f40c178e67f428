"""A step of the work on batches that runs beside the other steps."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self


class Step:
    """Does its work for one batch at a time, in the order of the batches, while its caller goes on
    to the next; all of it is done at the end of the block."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    async def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for the work before, then begins with this."""
        await self.done()
        self._task = asyncio.create_task(work)

    async def done(self) -> None:
        """Waits for the work before."""
        if self._task is not None:
            await self._task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.done()
