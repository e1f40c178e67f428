"""Taking commands from the bus: whole batches, in order, and none that are another worker's."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from nats.js import JetStreamContext

from ledger.bus import connection as bus
from ledger.bus import delivery
from ledger.bus.command_stream import begin_commands_consumer, ensure_commands_stream
from ledger.bus.command_subjects import command_subject
from ledger.bus.connection import COMMANDS_STREAM
from ledger.bus.pull import Pull
from ledger.bus.security import BusSecurity
from ledger.bus.wire import Message
from ledger.operate.settings import Settings

SETTINGS = Settings(command_batch_size=10)
SECONDS = 5.0
SOON = 0.2
"""Long enough for what is on its way to arrive, where nothing should."""


@pytest.fixture
async def jetstream(nats_url: str) -> AsyncIterator[JetStreamContext]:
    connection = await bus.connect(nats_url, "test", security=BusSecurity(), retry_wait=0.1)
    jetstream = connection.jetstream()
    assert await ensure_commands_stream(connection, SETTINGS) == 1
    yield jetstream
    await connection.close()


async def publish(jetstream: JetStreamContext, *bodies: int) -> None:
    for body in bodies:
        await jetstream.publish(command_subject(str(uuid4()), "trade", "s-7"), str(body).encode())


async def begun(jetstream: JetStreamContext) -> Pull:
    consumer = await begin_commands_consumer(jetstream, SETTINGS, 0, 1)
    connection = jetstream._nc
    assert isinstance(connection, bus.Connection)
    return Pull(connection, COMMANDS_STREAM, [consumer], SETTINGS.command_batch_size)


async def taken(pull: Pull, number: int) -> list[Message]:
    messages: list[Message] = []
    while len(messages) < number:
        more = await pull.take(SECONDS)
        assert more, f"{len(messages)} of {number} came: {pull.lost}"
        messages += more
    return messages


def bodies(messages: list[Message]) -> list[int]:
    return [int(message.data) for message in messages]


async def test_batches_are_whole_while_there_is_enough(jetstream: JetStreamContext) -> None:
    async with await begun(jetstream) as pull:
        await publish(jetstream, *range(4))
        await taken(pull, 4)
        await publish(jetstream, *range(36))
        for size in (6, 10, 10, 10):  # 6 are what is left of the first request
            async with asyncio.timeout(SECONDS):
                while len(pull.waiting) < size:  # noqa: ASYNC110 - told of the first only
                    await asyncio.sleep(0.01)
            assert len(await pull.take(SECONDS)) == size


async def test_a_worker_gets_nothing_more_once_another_has_begun(
    jetstream: JetStreamContext,
) -> None:
    """It does not know yet, and asks on: what it got, its successor would get too late."""
    async with await begun(jetstream) as stale:
        await publish(jetstream, 1)
        await taken(stale, 1)
        async with await begun(jetstream) as successor:
            assert await stale.take(SOON) == []
            await publish(jetstream, *range(2, 20))
            assert await stale.take(SOON) == []
            assert bodies(await taken(successor, 19)) == list(range(1, 20))
        assert stale.lost is not None


async def test_a_successor_begins_behind_what_is_acknowledged(jetstream: JetStreamContext) -> None:
    await publish(jetstream, *range(1, 6))
    async with await begun(jetstream) as pull:
        messages = await taken(pull, 5)
        for message in messages[:3]:
            await jetstream._nc.request(message.reply, b"")  # is answered when it is done
        assert [delivery.tries(message) for message in messages] == [1] * 5
    async with await begun(jetstream) as pull:
        assert bodies(await taken(pull, 2)) == [4, 5]
    assert len(await jetstream.consumers_info(COMMANDS_STREAM)) == 1


async def test_who_waits_for_messages_is_not_held_up_by_the_end(
    jetstream: JetStreamContext,
) -> None:
    async with await begun(jetstream) as pull:
        waiting = asyncio.create_task(pull.take(10 * SECONDS))
        await asyncio.sleep(SOON)
        pull.end()
        assert await asyncio.wait_for(waiting, SECONDS) == []
        assert await asyncio.wait_for(pull.take(10 * SECONDS), SECONDS) == []
