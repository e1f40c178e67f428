"""Keeps a follower's name and place on the server while its events are handled.

    while it runs    a task does what the claim says: reads and writes the record, in time
    a hint           every write to the record is also a message to who has subscribed to it, so an
                     owner knows at once that it is to give, and who waits that it may begin
    leaving          returns when the place is stored, or the server was away for too long

What is decided is in `follower_claim`.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Self
from uuid import UUID, uuid4

import msgspec
import nats.errors
from nats.aio.subscription import Subscription

from ledger.bus import connection as bus
from ledger.bus import wire
from ledger.bus.follower_record import Record
from ledger.bus.followers import FOLLOWERS_STREAM, Place
from ledger.bus.wire import Message
from ledger.client.event_feed import Begin
from ledger.client.follower_claim import (
    SAVE_SECONDS,
    End,
    FindPlace,
    FollowerClaim,
    Pause,
    Read,
    Write,
)
from ledger.client.submission import LedgerUnavailable
from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
from ledger.kernel.logger import EventLogger

LEASE_SECONDS = 5.0
"""After this silence a follower is taken for dead and another may have its name. Longer than a
restart of the server, and than what a handler may well keep the event loop from running."""
LEAVE_SECONDS = 5.0
"""Longest that leaving waits for the place to be stored: a server that restarts is back by then."""
AGAIN_SECONDS = 0.25
"""Pause before another try to reach the server."""

NO_STREAM_SECONDS = 30.0
"""How long a stream that is not there is waited for: a server that starts has it within seconds."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux; others

_log = EventLogger(__name__)


class EventsTaken(LedgerError):
    """Somebody else follows the events under this name."""


def _now() -> float:
    """Seconds on a clock that goes on while this process, or this machine, sleeps."""
    return time.clock_gettime(_CLOCK)


def incarnation() -> str:
    """A name of ours that no other process, and no earlier follower, has."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{uuid4().hex[:12]}"


class Keeper:
    """The name is asked for on entry, and given back at the end."""

    def __init__(
        self,
        connection: bus.Connection,
        place: Place,
        claim: FollowerClaim,
        find_place: Callable[[], Awaitable[Begin]],
    ) -> None:
        self._nats = connection
        self._place = place
        self._claim = claim
        self._find_place = find_place
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._pause_seconds = 0.0
        self._running: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await wire.subscribe(self._nats, self._place.subject, self._hinted)
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    # --- for the follower -----------------------------------------------------------------

    @property
    def place(self) -> Begin:
        """Behind the last event that is done."""
        return Begin(self._claim.place, self._claim.sequence, self._claim.incarnation)

    @property
    def is_ours(self) -> bool:
        """Whether the next event may be handed out now."""
        return self._claim.may_hand_out(_now())

    async def until_ours(self) -> None:
        """Returns when an event may be handed out. Raises EventsTaken, and what finding the place
        raises."""
        while not self.is_ours:
            if self._running is None:
                raise LedgerUnavailable("the client was closed while it followed events")
            if self._running.done():
                self._running.result()
                raise self._taken()
            self._changed.clear()
            await self._changed.wait()

    def handed_out(self) -> None:
        """An event is in hand."""
        self._claim.handed_out()

    def done(self, position: int, incarnation: UUID | None) -> None:
        """The event in hand is done, or was so before."""
        self._claim.done(position, incarnation)
        if self._pause_seconds > SAVE_SECONDS:  # not for each of thousands of events
            self._wake.set()

    async def leave(self) -> None:
        """Stores the place and gives the name back; an event in hand is not done."""
        running, self._running = self._running, None
        if running is None:
            return
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        failed = not running.cancelled() and running.exception() is not None
        self._changed.set()
        if self._claim.end is None and not failed:
            self._claim.leave()
            try:
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._until_end()
            except (TimeoutError, nats.errors.ConnectionClosedError) as error:
                reason = "no answer" if isinstance(error, TimeoutError) else str(error)
                _log.warning("place_not_stored", subject=self._place.subject, error=reason)
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await wire.unsubscribe(self._nats, self._subscription)

    # --- the task -------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._until_end()
        finally:
            self._changed.set()

    async def _until_end(self) -> None:
        waited_until = _now() + NO_STREAM_SECONDS
        while self._claim.end is None:
            self._wake.clear()
            try:
                await self._step()
            except nats.errors.ConnectionClosedError:
                raise
            except (nats.errors.Error, OSError) as error:
                self._claim.failed()
                missing = isinstance(error, nats.errors.NoRespondersError)
                if missing and not self._claim.owned and _now() > waited_until:
                    raise LedgerUnavailable(
                        f"the bus has no stream {FOLLOWERS_STREAM}, where places are kept. Check "
                        "that `ledgerctl serve publisher` runs, and is not of an older version."
                    ) from error
                reason = str(error) or type(error).__name__
                _log.warning("place_not_reached", subject=self._place.subject, error=reason)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _step(self) -> None:
        match self._claim.next(_now()):
            case Pause(seconds):
                self._pause_seconds = seconds
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._wake.wait()
                self._pause_seconds = 0.0
            case Read():
                self._claim.found(await self._place.read(), _now())
            case FindPlace():
                self._claim.begin_at(*await self._find_place())
            case Write(record, version):
                sent_at = _now()
                stored = await self._place.write(record, version)
                if stored is None:
                    self._claim.refused()
                else:
                    self._claim.stored(record, stored, sent_at)
        self._changed.set()

    def _hinted(self, messages: Sequence[Message]) -> None:
        for message in messages:
            with contextlib.suppress(msgspec.DecodeError):  # whoever reads the record says so
                self._claim.hint(msgspec.json.decode(message.data, type=known(Record)))
        self._wake.set()

    def _taken(self) -> EventsTaken:
        if self._claim.end is End.OTHER_EVENTS:
            return EventsTaken(
                f"under the name of {self._place.subject} other events are followed than these. "
                "Give this follower another name, or forget the old one with `forget_events`."
            )
        return EventsTaken(
            f"the name of {self._place.subject} was taken over by another process, or its place "
            "was forgotten. One process at a time may follow the events under a name."
        )
