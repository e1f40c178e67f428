"""Verifying read models, and replacing them by fresh builds, while they are used.

    verify      fold all events anew into tables of our own, up to the live checkpoint; compare;
                drop them. The live rows are only read.
    rebuild     the same into the next generation: fold (fill.py, then candidate.py), make the
                secondary indexes, compare; then, if nothing differs, swap and settle (swap.py)

Comparing needs both builds at one same position although the live one moves on. One repeatable
read transaction sees the live rows and their checkpoint as of one moment; the shadow folds the
last few events up to just that position inside the same transaction, and compares there.

A rebuild that is interrupted leaves its build, which has a row in projection_generations. The next
one goes on with it or removes it, as its caller says, and refuses to guess. One that cannot succeed
as it is (an event that does not fold, rows that differ and may not) leaves nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import IsolationLevel

from ledger.kernel.errors import LedgerError
from ledger.nouns.projections.events import ProjectionRebuilt
from projections.engine import operator_events
from projections.engine.builds import candidate, catalogue, fill, generations, snapshots
from projections.engine.builds.candidate import Limits, OnProgress, Shadow, no_progress
from projections.engine.builds.catalogue import KeptBuild
from projections.engine.builds.compare import Comparison, compare
from projections.engine.builds.fill import Begun
from projections.engine.builds.generations import GenerationShown, ViewNotReplaceable, schema_of
from projections.engine.builds.parallel_fill import BulkFailed, Find
from projections.engine.builds.swap import Swapped, settle_or_tell, show_live_alone, swap
from projections.engine.letters import retry
from projections.engine.letters.excluded_events import ParkedMeanwhile
from projections.engine.live.build import FoldFailed
from projections.engine.projection import Projection

DROP_LOCK_SECONDS = 1
"""How long to wait for readers of a generation that nobody can return to. Whoever still has it in
a transaction keeps it; the next rebuild tries again."""
SETTLE_AT_ONCE_SECONDS = 0.2
"""How long the next read model waits for readers of this one: as long as most queries take."""


class RebuildDiffers(LedgerError):
    """A rebuild is not equal to the live rows, and was not told to accept that."""

    def __init__(self, report: "Report") -> None:
        super().__init__(
            f"the rebuilt {report.projection_name} differs from the live rows in "
            f"{report.comparison.difference_count} rows at position "
            f"{report.position}; nothing was changed. If the rebuilt rows are right (the code was "
            "corrected, or live rows were damaged), run it again with --accept-differences"
        )
        self.report = report


class Leftover(LedgerError):
    """An interrupted rebuild left its build, and nobody said what shall become of it."""


class NothingToResume(LedgerError):
    """There is no interrupted rebuild."""


class AheadOfLive(LedgerError):
    """The live build went back to an earlier position than the new one has reached."""


@dataclass(frozen=True)
class Report:
    """What a verification or rebuild found. `swapped` is None where nothing became live."""

    projection_name: str
    position: int
    events: int
    comparison: Comparison
    seconds: float = 0.0
    generation: int | None = None
    swapped: Swapped | None = None
    parked: int = 0
    """Events that the live build has parked: their rows were compared as they were before."""

    @property
    def equal(self) -> bool:
        return self.comparison.difference_count == 0


# --- verify -----------------------------------------------------------------------------


def verify(
    database_url: str,
    projection: Projection,
    limits: Limits,
    *,
    on_progress: OnProgress = no_progress,
) -> Report:
    """Folds everything again and compares. Raises AlreadyRunning, NotInstalled, FoldFailed."""
    return verify_all(database_url, [projection], limits, on_progress=on_progress)[0]


def verify_all(
    database_url: str,
    projections: Sequence[Projection],
    limits: Limits,
    *,
    find: Find | None = None,
    on_progress: OnProgress = no_progress,
) -> list[Report]:
    """The same for several; long logs are folded by several processes if they can `find` the
    projections. Raises BulkFailed, too."""
    started = time.monotonic()
    all_begun = [Begun(projection, f"{projection.name}_verify") for projection in projections]
    reports = []
    with fill.session(database_url, projections, "verification") as connection:
        try:
            fill.fill(
                database_url, connection, all_begun, limits, find=find, on_progress=on_progress
            )
            for begun in all_begun:
                fresh = begun.shadow(connection, limits, on_progress)
                fresh.catch_up()
                reports.append(_compared(fresh, started))
                generations.drop(connection, begun.projection, begun.schema)
        finally:
            if not connection.broken:
                for begun in all_begun:
                    generations.drop(connection, begun.projection, begun.schema)
    return reports


# --- rebuild ----------------------------------------------------------------------------


def rebuild(
    database_url: str,
    projection: Projection,
    limits: Limits,
    *,
    accept_differences: bool = False,
    dry_run: bool = False,
    resume: bool = False,
    deed: operator_events.Deed | None = None,
    find: Find | None = None,
    on_progress: OnProgress = no_progress,
) -> Report:
    """Builds the next generation and makes it the live one, which the log then tells with who did
    it and why. Raises RebuildDiffers, Leftover, AlreadyRunning, NotInstalled, FoldFailed,
    SwapBlocked."""
    (report,) = rebuild_all(
        database_url,
        [projection],
        limits,
        accept_differences=accept_differences,
        dry_run=dry_run,
        resume=resume,
        deed=deed,
        find=find,
        on_progress=on_progress,
    )
    if report.swapped is None and not dry_run:
        raise RebuildDiffers(report)
    return report


def rebuild_all(
    database_url: str,
    projections: Sequence[Projection],
    limits: Limits,
    *,
    accept_differences: bool = False,
    dry_run: bool = False,
    resume: bool = False,
    deed: operator_events.Deed | None = None,
    find: Find | None = None,
    on_progress: OnProgress = no_progress,
) -> list[Report]:
    """Builds the next generation of each and swaps those in that do not differ, one after the
    other. `resume`: only those that an interrupted rebuild left. Raises what `rebuild` raises, but
    for RebuildDiffers: such a report has nothing `swapped`."""
    started = time.monotonic()
    deed = deed or operator_events.Deed.of_terminal()
    all_begun: list[Begun] = []
    reports = []
    with fill.session(database_url, projections, "rebuild") as connection:
        for projection in projections:
            drop_retired(connection, projection)
        leftovers = _leftovers(connection, projections, resume=resume)
        try:
            for projection in projections:
                if not resume or projection.name in leftovers:
                    kept = leftovers.get(projection.name) or _begin(connection, projection)
                    all_begun.append(Begun(projection, kept.schema, kept))
            fill.fill(
                database_url, connection, all_begun, limits, find=find, on_progress=on_progress
            )
            while all_begun:
                fresh = all_begun[0].shadow(connection, limits, on_progress)
                report = _built(fresh, started)
                if not dry_run and (report.equal or accept_differences):
                    report = _made_live(fresh, report, limits, deed)
                else:
                    _remove(connection, [all_begun[0]])
                all_begun.pop(0)
                reports.append(report)
            deadline = time.monotonic() + limits.swap_patience_seconds  # once for all
            return [_settled(connection, projections, report, deadline) for report in reports]
        except (FoldFailed, BulkFailed, ViewNotReplaceable, ParkedMeanwhile):
            _remove(connection, all_begun)
            raise
        except BaseException:
            if dry_run:
                _remove(connection, all_begun)
            raise


def clean(database_url: str, projections: Sequence[Projection]) -> list[KeptBuild]:
    """Removes what interrupted rebuilds left; returns it. Raises AlreadyRunning."""
    removed = []
    with fill.session(database_url, projections, "cleaning") as connection:
        for projection in projections:
            drop_retired(connection, projection)
            kept = catalogue.find(connection, projection, catalogue.NEXT)
            if kept is not None:
                if generations.shown(connection, kept.schema):
                    # In a dump taken during its swap, whose snapshot is from before.
                    show_live_alone(connection, projection)
                catalogue.remove(connection, projection, kept)
                removed.append(kept)
    return removed


def drop_retired(connection: psycopg.Connection[Any], projection: Projection) -> None:
    """Drops the generations that nobody can return to, unless somebody still reads them."""
    for kept in catalogue.listed(connection, projection.name, catalogue.RETIRED):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{DROP_LOCK_SECONDS}s'")
                catalogue.remove(connection, projection, kept)
        except (psycopg.errors.LockNotAvailable, GenerationShown):
            continue


def leftovers_of(connection: psycopg.Connection[Any], projections: Sequence[Projection]) -> str:
    """Says what an interruption left and what to do with it; empty if nothing is left."""
    kept = [catalogue.find(connection, projection, catalogue.NEXT) for projection in projections]
    left = [one for one in kept if one is not None]
    if not left:
        return ""
    said = ", ".join(
        f"{one.projection_name} at position {one.reached} of {one.target_position}" for one in left
    )
    name = left[0].projection_name if len(left) == 1 else "--all"
    return (
        f"an interrupted rebuild left {said} (begun {left[0].started_at:%Y-%m-%d %H:%M:%S} UTC). "
        f"Go on with it: ledgerctl projections rebuild {name} --resume. "
        f"Or remove it: ledgerctl projections rebuild {name} --clean"
    )


def _leftovers(
    connection: psycopg.Connection[Any], projections: Sequence[Projection], *, resume: bool
) -> dict[str, KeptBuild]:
    found = {}
    for projection in projections:
        kept = catalogue.find(connection, projection, catalogue.NEXT)
        if kept is None:
            continue
        if resume and kept.code_version != projection.version:
            raise Leftover(
                f"the interrupted rebuild of {projection.name} was begun with version "
                f"{kept.code_version} of its code, this is version {projection.version}: remove it "
                f"with ledgerctl projections rebuild {projection.name} --clean, and rebuild"
            )
        if resume and kept.phase == catalogue.COMPLETE:
            raise Leftover(
                f"the interrupted rebuild of {projection.name} has the parked events of the live "
                "build and cannot be compared again: remove it with ledgerctl projections rebuild "
                f"{projection.name} --clean, and rebuild"
            )
        found[projection.name] = kept
    if found and not resume:
        raise Leftover(leftovers_of(connection, projections))
    if resume and not found:
        names = ", ".join(projection.name for projection in projections)
        raise NothingToResume(
            f"no rebuild of {names} was interrupted: there is nothing to resume. Run it without "
            "--resume"
        )
    return found


def _begin(connection: psycopg.Connection[Any], projection: Projection) -> KeptBuild:
    live = candidate.live(connection, projection)
    number = catalogue.next_generation(connection, projection.name, live.generation)
    with connection.transaction():
        kept = catalogue.begin(connection, projection, number, target=live.position)
        generations.check_views(connection, projection, kept.schema)
    snapshots.mark(connection, kept.projection_name, kept.schema)
    return kept


def _built(fresh: Shadow, started: float) -> Report:
    """Brings the build to where it can be swapped in, and compares."""
    fresh.catch_up()
    assert fresh.kept is not None
    if not fresh.kept.indexed:
        fresh.enter(catalogue.INDEXING)
        generations.create_indexes(fresh.connection, fresh.projection, fresh.schema)
    fresh.enter(catalogue.COMPARING)
    return _compared(fresh, started)


def _settled(
    connection: psycopg.Connection[Any],
    projections: Sequence[Projection],
    report: Report,
    deadline: float,
) -> Report:
    """Waits for those who kept a swap from being settled, now that there is nothing else to do."""
    if report.swapped is None or not report.swapped.still_read_by:
        return report
    (projection,) = (one for one in projections if one.name == report.projection_name)
    seconds = deadline - time.monotonic()
    return replace(report, swapped=settle_or_tell(connection, projection, report.swapped, seconds))


def _remove(connection: psycopg.Connection[Any], all_begun: Sequence[Begun]) -> None:
    if not connection.broken:
        for begun in all_begun:
            if begun.kept is not None:
                catalogue.remove(connection, begun.projection, begun.kept)


def _compared(fresh: Shadow, started: float) -> Report:
    connection, projection = fresh.connection, fresh.projection
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            live = candidate.live(connection, projection)
            if fresh.position > live.position:
                raise AheadOfLive(
                    f"the new build of {projection.name} is at position {fresh.position}, the live "
                    f"one went back to {live.position}: try again when it has caught up, or remove "
                    "the build with --clean"
                )
            fresh.fold_to(live.position)
            comparison = compare(
                connection,
                projection,
                live_schema=schema_of(projection.name, live.generation),
                rebuilt_schema=fresh.schema,
            )
    finally:
        if not connection.broken:
            connection.isolation_level = None
    seconds = time.monotonic() - started
    return Report(
        projection.name,
        live.position,
        fresh.handled,
        comparison,
        seconds,
        parked=len(fresh.left_out.parked),
    )


def _made_live(fresh: Shadow, report: Report, limits: Limits, deed: operator_events.Deed) -> Report:
    """Swaps the build in, and tries then what the live one had parked."""
    connection, projection = fresh.connection, fresh.projection
    assert fresh.kept is not None
    fresh.try_parked()
    before = candidate.live(connection, projection)
    assert report.comparison is not None
    done = deed.as_event(
        ProjectionRebuilt,
        projection.name,
        generation=fresh.kept.generation,
        previous_generation=before.generation,
        code_version=projection.version,
        previous_code_version=before.code_version,
        compared_at_position=report.position,
        differences=report.comparison.difference_count,
    )
    swapped = swap(fresh, limits.swap_patience_seconds, done)
    retry.retry_all(connection, projection, rows_in_memory=limits.rows_in_memory)
    drop_retired(connection, projection)
    swapped = settle_or_tell(connection, projection, swapped, SETTLE_AT_ONCE_SECONDS)
    return replace(report, swapped=swapped, generation=fresh.kept.generation)
