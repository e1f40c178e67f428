"""The publisher: every event, in position order, from the event store to LEDGER_EVENTS.

    claim       the subscription `publisher` (ledger/subscriptions): one publishes, others stand by
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
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import nats.errors
import nats.js.errors
import psycopg
import structlog
from prometheus_client import Counter

from ledger.bus import connection as bus
from ledger.bus import event_stream, followers
from ledger.bus.event_sender import NotStored, Sender
from ledger.bus.event_stream import NoRoomForEvents, NotOurStream
from ledger.bus.security import BusSecurity
from ledger.eventstore import incarnations, reader
from ledger.eventstore.connection import OneConnection
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.incarnation import UNKNOWN
from ledger.nouns.log.events import LogRecovered
from ledger.operate.roles import PROJECTOR
from ledger.operate.settings import Settings
from ledger.programs.consumer_guard import consumers_guarded
from ledger.programs.process import run_in_loop
from ledger.programs.readiness import followed
from ledger.programs.registry import Places, Program
from ledger.subscriptions import checkpoint, lease
from ledger.subscriptions.checkpoint import Checkpoint, Fenced
from ledger.subscriptions.lease import LeaseKeeper, LeaseOptions, leases_kept
from ledger.subscriptions.retry import Patience
from ledger.subscriptions.wakeup import Bell, Listener

NAME = "publisher"
"""Of its subscription."""
BATCHES_IN_FLIGHT = 4
"""Batches sent whose confirmation is not there yet: enough to keep the server's disk busy, and few
megabytes."""
TRIES_UNTOLD = 3
"""Failures in a row that are nobody's business: a server that is started again is back by then."""
_NOT_STORED = (
    "If NATS is there and its disk was full, it stores nothing more until it is started again "
    "(docs/runbooks/disk.md)"
)
EVENTS_PUBLISHED = Counter("ledger_publisher_events", "Events that the bus confirmed.")

_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


def _begins_another(events: Sequence[RecordedEvent]) -> bool:
    return any(event.event_type == LogRecovered.type for event in events)


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
        self._database = OneConnection(database_url, "publisher")
        self._in_use = asyncio.Lock()
        self._stop = asyncio.Event()
        self._patience = Patience(self._stop, settings.retry_wait_seconds)
        self._backoff = self._patience.backoff()
        self._bell, self._control = Bell(), Bell()
        self._lineage = UNKNOWN
        self._not_stored = 0
        """Batches in a row that the server did not store."""

    def stop(self) -> None:
        """Ends `run` after the batches under way."""
        self._stop.set()
        for bell in (self._bell, self._control):
            bell.ring()

    async def run(self) -> None:
        """Publishes until `stop`. The loss of a server does not end it."""
        connection: bus.Connection | None = None
        listener = Listener(
            self._database_url, threading.Event(), bell=self._bell, control=self._control
        )
        leases = LeaseOptions(self._settings.publisher_takeover_seconds)
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
                    with listener.running(), leases_kept(self._database_url, leases) as keeper:
                        while not self._stop.is_set():
                            await self._claim_and_publish(connection, keeper)
        finally:
            if connection is not None:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await connection.close()
            self._database.close()

    # --- the one that publishes ---------------------------------------------------------

    async def _claim_and_publish(self, connection: bus.Connection, keeper: LeaseKeeper) -> None:
        """Publishes as long as nothing is wrong, or stands by for a moment."""
        heard = self._control.rings
        progress: _Progress | None = None
        try:
            claimed = await self._run(
                lambda opened: _claim(opened, keeper.owner, keeper.options.lease_seconds)
            )
            if claimed is None:
                await self._control.rung(heard, self._settings.event_poll_seconds)
                return
            _log.info("publishing", owner=claimed.owner, epoch=claimed.epoch)
            keeper.hold(NAME)
            progress = _Progress(claimed, keeper)
            await self._publish_until_stopped(connection, progress)
        except Fenced as error:
            _log.warning("publisher_steps_back", reason=str(error))
        except psycopg.Error as error:
            await self._trouble("database_away", error)
        finally:
            keeper.drop(NAME)
            if progress is not None:
                held = progress.checkpoint
                with contextlib.suppress(psycopg.Error):
                    await self._run(lambda opened: lease.release(opened, held))

    async def _publish_until_stopped(
        self, connection: bus.Connection, progress: "_Progress"
    ) -> None:
        """Finds its place and publishes from there, again and again, until stopped."""
        sender = Sender(connection)
        async with sender:
            while not self._stop.is_set():
                progress.check()
                try:
                    connections = connection.stats["reconnects"]
                    last = await self._find_place(connection, progress)

                    def same_connection(known: int = connections) -> bool:
                        return connection.stats["reconnects"] == known

                    await self._publish_after(connection, last, sender, progress, same_connection)
                except NotStored as error:
                    self._not_stored += 1
                    if self._stores_nothing:
                        await self._note_failure(progress.checkpoint, f"{error}. {_NOT_STORED}")
                    await self._trouble("events_not_published", error)
                except nats.errors.Error as error:
                    await self._trouble("events_not_published", error)
                except (NotOurStream, NoRoomForEvents) as error:
                    await self._note_failure(progress.checkpoint, str(error))
                    await self._trouble("events_cannot_be_published", error)

    @property
    def _stores_nothing(self) -> bool:
        return self._not_stored >= TRIES_UNTOLD

    async def _find_place(
        self, connection: bus.Connection, progress: "_Progress"
    ) -> event_stream.Last:
        jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
        await event_stream.ensure_events_stream(jetstream, self._settings)
        await followers.ensure_followers_stream(jetstream)
        sequence, position, event_id = await event_stream.last_published(jetstream)
        await self._read_lineage(connection)
        noted = progress.checkpoint.position
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
        if place != noted or not self._stores_nothing:  # else its row goes on saying so
            await self._note(progress, to=place, handled=0, event_id=None, rate=None)
        _log.info("publisher_place_found", position=place, sequence=sequence, noted=noted)
        return event_stream.Last(sequence, place)

    async def _read_lineage(self, connection: bus.Connection) -> None:
        """Which life of the log the events are of, for whoever asks for the stream as well."""
        self._lineage = await self._run(incarnations.lineage)
        await event_stream.tell_lineage(connection, self._lineage)

    async def _note(self, progress: "_Progress", **to: Any) -> None:
        """Notes how far the stream is. Where publishing goes on, the stream itself says: so the
        note may move in either direction, and need not wait for the disk. Raises Fenced."""

        def note(opened: psycopg.Connection[Any]) -> Checkpoint:
            with opened.transaction():
                opened.execute("SET LOCAL synchronous_commit = off")
                return checkpoint.advance(opened, progress.checkpoint, **to)

        progress.checkpoint = await self._run(note)

    async def _note_failure(self, held: Checkpoint, message: str) -> None:
        await self._run(lambda opened: checkpoint.fail(opened, held, message))

    # --- batch after batch --------------------------------------------------------------

    async def _publish_after(
        self,
        connection: bus.Connection,
        last: event_stream.Last,
        sender: Sender,
        progress: "_Progress",
        same_connection: Callable[[], bool],
    ) -> None:
        """Ends when stopped, or when the server was away: it may have lost what it had. Raises
        NotStored, Fenced, and errors of both servers."""
        in_flight: deque[_InFlight] = deque()
        try:
            while in_flight or (same_connection() and not self._stop.is_set()):
                progress.check()
                seen = self._bell.rings
                while len(in_flight) < BATCHES_IN_FLIGHT and not self._stop.is_set():
                    events = await self._read_after(last.position)
                    if not events:
                        break
                    if self._lineage.newest is None or _begins_another(events):
                        await self._read_lineage(connection)
                    assert self._lineage.newest is not None  # each says which life it is of
                    stored = await sender.send(events, follows=last.sequence, lineage=self._lineage)
                    last = event_stream.Last(last.sequence + len(events), events[-1].position)
                    in_flight.append(_InFlight(events, stored))
                if in_flight:
                    await self._confirm(in_flight[0], progress)
                    in_flight.popleft()
                else:
                    await self._bell.rung(seen, self._settings.event_poll_seconds)
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
        self._not_stored = 0
        EVENTS_PUBLISHED.inc(len(batch.events))
        end = batch.events[-1]
        await self._note(
            progress,
            to=end.position,
            handled=len(batch.events),
            event_id=end.id,
            rate=progress.rate(len(batch.events)),
        )
        self._backoff.reset()
        _log.debug("events_published", events=len(batch.events), position=end.position)

    # --- patience -----------------------------------------------------------------------

    async def _run(self, work: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        """The result of `work` on the database, in a thread. Raises psycopg.Error, Fenced."""

        async def alone() -> Result:
            async with self._in_use:
                return await asyncio.to_thread(self._database.run, work)

        # Shielded: a thread cannot be ended, and nobody else may use its connection until it is.
        return await asyncio.shield(asyncio.create_task(alone()))

    async def _trouble(self, what: str, error: Exception) -> None:
        _log.warning(what, error=str(error).strip() or type(error).__name__)
        await self._patience.pause(self._backoff.seconds())


class _Progress:
    """What the publisher knows of itself: its checkpoint, and how fast it is."""

    def __init__(self, checkpoint: Checkpoint, keeper: LeaseKeeper) -> None:
        self.checkpoint = checkpoint
        self._keeper = keeper
        self._since = asyncio.get_running_loop().time()

    def check(self) -> None:
        """A sign of life. Raises Fenced if the lease was lost."""
        self._keeper.check(NAME)

    def rate(self, events: int) -> float | None:
        """Events per second since the last call."""
        now = asyncio.get_running_loop().time()
        seconds, self._since = now - self._since, now
        return events / seconds if seconds > 0 else None


def _claim(
    connection: psycopg.Connection[Any], owner: str, lease_seconds: float
) -> Checkpoint | None:
    checkpoint.install(connection, NAME)
    return lease.claim(connection, NAME, owner, lease_seconds=lease_seconds)


def _serve(places: Places, stop: threading.Event) -> None:
    run_in_loop(Publisher(places.database_url, places.nats_url, places.settings), stop)


PROGRAM = Program(
    name="publisher",
    summary="publishes each event of the log, once and in order",
    role=PROJECTOR,
    ready=lambda places: followed(places, ["publisher"]),
    run=_serve,
    port=9466,
)
