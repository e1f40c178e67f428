"""A second build of a read model, beside the live one: for rebuilds and for verification.

It starts from empty tables at position 1 and nobody else knows of it, so it needs no fence and
no checkpoint: if its process dies, what it made is dropped by the next one that comes. One
advisory lock per projection keeps two of them from working on the same projection.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

from projections.engine import generations, source
from projections.engine.build import Build
from projections.engine.checkpoint import NotInstalled
from projections.engine.left_out import LeftOut
from projections.engine.projection import Projection


class AlreadyRunning(Exception):
    """Another rebuild or verification of the projection is under way."""


@dataclass(frozen=True)
class Progress:
    """How far a shadow is, and how fast."""

    projection_name: str
    position: int
    target: int
    events_per_second: float


@dataclass(frozen=True)
class Limits:
    """See ProjectionSettings, where these come from."""

    batch_positions: int
    rows_in_memory: int


OnProgress: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Live:
    """The live build, as event_projections says."""

    position: int
    generation: int
    code_version: int


def no_progress(progress: Progress) -> None:
    """For callers that show none."""


def live(
    connection: psycopg.Connection[Any], projection: Projection, *, lock: bool = False
) -> Live:
    """Where the live build is. `lock` keeps it there until the transaction ends. Raises
    NotInstalled."""
    row = connection.execute(
        "SELECT last_processed_position, generation, code_version FROM event_projections "
        "WHERE projection_name = %s" + (" FOR UPDATE" if lock else ""),
        [projection.name],
    ).fetchone()
    if row is None:
        raise NotInstalled(f"projection {projection.name} is not installed. Run: ledgerctl migrate")
    return Live(*row)


@contextmanager
def only_one(connection: psycopg.Connection[Any], projection: Projection) -> Iterator[None]:
    """Holds the projection's lock for rebuilds and verifications. Raises AlreadyRunning."""
    name = f"projections {projection.name}"
    row = connection.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name]).fetchone()
    if row is None or not row[0]:
        raise AlreadyRunning(
            f"another rebuild or verification of {projection.name} is under way: wait for its end"
        )
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])


class Shadow:
    """The build in `schema`, made anew."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        projection: Projection,
        schema: str,
        limits: Limits,
        *,
        logged: bool,
        on_progress: OnProgress,
    ) -> None:
        self.connection = connection
        self.projection = projection
        self.schema = schema
        self.position = 0
        self.handled = 0
        self.left_out = LeftOut(connection, projection)
        self._batch_positions = limits.batch_positions
        self._on_progress = on_progress
        self._started = time.monotonic()
        generations.drop(connection, schema)
        generations.create_tables(connection, projection, schema, logged=logged)
        self._build = Build(
            projection, schema, connection, rows_in_memory=limits.rows_in_memory, empty=True
        )

    def fold_to(self, target: int) -> None:
        """Folds up to and including `target`, which must not be beyond the head. Raises
        ParkedMeanwhile."""
        self.left_out.refresh(folded_to=self.position)
        with _without_cycle_search():
            while self.position < target:
                self._batch(min(self.position + self._batch_positions, target), target)

    def fold_parked(self) -> None:
        """Folds what the live build has parked. Raises FoldFailed."""
        if events := self.left_out.take_parked():
            self._build.fold(events)
            with self.connection.transaction():
                self._build.write()
            self._build.settle()
            self.handled += len(events)

    def _batch(self, up_to: int, target: int) -> None:
        events = source.read(
            self.connection,
            after=self.position,
            up_to=up_to,
            event_types=self.projection.event_types,
        )
        events = self.left_out.without(events)
        self._build.fold(events)
        with self.connection.transaction():
            self._build.write()
        self._build.settle()
        self.position = up_to
        self.handled += len(events)
        elapsed = max(time.monotonic() - self._started, 1e-6)
        self._on_progress(Progress(self.projection.name, up_to, target, self.handled / elapsed))


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
