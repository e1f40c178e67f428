"""Verifying a read model, and replacing it by a fresh build, while it is used.

    verify      fold all events anew into tables of our own, up to the live checkpoint; compare;
                drop them. The live rows are only read.
    rebuild     the same into the next generation; then, if nothing differs, swap

Comparing needs both builds at one same position although the live one moves on. One repeatable
read transaction sees the live rows and their checkpoint as of one moment; the shadow folds the
last few events up to just that position inside the same transaction, and compares there.

The swap is one short transaction: it locks the projection's row in event_projections, which
holds back the live worker's next commit, folds the few events since the comparison, points the
views to the new tables and raises the epoch. The live worker finds itself fenced, drops its
memory and goes on with the new generation. A reader sees the old rows or the new ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import IsolationLevel

from ledger.domain.operation import ProjectionRebuilt
from projections.engine import generations, operations, shadow
from projections.engine.compare import Comparison, compare
from projections.engine.connection import connect
from projections.engine.generations import schema_of
from projections.engine.projection import Projection
from projections.engine.shadow import Limits, Live, OnProgress, Shadow, no_progress

LOCK_TIMEOUT_SECONDS = 10
"""How long a swap waits for a reader's lock before it gives up, with those behind it waiting."""

_SWAP = """
    UPDATE event_projections
    SET generation = %(generation)s, code_version = %(version)s, epoch = epoch + 1, owner = NULL,
        total_events_processed = %(handled)s, error_message = NULL, status = 'STOPPED',
        last_processed_position = %(position)s, updated_at = clock_timestamp()
    WHERE projection_name = %(name)s"""


class RebuildDiffers(Exception):
    """A rebuild is not equal to the live rows, and was not told to accept that."""

    def __init__(self, report: "Report") -> None:
        super().__init__(
            f"the rebuilt {report.projection_name} differs from the live rows in "
            f"{report.comparison.difference_count if report.comparison else 0} rows at position "
            f"{report.position}; nothing was changed. If the rebuilt rows are right (the code was "
            "corrected, or live rows were damaged), run it again with --accept-differences"
        )
        self.report = report


@dataclass(frozen=True)
class Report:
    """What a verification or rebuild found. `comparison` is None where the live tables were
    built by another version of the code and have other rows by design."""

    projection_name: str
    position: int
    events: int
    comparison: Comparison | None

    @property
    def equal(self) -> bool:
        return self.comparison is not None and self.comparison.difference_count == 0


def verify(
    database_url: str,
    projection: Projection,
    limits: Limits,
    *,
    on_progress: OnProgress = no_progress,
) -> Report:
    """Folds everything again and compares. Raises AlreadyRunning, NotInstalled, FoldFailed."""
    schema = f"{projection.name}_verify"
    with _session(database_url, projection) as connection:
        try:
            fresh = Shadow(
                connection,
                projection,
                schema,
                limits,
                logged=False,
                on_progress=on_progress,
            )
            _catch_up(fresh)
            return _compared(fresh)
        finally:
            if not connection.broken:
                generations.drop(connection, schema)


def rebuild(
    database_url: str,
    projection: Projection,
    limits: Limits,
    *,
    accept_differences: bool = False,
    actor: str | None = None,
    reason: str | None = None,
    on_progress: OnProgress = no_progress,
) -> Report:
    """Builds the next generation and makes it the live one, which the log then tells with who did
    it (the account that runs this, unless it is said) and why. Raises RebuildDiffers,
    AlreadyRunning, NotInstalled, FoldFailed."""
    with _session(database_url, projection) as connection:
        before = shadow.live(connection, projection)
        schema = schema_of(projection.name, before.generation + 1)
        # What a rebuild left that was interrupted just after its swap.
        generations.drop(connection, schema_of(projection.name, before.generation - 1))
        try:
            fresh = Shadow(
                connection,
                projection,
                schema,
                limits,
                logged=True,
                on_progress=on_progress,
            )
            _catch_up(fresh)
            generations.create_indexes(connection, projection, schema)
            generations.grant(connection, projection, schema)
            report = _compared(fresh)
            if report.comparison is not None and not report.equal and not accept_differences:
                raise RebuildDiffers(report)
            done = ProjectionRebuilt(
                projection_name=projection.name,
                actor=actor or operations.whoever_this_is(),
                reason=reason,
                details=_details(report, before, projection, before.generation + 1),
            )
            _swap(fresh, before.generation + 1, done)
        except BaseException:
            # Interrupted or refused: whatever happened, a half-made generation is of no use.
            if not connection.broken:
                generations.drop(connection, schema)
            raise
        generations.drop(connection, schema_of(projection.name, before.generation))
        return report


@contextmanager
def _session(database_url: str, projection: Projection) -> Iterator[psycopg.Connection[Any]]:
    with (
        connect(database_url, f"rebuild of {projection.name}", by_key=False) as connection,
        shadow.only_one(connection, projection),
    ):
        yield connection


def _catch_up(fresh: Shadow) -> None:
    """Folds to where the live build is by then; never beyond it."""
    while fresh.position < (target := shadow.live(fresh.connection, fresh.projection).position):
        fresh.fold_to(target)


def _compared(fresh: Shadow) -> Report:
    connection, projection = fresh.connection, fresh.projection
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            live = shadow.live(connection, projection)
            fresh.fold_to(live.position)
            comparison = None
            if live.code_version == projection.version:
                comparison = compare(
                    connection,
                    projection,
                    live_schema=schema_of(projection.name, live.generation),
                    rebuilt_schema=fresh.schema,
                )
    finally:
        connection.isolation_level = None
    return Report(projection.name, live.position, fresh.handled, comparison)


def _details(
    report: Report, before: Live, projection: Projection, generation: int
) -> dict[str, Any]:
    """What the log tells of a rebuild."""
    return {
        "generation": generation,
        "previous_generation": before.generation,
        "code_version": projection.version,
        "previous_code_version": before.code_version,
        "compared_at_position": report.position if report.comparison else None,
        "differences": report.comparison.difference_count if report.comparison else None,
    }


def _swap(fresh: Shadow, generation: int, done: ProjectionRebuilt) -> Live:
    connection, projection = fresh.connection, fresh.projection
    _catch_up(fresh)
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
        live = shadow.live(connection, projection, lock=True)
        fresh.fold_to(live.position)
        generations.point_views(connection, projection, fresh.schema)
        connection.execute(
            _SWAP,
            {
                "generation": generation,
                "version": projection.version,
                "handled": fresh.handled,
                "position": fresh.position,
                "name": projection.name,
            },
        )
        operations.record(connection, done)
    return live
