"""How commands are grouped on their way to the bus. It shows in the batch that a message names."""

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.msg import Msg
from uuid_utils.compat import uuid7

from ledger.bus import connection as bus
from ledger.bus.command_stream import ensure_commands_stream
from ledger.bus.security import BusSecurity
from ledger.client import send_queue
from ledger.client.client import LedgerClient
from ledger.client.submission import Sent
from ledger.operate.settings import Settings
from tests.programs.services import client

LONG_SECONDS = 60.0
SECONDS = 5.0


class Bus:
    """A bus with the commands' stream, a client, and an ear for what the client publishes."""

    def __init__(self, ledger: LedgerClient, heard: asyncio.Queue[Msg]) -> None:
        self.ledger = ledger
        self._heard = heard

    async def send(self, commands: int) -> list[Sent]:
        return [
            await self.ledger.send("Deposit", {"asset": "USD"}, account_id=uuid7())
            for _ in range(commands)
        ]

    async def under_way(self) -> None:
        """Returns when all that was sent is published, and nothing of it confirmed yet."""
        while self.ledger._outbox._waiting:  # noqa: ASYNC110 - at the next turn of the loop
            await asyncio.sleep(0)

    async def batches(self, commands: int) -> list[str | None]:
        """Of so many commands, in the order published: the batch of each."""
        async with asyncio.timeout(SECONDS):
            heard = [await self._heard.get() for _ in range(commands)]
        return [(message.headers or {}).get("Nats-Batch-Id") for message in heard]


@pytest.fixture
async def listening(nats_url: str) -> AsyncIterator[Bus]:
    connection = await bus.connect(nats_url, "test", security=BusSecurity(), retry_wait=0.1)
    await ensure_commands_stream(connection, Settings())
    ear = await nats.connect(nats_url)
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    await ear.subscribe("ledger.commands.>", cb=heard.put)
    await ear.flush()
    async with await client(nats_url) as ledger:
        yield Bus(ledger, heard)
    await ear.close()
    await connection.close()


async def test_a_few_commands_are_published_one_by_one(listening: Bus) -> None:
    sent = await listening.send(send_queue.MAX_SINGLE)
    assert await listening.batches(len(sent)) == [None] * len(sent)
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(one.received() for one in sent))


async def test_many_commands_are_published_as_one_batch(listening: Bus) -> None:
    sent = await listening.send(send_queue.MAX_SINGLE + 1)
    (batch,) = set(await listening.batches(len(sent)))
    assert batch is not None
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(one.received() for one in sent))


async def test_commands_behind_a_large_group_wait_for_company(
    listening: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "PACE_SECONDS", LONG_SECONDS)
    first = await listening.send(send_queue.PACED_GROUP + 1)
    await listening.under_way()
    await listening.send(1)
    async with asyncio.timeout(SECONDS):
        await first[-1].received()
    await listening.batches(len(first))
    await listening.send(send_queue.MAX_GROUP - 1)  # a whole group waits no longer
    (batch,) = set(await listening.batches(send_queue.MAX_GROUP))
    assert batch is not None


async def test_a_command_that_comes_when_nothing_waits_goes_at_once(
    listening: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "PACE_SECONDS", LONG_SECONDS)
    first = await listening.send(send_queue.PACED_GROUP + 1)
    await listening.batches(len(first))
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(one.received() for one in first))
    await listening.send(1)
    assert await listening.batches(1) == [None]
