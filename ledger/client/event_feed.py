"""The consumer that events come from: where it begins, and making it.

A consumer is cheap and keeps nothing: it acknowledges nothing, and is made anew behind the place
whenever one is in doubt. Where the place is in the stream, two of its numbers tell: events are
published in the order of their positions, none left out, so a message of position p is never before
`first sequence + p - first position`, and only behind it if something else was stored in between.
What follows that message costs the same to find in a stream of any length, and takes no more rights
than to make a consumer of these events.
"""

import asyncio
import contextlib
from typing import Any, NamedTuple
from uuid import UUID

import nats.js.errors
import orjson
from nats.js import JetStreamContext, api

from ledger.bus import connection as bus
from ledger.bus.events import EVENTS_PREFIX, EVENTS_STREAM, POSITION
from ledger.bus.permission_errors import Denials
from ledger.kernel.errors import LedgerError

UNUSED_SECONDS = 60.0
"""A consumer is forgotten by the server when its service was away for that long."""
AHEAD_SECONDS = 10.0
"""How long a place may be ahead of the stream before that is an error: a publisher that died is
followed within ten seconds."""


class EventsMissing(LedgerError):
    """Events between the place and the oldest that the stream keeps are gone from it."""


class LogRestored(LedgerError):
    """The log was restored to an earlier moment and goes on from there: of what this follower has
    handled, it does not have the events behind `position` any more. `incarnation` is what the log
    is now."""

    def __init__(self, message: str, position: int, incarnation: UUID | None) -> None:
        super().__init__(message)
        self.position = position
        self.incarnation = incarnation


class PositionAhead(LedgerError):
    """The place is behind an event that was not published."""


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
        self.whole = tokens == ["*", "*", "*"]
        self.subject = f"{EVENTS_PREFIX}.>" if self.whole else ".".join([EVENTS_PREFIX, *tokens])


class Begin(NamedTuple):
    """Where to begin: behind a position; or behind a message of the stream, of which no position is
    known."""

    position: int
    sequence: int | None = None
    incarnation: UUID | None = None
    """Of the log that the position is in, if it is known."""


class _Message(NamedTuple):
    """Where a message is in the stream, and the position of its event; 0 if it is none of ours."""

    sequence: int
    position: int


class Feed:
    """Makes the consumer of one follower, one after the other under the same name."""

    def __init__(
        self, connection: bus.Connection, wanted: EventFilter, consumer: str, denials: Denials
    ) -> None:
        self._nats = connection
        self._jetstream: JetStreamContext = connection.jetstream(
            timeout=bus.JETSTREAM_TIMEOUT_SECONDS
        )
        self._requests = f"{connection.api_prefix}.CONSUMER"
        self._wanted = wanted
        self.consumer = consumer
        self._denials = denials
        self._begun = False
        self._ahead_since: float | None = None

    async def newest(self) -> Begin:
        """Behind the newest of these events."""
        await self._make(api.DeliverPolicy.LAST)
        found = await self._next()
        if found is None or found.position:
            return Begin(found.position if found else 0)
        return Begin(0, found.sequence)

    async def begin(self, at: Begin) -> bool:
        """Makes the consumer there; behind position 0 is with the oldest. False while the stream
        does not reach the position: try again a little later. Raises EventsMissing, PositionAhead,
        NotPermitted."""
        if at.sequence is not None or at.position == 0:
            await self._make(api.DeliverPolicy.BY_START_SEQUENCE, (at.sequence or 0) + 1)
        elif not await self._begin_behind(at.position):
            return False
        self._begun = True
        return True

    async def _begin_behind(self, place: int) -> bool:
        first = await self._sequence_after(place)
        made = await self._make(api.DeliverPolicy.BY_START_SEQUENCE, first)
        if made.num_pending or first == 1:
            return True
        # Nothing waits there: does the stream reach that far? Where it does not, the server would
        # hold back what comes until it does.
        missing = first - 1 - await self._last_sequence()
        if missing <= 0:
            await self._make(api.DeliverPolicy.BY_START_SEQUENCE, first)
            self._ahead_since = None
            return True
        now = asyncio.get_running_loop().time()
        self._ahead_since = now if self._ahead_since is None else self._ahead_since
        if not self._begun and now - self._ahead_since >= AHEAD_SECONDS:
            raise PositionAhead(
                f"position {place} is {missing} events ahead of the newest in {EVENTS_STREAM}. "
                "Either no event has that position: correct `after`, or forget the place that is "
                "kept with `forget_events`; or the ledger was restored to an earlier moment: ask "
                "its operator (`ledgerctl recover`); or it is still to be published: check that "
                "`ledgerctl serve publisher` runs, and begin again."
            )
        return False

    async def _sequence_after(self, place: int) -> int:
        """The least sequence number that an event behind the place can have."""
        await self._make(api.DeliverPolicy.ALL)
        first = await self._next()
        while first is not None and not first.position:  # somebody else's: look at the next
            await self._make(api.DeliverPolicy.BY_START_SEQUENCE, first.sequence + 1)
            first = await self._next()
        if first is None:
            return 1
        if not self._begun:
            self.check_nothing_missing(place, first.position)
        return first.sequence + max(place - first.position + 1, 0)

    async def _last_sequence(self) -> int:
        """Of the stream, whatever the filter."""
        made = await self._make(api.DeliverPolicy.NEW)
        return made.delivered.stream_seq if made.delivered else 0

    def check_nothing_missing(self, place: int, next_position: int) -> None:
        """Raises EventsMissing. What a filter leaves out is not missing."""
        if not self._wanted.whole or next_position <= place + 1:
            return
        raise EventsMissing(
            f"the events from position {place + 1} to {next_position - 1} are no longer in "
            f"{EVENTS_STREAM}. Have an operator send them with `ledgerctl publisher replay --from "
            f"{place + 1} --subject …`. To go on without them begin after {next_position - 1}; "
            "with a name, once its place was forgotten with `forget_events`."
        )

    # --- consumers ------------------------------------------------------------------------

    async def _make(self, policy: api.DeliverPolicy, first: int | None = None) -> api.ConsumerInfo:
        deleted = f"{self._requests}.DELETE.{EVENTS_STREAM}.{self.consumer}"
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await self._denials.or_denied(
                deleted, self._jetstream.delete_consumer(EVENTS_STREAM, self.consumer)
            )
        config = api.ConsumerConfig(
            name=self.consumer,
            filter_subject=self._wanted.subject,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=UNUSED_SECONDS,
            deliver_policy=policy,
            opt_start_seq=first,
            mem_storage=True,
        )
        made = f"{self._requests}.CREATE.{EVENTS_STREAM}.{self.consumer}.{self._wanted.subject}"
        return await self._denials.or_denied(
            made, self._jetstream.add_consumer(EVENTS_STREAM, config)
        )

    async def _next(self) -> _Message | None:
        """The first message of the consumer that was just made; None if there is none."""
        asked = f"{self._requests}.MSG.NEXT.{EVENTS_STREAM}.{self.consumer}"
        wanted = orjson.dumps({"batch": 1, "no_wait": True})
        answer: Any = await self._denials.or_denied(
            asked,
            # With an inbox of its own: a message comes on the subject that it was stored under.
            self._nats.request(
                asked, wanted, timeout=bus.JETSTREAM_TIMEOUT_SECONDS, old_style=True
            ),
        )
        if not answer.reply:  # a status: nothing there
            return None
        position = (answer.headers or {}).get(POSITION, "")
        sequence = answer.metadata.sequence.stream
        return _Message(sequence, int(position) if position.isdecimal() else 0)
