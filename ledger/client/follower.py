"""Following the events: in order, each at least once, from where this service left off.

    claim     with a name: it becomes ours, and the place kept under it is where we go on
    begin     make a consumer on LEDGER_EVENTS behind the place
    take      messages as they come; one that is missing in between means: begin again
    hand out  the event, while the name is ours; it counts as done when the next one is asked for
    leave     with the place on the server

Without a name the place is the caller's: a service that keeps it in one transaction with what it
does gives it as `after`. The consumer keeps nothing, whoever follows: whenever something was lost
or is in doubt, it is made anew behind the last event that was done.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Literal, Protocol, get_args
from uuid import UUID

import nats.errors
import nats.js.errors

from ledger.bus import connection as bus
from ledger.bus import delivery
from ledger.bus.events import (
    EVENTS_STREAM,
    LINEAGE,
    NOBODY,
    POSITION,
    LedgerEvent,
    UnreadableEvent,
    received,
)
from ledger.bus.follower_record import KeptRecord, Record
from ledger.bus.followers import Place, UnreadablePlace
from ledger.bus.permission_errors import Denials
from ledger.bus.pull import Pull
from ledger.bus.wire import Message
from ledger.client.event_feed import (
    Begin,
    EventFilter,
    EventsMissing,
    Feed,
    LogRestored,
    PositionAhead,
)
from ledger.client.follower_claim import FollowerClaim
from ledger.client.follower_keeper import LEASE_SECONDS, EventsTaken, Keeper, incarnation
from ledger.client.submission import LedgerUnavailable
from ledger.kernel.incarnation import Lineage
from ledger.kernel.logger import EventLogger

__all__ = ["LEASE_SECONDS", "EventFilter", "EventsMissing", "EventsTaken", "Follower"]
__all__ += ["LogRestored", "PositionAhead", "Unknown", "UnreadablePlace", "forget"]

EVENTS_REQUESTED = 500
"""Events requested at once: some hundred kilobytes."""
WAIT_SECONDS = 0.5
"""Longest wait before looking whether the connection is still the same, and the name ours."""
AGAIN_SECONDS = 0.5
"""Pause before another try to reach the stream, or the place in it."""
LEAST_LEASE_SECONDS = 1.0
"""A shorter lease would run out over every hiccup of the server."""
NOW: Literal["now"] = "now"
Unknown = Literal["raise", "skip", "raw"]
"""What becomes of an event that this version of the code cannot decode: UnreadableEvent is raised,
it is left out, or it is handed out with its data as it is."""

_log = EventLogger(__name__)


class _Ownership(Protocol):
    """What decides whether an event may be handed out, and keeps the place."""

    @property
    def place(self) -> Begin: ...
    @property
    def is_ours(self) -> bool: ...
    async def until_ours(self) -> None: ...
    def handed_out(self) -> None: ...
    def done(self, position: int, incarnation: UUID | None) -> None: ...
    async def leave(self) -> None: ...


class _Unnamed:
    """Nobody else has our place; it is kept here alone."""

    is_ours = True

    def __init__(self, place: Begin) -> None:
        self.place = place

    async def until_ours(self) -> None:
        """At once."""

    def handed_out(self) -> None:
        """Nothing to note."""

    def done(self, position: int, incarnation: UUID | None) -> None:
        """The event is done."""
        position = max(self.place.position, position)
        self.place = Begin(position, None, incarnation or self.place.incarnation)

    async def leave(self) -> None:
        """Nothing to store."""


class Follower:
    """One service's way through the events."""

    def __init__(
        self,
        connection: bus.Connection,
        wanted: EventFilter,
        *,
        user: str | None,
        name: str | None,
        after: int | Literal["now"] | None,
        incarnation: UUID | None,
        unknown: Unknown,
        lease_seconds: float,
        denials: Denials,
    ) -> None:
        if name is not None and not bus.is_subject_token(name):
            raise ValueError(f"{name!r} cannot be a follower's name: no blanks, no dots, no * >")
        if isinstance(after, int) and after < 0:
            raise ValueError(f"after={after} is no position: 0 is before the first event")
        if unknown not in get_args(Unknown):
            raise ValueError(f"unknown={unknown!r} is none of {', '.join(get_args(Unknown))}")
        if lease_seconds < LEAST_LEASE_SECONDS:
            raise ValueError(
                f"a lease of {lease_seconds:g} s is too short: at least {LEAST_LEASE_SECONDS:g}"
            )
        self._nats = connection
        self._wanted = wanted
        self._user = user
        self._name = name
        self._after = after
        self._incarnation = incarnation
        self._unknown = unknown
        self._lease_seconds = lease_seconds
        self._denials = denials
        self._feed = Feed(connection, wanted, self._consumer(), denials)
        self._ownership: _Ownership | None = None

    async def events(self) -> AsyncGenerator[LedgerEvent, None]:
        """The events, without end. Raises EventsMissing, EventsTaken, LogRestored, PositionAhead,
        UnreadableEvent, UnreadablePlace, LedgerUnavailable."""
        try:
            async with self._owning() as ownership, aclosing(self._batches(ownership)) as batches:
                async for messages in batches:
                    for message in messages:
                        position = self._position(message, ownership)
                        if position is None:
                            continue
                        event = self._event(message)
                        if not ownership.is_ours:
                            await ownership.until_ours()
                        ownership.handed_out()
                        if event is not None:
                            yield event
                        ownership.done(position, event.incarnation if event else None)
        except nats.errors.ConnectionClosedError as error:
            raise LedgerUnavailable("the client was closed, and follows no more") from error

    async def leave(self) -> None:
        """Stores the place, without the event in hand. No event comes after that."""
        if self._ownership is not None:
            await self._ownership.leave()

    # --- the messages ---------------------------------------------------------------------

    def _position(self, message: Message, ownership: _Ownership) -> int | None:
        """The position of a message's event; None if it is done: the server had lost it, and it was
        published again. Raises EventsMissing, LogRestored."""
        position = int(message.header(POSITION.encode()) or 0)
        self._check_same_log(message, ownership.place)
        done = ownership.place.position
        if position <= done:
            return None
        if done or self._after == 0:
            self._feed.check_nothing_missing(done, position)
        return position

    def _event(self, message: Message) -> LedgerEvent | None:
        """The event of a message; None if it is one that is left out. Raises UnreadableEvent."""
        try:
            return received(message.data)
        except UnreadableEvent as error:
            if self._unknown == "raw":
                return received(message.data, decoded=False)
            # Of an application of its own on the store, which follows its events by itself.
            foreign = message.subject.endswith(f".{NOBODY}")
            if self._unknown == "raise" and not foreign:
                raise
            _log.debug("event_left_out", subject=message.subject, reason=str(error))
            return None

    def _check_same_log(self, message: Message, place: Begin) -> None:
        """Raises LogRestored if the log is not the one any more in which the place is."""
        lineage = Lineage.parse(message.header(LINEAGE.encode()) or "")
        if place.incarnation is None or not lineage:
            return
        common = lineage.common_with(place.incarnation)
        if common is None or place.position <= common:
            return
        raise LogRestored(
            f"the log was restored to an earlier moment, and goes on as incarnation "
            f"{lineage.newest}: what this follower has handled of {place.incarnation}, behind "
            f"position {common} and up to {place.position}, is not in it. Take back what was done "
            f"for it, then begin with events(after={common}); with a name, forget the place with "
            "`forget_events` before.",
            common,
            lineage.newest,
        )

    async def _batches(self, ownership: _Ownership) -> AsyncGenerator[list[Message], None]:
        """From behind the place, without end."""
        while True:
            try:
                await ownership.until_ours()
                if await self._feed.begin(ownership.place):
                    async with aclosing(self._from_consumer(ownership)) as batches:
                        async for messages in batches:
                            yield messages
                else:
                    await asyncio.sleep(AGAIN_SECONDS)
            except nats.errors.ConnectionClosedError:
                raise
            except (nats.errors.Error, OSError) as error:
                _log.warning("events_not_followed", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _from_consumer(self, ownership: _Ownership) -> AsyncGenerator[list[Message], None]:
        """What the consumer has, until something is lost or in doubt."""
        connections = self._nats.stats["reconnects"]
        consumer = self._feed.consumer
        last = 0
        async with Pull(self._nats, EVENTS_STREAM, [consumer], EVENTS_REQUESTED) as pull:
            while pull.lost is None and self._nats.stats["reconnects"] == connections:
                messages = await pull.take(WAIT_SECONDS)
                if [delivery.number(one) for one in messages] != [
                    *range(last + 1, last + len(messages) + 1)
                ]:
                    pull.lost = "a message was lost on its way"
                    break
                last += len(messages)
                yield messages
                if self._nats.is_closed:
                    raise nats.errors.ConnectionClosedError
                if not ownership.is_ours:
                    await ownership.until_ours()
            _log.info("events_followed_anew", reason=pull.lost or "the connection was lost")

    # --- the place ------------------------------------------------------------------------

    def _consumer(self) -> str:
        """The consumer's name: what the server permits our user, and nobody else has."""
        if self._name is None:
            return f"follower-{self._nats.new_inbox().rpartition('.')[2]}"
        if self._user is None or f"{self._name}-".startswith(f"{self._user}-"):
            return self._name
        return f"{self._user}-{self._name}"

    @asynccontextmanager
    async def _owning(self) -> AsyncIterator[_Ownership]:
        if self._name is None:
            self._ownership = _Unnamed(await self._first())
            yield self._ownership
            return
        place = Place(self._nats, self._user, self._name, self._denials)
        claim = FollowerClaim(incarnation(), self._wanted.subject, self._lease_seconds)
        async with Keeper(self._nats, place, claim, self._find_place) as keeper:
            self._ownership = keeper
            yield keeper

    async def _first(self) -> Begin:
        """Where to begin if no place is kept."""
        while self._after == NOW:
            try:
                return await self._feed.newest()
            except nats.errors.ConnectionClosedError:
                raise
            except (nats.errors.Error, OSError) as error:
                _log.warning("events_not_followed", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)
        return Begin(self._after or 0, None, self._incarnation)

    async def _find_place(self) -> Begin:
        """Where to begin under a name that has no place; and the server must let us."""
        assert self._name is not None
        before = await self._consumer_of_before(self._name)
        if before is not None:
            return Begin(0, before)
        first = await self._first()
        while not await self._feed.begin(first):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(AGAIN_SECONDS)
        return first

    async def _consumer_of_before(self, name: str) -> int | None:
        """The message of the stream behind which a durable consumer of this name goes on: versions
        before kept the place in one."""
        asked = f"{self._nats.api_prefix}.CONSUMER.INFO.{EVENTS_STREAM}.{name}"
        jetstream = self._nats.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
        try:
            found = await self._denials.or_denied(
                asked, jetstream.consumer_info(EVENTS_STREAM, name)
            )
        except nats.js.errors.NotFoundError:
            return None
        if not found.config.durable_name or found.ack_floor is None:
            return None
        if found.config.filter_subject != self._wanted.subject:
            raise EventsTaken(
                f"the consumer {name!r} follows {found.config.filter_subject}, not "
                f"{self._wanted.subject}. Give this follower another name, or forget the old one "
                "with `forget_events`."
            )
        return int(found.ack_floor.stream_seq)


async def forget(connection: bus.Connection, user: str | None, name: str, denials: Denials) -> None:
    """Forgets the place that is kept under the name. Who follows under it is told. Raises
    nats.errors.Error, NotPermitted."""
    place = Place(connection, user, name, denials)
    while True:
        try:
            kept = await place.read()
        except UnreadablePlace as error:
            kept = KeptRecord(None, error.version)
        epoch = kept.record.epoch if kept.record else 0
        forgotten = Record(filter="", epoch=epoch + 1, place=None, lease_seconds=0.0)
        if kept.version == 0 or await place.write(forgotten, kept.version) is not None:
            break
    jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
    deleted = f"{connection.api_prefix}.CONSUMER.DELETE.{EVENTS_STREAM}.{name}"
    with contextlib.suppress(nats.js.errors.NotFoundError):  # one of a version before
        await denials.or_denied(deleted, jetstream.delete_consumer(EVENTS_STREAM, name))
