"""LEDGER_EVENTS without a ledger behind it, and services that follow it, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import nats.errors
from nats.aio.client import Client

from ledger.bus.command_subjects import ANONYMOUS
from ledger.bus.event_sender import NotStored, Sender
from ledger.bus.event_stream import ensure_events_stream
from ledger.bus.events import EVENTS_STREAM
from ledger.bus.followers import FOLLOWERS_PREFIX, FOLLOWERS_STREAM, ensure_followers_stream
from ledger.client.client import LedgerClient
from ledger.client.follower import EventsTaken
from ledger.client.submission import LedgerUnavailable
from ledger.eventstore.codec import encode
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.incarnation import UNKNOWN
from ledger.nouns.accounts.events import AccountDeposited
from ledger.operate.settings import Settings
from tests.programs.publishing import connected
from tests.programs.services import ANSWER_SECONDS, client

ACCOUNTS = [UUID(int=number) for number in range(1, 5)]
NAME = "risk"


class Events:
    """Publishes made-up deposits, to one account after the other, as the publisher would."""

    def __init__(self, connection: Client, sender: Sender) -> None:
        self._nats = connection
        self._sender = sender
        self.head = 0
        self.lineage = UNKNOWN

    async def publish(self, count: int) -> int:
        """So many further events; the head after it. Again and again while the server is away."""
        wanted = self.head + count
        while self.head < wanted:
            with contextlib.suppress(NotStored, nats.errors.Error):
                state = (await self._nats.jetstream(timeout=1.0).stream_info(EVENTS_STREAM)).state
                events = [
                    _deposit(position)
                    for position in range(self.head + 1, min(wanted, self.head + 500) + 1)
                ]
                await (
                    await self._sender.send(events, follows=state.last_seq, lineage=self.lineage)
                )
                self.head = events[-1].position
        return self.head

    async def restore_to(self, position: int) -> None:
        """What was published behind the position is gone, as after `ledgerctl recover`."""
        for sequence in range(position + 1, self.head + 1):
            await self._nats.jetstream().delete_msg(EVENTS_STREAM, sequence)
        self.head = position

    async def publish_from(self, position: int, count: int) -> int:
        """As `publish`, in a stream whose first events are gone."""
        self.head = position - 1
        return await self.publish(count)


def account_at(position: int) -> UUID:
    """Whose the event at a position is."""
    return ACCOUNTS[position % len(ACCOUNTS)]


def _deposit(position: int) -> RecordedEvent:
    now = datetime.now(UTC)
    event = AccountDeposited(asset="USDT", amount=Decimal("1.5"), sub_account="main")
    return RecordedEvent(
        position, uuid4(), account_at(position), "account", AccountDeposited.type, 1,
        encode(event).decode(), "{}", None, None, None, now, now,
    )  # fmt: skip


@asynccontextmanager
async def events_on(nats_url: str) -> AsyncIterator[Events]:
    """The streams, and who publishes."""
    async with connected(nats_url) as connection:
        jetstream = connection.jetstream()
        await ensure_events_stream(jetstream, Settings())
        await ensure_followers_stream(jetstream)
        async with Sender(connection) as sender:
            yield Events(connection, sender)


class Service:
    """A process of a service that follows all events under the name, on a connection of its own."""

    def __init__(self, ledger: LedgerClient, **options: Any) -> None:
        self.ledger = ledger
        self.given: list[int] = []
        """What was handed out; all but the last are done."""
        self.taken = False
        self.killed = False
        self._working = asyncio.create_task(self._work({"name": NAME} | options))

    async def _work(self, options: dict[str, Any]) -> None:
        try:
            async with aclosing(self.ledger.events(**options)) as events:
                async for event in events:
                    self.given.append(event.position)
        except EventsTaken:
            self.taken = True

    @property
    def ended(self) -> bool:
        return self._working.done()

    async def wait(self) -> None:
        """Returns when it has ended, as it should."""
        async with asyncio.timeout(3 * ANSWER_SECONDS):
            await self._working
        await self.ledger.close()

    async def leave(self) -> None:
        """Ends it as a signal would."""
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)
        await self.ledger.close()

    async def kill(self) -> None:
        """Ends it without a word to anybody."""
        self.killed = True
        await self.ledger._nats.close()
        with contextlib.suppress(LedgerUnavailable):
            await self.wait()
        await self.ledger.close()

    async def has(self, position: int) -> None:
        """Returns when it was given the event."""
        async with asyncio.timeout(3 * ANSWER_SECONDS):
            while not self.given or self.given[-1] < position:
                assert not self._working.done(), self._working
                await asyncio.sleep(0.005)


async def service(nats_url: str, **options: Any) -> Service:
    return Service(await client(nats_url), **options)


async def until_kept(connection: Client, name: str, text: bytes) -> None:
    """Returns when the record of the name has the text."""
    subject = f"$JS.API.DIRECT.GET.{FOLLOWERS_STREAM}.{FOLLOWERS_PREFIX}.{ANONYMOUS}.{name}"
    async with asyncio.timeout(ANSWER_SECONDS):
        while text not in (await connection.request(subject, b"")).data:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
