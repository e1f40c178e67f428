"""The life of one projection's worker.

    claim        become the owner by a lease; whoever was is fenced       (lease.py)
    batch        take the events after the checkpoint (log_reader.py), fold them, and in one
                 transaction move the checkpoint and write the rows       (checkpoint.py, build.py)
    wait         until a bell rings or the poll interval is over          (wakeup.py)

What can go wrong, and what happens then:

    fenced           somebody else claimed it, an operator paused it or tried parked events, a
                     rebuild was swapped in: memory is dropped; claim again as soon as one may
    event not        its key is parked and the rest goes on (parking.py); or, where that is not
    handled          allowed, status ERROR and a try again, less and less often
    passed over      an event that decisions are made without is left out here as well
                     (letters/passed_over.py)
    database         status ERROR with what it says; the batch is tried again, less and less often,
    refuses          and no event is blamed
    database gone    connect, claim and go on from the checkpoint
    stop             the batch under way is finished, the lease released
"""

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
import structlog

from ledger.kernel.errors import LedgerError
from ledger.subscriptions import checkpoint, lease
from ledger.subscriptions.checkpoint import Checkpoint, Fenced, NotInstalled
from ledger.subscriptions.connection import until_stopped
from ledger.subscriptions.lease import LeaseKeeper
from ledger.subscriptions.pace import Pace
from ledger.subscriptions.retry import Backoff
from ledger.subscriptions.shared_log import SharedLog
from ledger.subscriptions.wakeup import Bell
from projections.engine import metrics
from projections.engine.builds.generations import schema_of
from projections.engine.connection import connect
from projections.engine.letters import dead_letters, failures, parking, passed_over
from projections.engine.letters.dead_letters import HeldBack, NewLetter
from projections.engine.letters.passed_over import PassedOver
from projections.engine.live.build import Build
from projections.engine.live.log_reader import LogReader, SharedEvent
from projections.engine.live.source import LogEvent
from projections.engine.live.writer import TableMismatch
from projections.engine.projection import Projection, other_version

PACE_SECONDS = 0.02
"""From the start of a batch to that of the next, unless there is a whole one to catch up with. A
transaction costs more than the few events in it: at a hundred appends a second, nine workers that
ran after each one kept both cores of a small machine busy, and were later for it."""


class CodeVersionDiffers(LedgerError):
    """The live tables were built by another version of the projection's code."""


@dataclass(frozen=True)
class WorkerOptions:
    """See ProjectionSettings, where these come from."""

    batch_positions: int
    rows_in_memory: int
    poll_seconds: float
    stop_at_poison: frozenset[str] = frozenset()


@dataclass
class _Work:
    """What an owner has in hand. Dropped whole when anything goes wrong."""

    connection: psycopg.Connection[Any]
    log: LogReader
    claimed: Checkpoint
    build: Build
    held: HeldBack


class Worker:
    """Keeps one projection up to date until told to stop. `bell` rings for new events, `control`
    when an operator has said something."""

    def __init__(
        self,
        database_url: str,
        projection: Projection,
        options: WorkerOptions,
        *,
        keeper: LeaseKeeper,
        bell: Bell,
        log: SharedLog[SharedEvent],
        control: Bell,
        stop: threading.Event,
    ) -> None:
        self._database_url = database_url
        self._projection = projection
        self._options = options
        self._keeper = keeper
        self._bell = bell
        self._shared_log = log
        self._control = control
        self._stop = stop
        self._log = structlog.get_logger().bind(projection=projection.name)
        self._backoff = Backoff()
        self._pace = Pace()
        # Rows that depend on several streams would be wrong without one of their events.
        self._stops = projection.name in options.stop_at_poison or not projection.by_stream
        self._metrics = metrics.OfProjection(projection.name)

    @property
    def name(self) -> str:
        return self._projection.name

    def run(self) -> None:
        """Until stopped. Failures are recorded and tried again."""
        while not self._stop.is_set():
            try:
                until_stopped(
                    self._serve,
                    self._database_url,
                    self.name,
                    stop=self._stop,
                    backoff=self._backoff,
                    on_trouble=self._interrupted,
                    connect=connect,
                    tries_again=(psycopg.Error, NotInstalled),
                )
            except Exception:  # noqa: BLE001
                # A mistake of ours must not leave a projection without a worker that says it has.
                self._metrics.failed("engine")
                self._log.exception("projection.broken")
                self._backoff.wait(self._stop)

    # --- on one connection -------------------------------------------------------------

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        lease.while_owner(
            connection,
            self.name,
            partial(self._own, connection),
            keeper=self._keeper,
            stop=self._stop,
            control=self._control,
            look_seconds=self._options.poll_seconds,
        )

    def _own(self, connection: psycopg.Connection[Any], claimed: Checkpoint) -> None:
        """Works as the owner until stopped. Raises Fenced, or psycopg.Error when the
        connection is lost."""
        self._metrics.claimed()
        try:
            while not self._stop.is_set():
                try:
                    self._follow(connection, claimed)
                except (TableMismatch, CodeVersionDiffers) as error:
                    self._metrics.failed("version")
                    self._failed(connection, claimed, str(error))
                except psycopg.Error as error:
                    if connection.broken or connection.closed:
                        raise
                    self._metrics.failed("database")
                    text = failures.text_of(error)
                    self._failed(connection, claimed, f"the database refused: {text}")
                claimed = checkpoint.reread(connection, claimed)
        except Fenced:
            self._metrics.fenced()
            raise

    def _follow(self, connection: psycopg.Connection[Any], claimed: Checkpoint) -> None:
        """Batch after batch until stopped."""
        if claimed.code_version != self._projection.version:
            message = other_version(self._projection, claimed.code_version)
            raise CodeVersionDiffers(message)
        self._leave_out(connection, passed_over.ahead(connection, claimed.position))
        work = _Work(
            connection,
            LogReader(self._shared_log, connection),
            claimed,
            self._open(connection, claimed, empty=claimed.position == 0),
            dead_letters.held_back(connection, self.name, claimed.generation, claimed.position),
        )
        heard = self._control.rings
        while not self._stop.is_set():
            self._alive()
            if self._control.rings != heard:
                heard = self._control.rings
                checkpoint.reread(connection, work.claimed)
            if work.held.stopped_at is not None:
                self._leave_out(connection, passed_over.ahead(connection, work.claimed.position))
            rings = self._bell.rings  # before reading: what comes after it rings later
            self._pace.begin()
            up_to, events, repairs = work.log.read(
                self._projection, after=work.claimed.position, most=self._options.batch_positions
            )
            if repairs:
                self._leave_out(connection, passed_over.told_by(repairs))
            if up_to > work.claimed.position:
                soonest = time.monotonic() + PACE_SECONDS
                whole = up_to - work.claimed.position == self._options.batch_positions
                room = work.build.room_for(events, self._options.rows_in_memory)
                if room < len(events):
                    up_to, events, whole = events[room].position - 1, events[:room], True
                self._batch(work, up_to, events)
                if not whole:
                    self._pace.rest()
                    self._stop.wait(max(soonest - time.monotonic(), 0))
            else:
                self._pace.rest()
                self._bell.wait(rings, self._options.poll_seconds)

    def _batch(self, work: _Work, up_to: int, events: list[LogEvent]) -> None:
        """One batch. Whatever it raises, nothing of it is in the database."""
        started = time.monotonic()
        claimed = work.claimed
        to_fold, behind = work.held.sort(events)
        stopped: NewLetter | None = None
        try:
            work.build.fold(to_fold)
            with work.connection.transaction():
                work.claimed = self._advance(work, up_to, to_fold)
                work.build.write()
                self._park(work, behind, up_to)
            work.build.settle()
        except Exception as error:
            if not failures.is_poison(error):
                raise
            work.claimed = claimed
            to_fold, stopped = self._batch_around_poison(work, events, up_to)
        self._metrics.batch(len(to_fold), time.monotonic() - started)
        if stopped is None:
            self._backoff.reset()
        else:
            self._backoff.wait(self._stop)

    def _batch_around_poison(
        self, work: _Work, events: list[LogEvent], up_to: int
    ) -> tuple[list[LogEvent], NewLetter | None]:
        """The same batch again, without what cannot be handled. Returns what was handled, and
        the event that the projection stopped at."""

        def open_build() -> Build:
            return self._open(work.connection, work.claimed, empty=False)

        with work.connection.transaction():
            checkpoint.hold(work.connection, work.claimed)
            applied = parking.apply(
                work.connection, open_build, events, work.held, stop=self._stops, alive=self._alive
            )
            stopped = applied.stopped_at
            if stopped is not None:
                up_to = stopped.recorded.position - 1
            moved = self._advance(work, up_to, applied.events)
            self._park(work, applied.letters, up_to)
            if stopped is not None:
                checkpoint.fail(work.connection, moved, self._stop_message(stopped))
                work.held.stopped_at = stopped.recorded.position
        work.claimed = moved
        work.build = self._open(work.connection, moved, empty=False)
        for letter in applied.letters:
            self._tell(letter, stopped=letter is stopped)
        return applied.events, stopped

    # --- the parts of a batch ----------------------------------------------------------

    def _leave_out(self, connection: psycopg.Connection[Any], told: list[PassedOver]) -> None:
        """Raises Fenced if anything is left out by now that was not before."""
        if told and passed_over.heed(
            connection, self._projection, told, rows_in_memory=self._options.rows_in_memory
        ):
            self._log.warning("projection.events_passed_over", told=len(told))
            raise Fenced(f"{self.name} leaves events out that operators passed over")

    def _alive(self) -> None:
        self._keeper.check(self.name)

    def _open(self, connection: psycopg.Connection[Any], at: Checkpoint, *, empty: bool) -> Build:
        return Build(
            self._projection,
            schema_of(self.name, at.generation),
            connection,
            rows_in_memory=self._options.rows_in_memory,
            empty=empty,
        )

    def _advance(self, work: _Work, up_to: int, handled: list[LogEvent]) -> Checkpoint:
        return checkpoint.advance(
            work.connection,
            work.claimed,
            to=up_to,
            handled=len(handled),
            event_id=handled[-1].id if handled else None,
            rate=self._pace.passed(up_to - work.claimed.position),
        )

    def _park(self, work: _Work, letters: list[NewLetter], up_to: int) -> None:
        """Keeps what was not handled, and what was that the projection had stopped at before."""
        connection, generation = work.connection, work.claimed.generation
        at = work.held.stopped_at
        if at is not None and at <= up_to:
            if at not in work.held.skipped:
                dead_letters.applied(connection, self.name, generation, [at])
            work.held = replace(work.held, stopped_at=None)
        if letters:
            dead_letters.park(connection, self._projection, generation, letters)

    # --- what people are told ----------------------------------------------------------

    def _stop_message(self, letter: NewLetter) -> str:
        recorded = letter.recorded
        return (
            f"stopped before {recorded.event_type} {recorded.id} at position {recorded.position} "
            f"(stream {recorded.stream_id}), {letter.kind.value}: {letter.error}. Correct the "
            "code, or run: ledgerctl projections dead-letters list"
        )

    def _tell(self, letter: NewLetter, *, stopped: bool) -> None:
        if letter.kind is failures.Kind.BEHIND:
            return
        self._metrics.failed(letter.kind.value)
        self._log.error(
            "projection.stopped" if stopped else "projection.parked",
            partition_key=letter.partition_key,
            position=letter.recorded.position,
            event_id=str(letter.recorded.id),
            event_type=letter.recorded.event_type,
            kind=letter.kind.value,
            error=letter.error,
        )

    def _interrupted(self, error: Exception) -> None:
        self._metrics.failed("connection")
        self._log.warning("projection.interrupted", error=str(error).strip())

    def _failed(
        self, connection: psycopg.Connection[Any], claimed: Checkpoint, message: str
    ) -> None:
        self._log.error("projection.failed", error=message)
        checkpoint.fail(connection, claimed, message)
        self._backoff.wait(self._stop)
