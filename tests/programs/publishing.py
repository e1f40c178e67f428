"""A publisher and a log for tests, in this process, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import psycopg
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.event_mix import EventMix, append_mix
from ledger.bus import connection as bus
from ledger.bus.events import EVENTS_STREAM
from ledger.bus.security import BusSecurity
from ledger.operate.settings import Settings
from ledger.programs.publisher import Publisher
from tests.programs.services import ANSWER_SECONDS, rows

LOOK_SECONDS = 0.02


class Log:
    """A log that grows by events of the mix."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self._mix = EventMix(accounts=4)

    def grow(self, count: int) -> int:
        """Appends events; the head after it."""
        with psycopg.connect(self.database_url) as connection:
            append_mix(connection, self._mix, count)
        return self.head

    @property
    def head(self) -> int:
        return int(
            rows(self.database_url, "SELECT coalesce(max(position), 0) FROM event_store")[0][0]
        )

    def ids(self) -> list[str]:
        """The ids of all events, in position order."""
        stored = rows(self.database_url, "SELECT id FROM event_store ORDER BY position")
        return [str(row[0]) for row in stored]


def progress(database_url: str) -> dict[str, Any]:
    """The publisher's row."""
    names = "last_processed_position, status, owner, error_message, total_events_processed"
    found = rows(
        database_url, f"SELECT {names} FROM event_projections WHERE projection_name = 'publisher'"
    )
    return dict(zip(names.split(", "), found[0], strict=True)) if found else {}


async def until(condition: Callable[[], bool], seconds: float = 2 * ANSWER_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(LOOK_SECONDS)


async def published_up_to(database_url: str, position: int) -> None:
    """Returns when the publisher has noted the position."""
    await until(lambda: progress(database_url).get("last_processed_position", 0) >= position)


@asynccontextmanager
async def running_publisher(
    database_url: str, nats_url: str, **settings: Any
) -> AsyncIterator[Publisher]:
    """A publisher that works inside the block and stops in good order after it."""
    publisher = Publisher(database_url, nats_url, Settings(**settings))
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        publisher.stop()
        await asyncio.wait_for(running, ANSWER_SECONDS)


@asynccontextmanager
async def connected(nats_url: str) -> AsyncIterator[Client]:
    connection = await bus.connect(nats_url, "test", security=BusSecurity(), retry_wait=0.1)
    try:
        yield connection
    finally:
        await connection.close()


async def in_stream(nats_url: str) -> list[Msg]:
    """All messages of LEDGER_EVENTS, in its order."""
    async with connected(nats_url) as connection:
        jetstream = connection.jetstream()
        count = (await jetstream.stream_info(EVENTS_STREAM)).state.messages
        messages = await jetstream.subscribe(
            "ledger.events.>", stream=EVENTS_STREAM, ordered_consumer=True
        )
        return [await messages.next_msg(ANSWER_SECONDS) for _ in range(count)]


async def ids_in_stream(nats_url: str) -> list[str]:
    return [orjson.loads(message.data)["id"] for message in await in_stream(nats_url)]
