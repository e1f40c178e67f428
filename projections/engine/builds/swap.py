"""Making a build the live one, without a reader that notices.

    settle         what the swap before left, if anything
    older readers  wait until no snapshot is left that is older than the new tables: in a dump that
                   was begun before, views would show tables that it does not have
    catch up       to the live position, without any lock
    lock           the projection's row in event_projections: the live worker's next commit waits
    fold           the few events since; no more than MOST_POSITIONS, else catch up again
    views          copy owners, rights and policies, point the public views to the old and the new
                   tables, of which a reader gets those that were live as of its own snapshot;
                   readers wait from here on. If a long query holds a view, give way after
                   VIEW_LOCK_MILLISECONDS, because others queue up behind us, and try again
    commit         position, generation and epoch; the live worker finds itself fenced, drops its
                   memory and goes on with the new generation
    settle         when no snapshot is left that is older than the commit (snapshots.py), point the
                   views to the new tables alone

What was live becomes the previous generation: it stands still at its position, which is kept, and
stays at least until the swap is settled. A swap that cannot be settled yet is none the worse for
its readers; the next, or `ledgerctl projections generations settle`, settles it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from ledger.kernel.errors import LedgerError
from ledger.nouns.projections.events import ProjectionOperation
from projections.engine import operator_events
from projections.engine.builds import candidate, catalogue, generations, snapshots
from projections.engine.builds.candidate import Live, Shadow
from projections.engine.builds.generations import Turn, schema_of
from projections.engine.letters import dead_letters
from projections.engine.projection import Projection

ROW_LOCK_SECONDS = 10
"""Longest wait for the live worker's commit, which holds nobody up: as long as its longest
batch."""
VIEW_LOCK_MILLISECONDS = 40
"""Longest wait for readers of one view. New readers wait behind us meanwhile, so it must be too
short for a person or a service to notice."""
RETRY_SECONDS = 0.25
"""Between two tries: readers that queued up behind the last have long been served."""
MOST_POSITIONS = 200
"""Most positions folded while the live worker waits: some 5 ms of it."""
POLL_SECONDS = 0.02
"""How often older snapshots are looked for at first: as short as the queries of most readers. Each
further look comes later, by half, up to RETRY_SECONDS."""

_SWAP = """
    UPDATE event_projections
    SET generation = %(generation)s, code_version = %(version)s, epoch = epoch + 1, owner = NULL,
        total_events_processed = %(handled)s, error_message = NULL,
        status = CASE status WHEN 'PAUSED' THEN status ELSE 'STOPPED' END,
        last_processed_position = %(position)s, last_processed_event_id = %(event_id)s,
        updated_at = clock_timestamp()
    WHERE projection_name = %(name)s"""


class SwapBlocked(LedgerError):
    """Others kept reading in one transaction for longer than a swap waits."""


@dataclass(frozen=True)
class Swapped:
    """`lock_seconds`: from asking for the first view to the end of the commit; no reader waited
    longer. `held_seconds`: the same from having the projection's row, for which the live worker
    waited. `tries`: more than one if a reader held a view. `still_read_by`: who kept the swap from
    being settled; empty if it is."""

    before: Live
    position: int
    lock_seconds: float
    held_seconds: float
    tries: int
    still_read_by: tuple[str, ...] = ()


class NotSettled(LedgerError):
    """Somebody may still see the generation before the live one. `who`: as far as can be told."""

    def __init__(self, projection: Projection, kept: catalogue.KeptBuild, who: list[str]) -> None:
        super().__init__(
            f"generation {kept.generation} of {projection.name} may still be read in transactions "
            f"that began before the last swap{snapshots.listed(who)}. Wait for their end, or end "
            "sessions with SELECT pg_terminate_backend(…), and go on with "
            f"ledgerctl projections generations settle {projection.name}"
        )
        self.who = tuple(who)


def swap(fresh: Shadow, patience_seconds: float, done: ProjectionOperation) -> Swapped:
    """Makes a kept build the live generation, and says so in the log. Raises SwapBlocked."""
    deadline = time.monotonic() + patience_seconds
    connection, projection = fresh.connection, fresh.projection
    assert fresh.kept is not None
    is_complete = fresh.kept.phase == catalogue.COMPLETE
    fresh.enter(catalogue.COMPLETE if is_complete else catalogue.SWAPPING)
    _settle_before(connection, projection, fresh.kept, deadline)
    if fresh.kept.purpose == catalogue.NEXT:
        _wait_for_older(connection, projection, fresh.kept, deadline)
    tries = 0
    while True:
        fresh.catch_up()
        tries += 1
        swapped = _try(fresh, tries, done)
        if swapped is not None:
            return swapped
        _give_way(connection, projection, fresh.kept, deadline)


def swap_as_it_is(
    connection: psycopg.Connection[Any],
    projection: Projection,
    kept: catalogue.KeptBuild,
    patience_seconds: float,
    done: ProjectionOperation,
) -> Swapped:
    """Makes a generation of other code the live one, at the position where it stands: only that
    code can fold on. Raises SwapBlocked."""
    deadline = time.monotonic() + patience_seconds
    _settle_before(connection, projection, kept, deadline)
    tries = 0
    while True:
        tries += 1
        with connection.transaction():
            before = _lock(connection, projection)
            started = time.monotonic()
            locked = _replace(connection, projection, before, kept, done)
        if locked is not None:
            now = time.monotonic()
            return Swapped(before, kept.position, now - locked, now - started, tries)
        _give_way(connection, projection, kept, deadline)


def settle(
    connection: psycopg.Connection[Any], projection: Projection, patience_seconds: float
) -> bool:
    """Points the public views to the live generation alone, when nobody is left to whom the one
    before is live. False if they are already. Raises NotSettled."""
    deadline = time.monotonic() + patience_seconds
    kept = catalogue.find(connection, projection, catalogue.PREVIOUS)
    if kept is None or kept.phase != catalogue.SWAPPING:
        return False
    snapshots.mark(connection, kept.projection_name, kept.schema)
    pause = POLL_SECONDS
    while not (
        snapshots.are_newer(connection, kept.schema) and _settled(connection, projection, kept)
    ):
        if time.monotonic() > deadline:
            raise NotSettled(projection, kept, _in_the_way(connection, projection, kept))
        time.sleep(pause)
        pause = min(pause * 1.5, RETRY_SECONDS)
    return True


def show_live_alone(connection: psycopg.Connection[Any], projection: Projection) -> None:
    """Points the public views to the live generation, whatever they show now."""
    live = candidate.live(connection, projection)
    generations.point_views_back(
        connection, projection, schema_of(projection.name, live.generation)
    )


def settle_or_tell(
    connection: psycopg.Connection[Any],
    projection: Projection,
    swapped: Swapped,
    patience_seconds: float,
) -> Swapped:
    """Settles a swap, or says in it who reads the generation before."""
    try:
        settle(connection, projection, patience_seconds)
    except NotSettled as error:
        return replace(swapped, still_read_by=error.who or ("others",))
    return replace(swapped, still_read_by=())


def _try(fresh: Shadow, tries: int, done: ProjectionOperation) -> Swapped | None:
    connection, projection = fresh.connection, fresh.projection
    with connection.transaction():
        before = _lock(connection, projection)
        started = time.monotonic()
        if before.position - fresh.position > MOST_POSITIONS:
            return None
        fresh.fold_to(before.position)
        assert fresh.kept is not None
        locked = _replace(connection, projection, before, fresh.kept, done)
    if locked is None:
        return None
    now = time.monotonic()
    return Swapped(before, fresh.position, now - locked, now - started, tries)


def _replace(
    connection: psycopg.Connection[Any],
    projection: Projection,
    before: Live,
    kept: catalogue.KeptBuild,
    done: ProjectionOperation,
) -> float | None:
    """When it began to lock views; None, with nothing changed and no view locked, if a reader holds
    one, or a writer the log, for too long."""
    assert kept.generation is not None
    try:
        with connection.transaction():
            started = _point_views(connection, projection, before, kept)
            _commit_to(connection, projection, before, kept)
            if kept.code_version == projection.version:
                dead_letters.carry_over(
                    connection, projection.name, before.generation, kept.generation
                )
            operator_events.record(connection, done)
    except psycopg.errors.LockNotAvailable:
        return None
    return started


def _lock(connection: psycopg.Connection[Any], projection: Projection) -> Live:
    connection.execute("SELECT public.commit_durably()")
    connection.execute(f"SET LOCAL lock_timeout = '{ROW_LOCK_SECONDS}s'")
    return candidate.live(connection, projection, lock=True)


def _point_views(
    connection: psycopg.Connection[Any],
    projection: Projection,
    before: Live,
    kept: catalogue.KeptBuild,
) -> float:
    """When it began to lock views. Raises LockNotAvailable."""
    assert kept.generation is not None
    back = kept.purpose == catalogue.PREVIOUS
    live_schema = schema_of(projection.name, before.generation)
    turn = Turn(projection.name, before.generation, kept.generation)
    # A dump that has just begun has the new tables, too.
    connection.execute(f"SET LOCAL lock_timeout = '{VIEW_LOCK_MILLISECONDS}ms'")
    if not back:
        generations.grant(connection, projection, kept.schema)  # what is new in its code
    generations.copy_access(connection, projection, live_schema, kept.schema, replace=back)
    started = time.monotonic()
    if back:
        generations.point_views_back(connection, projection, kept.schema, turn)
    else:
        generations.point_views(connection, projection, kept.schema, turn)
    return started


def _commit_to(
    connection: psycopg.Connection[Any],
    projection: Projection,
    before: Live,
    kept: catalogue.KeptBuild,
) -> None:
    catalogue.forget(connection, kept)
    catalogue.keep_previous(
        connection,
        projection.name,
        generation=before.generation,
        code_version=before.code_version,
        position=before.position,
        event_id=before.last_event_id,
        handled=before.handled,
    )
    connection.execute(
        _SWAP,
        {
            "generation": kept.generation,
            "version": kept.code_version,
            "handled": kept.handled,
            "position": kept.position,
            "event_id": kept.last_event_id,
            "name": projection.name,
        },
    )


def _settle_before(
    connection: psycopg.Connection[Any],
    projection: Projection,
    kept: catalogue.KeptBuild,
    deadline: float,
) -> None:
    """The views show two generations at most."""
    try:
        settle(connection, projection, deadline - time.monotonic())
    except NotSettled as error:
        raise _blocked(projection, kept, error.who) from error


def _wait_for_older(
    connection: psycopg.Connection[Any],
    projection: Projection,
    kept: catalogue.KeptBuild,
    deadline: float,
) -> None:
    if not snapshots.is_marked(connection, kept.schema):  # by an older version of this code
        snapshots.mark(connection, kept.projection_name, kept.schema)
    pause = POLL_SECONDS
    while not snapshots.are_newer(connection, kept.schema):
        if time.monotonic() > deadline:
            raise _blocked(projection, kept, _in_the_way(connection, projection, kept))
        time.sleep(pause)
        pause = min(pause * 1.5, RETRY_SECONDS)


def _settled(
    connection: psycopg.Connection[Any], projection: Projection, kept: catalogue.KeptBuild
) -> bool:
    """False, with nothing changed and no view locked, if a reader holds a view for too long."""
    try:
        with connection.transaction():
            connection.execute("SELECT public.commit_durably()")
            connection.execute(f"SET LOCAL lock_timeout = '{VIEW_LOCK_MILLISECONDS}ms'")
            catalogue.enter(connection, kept, catalogue.COMPLETE)
            show_live_alone(connection, projection)
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _give_way(
    connection: psycopg.Connection[Any],
    projection: Projection,
    kept: catalogue.KeptBuild,
    deadline: float,
) -> None:
    if time.monotonic() > deadline:
        raise _blocked(projection, kept, _in_the_way(connection, projection, kept))
    time.sleep(RETRY_SECONDS)


def _in_the_way(
    connection: psycopg.Connection[Any], projection: Projection, kept: catalogue.KeptBuild
) -> list[str]:
    """Who is older than the mark of this build, or has its tables or the views."""
    views = [generations.qualified("public", table.name) for table in projection.public_tables]
    tables = [generations.qualified(kept.schema, table.name) for table in projection.tables]
    return snapshots.in_the_way(connection, kept.schema, views + tables)


def _blocked(projection: Projection, kept: catalogue.KeptBuild, who: Sequence[str]) -> SwapBlocked:
    again = f"rebuild {projection.name} --resume"
    if kept.purpose == catalogue.PREVIOUS:
        again = f"rollback {projection.name}"
    return SwapBlocked(
        f"{projection.name} was not swapped: others are reading in transactions that do not end"
        f"{snapshots.listed(who)}. The build is kept: wait for them, or end sessions with SELECT "
        f"pg_terminate_backend(…), and go on with ledgerctl projections {again}"
    )
