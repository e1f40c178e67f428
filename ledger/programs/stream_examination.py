"""Looks now and then whether streams that could not be read can be, so that those who look after
the ledger are told of what is held and of nothing else: a newer version of the code may know an
event that the one before did not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog

from ledger.eventstore.connection import OneConnection
from ledger.write import held_streams
from ledger.write.aggregates import HELD_SECONDS

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def held_streams_examined(database_url: str) -> AsyncIterator[None]:
    """Inside the block, streams that are held are read again, at once and every HELD_SECONDS."""
    task = asyncio.create_task(_examine_for_ever(OneConnection(database_url, "held streams")))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _examine_for_ever(database: OneConnection) -> None:
    with contextlib.closing(database):
        while True:
            try:
                await asyncio.to_thread(database.run, held_streams.examine)
            except psycopg.Error as error:
                _log.warning("held_streams_not_examined", error=" ".join(str(error).split()))
            await asyncio.sleep(HELD_SECONDS)
