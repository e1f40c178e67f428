"""The command worker: takes what is waiting in LEDGER_COMMANDS and has it decided, many at once.

    take      what is here, up to a batch; a first command at once         (pull.py)
    parse     each message to a Command or InvalidCommand; this never fails
    decide    `Ledger.execute` in a thread: one transaction for all events and outcomes
    keep      messages without a readable id, in `unreadable_messages`
    answer    publish each outcome to its Ledger-Reply-To, then acknowledge; meanwhile the next
              batch is on its way through the steps above

Nothing is answered or acknowledged before the commit. Whatever breaks in between, the messages
come again and the inbox gives the same outcomes. While the database is away the batch is kept,
its messages are kept from being delivered again, and the same commands are tried until it is back.
After a start, and after the connection to NATS was lost, the server is asked to deliver again what
was in flight, so commands stay in order and nobody waits for a timeout.

A command that fails through a fault of ours (FAILED) is tried again later, a few times, and then
set aside: its outcome is recorded and answered. Others overtake it meanwhile.

The steps share only the `Batch`, so that they can run side by side for different batches.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

import nats.errors
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from ledger.application import Ledger
from ledger.commands import FAILED, Command, InvalidCommand, Outcome, parse
from ledger.database import check_schema
from ledger.eventstore.store import VersionConflict
from ledger.logging import bound
from ledger.messaging import bus, outcomes, unreadable
from ledger.messaging.answering import Answering
from ledger.messaging.database import OneConnection
from ledger.messaging.pull import Pull
from ledger.messaging.security import BusSecurity
from ledger.messaging.unreadable import UnreadableMessage
from ledger.settings import Settings

FIRST_RETRY_SECONDS = 0.05
"""First pause before the database is tried again; each is twice the one before, up to the setting
retry_wait_seconds."""
NOT_RECORDED = "NOT_RECORDED"
"""Code of a command that the database refused to record: a fault of ours."""
KEEP_ALIVES_PER_ACK_WAIT = 3
"""How often a batch in work is reported within the time for its acknowledgement: two reports may
get lost."""

_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class Delivery(NamedTuple):
    """A message and what it says."""

    message: Msg
    command: Command | InvalidCommand


Batch = Sequence[Delivery]


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
        )
        self._database = OneConnection(database_url)
        self._stop = asyncio.Event()
        self._reconnected = asyncio.Event()
        self._log_commands = settings.log_level == "DEBUG"

    def stop(self) -> None:
        """Ends `run` after the batch in work."""
        self._stop.set()

    async def run(self) -> None:
        """Works until `stop`. Neither input nor the loss of a server ends it. Raises SchemaError
        at the start if the database is not the one this code needs."""
        with contextlib.closing(self._ledger), contextlib.closing(self._database):
            await self._until_done(lambda: check_schema(self._database_url))
            while not self._stop.is_set():
                connection = await self._unless_stopped(self._connect())
                if connection is None:
                    return
                try:
                    await self._serve(connection)
                except nats.errors.Error as error:
                    _log.warning("commands_not_served", error=str(error), remedy=_NATS_REMEDY)
                    await self._pause(self._settings.retry_wait_seconds)
                finally:
                    await _close(connection)

    # --- one connection -----------------------------------------------------------------

    async def _connect(self) -> Client:
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

    async def _serve(self, connection: Client) -> None:
        async with outcomes.answering(connection, self._database_url):
            while not self._stop.is_set() and not connection.is_closed:
                if connection.is_reconnecting:
                    await self._pause(FIRST_RETRY_SECONDS)
                    continue
                self._reconnected.clear()
                jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
                await bus.ensure_commands_stream(jetstream, self._settings)
                await bus.ensure_commands_consumer(jetstream, self._settings)
                await bus.deliver_unacknowledged_again(connection, jetstream)
                pull = Pull(
                    connection,
                    bus.COMMANDS_STREAM,
                    bus.COMMANDS_CONSUMER,
                    self._settings.command_batch_size,
                )
                async with pull:
                    _log.info("commands_served", url=self._nats_url)
                    await self._work(connection, pull)
                for message in pull.waiting:  # somebody else may have them at once
                    with contextlib.suppress(nats.errors.Error):
                        await message.nak()

    async def _work(self, connection: Client, pull: Pull) -> None:
        """Batch after batch, until stopped or until the connection is another. While one is decided
        and committed, the one before it is answered."""
        async with Answering() as answering:
            await self._batches(connection, pull, answering)

    async def _batches(self, connection: Client, pull: Pull, answering: Answering) -> None:
        while not (self._stop.is_set() or self._reconnected.is_set() or connection.is_closed):
            if connection.is_reconnecting:
                await self._pause(FIRST_RETRY_SECONDS)  # what is asked for now would come too late
                continue
            messages = await self._unless_stopped(
                pull.take(self._settings.command_fetch_wait_seconds)
            )
            if messages:
                batch = [self._read(message) for message in messages]
                async with self._kept_from_redelivery(batch, pull):
                    await self._handle(connection, batch, answering)
            elif pull.lost is not None:
                # A server that ends says so first, and the connection is lost a moment later.
                _log.warning("consumer_lost", reason=pull.lost)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._reconnected.wait(), self._settings.retry_wait_seconds
                    )
                return

    # --- the steps of a batch -----------------------------------------------------------

    def _read(self, message: Msg) -> Delivery:
        subject = message.subject.removeprefix(bus.COMMANDS_PREFIX)
        limit = self._settings.command_payload_limit_bytes
        return Delivery(message, parse(message.data, subject=subject, max_bytes=limit))

    async def _handle(self, connection: Client, batch: Batch, answering: Answering) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        decided = await self._decide(batch)
        if decided is None or not await self._keep_unreadable(batch, decided):
            return
        await answering.begin(self._answer_all(connection, batch, decided))
        _log.info(
            "batch_committed",
            commands=len(batch),
            events=sum(len(outcome.events) for outcome in decided if not outcome.replayed),
            replayed=sum(outcome.replayed for outcome in decided),
            **Counter(outcome.status.lower() for outcome in decided),
            seconds=round(loop.time() - started, 4),
        )

    async def _decide(self, batch: Batch) -> list[Outcome] | None:
        """One outcome per delivery; None when stopped before there were any."""
        commands = [delivery.command for delivery in batch]
        last_tries = frozenset(
            delivery.command.id
            for delivery in batch
            if delivery.command.id is not None and self._is_last_try(delivery)
        )
        try:
            return await self._until_done(lambda: self._ledger.execute(commands, None, last_tries))
        except Exception as fault:  # noqa: BLE001 - whatever it is, the worker goes on
            if len(batch) == 1:
                _log.exception("command_not_recorded", command_id=str(commands[0].id))
                return [_unrecorded(commands[0], fault)]
            _log.exception("batch_failed", commands=len(batch))
        # One of them is at fault: each alone, so that the others are not held up.
        outcomes_of_all: list[Outcome] = []
        for delivery in batch:
            decided = await self._decide([delivery])
            if decided is None:
                return None
            outcomes_of_all += decided
        return outcomes_of_all

    async def _keep_unreadable(self, batch: Batch, decided: Sequence[Outcome]) -> bool:
        """Keeps the messages whose outcome the inbox does not have. False when stopped."""
        messages = [
            UnreadableMessage(
                received_at=delivery.message.metadata.timestamp,
                subject=delivery.message.subject,
                reason=outcome.message or "",
                body=delivery.message.data,
            )
            for delivery, outcome in zip(batch, decided, strict=True)
            if outcome.command_id is None
            or (outcome.code == NOT_RECORDED and self._is_last_try(delivery))
        ]
        if not messages:
            return True
        _log.warning("messages_unreadable", messages=len(messages), first=messages[0].reason)
        limit = self._settings.unreadable_body_limit_bytes

        def keep() -> bool:
            self._database.run(lambda opened: unreadable.keep(opened, messages, limit))
            return True

        return await self._until_done(keep) is True

    async def _answer_all(
        self, connection: Client, batch: Batch, decided: Sequence[Outcome]
    ) -> None:
        for delivery, outcome in zip(batch, decided, strict=True):
            await self._answer(connection, delivery, outcome)

    async def _answer(self, connection: Client, delivery: Delivery, outcome: Outcome) -> None:
        message, command = delivery
        if self._log_commands or outcome.status == FAILED:
            _log_outcome(command, outcome, message)
        try:
            if outcome.status == FAILED and not self._is_last_try(delivery):
                tries = message.metadata.num_delivered
                await message.nak(self._settings.command_retry_wait_seconds * 2 ** (tries - 1))
                return
            await _reply(connection, message, outcome)
            await message.ack()
        except nats.errors.Error as error:
            # It stays unacknowledged, comes again and gets the same outcome.
            _log.warning("outcome_not_sent", command_id=str(command.id), error=str(error))

    # --- patience -----------------------------------------------------------------------

    def _is_last_try(self, delivery: Delivery) -> bool:
        return delivery.message.metadata.num_delivered >= self._settings.command_max_deliver

    async def _until_done(self, work: Callable[[], Result]) -> Result | None:
        """The result of `work`, called in a thread until the database is there to do it; None
        when stopped. Work that may be repeated, that is. Raises what the work itself is at
        fault for."""
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                return await asyncio.to_thread(work)
            except (psycopg.DataError, psycopg.IntegrityError):
                raise
            except (psycopg.Error, VersionConflict) as error:
                _log.warning("database_away", error=str(error).strip(), next_try_seconds=pause)
            if await self._pause(pause):
                return None
            pause = min(2 * pause, self._settings.retry_wait_seconds)

    @asynccontextmanager
    async def _kept_from_redelivery(self, batch: Batch, pull: Pull) -> AsyncIterator[None]:
        """Inside the block the server knows that the batch is in work, however long it takes,
        and that those that wait behind it will be."""

        async def report_for_ever() -> None:
            while True:
                await asyncio.sleep(
                    self._settings.command_ack_wait_seconds / KEEP_ALIVES_PER_ACK_WAIT
                )
                for message in [delivery.message for delivery in batch] + list(pull.waiting):
                    with contextlib.suppress(nats.errors.Error):
                        await message.in_progress()

        reports = asyncio.create_task(report_for_ever())
        try:
            yield
        finally:
            reports.cancel()

    async def _pause(self, seconds: float) -> bool:
        """Waits; True as soon as the worker is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    async def _unless_stopped(self, work: Awaitable[Result]) -> Result | None:
        """The result of `work`; None, and `work` is ended, when the worker is stopped first."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None


_NATS_REMEDY = "check that the NATS server runs with JetStream and that LEDGER_NATS_URL is right"


async def _reply(connection: Client, message: Msg, outcome: Outcome) -> None:
    subject = (message.headers or {}).get(bus.REPLY_TO)
    if not subject:
        return
    try:
        await connection.publish(bus.checked_reply_subject(subject), outcome.to_json())
    except (bus.UnusableSubject, nats.errors.BadSubjectError, nats.errors.MaxPayloadError) as error:
        # Nothing that trying again would change: the sender can ask for the outcome.
        _log.warning(
            "outcome_cannot_be_sent",
            command_id=str(outcome.command_id),
            subject=subject[: bus.MAX_REPLY_SUBJECT_LENGTH],
            reason=str(error),
        )


def _unrecorded(command: Command | InvalidCommand, fault: Exception) -> Outcome:
    return Outcome(
        command_id=command.id,
        status=FAILED,
        code=NOT_RECORDED,
        message=f"{type(fault).__name__}: the ledger could not record this; it was set aside",
    )


async def _close(connection: Client) -> None:
    """Sends what is on its way, then closes."""
    with contextlib.suppress(nats.errors.Error, OSError):
        if connection.is_connected:
            await connection.flush()
    with contextlib.suppress(nats.errors.Error, OSError):
        await connection.close()


def _log_outcome(command: Command | InvalidCommand, outcome: Outcome, message: Msg) -> None:
    with bound(
        command_id=command.id,
        correlation_id=command.correlation_id if isinstance(command, Command) else None,
        stream_id=outcome.events[0].stream_id if outcome.events else None,
    ):
        level = _log.error if outcome.status == FAILED else _log.debug
        level(
            "command_decided",
            type=command.type,
            source=command.source,
            status=outcome.status,
            code=outcome.code,
            reason=outcome.message,
            replayed=outcome.replayed,
            delivery=message.metadata.num_delivered,
        )
