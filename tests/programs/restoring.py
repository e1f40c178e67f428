"""A ledger whose database is restored to an earlier moment, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from ledger.operate.settings import Settings
from ledger.programs.commands import CommandWorker
from tests.databases import create_database
from tests.programs.services import ANSWER_SECONDS


def copied(server_url: str, database_url: str) -> str:
    """The database as it is now, under another name; nobody may be connected to it."""
    return create_database(server_url, template=urlsplit(database_url).path.removeprefix("/"))


@asynccontextmanager
async def worker_on(
    database_url: str, nats_url: str, **settings: Any
) -> AsyncIterator[CommandWorker]:
    """A worker that perhaps does not serve."""
    worker = CommandWorker(database_url, nats_url, Settings(**settings))
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, ANSWER_SECONDS)
