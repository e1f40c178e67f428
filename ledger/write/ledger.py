"""Commands become events: the write side from end to end.

`Ledger.execute` takes a batch of commands in arrival order and does, whatever its size:

    1  inbox       which of these ids are decided already?          one query
    2  load        the streams that the others touch                two queries, none when warm
    3  decide      each in order, in memory, on the state that the ones before it left
                   (the handlers of `ledger.nouns` compose their rules)
    4  commit      one transaction: append lock and head; where another writer appended to a stream
                   read here, the commands that read it are decided anew (`_decide_anew`); COPY
                   events, COPY outcomes into the inbox
    5  outcomes    one per command, in order; what was decided before is answered again

Nothing leaves before the commit. If the same command was decided elsewhere, nothing is kept and the
batch is decided again on fresh state. If the database goes away, even at COMMIT, `execute` raises
and the caller calls again with the same commands: the inbox then tells which of them are done.
Exactly one effect either way.

`execute` is `decide` (1 to 3) and `commit` (4 and 5). A caller that has more to do decides the next
batch while the one before commits. A decision names the one it follows, and is refused unless that
was the last one kept: whatever breaks, no batch is kept on states that never were.

A decision that fails through a fault of ours gives a FAILED outcome and leaves no trace, so that
it can be tried again, until the caller says that this was the last try. A command that needs a
stream which cannot be read is FAILED at once, and recorded so; the others of its batch go on.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import psycopg
import structlog
from psycopg import errors

from ledger.eventstore import inbox, reader, snapshots, store
from ledger.eventstore.snapshots import AggregateSnapshot
from ledger.eventstore.store import VersionConflict
from ledger.kernel.command import ACCEPTED, FAILED, REJECTED, Command, InvalidCommand, Outcome
from ledger.kernel.money import exact
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.limits.risk_book import RiskBook
from ledger.nouns.streams.events import repairs_of
from ledger.operate import metrics
from ledger.operate.database import connect
from ledger.write import held_streams
from ledger.write.aggregates import Aggregates
from ledger.write.batch import Batch, Decided
from ledger.write.blockers import LOCK_SECONDS, MOST_WAITS, Blockers
from ledger.write.deciders import COMMANDS
from ledger.write.risk_books import RiskBooks
from ledger.write.scope_sums import ScopeSums
from ledger.write.stream_reader import HeldStream
from ledger.write.unit_of_work import CommandWork, NeededStreamHeld, Surroundings

MAX_CACHED_STREAMS = 100_000
"""Default of the aggregates kept in memory: about 2 KiB each, so some 200 MB."""
SNAPSHOT_INTERVAL = 1_000
"""Default of the events after which a stream gets a new snapshot: loading reads at most so many,
about 10 ms."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Default of how far ahead of ours a sender's clock may be. Beyond it the sender's is wrong."""
STALLED_COMMIT_SECONDS = 5.0
"""A commit's statements follow each other within milliseconds. A process that sends none for so
long hangs or is gone with its machine, and everybody waits for the append lock that it holds: the
server ends it, and nothing of the batch is kept."""
PRICE_MAX_AGE = timedelta(minutes=5)
"""Default of the age from which a price decides nothing."""
MOST_CONFLICTS = 3
"""Times that a batch is decided as a whole. More than once is needed only where another process
decides the same commands, or one before it was not kept; after that the caller is to ask anew."""

Result = TypeVar("Result")
Fence = Callable[[psycopg.Cursor[Any]], None]
"""Whether the caller may still decide these commands; raises when not."""
Keep = Callable[[psycopg.Cursor[Any], Sequence[Outcome]], None]
"""Keeps what a person must look at, given the outcomes of a batch of which some are FAILED."""


@dataclass(slots=True, eq=False)
class Decision:
    """A batch that is decided and not committed. Its states are those after the decision number
    `follows`; `seen` counts the reports of other writers' appends that were heeded."""

    batch: Batch
    now: datetime
    number: int
    follows: int
    seen: int
    reads: dict[int, set[UUID]]
    """Of the command at each place."""
    books: dict[int, RiskBook]
    """Of a command that limits were asked about, the open orders that it was decided on."""
    snapshots: list[AggregateSnapshot]
    """Due once it is committed."""

    def reading(self, streams: set[UUID]) -> set[int]:
        """The places of the commands that read one of them."""
        places = {place for place, read in self.reads.items() if not read.isdisjoint(streams)}
        if self.books:
            books = {id(book): book.has_any(streams) for book in set(self.books.values())}
            places |= {place for place, book in self.books.items() if books[id(book)]}
        return places


_log = structlog.get_logger(__name__)


class Ledger:
    """Decides and records commands. One thread may decide while another commits, no more."""

    def __init__(
        self,
        database_url: str,
        *,
        max_cached_streams: int = MAX_CACHED_STREAMS,
        snapshot_interval: int = SNAPSHOT_INTERVAL,
        clock_tolerance: timedelta = CLOCK_TOLERANCE,
        price_max_age: timedelta = PRICE_MAX_AGE,
    ) -> None:
        self._url = database_url
        self._clock_tolerance = clock_tolerance
        self._price_max_age = price_max_age
        self._one_decides = Lock()
        self._aggregates = Aggregates(max_cached_streams, snapshot_interval)
        self._books = RiskBooks(
            lambda ids: self._aggregates.load(self._to_read(), ids), self._aggregates.peek
        )
        self._sums = ScopeSums()
        self._reading: psycopg.Connection[Any] | None = None
        self._writing: psycopg.Connection[Any] | None = None
        self._numbers = count(1)
        self._in_flight: deque[Decision] = deque()
        """Decided, and not known to the states as committed."""
        self._committed = 0
        """Number of the last decision that was kept."""
        self._states_lost = False
        """A decision was not kept: the states that it made are to be read anew."""
        self._known_head: int | None = None
        self._reports: list[tuple[int, set[UUID]]] = []
        """(number, streams that other writers appended to) of the last commits."""
        self._report_numbers = count(1)
        self._heeded = 0
        """Number of the last report that the states take account of."""

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
        """Closes the connections and forgets all state."""
        with self._one_decides:
            self._states_lost = True
            self._aggregates.clear()
            _close(self._reading)
        _close(self._writing)

    def execute(
        self,
        commands: Sequence[Command | InvalidCommand],
        now: datetime | None = None,
        last_tries: frozenset[UUID] = frozenset(),
        fence: Fence | None = None,
        keep: Keep | None = None,
    ) -> list[Outcome]:
        """One outcome per command, in order, all recorded. FAILED outcomes are recorded only for
        ids in `last_tries` and where a stream is held; the others may be sent again. `fence` and,
        where FAILED outcomes are recorded, `keep` are called in the transaction of the commit,
        under the append lock; what they raise ends the batch with nothing kept.

        Raises psycopg.OperationalError when the database cannot be reached or its answer was
        lost; the batch may be given again. Raises VersionConflict when others decided commands of
        it each time that it was tried.
        """
        for attempt in range(1, MOST_CONFLICTS):
            try:
                return self.commit(self.decide(commands, now), last_tries, fence, keep)
            except VersionConflict as conflict:
                _log.info("batch_decided_again", attempt=attempt, conflict=str(conflict))
        return self.commit(self.decide(commands, now), last_tries, fence, keep)

    def outcome(self, command_id: UUID) -> Outcome | None:
        """The recorded outcome of a command, None when it is not decided."""
        with self._one_decides:
            try:
                found = inbox.find(self._to_read(), [command_id])
            except BaseException:
                _close(self._reading)
                raise
        return Outcome.from_json(found[command_id][1]) if found else None

    # --- deciding -----------------------------------------------------------------------

    def decide(
        self, commands: Sequence[Command | InvalidCommand], now: datetime | None = None
    ) -> Decision:
        """Steps 1 to 3, on the states that the decision before this one left. Nothing is kept
        before `commit`, which takes decisions in their order. Raises psycopg.Error."""
        with self._one_decides:
            try:
                connection = self._to_read()
                self._catch_up(connection)
                return self._decide_all(connection, commands, now or datetime.now(UTC))
            except BaseException:
                self._states_lost = True
                _close(self._reading)
                raise

    def _catch_up(self, connection: psycopg.Connection[Any]) -> None:
        """What became of the decisions before, and what other writers did."""
        if self._states_lost:
            self._states_lost = False
            self._aggregates.abandon()
            self._books.clear()
            self._sums.all_changed()
            self._in_flight.clear()
        if self._known_head is None:
            self._known_head = reader.head(connection)
        self._heed_commits()
        self._heed_reports()

    def _heed_commits(self) -> None:
        while self._in_flight and self._in_flight[0].number <= self._committed:
            self._aggregates.committed(self._in_flight.popleft().batch.events())

    def _heed_reports(self) -> None:
        for number, changed in tuple(self._reports):
            if number > self._heeded:
                self._forget(changed)
                self._heeded = number

    def _forget(self, changed: set[UUID]) -> None:
        self._aggregates.forget(changed)
        self._sums.changed(self._books.accounts_of(changed))
        self._books.forget(changed)

    def _decide_all(
        self,
        connection: psycopg.Connection[Any],
        commands: Sequence[Command | InvalidCommand],
        now: datetime,
    ) -> Decision:
        follows = self._in_flight[-1].number if self._in_flight else self._committed
        batch = Batch(commands, inbox.find(connection, [c.id for c in commands if c.id]))
        to_decide = batch.to_decide()
        reads = {
            place: set(COMMANDS[c.type].reads(c, c.data))
            for place, c in to_decide
            if isinstance(c, Command)
        }
        decision = Decision(batch, now, next(self._numbers), follows, self._heeded, reads, {}, [])
        self._decide_these(connection, decision, to_decide)
        self._in_flight.append(decision)
        return decision

    def _decide_these(
        self,
        connection: psycopg.Connection[Any],
        decision: Decision,
        to_decide: Sequence[tuple[int, Command | InvalidCommand]],
    ) -> None:
        """Those of a batch, in order."""
        self._load(connection, to_decide, decision.reads)
        around = Surroundings(
            self._aggregates, self._books, self._sums, connection, self._price_max_age
        )
        self._sums.begin_batch()
        with exact(), metrics.DECIDE_SECONDS.time():
            for place, command in to_decide:
                held = self._aggregates.held(decision.reads.get(place, ()))
                decision.books.pop(place, None)
                decided = self._decide(around, decision, place, command, held)
                decision.batch.decided(place, decided)
                if held is not None:
                    # What an operator did to a stream that is held is in a stream of its own.
                    decision.reads[place].add(repairs_of(held.stream_id))
        decision.snapshots += self._aggregates.take_snapshots()

    def _load(
        self,
        connection: psycopg.Connection[Any],
        to_decide: Sequence[tuple[int, Command | InvalidCommand]],
        reads: dict[int, set[UUID]],
    ) -> None:
        """Loads what the commands read, and adds the streams that only states just loaded name."""
        read = [reads[place] for place, command in to_decide if isinstance(command, Command)]
        self._aggregates.load(connection, set().union(*read))
        behind = set[UUID]()
        for place, command in to_decide:
            if not isinstance(command, Command) or self._aggregates.held(reads[place]):
                continue
            reads_behind = COMMANDS[command.type].reads_behind
            if reads_behind is not None:
                further = set(reads_behind(command, command.data, self._aggregates.peek))
                behind |= further - reads[place]
                reads[place] |= further
        self._aggregates.load(connection, behind)

    def _decide(
        self,
        around: Surroundings,
        decision: Decision,
        place: int,
        command: Command | InvalidCommand,
        held: HeldStream | None,
    ) -> Decided:
        if isinstance(command, InvalidCommand):
            return Decided(command, REJECTED, command.code, command.message, [])
        if held is not None:
            return _held(command, held)
        work = CommandWork(command, around)
        try:
            work.set_time(decision.now, self._clock_tolerance)
            decide(work)
        except Rejection as rejection:
            self._take_back(around, work)
            return Decided(command, REJECTED, rejection.code.value, rejection.message, [])
        except psycopg.Error:
            raise  # of no command: what deciding reads could not be read
        except NeededStreamHeld as needed:
            self._take_back(around, work)
            return _held(command, needed.held)
        except Exception as fault:  # noqa: BLE001 - any fault of ours must be answered FAILED
            self._take_back(around, work)
            _log.exception("decision_failed", command_id=str(command.id), type=command.type)
            reason = f"{type(fault).__name__}: the ledger could not decide this; it was set aside"
            return Decided(command, FAILED, GeneralRejection.INTERNAL_ERROR.value, reason, [])
        finally:
            decision.reads[place] |= work.looked
            if work.book is not None:
                decision.books[place] = work.book
        if work.denied is not None:
            return Decided(
                command, REJECTED, work.denied.code.value, work.denied.message, work.events
            )
        return Decided(command, ACCEPTED, None, None, work.events)

    def _take_back(self, around: Surroundings, work: CommandWork) -> None:
        """Undoes what an abandoned decision recorded."""
        recorded = work.recorded_counts()
        if recorded:
            self._aggregates.restore(around.connection, recorded)
            self._sums.changed(self._books.accounts_of(recorded))
            self._books.forget(recorded)

    # --- committing ---------------------------------------------------------------------

    def commit(
        self,
        decision: Decision,
        last_tries: frozenset[UUID] = frozenset(),
        fence: Fence | None = None,
        keep: Keep | None = None,
    ) -> list[Outcome]:
        """Steps 4 and 5; see `execute`. Raises VersionConflict when the batch is to be decided
        again: others got in between, or a decision before it was not kept."""
        try:
            if decision.follows != self._committed:
                raise VersionConflict("it was decided on a batch that was not kept")
            if decision.batch.to_record(last_tries):
                with metrics.COMMIT_SECONDS.time():
                    self._patiently(lambda: self._append(decision, last_tries, fence, keep))
            self._committed = decision.number
        except VersionConflict:
            self._states_lost = True
            raise
        except BaseException:
            self._states_lost = True
            _close(self._writing)
            raise
        if decision.snapshots:
            self._save_snapshots(decision.snapshots)
        return decision.batch.outcomes()

    def _patiently(self, work: Callable[[], Result]) -> Result:
        """The result of work that needs the append lock; who holds it up is told, and ended."""
        blockers = Blockers()
        for waits in range(1, MOST_WAITS + 1):
            try:
                return work()
            except errors.LockNotAvailable:
                if waits == MOST_WAITS:
                    raise
                blockers.look(self._to_write())
        raise AssertionError("the last wait returns or raises")

    def _append(
        self,
        decision: Decision,
        last_tries: frozenset[UUID],
        fence: Fence | None,
        keep: Keep | None,
    ) -> None:
        to_record, events = decision.batch.to_append(last_tries)
        with self._to_write().transaction(), self._to_write().cursor() as cursor:
            appended = store.begin_append(cursor, len(events))
            if fence is not None:
                fence(cursor)
            if changed := self._changed_meanwhile(cursor, appended.head, decision):
                self._decide_anew(decision, changed)
                to_record, events = decision.batch.to_append(last_tries)
                appended = store.begin_append(cursor, len(events))
            store.copy_events(cursor, events, appended)
            inbox.record(cursor, decision.batch.recorded(to_record, appended))
            held_streams.note(cursor, decision.batch.held())
            if keep is not None and any(decided.status == FAILED for _, decided in to_record):
                keep(cursor, decision.batch.outcomes())
        self._known_head = appended.head + len(events)

    def _changed_meanwhile(
        self, cursor: psycopg.Cursor[Any], head: int, decision: Decision
    ) -> set[UUID]:
        """Under the append lock: what others appended to since this batch was decided, if anything
        of it was decided on that."""
        self._note_others(cursor, head)
        self._reports = [report for report in self._reports if report[0] > decision.seen]
        changed = set().union(*(changed for _, changed in self._reports))
        return changed if changed and decision.reading(changed) else set()

    def _decide_anew(self, decision: Decision, stale: set[UUID]) -> None:
        """Under the append lock: decides the commands anew that others got in the way of, in this
        batch and in those that were decided after it; all else stands. A command is one of them if
        it reads a stream that changed, or that may change now: one that such a command wrote, or
        read while others were writing it. Raises VersionConflict where all is to be decided again.
        """
        with self._one_decides:
            connection = self._to_read()
            try:
                self._heed_commits()
                if self._states_lost or decision not in list(self._in_flight)[:1]:
                    raise VersionConflict("what was decided before it was not kept")
                anew = self._to_decide_anew(stale)
                self._heed_reports()
                self._forget(stale)
                for one, places in anew:
                    self._decide_places_anew(connection, one, places, stale)
                _log.info("commands_decided_anew", commands=sum(len(p) for _, p in anew))
            except BaseException:
                self._states_lost = True
                _close(self._reading)
                raise

    def _to_decide_anew(self, stale: set[UUID]) -> list[tuple[Decision, set[int]]]:
        """The places of each batch that is not committed. `stale` grows by what changes with them,
        until nothing more does."""
        while True:
            anew = [(one, one.reading(stale)) for one in self._in_flight]
            read = set().union(*(one.reads[place] for one, places in anew for place in places))
            more = {stream for stream in read - stale if self._aggregates.is_pending(stream)}
            if not more:
                return anew
            stale |= more

    def _decide_places_anew(
        self,
        connection: psycopg.Connection[Any],
        decision: Decision,
        places: set[int],
        stale: set[UUID],
    ) -> None:
        to_decide = [(p, c) for p, c in decision.batch.to_decide() if p in places]
        for place, command in to_decide:
            assert isinstance(command, Command)
            decision.reads[place] = set(COMMANDS[command.type].reads(command, command.data))
        decision.snapshots = [one for one in decision.snapshots if one.stream_id not in stale]
        decision.seen = self._heeded
        self._decide_these(connection, decision, to_decide)
        written = {event.stream_id for event in decision.batch.events_of(places)} - stale
        if any(
            not written.isdisjoint(reads)
            for one in self._in_flight
            for place, reads in one.reads.items()
            if one is not decision or place not in places
        ):
            raise VersionConflict("a command decided anew writes what others were decided on")

    def _note_others(self, cursor: psycopg.Cursor[Any], head: int) -> None:
        """Under the append lock: the streams that others have appended to."""
        assert self._known_head is not None
        if head != self._known_head:
            changed = store.streams_changed(cursor, after=self._known_head, up_to=head)
            self._reports.append((next(self._report_numbers), changed))
            self._known_head = head

    def _save_snapshots(self, due: list[AggregateSnapshot]) -> None:
        """The batch is committed: a snapshot that cannot be saved costs time later, nothing now."""
        try:
            snapshots.save(self._to_write(), due)
        except psycopg.Error as error:
            _log.warning("snapshots_not_saved", snapshots=len(due), error=str(error).strip())
            _close(self._writing)

    # --- connections --------------------------------------------------------------------

    def _to_read(self) -> psycopg.Connection[Any]:
        if self._reading is None or self._reading.closed:
            self._reading = connect(self._url, "commands")
        return self._reading

    def _to_write(self) -> psycopg.Connection[Any]:
        if self._writing is None or self._writing.closed:
            self._writing = connect(self._url, "commands commit")
            self._writing.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', %s, false), "
                "set_config('lock_timeout', %s, false)",
                [f"{STALLED_COMMIT_SECONDS:.3f}s", f"{LOCK_SECONDS:.3f}s"],
            )
        return self._writing


def decide(work: CommandWork) -> None:
    """Decides the command and records what follows. Raises Rejection."""
    command = work.command
    COMMANDS[command.type].handler(work, command.data)


def _held(command: Command, held: HeldStream) -> Decided:
    code = GeneralRejection.STREAM_HELD
    reason = f"stream {held.stream_id} cannot be read, and waits for an operator"
    return Decided(command, FAILED, code.value, f"{reason}: {code.remedy}", [], held)


def _close(connection: psycopg.Connection[Any] | None) -> None:
    """A closed one is replaced when it is needed."""
    if connection is not None:
        connection.close()
