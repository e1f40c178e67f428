"""Following the events: in order, each at least once, from where this service left off.

    begin     find or make the consumer on LEDGER_EVENTS, to start behind the place
    take      messages as they come; one that is missing in between means: begin again
    hand out  the event; it counts as done when the next one is asked for
    remember  acknowledge what is done: now and then, and whenever nothing waits

With a `name` the place is kept by the server, as the acknowledgements of a durable consumer of that
name, where an operator can see it and how far it is behind (`nats consumer report LEDGER_EVENTS`).
After a crash the events since the last acknowledgement come again; a service that keeps its own
place, in one transaction with what it does, gives it as `after` and needs no name.

A durable consumer alone would hand out what was lost on the way after what came later. So whenever
something was lost or is in doubt, the consumer is made anew behind the last event that was done.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import nats.errors
import nats.js.errors
import structlog
from nats.js import JetStreamContext, api

from ledger.messaging import bulk, bus, delivery
from ledger.messaging.bulk import Message
from ledger.messaging.denials import Denials
from ledger.messaging.event_stream import EVENTS_STREAM, newest_position, sequence_after
from ledger.messaging.events import EVENTS_PREFIX, POSITION, LedgerEvent, received
from ledger.messaging.pull import Pull

EVENTS_REQUESTED = 500
"""Events requested at once: some hundred kilobytes."""
EVENTS_PER_ACKNOWLEDGEMENT = 100
"""Events done before they are acknowledged together while more wait: what comes again after a crash
at most."""
UNACKNOWLEDGED = 4 * (EVENTS_REQUESTED + EVENTS_PER_ACKNOWLEDGEMENT)
"""Events that the server hands out before one is acknowledged: never the limit."""
WAIT_SECONDS = 0.5
"""Longest wait before looking whether the connection is still the same."""
ACK_WAIT_SECONDS = 300.0
"""After this the server hands an event out again. It is dropped: who is at work has it already."""
UNUSED_SECONDS = 60.0
"""A consumer without name is forgotten by the server when its service was away for that long."""
AGAIN_SECONDS = 0.5
"""Pause before another try to reach the stream."""
NOW: Literal["now"] = "now"
JETSTREAM_REQUESTS = "$JS."

_log = structlog.get_logger(__name__)


class EventsMissing(Exception):
    """Events between the place and the oldest that the stream keeps are gone from it."""


class EventsTaken(Exception):
    """Somebody else follows the events under this name."""


class EventFilter:
    """Which events: of one account or all, of one type, one kind of stream, or all."""

    def __init__(self, account_id: UUID | str | None, event_type: str | None) -> None:
        stream_type, dot, event = (event_type or "*.*").partition(".")
        given = [] if account_id is None else [str(account_id)]
        if event_type is not None:
            given += [stream_type, *([event] if dot else [])]
        if "." in event or not all(bus.is_subject_token(token) for token in given):
            raise ValueError(
                f"{event_type!r} of {account_id!r} are no events: give a type like 'order.filled', "
                "or 'order' for all of them, and an account's id"
            )
        tokens = [stream_type, event or "*", "*" if account_id is None else str(account_id)]
        self.of_account = account_id is not None
        self.whole = tokens == ["*", "*", "*"]
        self.subject = f"{EVENTS_PREFIX}.>" if self.whole else ".".join([EVENTS_PREFIX, *tokens])


class Follower:
    """One service's way through the events."""

    def __init__(
        self,
        connection: bus.Connection,
        wanted: EventFilter,
        *,
        name: str | None,
        after: int | Literal["now"] | None,
        denials: Denials,
    ) -> None:
        if name is not None and not bus.is_subject_token(name):
            raise ValueError(f"{name!r} cannot be a consumer's name: no blanks, no dots, no * >")
        self._nats = connection
        self._jetstream: JetStreamContext = connection.jetstream(
            timeout=bus.JETSTREAM_TIMEOUT_SECONDS
        )
        self._wanted = wanted
        self._name = name
        self._after = after
        self._position = after if isinstance(after, int) else None
        """Of the last event that is done."""
        self._since: datetime | None = None
        """When the last event that is done was published; of one account, where to go on."""
        self._begun = False
        self._denials = denials
        self._to_acknowledge: Message | None = None
        self._unacknowledged = 0

    async def events(self) -> AsyncGenerator[LedgerEvent, None]:
        """The events, without end. Raises EventsMissing, EventsTaken, UnreadableEvent."""
        while True:
            try:
                consumer = await self._denials.or_denied(JETSTREAM_REQUESTS, self._begin())
                self._begun = True
                connections = self._nats.stats["reconnects"]
                async with Pull(self._nats, EVENTS_STREAM, [consumer], EVENTS_REQUESTED) as pull:
                    expected = 0
                    while pull.lost is None and self._nats.stats["reconnects"] == connections:
                        messages = await pull.take(WAIT_SECONDS)
                        for message in messages:
                            number = delivery.number(message)
                            if expected and number != expected:
                                pull.lost = "a message was lost on its way"
                                break
                            expected = number + 1
                            if self._is_known(message):
                                self._note_done(message)
                                continue
                            event = received(message.data)
                            self._check_nothing_missing(event.position)
                            try:
                                yield event
                            except GeneratorExit:
                                await self._acknowledge()
                                raise
                            self._position = event.position
                            self._note_done(message)
                            if self._unacknowledged >= EVENTS_PER_ACKNOWLEDGEMENT:
                                await self._acknowledge()
                        await self._acknowledge()
                    self._look_at_end(pull.lost)
            except (nats.errors.Error, OSError) as error:
                _log.warning("events_not_followed", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)

    # --- the consumer -------------------------------------------------------------------

    async def _begin(self) -> str:
        """The name of a consumer that starts behind the place."""
        self._to_acknowledge, self._unacknowledged = None, 0
        if self._name is None:
            return (await self._add(await self._first())).name or ""
        try:
            found = await self._jetstream.consumer_info(EVENTS_STREAM, self._name)
        except nats.js.errors.NotFoundError:
            await self._add(await self._first())
            return self._name
        if found.config.filter_subject != self._wanted.subject:
            raise EventsTaken(
                f"the consumer {self._name!r} follows {found.config.filter_subject}, not "
                f"{self._wanted.subject}. Give this one another name, or forget the old one with "
                "`forget_events`."
            )
        done = found.ack_floor.stream_seq if found.ack_floor else 0
        handed_out = found.delivered.stream_seq if found.delivered else 0
        if handed_out != done or found.num_ack_pending:
            await self._jetstream.delete_consumer(EVENTS_STREAM, self._name)
            await self._add(done + 1)
        return self._name

    async def _add(self, first: int | datetime) -> api.ConsumerInfo:
        durable = self._name is not None
        return await self._jetstream.add_consumer(
            EVENTS_STREAM,
            api.ConsumerConfig(
                name=self._name or f"follower-{self._nats.new_inbox().rpartition('.')[2]}",
                durable_name=self._name,
                filter_subject=self._wanted.subject,
                ack_policy=api.AckPolicy.ALL if durable else api.AckPolicy.NONE,
                ack_wait=ACK_WAIT_SECONDS if durable else None,
                max_ack_pending=UNACKNOWLEDGED if durable else None,
                inactive_threshold=None if durable else UNUSED_SECONDS,
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE
                if isinstance(first, int)
                else api.DeliverPolicy.BY_START_TIME,
                opt_start_seq=first if isinstance(first, int) else None,
                opt_start_time=first if isinstance(first, datetime) else None,
            ),
        )

    async def _first(self) -> int | datetime:
        """Where to start: behind what is done, else where the caller said. Raises
        EventsMissing.

        Who follows one account may not be allowed to look at the stream, which has those of the
        others: it starts early enough, by time, and drops what it knows.
        """
        if self._wanted.of_account:
            if self._after == NOW and self._since is None:
                self._since = datetime.now(UTC)
            return self._since or 1
        if self._after == NOW and self._position is None:
            self._position = await newest_position(self._jetstream)
        if self._position is None:
            return 1
        found = await sequence_after(self._jetstream, self._position)
        if found.first_position is not None and not self._begun:
            self._check_nothing_missing(found.first_position, filtered=False)
        return found.sequence

    def _check_nothing_missing(self, next_position: int, *, filtered: bool | None = None) -> None:
        """Raises EventsMissing. What a filter leaves out is not missing."""
        filtered = not self._wanted.whole if filtered is None else filtered
        if filtered or self._position is None or next_position <= self._position + 1:
            return
        raise EventsMissing(
            f"the events from position {self._position + 1} to {next_position - 1} are no longer "
            f"in {EVENTS_STREAM}. Have an operator send them with `ledgerctl publisher replay "
            f"--from {self._position + 1} --subject …`, or go on without them: after "
            f"{next_position - 1}."
        )

    # --- what is done -------------------------------------------------------------------

    def _is_known(self, message: Message) -> bool:
        """Whether the event was done before: handed out again by the server, or published again
        because the server had lost it."""
        position = int(message.header(POSITION.encode()) or 0)
        return self._position is not None and position <= self._position

    def _note_done(self, message: Message) -> None:
        self._since = delivery.received_at(message)
        self._to_acknowledge = message
        self._unacknowledged += 1

    async def _acknowledge(self) -> None:
        if self._name is not None and self._to_acknowledge is not None:
            with contextlib.suppress(nats.errors.Error):
                await bulk.send(self._nats, [delivery.done(self._to_acknowledge)])
        self._to_acknowledge, self._unacknowledged = None, 0

    def _look_at_end(self, reason: str | None) -> None:
        if reason is not None and "Consumer Deleted" in reason and self._name is not None:
            raise EventsTaken(
                f"the consumer {self._name!r} was taken over by another process, or removed. One "
                "process at a time may follow the events under a name."
            )
        _log.info("events_followed_anew", reason=reason or "the connection was lost")


async def forget(connection: bus.Connection, name: str) -> None:
    """Removes the place that is kept under the name, if there is one."""
    jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
    with contextlib.suppress(nats.js.errors.NotFoundError):
        await jetstream.delete_consumer(EVENTS_STREAM, name)
