"""Answers go out while the next batch is decided."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self


class Answering:
    """Answers one batch beside the work on the next, in the order of the batches; none is left
    unanswered at the end of the block."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def begin(self, answers: Coroutine[Any, Any, None]) -> None:
        """Waits for the answers before, then begins with these."""
        await self._finish()
        self._task = asyncio.create_task(answers)

    async def _finish(self) -> None:
        if self._task is not None:
            await self._task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._finish()
