"""Sending events again, for a consumer that lost its state: from a position to the head, in order,
under a prefix of the consumer's own. LEDGER_EVENTS is not touched.

Where a JetStream stream takes the subjects, each event is confirmed by it. Else they are plain
messages: they reach whoever listens at that moment, as fast as the slowest of them can take them.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from ledger.bus import connection as bus
from ledger.bus.events import MESSAGE_ID, published
from ledger.eventstore import incarnations, reader
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.errors import LedgerError
from ledger.kernel.incarnation import Lineage
from ledger.operate.database import connect

BATCH = 500
"""Events read and confirmed at once."""
CONFIRMATION_TIMEOUT_SECONDS = 10.0
"""After this an event that the stream did not confirm counts as lost and the replay ends."""


class UnusablePrefix(LedgerError, ValueError):
    """Nothing can or may be published below the prefix."""


class PositionNotThere(LedgerError, ValueError):
    """The log has no such position."""


class Replayed(NamedTuple):
    """What was sent: positions, how many events, and the stream that keeps them, if any."""

    from_position: int
    to_position: int
    events: int
    stream: str | None


Progress = Callable[[int, int], None]
"""Told the position reached and the one to reach."""


def checked_prefix(prefix: str) -> str:
    """The prefix, if events may be sent below it. Raises UnusablePrefix."""
    try:
        bus.checked_reply_subject(prefix)
    except bus.UnusableSubject as error:
        raise UnusablePrefix(f"subject {prefix!r} {error}. Name one like replay.risk") from error
    if prefix == "ledger" or prefix.startswith("ledger."):
        raise UnusablePrefix(
            f"subject {prefix!r} is the ledger's own: its readers would take old events for new "
            "ones. Name one like replay.risk"
        )
    return prefix


async def replay(
    database_url: str, connection: Client, *, from_position: int, prefix: str, progress: Progress
) -> Replayed:
    """Sends the events from the position to the head as it is now. Raises UnusablePrefix,
    PositionNotThere, and errors of both servers."""
    checked_prefix(prefix)
    jetstream = connection.jetstream(timeout=CONFIRMATION_TIMEOUT_SECONDS)
    stream = await _stream_of(jetstream, f"{prefix}.>")
    with connect(database_url, "replay") as database:
        head = await asyncio.to_thread(reader.head, database)
        if not 1 <= from_position <= head:
            raise PositionNotThere(
                f"the log has the positions 1 to {head}, and not {from_position}: nothing was sent"
            )
        lineage = await asyncio.to_thread(incarnations.lineage, database)
        reached = from_position - 1
        while reached < head:
            up_to = min(reached + BATCH, head)
            events = await asyncio.to_thread(reader.read, database, after=reached, up_to=up_to)
            await _send(connection, jetstream if stream else None, events, prefix, lineage)
            reached = up_to
            progress(reached, head)
    return Replayed(from_position, head, head - from_position + 1, stream)


async def _stream_of(jetstream: JetStreamContext, subject: str) -> str | None:
    try:
        return await jetstream.find_stream_name_by_subject(subject)
    except nats.js.errors.NotFoundError:
        return None


async def _send(
    connection: Client,
    jetstream: JetStreamContext | None,
    events: Sequence[RecordedEvent],
    prefix: str,
    lineage: Lineage,
) -> None:
    confirmations: list[asyncio.Future[api.PubAck]] = []
    for event in events:
        subject, body, headers = published(event, prefix, lineage)
        del headers[MESSAGE_ID]  # a second replay must not be taken for a copy of the first
        if jetstream is None:
            await connection.publish(subject, body, headers=headers)
        else:
            confirmations.append(
                await jetstream.publish_async(subject, body, headers=headers)  # in order
            )
    if jetstream is None:
        await connection.flush()
    else:
        async with asyncio.timeout(CONFIRMATION_TIMEOUT_SECONDS):
            await asyncio.gather(*confirmations)
