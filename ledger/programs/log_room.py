"""Makes the next partition of the log before the last one is full, while commands are served, and
enters the streams of those that are full.

Were the first late, the append itself would make the partition (sql/functions/begin_append.sql):
nothing that happened is ever held up, but some commands would wait for it. Were the second late,
each append would look into the partitions that are not entered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog

from ledger.operate.database import connect
from ledger.operate.settings import Settings

INTERVAL_SECONDS = 30.0
"""Between two looks, each of a millisecond. A partition is made when the last one is half full:
at ten thousand events a second the other half of the default lasts for almost a minute."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def log_room_made(database_url: str, settings: Settings) -> AsyncIterator[None]:
    """Inside the block, the log has a partition to go on in."""
    task = asyncio.create_task(_make_for_ever(database_url, settings.log_partition_events))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _make_for_ever(database_url: str, events: int) -> None:
    while True:
        try:
            made = await asyncio.to_thread(make_room, database_url, events)
            if made is not None:
                _log.info("log_partition_made", first_position=made, events=events)
            while (full := await asyncio.to_thread(register_streams, database_url)) is not None:
                _log.info("streams_of_log_partition_entered", first_position=full)
        except psycopg.Error as error:
            _log.warning("log_partition_not_made", reason=str(error).strip())
        await asyncio.sleep(INTERVAL_SECONDS)


def make_room(database_url: str, events: int) -> int | None:
    """Makes the next partition, of so many events, if it is time; tells its first position."""
    with connect(database_url, "log room") as connection:
        row = connection.execute("SELECT public.make_event_partition(%s)", (events,)).fetchone()
        assert row is not None
        made: int | None = row[0]
        return made


def register_streams(database_url: str) -> int | None:
    """Enters the streams that began in the oldest full partition of which that was not done; tells
    its first position. Some seconds for a million events, which nobody waits for."""
    with connect(database_url, "log room") as connection:
        row = connection.execute("SELECT public.register_streams()").fetchone()
        assert row is not None
        full: int | None = row[0]
        return full
