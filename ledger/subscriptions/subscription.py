"""A further subscription in one file: what it makes of events, and a name.

    def handle(connection: Connection, events: Sequence[RecordedEvent]) -> None:
        ...                                   writes what it makes of them, on this connection

    Subscription("alerts", handle, database_url=url, stop=stop).run()

What else an owner does beside the events (to look at a clock, to send what is due), it does in
`meanwhile`, which nobody but the owner is called for; what it has to remember, it reads in
`claimed` (memory.py).

What `handle` writes and the place in the log commit together: so each event is handled once,
whoever is killed or taken over. If it raises, nothing of the batch is kept, the subscription says
ERROR with what was raised, and the batch is tried again, less and less often. The row appears in
`ledgerctl projections status` and can be paused like any other.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import psycopg
import structlog

from ledger.eventstore import reader
from ledger.eventstore.reader import RecordedEvent
from ledger.subscriptions import checkpoint
from ledger.subscriptions.checkpoint import Checkpoint, Fenced, NotInstalled
from ledger.subscriptions.connection import until_stopped
from ledger.subscriptions.lease import LeaseKeeper, LeaseOptions, leases_kept, while_owner
from ledger.subscriptions.pace import Pace
from ledger.subscriptions.retry import Backoff
from ledger.subscriptions.wakeup import Bell, Listener

BATCH_EVENTS = 1_000
"""Handled in one transaction: enough that its commit costs little, and a few megabytes."""
POLL_SECONDS = 1.0
"""What a lost notification costs at most."""

Handle: TypeAlias = Callable[[psycopg.Connection[Any], Sequence[RecordedEvent]], None]
Work: TypeAlias = Callable[[psycopg.Connection[Any]], None]

_log = structlog.get_logger(__name__)


class Subscription:
    """Handles every event once, in order, as long as nobody else does. With `event_types` only
    those; a new one begins behind position `begin_after`, or, if that is None, behind all that is
    there by then. `claimed` is called when this one has become the owner, `meanwhile` after each
    batch and while it waits."""

    def __init__(
        self,
        name: str,
        handle: Handle,
        *,
        database_url: str,
        stop: threading.Event,
        event_types: Sequence[str] | None = None,
        begin_after: int | None = 0,
        lease: LeaseOptions | None = None,
        claimed: Work | None = None,
        meanwhile: Work | None = None,
    ) -> None:
        self.name = name
        self._handle = handle
        self._database_url = database_url
        self._stop = stop
        self._event_types = event_types
        self._begin_after = begin_after
        self._lease = lease or LeaseOptions()
        self._claimed = claimed
        self._meanwhile = meanwhile
        self._bell, self._control = Bell(), Bell()
        self._backoff = Backoff()
        self._pace = Pace()

    def wake(self) -> None:
        """Has the owner look at once whether there is something to do."""
        self._bell.ring()

    def run(self) -> None:
        """Returns when `stop` is set."""
        ended = threading.Event()
        listener = Listener(self._database_url, ended, bell=self._bell, control=self._control)
        with listener.running(), leases_kept(self._database_url, self._lease) as keeper:
            until_stopped(
                partial(self._serve, keeper),
                self._database_url,
                self.name,
                stop=self._stop,
                backoff=self._backoff,
                on_trouble=self._interrupted,
                tries_again=(psycopg.Error, NotInstalled),
            )

    def _serve(self, keeper: LeaseKeeper, connection: psycopg.Connection[Any]) -> None:
        begins = reader.head(connection) if self._begin_after is None else self._begin_after
        checkpoint.install(connection, self.name, begins)
        while_owner(
            connection,
            self.name,
            partial(self._own, keeper, connection),
            keeper=keeper,
            stop=self._stop,
            control=self._control,
            look_seconds=POLL_SECONDS,
        )

    def _own(
        self, keeper: LeaseKeeper, connection: psycopg.Connection[Any], at: Checkpoint
    ) -> None:
        """Batch after batch until stopped. Raises Fenced, or psycopg.Error when the connection is
        lost."""
        heard = self._control.rings
        if self._claimed is not None:
            self._claimed(connection)
        while not self._stop.is_set():
            keeper.check(self.name)
            if self._control.rings != heard:
                heard = self._control.rings
                checkpoint.reread(connection, at)
            rings = self._bell.rings  # before reading: what comes after it rings later
            self._pace.begin()
            try:
                moved = self._batch(connection, at)
                if self._meanwhile is not None:
                    self._meanwhile(connection)
            except Fenced:
                raise
            except Exception as error:
                if connection.broken or connection.closed:
                    raise
                _log.exception("subscription.failed", subscription=self.name)
                checkpoint.fail(connection, at, f"{type(error).__name__}: {error}")
                self._backoff.wait(self._stop)
                continue
            self._backoff.reset()
            if moved.position == at.position:
                self._pace.rest()
                self._bell.wait(rings, POLL_SECONDS)
            at = moved

    def _batch(self, connection: psycopg.Connection[Any], at: Checkpoint) -> Checkpoint:
        """Handles what comes next, all or nothing of it. Raises Fenced, and what `handle` does."""
        up_to = min(reader.head(connection), at.position + BATCH_EVENTS)
        if up_to <= at.position:
            return at
        events = reader.read(
            connection, after=at.position, up_to=up_to, event_types=self._event_types
        )
        with connection.transaction():
            checkpoint.hold(connection, at)  # who is not the owner any more need not begin
            self._handle(connection, events)
            return checkpoint.advance(
                connection,
                at,
                to=up_to,
                handled=len(events),
                event_id=events[-1].id if events else None,
                rate=self._pace.passed(up_to - at.position),
            )

    def _interrupted(self, error: Exception) -> None:
        _log.warning("subscription.interrupted", subscription=self.name, error=str(error).strip())
