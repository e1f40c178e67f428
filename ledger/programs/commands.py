"""The command worker: takes what is waiting in LEDGER_COMMANDS and has it decided, many at once.

    take      what is here, up to a batch; a first command at once         (pull.py)
    parse     each message to a Command or InvalidCommand; this never fails
    decide    `Ledger.decide` in a thread, on the states in memory
    commit    `Ledger.commit` in a thread: one transaction for all events and outcomes
    keep      what a person must look at: messages without an id, commands that failed for good
    answer    publish each outcome to its Ledger-Reply-To, then acknowledge

Three batches are on their way at once: one is answered, one commits, one is decided. Each step
takes them in their order. What was decided on a batch whose commit fails is decided again. A few
commands that find nothing in work are decided and committed in one go.

Nothing is answered or acknowledged before the commit. Whatever breaks in between, the messages
come again and the inbox gives the same outcomes. While the database is away the batch is kept,
its messages are kept from being delivered again, and the same commands are tried until it is back.
After a start, and after the connection to NATS was lost, the server is asked to deliver again what
was in flight, so commands stay in order and nobody waits for a timeout.

Before it begins, and whenever the database may be another one, the worker makes sure that the
database still has what the bus says was done (`whole_log.py`); one that was restored to an earlier
moment is not served until an operator has recovered it.

Which partitions of the commands are this worker's is a lease (`partition_leases.py`): each commit
checks it, and a worker that has none stands by. A command that cannot be decided or recorded is
tried again, alone if need be, and set aside in the end (`decision_runner.py`); others overtake it
meanwhile.

A step hands the `Batch` on to the next; beside it they share which batches are in work, and which
partitions are ours.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import nats.errors
import psycopg
import structlog
from nats.aio.client import Client

from ledger.bus import command_subjects, delivery, wire
from ledger.bus import connection as bus
from ledger.bus.command_stream import (
    begin_commands_consumer,
    ensure_commands_stream,
)
from ledger.bus.delivery import Delivery
from ledger.bus.pull import Pull
from ledger.bus.security import BusSecurity
from ledger.bus.stream_range import NotReadable
from ledger.bus.wire import Message
from ledger.eventstore.connection import OneConnection
from ledger.kernel.command import FAILED, Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.operate import interpreter, metrics
from ledger.operate.roles import WRITER
from ledger.operate.settings import Settings
from ledger.programs import outcome_service, risk_checks
from ledger.programs.command_room import room_made
from ledger.programs.decision_runner import Batch, Decisions
from ledger.programs.housekeeping import old_records_forgotten
from ledger.programs.keep_alive import kept_from_redelivery
from ledger.programs.log_room import log_room_made
from ledger.programs.partition_leases import RENEW_SECONDS, LeaseLost, Leases, Share, fence
from ledger.programs.process import run_in_loop
from ledger.programs.quarantine import SetAside, is_final, keep_recorded
from ledger.programs.rate_limit import RateLimit
from ledger.programs.readiness import decided
from ledger.programs.registry import Places, Program
from ledger.programs.replies import answers, log_outcome
from ledger.programs.step import Step
from ledger.programs.stream_examination import held_streams_examined
from ledger.programs.tracing import Tracing
from ledger.programs.whole_log import LogBehind, SameDatabase, ask, check_whole, identity
from ledger.subscriptions.retry import FIRST_RETRY_SECONDS, Patience
from ledger.write.ledger import Decision, Ledger
from ledger.write.parser import parse

_HELD = GeneralRejection.STREAM_HELD.value
"""Code of commands that need a stream which cannot be read: that is told once, and not of each."""
MAX_UNDIVIDED = 4
"""Commands that are decided and committed in one go when nothing else is in work: handing them to
a thread twice costs more than is won by deciding the next ones meanwhile."""

LOOK_AGAIN_SECONDS = 2.0
"""Pause before a log that lacks something is looked at again: a person is at work on it."""

_log = structlog.get_logger(__name__)


class CommandWorker:
    """Serves commands until it is stopped."""

    def __init__(self, database_url: str, nats_url: str, settings: Settings) -> None:
        self._database_url = database_url
        self._nats_url = nats_url
        self._settings = settings
        self._ledger = Ledger(
            database_url,
            snapshot_interval=settings.snapshot_interval_events,
            clock_tolerance=timedelta(seconds=settings.clock_tolerance_seconds),
            price_max_age=timedelta(seconds=settings.price_max_age_seconds),
        )
        self._database = OneConnection(database_url, "commands")
        self._leases = Leases(database_url, settings.command_lease_seconds)
        self._epochs: dict[int, int] = {}
        """Our partitions, each with the epoch in which it is ours."""
        self._stands_by = False
        self._lease_changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._pull: Pull | None = None
        self._reconnected = asyncio.Event()
        self._patience = Patience(self._stop, settings.retry_wait_seconds)
        self._rate_limit = RateLimit.of(settings)
        self._tracing = Tracing.of(settings)
        self._decisions = Decisions(
            self._ledger, self._patience, settings.command_max_deliver, keep_recorded
        )
        self._bus_vouches = settings.nats_user is not None
        """The server has users, and each can send in its own name only."""
        self._log_commands = settings.log_level == "DEBUG"
        self._same_database = SameDatabase()

    def stop(self) -> None:
        """Ends `run` after the batch in work."""
        self._stop.set()
        if self._pull is not None:
            self._pull.end()

    async def run(self) -> None:
        """Works until `stop`. Neither input nor the loss of a server ends it."""
        with (
            contextlib.closing(self._tracing) if self._tracing else contextlib.nullcontext(),
            contextlib.closing(self._ledger),
            contextlib.closing(self._database),
            contextlib.closing(self._leases),
        ):
            while not self._stop.is_set():
                connection = await self._patience.unless_stopped(self._connect())
                if connection is None:
                    return
                try:
                    await self._serve(connection)
                except nats.errors.Error as error:
                    _log.warning("commands_not_served", error=str(error), remedy=_NATS_REMEDY)
                    await self._patience.pause(self._settings.retry_wait_seconds)
                finally:
                    await self._leave()
                    await _close(connection)

    # --- one connection -----------------------------------------------------------------

    async def _connect(self) -> bus.Connection:
        _log.info("nats_connecting", url=self._nats_url)
        return await bus.connect(
            self._nats_url,
            "ledger-worker",
            retry_wait=self._settings.retry_wait_seconds,
            on_reconnect=self._note_reconnection,
            security=BusSecurity.of(self._settings),
        )

    async def _note_reconnection(self) -> None:
        self._reconnected.set()

    async def _serve(self, connection: bus.Connection) -> None:
        if not await self._log_is_whole(connection):
            return
        async with (
            outcome_service.answering(connection, self._database_url),
            risk_checks.answering(connection, self._database_url, self._settings),
            old_records_forgotten(connection, self._database_url, self._settings),
            log_room_made(self._database_url, self._settings),
            room_made(connection),
            held_streams_examined(self._database_url),
        ):
            while not self._stop.is_set() and not connection.is_closed:
                if not self._same_database.known:
                    return  # nothing is answered before it was looked at
                if connection.is_reconnecting:
                    await self._patience.pause(FIRST_RETRY_SECONDS)
                    continue
                self._reconnected.clear()
                jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
                partitions = await ensure_commands_stream(connection, self._settings)
                if not await self._lease(partitions):
                    continue
                consumers = [
                    await begin_commands_consumer(jetstream, self._settings, one, partitions)
                    for one in self._epochs
                ]
                size = self._settings.command_batch_size
                pull = self._pull = Pull(connection, bus.COMMANDS_STREAM, consumers, size)
                async with pull, self._lease_renewed(partitions):
                    _log.info(
                        "commands_served", url=self._nats_url, partitions=sorted(self._epochs)
                    )
                    await self._work(connection, pull)

    async def _log_is_whole(self, connection: bus.Connection) -> bool:
        """Returns when the database has what the bus says was done; False when stopped before.
        Raises nats.errors.Error."""
        told = ""
        limit = self._settings.command_payload_limit_bytes
        while not self._stop.is_set():
            try:
                found = await ask(self._database, identity)
                await check_whole(connection, self._database, limit)
            except LogBehind as error:
                tell = _log.debug if str(error) == told else _log.error
                tell("log_behind", error=str(error))
                told = str(error)
                await self._patience.pause(LOOK_AGAIN_SECONDS)
            except (psycopg.Error, NotReadable) as error:
                _log.warning("log_not_looked_at", error=str(error).strip())
                await self._patience.pause(self._settings.retry_wait_seconds)
            else:
                self._same_database.take(found)
                return True
        return False

    # --- leases -------------------------------------------------------------------------

    async def _lease(self, partitions: int) -> bool:
        """Gives back what others should have, and takes what nobody has. False when that is
        nothing: another worker is at it, and this one stands by."""

        def renew() -> Share:
            share = self._leases.renew(partitions)
            if not share.too_many:
                return share
            self._leases.release(share.too_many)
            return self._leases.renew(partitions)

        share = await self._patience.until_done(renew)
        self._epochs = {} if share is None else share.ours
        if not self._epochs:
            if not self._stands_by:
                _log.info("standing_by", partitions=partitions)
            self._stands_by = True
            await self._patience.pause(RENEW_SECONDS)
            return False
        self._stands_by = False
        return True

    @asynccontextmanager
    async def _lease_renewed(self, partitions: int) -> AsyncIterator[None]:
        """Inside the block the worker says that it lives. `_lease_changed` tells that it has other
        partitions from now on, or should have."""
        self._lease_changed.clear()

        async def renew_for_ever() -> None:
            while True:
                await asyncio.sleep(RENEW_SECONDS)
                try:
                    trouble = self._patience.trouble
                    share = await asyncio.to_thread(self._leases.renew, partitions, trouble)
                except psycopg.Error as error:  # a commit would fail too, and is tried again
                    _log.debug("lease_not_renewed", error=str(error).strip())
                    continue
                if share.ours != self._epochs or share.too_many:
                    self._lease_changed.set()

        renewal = asyncio.create_task(renew_for_ever())
        try:
            yield
        finally:
            renewal.cancel()

    async def _leave(self) -> None:
        """What was ours is at once somebody else's to take."""
        with contextlib.suppress(psycopg.Error):  # it is theirs anyway when our session ends
            await asyncio.to_thread(self._leases.leave)

    # --- batches ------------------------------------------------------------------------

    @property
    def _goes_on(self) -> bool:
        return not any(
            event.is_set() for event in (self._stop, self._reconnected, self._lease_changed)
        )

    async def _work(self, connection: bus.Connection, pull: Pull) -> None:
        """Batch after batch, until stopped or until the connection is another."""
        in_work: deque[Batch] = deque()
        async with (
            kept_from_redelivery(
                connection, in_work, pull, self._settings.command_ack_wait_seconds
            ),
            Step() as answering,
            Step() as committing,
        ):
            while self._goes_on and not connection.is_closed:
                if connection.is_reconnecting:  # what is asked for now would come too late
                    await self._patience.pause(FIRST_RETRY_SECONDS)
                    continue
                messages = await pull.take(self._settings.command_fetch_wait_seconds)
                if messages:
                    batch = [self._read(message) for message in messages]
                    in_work.append(batch)
                    if len(batch) <= MAX_UNDIVIDED and not committing.busy:
                        await self._finish(connection, batch, None, answering, in_work)
                        continue
                    if self._decisions.out_of_step:
                        await committing.done()
                        self._decisions.out_of_step = False
                    decision = await self._decisions.decide(batch)
                    await committing.begin(
                        self._finish(connection, batch, decision, answering, in_work)
                    )
                elif pull.lost is not None:
                    # A server that ends says so first, and the connection is lost a moment later.
                    _log.warning("consumer_lost", reason=pull.lost)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(
                            self._reconnected.wait(), self._settings.retry_wait_seconds
                        )
                    return

    # --- the steps of a batch -----------------------------------------------------------

    def _read(self, message: Message) -> Delivery:
        sent_to = command_subjects.read(message.subject)
        limit = self._settings.command_payload_limit_bytes
        command = parse(message.data, sent_to=sent_to, max_bytes=limit)
        if self._rate_limit is not None:
            command = self._rate_limit.passed(message, command)
        if self._tracing is not None:
            command = self._tracing.begun(message, command)
        return Delivery(message, command, delivery.tries(message))

    async def _finish(
        self,
        connection: Client,
        batch: Batch,
        decision: Decision | None,
        answering: Step,
        in_work: deque[Batch],
    ) -> None:
        started = asyncio.get_running_loop().time()
        decided: list[Outcome] | None = None
        try:
            ours = fence(self._leases.worker, self._epochs, self._same_database.check)
            decided = await self._decisions.commit(batch, decision, ours)
            if decided is None or not await self._keep_aside(batch, decided):
                return
        except LeaseLost as lost:
            # They come to the worker that has them now, or again to this one.
            _log.warning("batch_left_to_another", commands=len(batch), reason=str(lost))
            self._lease_changed.set()
            return
        finally:
            if self._tracing is not None:
                self._tracing.ended(batch, decided)
            in_work.popleft()
        metrics.batch([one.command for one in batch], decided)
        metrics.REDELIVERED.inc(sum(one.tries > 1 for one in batch))
        await answering.begin(self._answer_all(connection, batch, decided))
        _log.info(
            "batch_committed",
            commands=len(batch),
            events=sum(len(outcome.events) for outcome in decided if not outcome.replayed),
            replayed=sum(outcome.replayed for outcome in decided),
            **Counter(outcome.status.lower() for outcome in decided),
            seconds=round(asyncio.get_running_loop().time() - started, 4),
        )

    async def _keep_aside(self, batch: Batch, decided: Sequence[Outcome]) -> bool:
        """Keeps the messages that a person must look at. False when stopped."""
        aside = SetAside(batch, decided, self._settings)
        if not aside:
            return True
        keep = self._database.run
        return await self._patience.until_done(lambda: keep(aside.keep)) is True

    async def _answer_all(
        self, connection: Client, batch: Batch, decided: Sequence[Outcome]
    ) -> None:
        """Replies, and acknowledges."""
        messages: list[bytes] = []
        for one, outcome in zip(batch, decided, strict=True):
            if self._log_commands or (outcome.status == FAILED and outcome.code != _HELD):
                log_outcome(one, outcome)
            if not is_final(one, outcome, self._settings):
                wait = self._settings.command_retry_wait_seconds * 2 ** (one.tries - 1)
                messages.append(delivery.again(one.message, wait))
            else:
                sender = one.command.sender if self._bus_vouches else None
                messages += answers(connection, one.message, outcome, sender)
        try:
            await wire.send(connection, messages)
        except nats.errors.Error as error:
            # They stay unacknowledged, come again and get the same outcomes.
            _log.warning("outcomes_not_sent", commands=len(batch), error=str(error))
            return
        now = time.time()
        for one in batch:
            metrics.OUTCOME_SECONDS.observe(delivery.age_seconds(one.message, now))


_NATS_REMEDY = "check that the NATS server runs with JetStream and that LEDGER_NATS_URL is right"


async def _close(connection: Client) -> None:
    """Sends what is on its way, then closes."""
    with contextlib.suppress(nats.errors.Error, OSError):
        if connection.is_connected:
            await connection.flush()
    with contextlib.suppress(nats.errors.Error, OSError):
        await connection.close()


def _serve(places: Places, stop: threading.Event) -> None:
    interpreter.for_deciding()
    run_in_loop(CommandWorker(places.database_url, places.nats_url, places.settings), stop)


def _ready(places: Places) -> bool:
    """It is asked for the outcome of a command that nobody ever sent."""
    return decided(places, bus.OUTCOMES_SUBJECT, str(uuid4()).encode())


PROGRAM = Program(
    name="commands",
    summary="decides commands, records what follows, answers",
    role=WRITER,
    ready=_ready,
    run=_serve,
    port=9464,
)
