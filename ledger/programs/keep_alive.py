"""The server hands a message out again that is not acknowledged in time, unless it is told that
somebody is at it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import nats.errors
from nats.aio.client import Client

from ledger.bus import delivery, wire
from ledger.bus.delivery import Delivery
from ledger.bus.pull import Pull

KEEP_ALIVES_PER_ACK_WAIT = 3
"""How often what is in work is reported within the time for its acknowledgement: two reports may
get lost."""


@asynccontextmanager
async def kept_from_redelivery(
    connection: Client, in_work: Iterable[Iterable[Delivery]], pull: Pull, ack_wait: float
) -> AsyncIterator[None]:
    """Inside the block the server knows which batches are in work, however long it takes, and that
    those that wait behind them will be."""

    async def report_for_ever() -> None:
        while True:
            await asyncio.sleep(ack_wait / KEEP_ALIVES_PER_ACK_WAIT)
            messages = [one.message for batch in in_work for one in batch]
            messages += pull.waiting
            with contextlib.suppress(nats.errors.Error):
                await wire.send(connection, [delivery.in_work(one) for one in messages])

    reports = asyncio.create_task(report_for_ever())
    try:
        yield
    finally:
        reports.cancel()
