"""The publisher: every event, in position order, from the event store to LEDGER_EVENTS.

    claim       the row `publisher` of event_projections: one publishes, others stand by
    find place  the stream's last message says which position it has; go on after it
    read        the next events; woken by NOTIFY, and by a look now and then behind it
    send        as one atomic batch that names the message it follows, while the batches before
                it are still under way
    confirm     the batches' PubAcks, in order; only then is the progress noted

An event is read after its commit, so none is published before. A batch is stored only directly
behind the message that it names (`Nats-Expected-Last-Sequence`), so whatever gets lost, no event is
ever out of order or there twice: a batch behind a lost one is refused, and so is that of a
publisher that was overtaken and does not know it. After any trouble the place is looked up again.

A server without atomic batches (before 2.14, or a stream edited so) gets the events one by one,
each naming the one before; several hundred are under way at once all the same.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import nats.errors
import nats.js.errors
import psycopg
import structlog
from nats.aio.client import Client

from ledger.bus import connection as bus
from ledger.bus import event_stream, followers
from ledger.bus.atomic_batch import NotStored, Sender
from ledger.bus.event_stream import NoRoomForEvents, NotOurStream
from ledger.bus.security import BusSecurity
from ledger.eventstore import reader
from ledger.eventstore.connection import OneConnection
from ledger.eventstore.reader import RecordedEvent
from ledger.operate import metrics
from ledger.operate.roles import PROJECTOR
from ledger.operate.settings import Settings
from ledger.programs.consumer_guard import consumers_guarded
from ledger.programs.process import run_in_loop
from ledger.programs.readiness import followed
from ledger.programs.registry import Places, Program
from ledger.subscriptions import publisher_claim
from ledger.subscriptions.publisher_claim import Claim, Overtaken
from ledger.subscriptions.retry import FIRST_RETRY_SECONDS, Patience
from ledger.subscriptions.wakeup import Wakeup

BATCHES_IN_FLIGHT = 4
"""Batches sent whose confirmation is not there yet: enough to keep the server's disk busy, and few
megabytes."""
HEARTBEATS_PER_TAKEOVER = 5
"""How often the publisher says that it is alive within the silence that costs it its place."""

_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class _InFlight(NamedTuple):
    """A batch under way, and what tells that it is stored."""

    events: Sequence[RecordedEvent]
    stored: asyncio.Task[None]


class Publisher:
    """Publishes until it is stopped. Any number may run; one of them publishes."""

    def __init__(self, database_url: str, nats_url: str, settings: Settings) -> None:
        self._database_url = database_url
        self._nats_url = nats_url
        self._settings = settings
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._database = OneConnection(database_url, "publisher")
        self._in_use = asyncio.Lock()
        self._stop = asyncio.Event()
        self._patience = Patience(self._stop, settings.retry_wait_seconds)
        self._wakeup = Wakeup(database_url, settings.event_poll_seconds)
        self._pause_seconds = FIRST_RETRY_SECONDS

    def stop(self) -> None:
        """Ends `run` after the batches under way."""
        self._stop.set()
        self._wakeup.ring()

    async def run(self) -> None:
        """Publishes until `stop`. The loss of a server does not end it."""
        with metrics.publisher(self._database_url):
            await self._run_until_stopped()

    async def _run_until_stopped(self) -> None:
        connection: bus.Connection | None = None
        listening = asyncio.create_task(self._wakeup.listen())
        try:
            connection = await self._patience.unless_stopped(
                bus.connect(
                    self._nats_url,
                    "ledger-publisher",
                    retry_wait=self._settings.retry_wait_seconds,
                    security=BusSecurity.of(self._settings),
                )
            )
            if connection is not None:
                async with consumers_guarded(connection):
                    while not self._stop.is_set():
                        await self._claim_and_publish(connection)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            if connection is not None:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await connection.close()
            self._database.close()

    # --- the one that publishes ---------------------------------------------------------

    async def _claim_and_publish(self, connection: Client) -> None:
        """Publishes as long as nothing is wrong, or stands by for a moment."""
        claim: Claim | None = None
        try:
            claim = await self._run(
                lambda opened: publisher_claim.claim(
                    opened,
                    self._owner,
                    silent_seconds=self._settings.publisher_takeover_seconds,
                )
            )
            if claim is None:
                await self._patience.pause(self._heartbeat_seconds)
                return
            _log.info("publishing", owner=claim.owner, epoch=claim.epoch)
            await self._while_claimed(connection, _Progress(claim))
        except Overtaken as error:
            _log.warning("publisher_steps_back", reason=str(error))
            await self._patience.pause(self._heartbeat_seconds)
        except psycopg.Error as error:
            await self._trouble("database_away", error)
        finally:
            if claim is not None:
                held = claim
                with contextlib.suppress(psycopg.Error):
                    await self._run(lambda opened: publisher_claim.release(opened, held))

    async def _while_claimed(self, connection: Client, progress: "_Progress") -> None:
        """Raises Overtaken, psycopg.Error."""
        beating = asyncio.create_task(self._beat(progress))
        publishing = asyncio.create_task(self._publish_until_stopped(connection, progress))
        done, pending = await asyncio.wait(
            (beating, publishing), return_when=asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    async def _beat(self, progress: "_Progress") -> None:
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            await self._run(lambda opened: publisher_claim.heartbeat(opened, progress.claim))

    async def _publish_until_stopped(self, connection: Client, progress: "_Progress") -> None:
        """Finds its place and publishes from there, again and again, until stopped."""
        sender = Sender(connection)
        async with sender:
            while not self._stop.is_set():
                try:
                    connections = connection.stats["reconnects"]
                    last = await self._find_place(connection, progress)

                    def same_connection(known: int = connections) -> bool:
                        return connection.stats["reconnects"] == known

                    await self._publish_after(last, sender, progress, same_connection)
                except (NotStored, nats.errors.Error) as error:
                    await self._trouble("events_not_published", error)
                except (NotOurStream, NoRoomForEvents) as error:
                    await self._note_failure(progress.claim, str(error))
                    await self._trouble("events_cannot_be_published", error)

    async def _find_place(self, connection: Client, progress: "_Progress") -> event_stream.Last:
        jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
        await event_stream.ensure_events_stream(jetstream, self._settings)
        await followers.ensure_followers_stream(jetstream)
        sequence, position, event_id = await event_stream.last_published(jetstream)
        noted = progress.claim.position
        place = await self._run(
            lambda opened: event_stream.position_to_go_on_after(
                opened,
                sequence=sequence,
                position=position,
                event_id=event_id,
                noted=noted,
                retention_days=self._settings.event_retention_days,
            )
        )
        progress.claim = await self._run(
            lambda opened: publisher_claim.move(opened, progress.claim, place)
        )
        _log.info("publisher_place_found", position=place, sequence=sequence, noted=noted)
        return event_stream.Last(sequence, place)

    async def _note_failure(self, claim: Claim, message: str) -> None:
        await self._run(lambda opened: publisher_claim.fail(opened, claim, message))

    # --- batch after batch --------------------------------------------------------------

    async def _publish_after(
        self,
        last: event_stream.Last,
        sender: Sender,
        progress: "_Progress",
        same_connection: Callable[[], bool],
    ) -> None:
        """Ends when stopped, or when the server was away: it may have lost what it had. Raises
        NotStored, Overtaken, and errors of both servers."""
        in_flight: deque[_InFlight] = deque()
        try:
            while in_flight or (same_connection() and not self._stop.is_set()):
                seen = self._wakeup.rings
                while len(in_flight) < BATCHES_IN_FLIGHT and not self._stop.is_set():
                    events = await self._read_after(last.position)
                    if not events:
                        break
                    stored = await sender.send(events, follows=last.sequence)
                    last = event_stream.Last(last.sequence + len(events), events[-1].position)
                    in_flight.append(_InFlight(events, stored))
                if in_flight:
                    await self._confirm(in_flight[0], progress)
                    in_flight.popleft()
                else:
                    await self._wakeup.wait(seen)
        finally:
            for batch in in_flight:
                batch.stored.cancel()
            await asyncio.gather(*(batch.stored for batch in in_flight), return_exceptions=True)

    async def _read_after(self, position: int) -> list[RecordedEvent]:
        def read(opened: psycopg.Connection[Any]) -> list[RecordedEvent]:
            up_to = min(reader.head(opened), position + self._settings.event_publish_batch_size)
            return reader.read(opened, after=position, up_to=up_to) if up_to > position else []

        return await self._run(read)

    async def _confirm(self, batch: _InFlight, progress: "_Progress") -> None:
        await batch.stored
        metrics.EVENTS_PUBLISHED.inc(len(batch.events))
        end = batch.events[-1]
        rate = progress.rate(len(batch.events))
        progress.claim = await self._run(
            lambda opened: publisher_claim.advance(
                opened,
                progress.claim,
                to=end.position,
                event_id=end.id,
                events=len(batch.events),
                rate=rate,
            )
        )
        self._pause_seconds = FIRST_RETRY_SECONDS
        _log.debug("events_published", events=len(batch.events), position=end.position)

    # --- patience -----------------------------------------------------------------------

    @property
    def _heartbeat_seconds(self) -> float:
        return self._settings.publisher_takeover_seconds / HEARTBEATS_PER_TAKEOVER

    async def _run(self, work: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        """The result of `work` on the database, in a thread. Raises psycopg.Error, Overtaken."""

        async def alone() -> Result:
            async with self._in_use:
                return await asyncio.to_thread(self._database.run, work)

        # Shielded: a thread cannot be ended, and nobody else may use its connection until it is.
        return await asyncio.shield(asyncio.create_task(alone()))

    async def _trouble(self, what: str, error: Exception) -> None:
        _log.warning(what, error=str(error).strip() or type(error).__name__)
        await self._patience.pause(self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, self._settings.retry_wait_seconds)


class _Progress:
    """What the publisher knows of itself: its claim, and how fast it is."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self._since = asyncio.get_running_loop().time()

    def rate(self, events: int) -> float | None:
        """Events per second since the last call."""
        now = asyncio.get_running_loop().time()
        seconds, self._since = now - self._since, now
        return events / seconds if seconds > 0 else None


def _serve(places: Places, stop: threading.Event) -> None:
    run_in_loop(Publisher(places.database_url, places.nats_url, places.settings), stop)


PROGRAM = Program(
    name="publisher",
    summary="publishes each event of the log, once and in order",
    role=PROJECTOR,
    ready=lambda places: followed(places, ["publisher"]),
    run=_serve,
)
