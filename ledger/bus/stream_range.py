"""Reading a stretch of a stream once, in its order, without a trace left behind."""

from collections.abc import AsyncIterator

from nats.js import api
from uuid_utils.compat import uuid7

from ledger.bus import delivery
from ledger.bus.connection import JETSTREAM_TIMEOUT_SECONDS, Connection
from ledger.bus.pull import Pull
from ledger.bus.wire import Message
from ledger.kernel.errors import LedgerError

BATCH = 500
"""Messages read at once."""
SILENCE_SECONDS = 10.0
"""After this the server counts as away: what is asked for is there already."""
UNUSED_SECONDS = 60.0
"""When the server forgets the consumer of a reader that is gone."""


class NotReadable(LedgerError):
    """The server did not hand out what the stream has."""


async def messages(
    connection: Connection, stream: str, first: int, last: int
) -> AsyncIterator[list[Message]]:
    """The messages with these numbers and all between that the stream still has. Raises
    nats.errors.Error, NotReadable."""
    if last < max(first, 1):
        return
    jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
    name = f"reader-{uuid7().hex}"
    made = await jetstream.add_consumer(
        stream,
        api.ConsumerConfig(
            name=name,
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(first, 1),
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=UNUSED_SECONDS,
            mem_storage=True,
        ),
    )
    try:
        if not made.num_pending:
            return
        async with Pull(connection, stream, [name], BATCH) as pull:
            while True:
                taken = await pull.take(SILENCE_SECONDS)
                if not taken:
                    raise NotReadable(f"{stream} hands out nothing: {pull.lost or 'no answer'}")
                wanted = [one for one in taken if delivery.sequence(one) <= last]
                if wanted:
                    yield wanted
                if len(wanted) < len(taken) or delivery.sequence(taken[-1]) == last:
                    return
                if not delivery.still_to_come(taken[-1]):
                    return
    finally:
        await jetstream.delete_consumer(stream, name)
