"""Publishing events: `python -m benchmarks.publish [--json] [--events N]`.

    ours    events per second from the event store to LEDGER_EVENTS with the progress noted: an
            embedded server that syncs every batch to its disk, the log written before

It says how fast the publisher catches up; while it follows, the commands are what limits it.
"""

import argparse
import asyncio
import time

import psycopg
from nats.aio.client import Client

from benchmarks.event_mix import EventMix, append_mix
from benchmarks.harness import directory, migrated_database, quiet, report
from ledger.bus.events import EVENTS_STREAM
from ledger.operate.embedded.servers import EmbeddedNats
from ledger.operate.settings import Settings
from ledger.programs.publisher import NAME, Publisher

LOOK_SECONDS = 0.02
"""Pause between two looks at the progress."""


async def publish_all(database_url: str, nats_url: str, head: int) -> float:
    """Publishes the log; the seconds from the first message in the stream to the note of the
    last."""
    publisher = Publisher(database_url, nats_url, Settings())
    running = asyncio.create_task(publisher.run())
    started = time.perf_counter()
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT last_processed_position FROM event_projections WHERE projection_name = %s",
                [NAME],
            )
            row = await cursor.fetchone()
            if row is not None and row[0] == head:
                break
            await asyncio.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - started
    publisher.stop()
    await running
    nats = Client()
    await nats.connect(nats_url)
    state = (await nats.jetstream().stream_info(EVENTS_STREAM)).state
    await nats.close()
    assert state.messages == head, f"{state.messages} messages of {head} events"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--events", type=int, default=50_000, help="events to publish")
    options = parser.parse_args()
    quiet()
    with migrated_database() as database_url, directory() as place, EmbeddedNats(place) as nats:
        with psycopg.connect(database_url) as connection:
            append_mix(connection, EventMix(), options.events)
        with psycopg.connect(database_url) as connection:
            row = connection.execute("SELECT max(position) FROM event_store").fetchone()
        assert row is not None
        seconds = asyncio.run(publish_all(database_url, nats.url, row[0]))
    report(
        "publish",
        {"events": row[0], "seconds": round(seconds, 2), "ours_per_s": round(row[0] / seconds)},
    )


if __name__ == "__main__":
    main()
