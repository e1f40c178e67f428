"""Commands become events: the write side from end to end.

`Ledger.execute` takes a batch of commands in arrival order and does, whatever its size:

    1  inbox       which of these ids are decided already?          one query
    2  load        the streams that the others touch                two queries, none when warm
    3  decide      each in order, in memory, on the state that the ones before it left
                   (`handlers.py` composes the rules of `ledger.domain`)
    4  commit      one transaction: append lock and head, check that nobody appended to a stream
                   read here, COPY events, COPY outcomes into the inbox
    5  outcomes    one per command, in order; what was decided before is answered again

Nothing leaves before the commit. If another writer got in between, or the same command was
decided elsewhere, nothing is kept and the batch is decided again on fresh state. If the database
goes away, even at COMMIT, `execute` raises and the caller calls again with the same commands: the
inbox then tells which of them are done. Exactly one effect either way.

A decision that fails through a fault of ours gives a FAILED outcome and leaves no trace, so that
it can be tried again, until the caller says that this was the last try.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
import structlog

from ledger import measures
from ledger.aggregates import Aggregates
from ledger.batch import Batch, Decided
from ledger.commands import (
    ACCEPTED,
    FAILED,
    REJECTED,
    Command,
    InvalidCommand,
    Outcome,
)
from ledger.domain.event import Rejection
from ledger.domain.money import exact
from ledger.eventstore import inbox, reader, snapshots, store
from ledger.eventstore.snapshots import Snapshot
from ledger.eventstore.store import VersionConflict
from ledger.handlers import decide, streams_behind, streams_of
from ledger.work import Work

MAX_CACHED_STREAMS = 100_000
"""Default of the aggregates kept in memory: about 2 KiB each, so some 200 MB."""
SNAPSHOT_INTERVAL = 1_000
"""Default of the events after which a stream gets a new snapshot: loading reads at most so many,
about 10 ms."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Default of how far ahead of ours a sender's clock may be. Beyond it the sender's is wrong."""
CONNECT_TIMEOUT_SECONDS = 10
"""A database that does not take a connection by then is away; the caller tries again."""
MAX_CONFLICT_RETRIES = 20
"""Times that a batch is decided again because of other writers. Each retry means that somebody
else committed, so the ledger as a whole moves; past this, something is wrong."""

Fence = Callable[[psycopg.Cursor[Any]], None]
"""Whether the caller may still decide these commands; raises when not."""

_log = structlog.get_logger(__name__)


class Ledger:
    """Decides and records commands on one database connection. Not thread-safe."""

    def __init__(
        self,
        database_url: str,
        *,
        max_cached_streams: int = MAX_CACHED_STREAMS,
        snapshot_interval: int = SNAPSHOT_INTERVAL,
        clock_tolerance: timedelta = CLOCK_TOLERANCE,
    ) -> None:
        self._url = database_url
        self._clock_tolerance = clock_tolerance
        self._aggregates = Aggregates(max_cached_streams, snapshot_interval)
        self._open: psycopg.Connection[Any] | None = None
        self._known_head = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection and forgets all state."""
        self._aggregates.clear()
        if self._open is not None:
            self._open.close()
            self._open = None

    def execute(
        self,
        commands: Sequence[Command | InvalidCommand],
        now: datetime | None = None,
        last_tries: frozenset[UUID] = frozenset(),
        fence: Fence | None = None,
    ) -> list[Outcome]:
        """One outcome per command, in order, all recorded. FAILED outcomes are recorded only for
        ids in `last_tries`; the others may be sent again. `fence` is called in the transaction of
        the commit, under the append lock; what it raises ends the batch with nothing kept.

        Raises psycopg.OperationalError when the database cannot be reached or its answer was
        lost, and VersionConflict after `MAX_CONFLICT_RETRIES`; the batch may be given again.
        """
        for attempt in range(1, MAX_CONFLICT_RETRIES + 1):
            try:
                return self._execute(commands, now or datetime.now(UTC), last_tries, fence)
            except VersionConflict as conflict:
                _log.info("batch_decided_again", attempt=attempt, conflict=str(conflict))
                self._aggregates.clear()
            except BaseException:
                self.close()
                raise
        raise VersionConflict(f"other writers kept getting in between, {attempt} times in a row")

    def outcome(self, command_id: UUID) -> Outcome | None:
        """The recorded outcome of a command, None when it is not decided."""
        try:
            found = inbox.find(self._connection(), [command_id])
        except BaseException:
            self.close()
            raise
        return Outcome.from_json(found[command_id][1]) if found else None

    # --- the five steps -----------------------------------------------------------------

    def _execute(
        self,
        commands: Sequence[Command | InvalidCommand],
        now: datetime,
        last_tries: frozenset[UUID],
        fence: Fence | None,
    ) -> list[Outcome]:
        connection = self._connection()
        batch = Batch(commands, inbox.find(connection, [c.id for c in commands if c.id]))
        to_decide = batch.to_decide()
        readable = [c for _, c in to_decide if isinstance(c, Command)]
        read = {i for c in readable for i in streams_of(c)}
        self._aggregates.load(connection, read)
        behind = {i for c in readable for i in streams_behind(c, self._aggregates.peek)} - read
        self._aggregates.load(connection, behind)
        read |= behind
        with exact(), measures.DECIDE_SECONDS.time():
            for place, command in to_decide:
                batch.decided(place, self._decide(connection, command, now))
        to_record = batch.to_record(last_tries)
        if to_record:
            with measures.COMMIT_SECONDS.time():
                self._commit(connection, batch, to_record, read, fence)
        due = self._aggregates.committed(read)
        if due:
            self._save_snapshots(connection, due)
        return batch.outcomes()

    def _decide(
        self,
        connection: psycopg.Connection[Any],
        command: Command | InvalidCommand,
        now: datetime,
    ) -> Decided:
        if isinstance(command, InvalidCommand):
            return Decided(command, REJECTED, command.code, command.message, [])
        work = Work(command, self._aggregates)
        try:
            work.set_time(now, self._clock_tolerance)
            decide(work)
        except Rejection as rejection:
            self._aggregates.restore(connection, work.recorded_counts())
            return Decided(command, REJECTED, rejection.code, rejection.message, [])
        except Exception as fault:  # noqa: BLE001 - any fault of ours must be answered FAILED
            self._aggregates.restore(connection, work.recorded_counts())
            _log.exception("decision_failed", command_id=str(command.id), type=command.type)
            reason = f"{type(fault).__name__}: the ledger could not decide this; it was set aside"
            return Decided(command, FAILED, "INTERNAL_ERROR", reason, [])
        if work.denied is not None:
            return Decided(command, REJECTED, work.denied.code, work.denied.message, work.events)
        return Decided(command, ACCEPTED, None, None, work.events)

    def _commit(
        self,
        connection: psycopg.Connection[Any],
        batch: Batch,
        to_record: list[tuple[int, Decided]],
        read: set[UUID],
        fence: Fence | None,
    ) -> None:
        events = [event for _, decided in to_record for event in decided.events]
        with connection.transaction(), connection.cursor() as cursor:
            appended = store.begin_append(cursor, len(events))
            if fence is not None:
                fence(cursor)
            self._refuse_stale_reads(cursor, appended.head, read)
            store.copy_events(cursor, events, appended)
            inbox.record(cursor, batch.recorded(to_record, appended))
        self._known_head = appended.head + len(events)

    def _save_snapshots(self, connection: psycopg.Connection[Any], due: list[Snapshot]) -> None:
        """The batch is committed: a snapshot that cannot be saved costs time later, nothing now."""
        try:
            snapshots.save(connection, due)
        except psycopg.Error as error:
            _log.warning("snapshots_not_saved", snapshots=len(due), error=str(error).strip())
            self.close()

    def _refuse_stale_reads(self, cursor: psycopg.Cursor[Any], head: int, read: set[UUID]) -> None:
        """Under the append lock: has anybody else appended to what this batch was decided on?"""
        if head == self._known_head:
            return
        changed = store.streams_changed(cursor, after=self._known_head, up_to=head)
        self._known_head = head
        forgotten = self._aggregates.forget(changed)
        if forgotten & read:
            raise VersionConflict(f"{len(forgotten & read)} streams were appended to meanwhile")

    def _connection(self) -> psycopg.Connection[Any]:
        if self._open is None or self._open.closed:
            self._aggregates.clear()
            self._open = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                client_encoding="utf8",  # texts in binary COPY are
            )
            self._known_head = reader.head(self._open)
        return self._open
