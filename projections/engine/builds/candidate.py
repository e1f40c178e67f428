"""A second build of a read model, beside the live one: for rebuilds and for verification.

Nobody else writes it, so it needs no fence: a row of projection_builders keeps two of them from
working on the same projection. A build that is `kept` has a row in projection_generations
(catalogue.py) which moves with its rows, and can be gone on with after any interruption; one that
is not, a verification's, starts from empty tables at position 1 and is dropped by the next that
comes.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import psycopg

from ledger.kernel.errors import LedgerError
from ledger.subscriptions.checkpoint import NotInstalled
from ledger.subscriptions.sessions import MINE
from projections.engine.builds import catalogue, generations
from projections.engine.builds.parallel_fill import WORTH_PROCESSES_POSITIONS
from projections.engine.letters.excluded_events import LeftOut
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.engine.projection import Projection

LOCK_PATIENCE_SECONDS = 3.0
"""How long a rebuild waits for another's lock. A server notices that a client was killed when it
has finished what it does for it, most often one batch."""
_LOCK_POLL_SECONDS = 0.05
"""Short beside any batch."""


# A row of a table that only those write who may build, not an advisory lock, which is anybody's.
# Its session is looked for, because a row's lock would need a transaction that lasts for hours.
_CLAIM = f"""
    INSERT INTO public.projection_builders AS builder (projection_name, session_pid, session_start)
    SELECT %s, mine.* FROM ({MINE}) AS mine
    ON CONFLICT (projection_name) DO UPDATE
    SET session_pid = excluded.session_pid, session_start = excluded.session_start,
        since = clock_timestamp()
    WHERE NOT {catalogue.SESSION_LIVES} RETURNING 1"""
_UNCLAIM = """
    DELETE FROM public.projection_builders
    WHERE projection_name = %s AND session_pid = pg_backend_pid()"""
_HOLDER = f"""
    SELECT builder.session_pid, (SELECT client_addr FROM pg_stat_activity WHERE pid = session_pid)
    FROM public.projection_builders AS builder
    WHERE builder.projection_name = %s AND {catalogue.SESSION_LIVES}"""


class AlreadyRunning(LedgerError):
    """Another rebuild or verification of the projection is under way."""


@dataclass(frozen=True)
class BuildProgress:
    """How far a shadow is, and how fast. `phase`: one of catalogue.py, FOLDING first."""

    projection_name: str
    position: int
    target: int
    positions_per_second: float
    phase: str = catalogue.FOLDING


@dataclass(frozen=True)
class Limits:
    """See ProjectionSettings, where these come from."""

    batch_positions: int
    rows_in_memory: int
    processes: int = 1
    worth_processes_positions: int = WORTH_PROCESSES_POSITIONS
    swap_patience_seconds: float = 60.0


OnProgress: TypeAlias = Callable[[BuildProgress], None]


@dataclass(frozen=True)
class Live:
    """The live build, as event_projections says."""

    position: int
    generation: int
    code_version: int
    handled: int
    last_event_id: UUID | None


def no_progress(progress: BuildProgress) -> None:
    """For callers that show none."""


def live(
    connection: psycopg.Connection[Any], projection: Projection, *, lock: bool = False
) -> Live:
    """Where the live build is. `lock` keeps it there until the transaction ends. Raises
    NotInstalled."""
    row = connection.execute(
        "SELECT last_processed_position, generation, code_version, total_events_processed, "
        "last_processed_event_id FROM event_projections WHERE projection_name = %s"
        + (" FOR UPDATE" if lock else ""),
        [projection.name],
    ).fetchone()
    if row is None:
        raise NotInstalled(f"projection {projection.name} is not installed. Run: ledgerctl migrate")
    return Live(*row)


@contextmanager
def only_one(connection: psycopg.Connection[Any], projection: Projection) -> Iterator[None]:
    """Is alone in working on builds of the projection, as long as its session lives. Raises
    AlreadyRunning."""
    name = projection.name
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while connection.execute(_CLAIM, [name]).fetchone() is None:
        if time.monotonic() > deadline:
            raise AlreadyRunning(
                f"another rebuild, rollback or verification of {name} is under way"
                f"{_holder(connection, name)}: wait for its end"
            )
        time.sleep(_LOCK_POLL_SECONDS)
    yield
    # Only here: whoever ends by an exception closes the connection, and with it goes the claim.
    connection.execute(_UNCLAIM, [name])


def _holder(connection: psycopg.Connection[Any], name: str) -> str:
    row = connection.execute(_HOLDER, [name]).fetchone()
    return "" if row is None else f" (database session {row[0]}, from {row[1] or 'this machine'})"


class Shadow:
    """The build in `schema`: made anew, or the one that is `kept` gone on with."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        projection: Projection,
        schema: str,
        limits: Limits,
        *,
        logged: bool,
        on_progress: OnProgress,
        kept: catalogue.KeptBuild | None = None,
        filled: tuple[int, int] | None = None,
    ) -> None:
        """`filled`: (position, events handled) of tables that are there and are not kept."""
        self.connection = connection
        self.projection = projection
        self.schema = schema
        self.kept = kept
        self.position, self.handled = filled or (0, 0)
        if kept is not None:
            self.position, self.handled = kept.position, kept.handled
        self._began_at = self.position
        self.left_out = LeftOut(connection, projection)
        self._limits = limits
        self._batch_positions = limits.batch_positions
        self._on_progress = on_progress
        self._target = self.position
        self._started = time.monotonic()
        if kept is None and filled is None:
            generations.drop(connection, projection, schema)
            generations.create_tables(connection, projection, schema, logged=logged)
        elif self.position:
            # Its rows are looked up by key from here on, and the planner has not seen it grow.
            generations.analyze(connection, projection, schema)
        self._build = Build(
            projection,
            schema,
            connection,
            rows_in_memory=limits.rows_in_memory,
            empty=self.position == 0,
        )

    def fold_to(self, target: int) -> None:
        """Folds up to and including `target`, which must not be beyond the head."""
        self.left_out.refresh(folded_to=self.position)
        with _without_cycle_search():
            while self.position < target:
                self._batch(min(self.position + self._batch_positions, target), target)

    def try_parked(self) -> None:
        """Folds what the live build has parked, and takes it back. Raises FoldFailed."""
        if events := self.left_out.parked_events():
            build = Build(
                self.projection,
                self.schema,
                self.connection,
                rows_in_memory=self._limits.rows_in_memory,
                empty=False,
            )
            with self.connection.transaction(force_rollback=True):
                build.fold(events)
                build.write()

    def catch_up(self) -> None:
        """Folds to where the live build is by then; never beyond it."""
        while self.position < (target := live(self.connection, self.projection).position):
            self.fold_to(target)

    def enter(self, phase: str) -> None:
        """Says, and keeps, what the build is at now."""
        if self.kept is not None:
            self.kept = catalogue.enter(self.connection, self.kept, phase)
        self._show(phase)

    def _batch(self, up_to: int, target: int) -> None:
        events = source.read(
            self.connection,
            after=self.position,
            up_to=up_to,
            event_types=self.projection.event_types,
        )
        room = self._build.room_for(events, self._limits.rows_in_memory)
        if room < len(events):
            up_to, events = events[room].position - 1, events[:room]
        events = self.left_out.without(events)
        self._build.fold(events)
        handled, kept = self.handled + len(events), self.kept
        with self.connection.transaction():
            self._build.write()
            if kept is not None:
                kept = catalogue.advance(
                    self.connection,
                    kept,
                    to=up_to,
                    handled=handled,
                    event_id=events[-1].id if events else None,
                    target=target,
                    rate=self._rate(up_to),
                )
        self._build.settle()
        self.position, self.handled, self.kept, self._target = up_to, handled, kept, target
        self._show(catalogue.FOLDING)

    def _show(self, phase: str) -> None:
        self._on_progress(
            BuildProgress(
                self.projection.name, self.position, self._target, self._rate(self.position), phase
            )
        )

    def _rate(self, position: int) -> float:
        elapsed = max(time.monotonic() - self._started, 1e-6)
        return (position - self._began_at) / elapsed


@contextmanager
def _without_cycle_search() -> Iterator[None]:
    """Events and rows form no reference cycles, and searching a million of them for some takes
    a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
