"""Making a build the live one, without a reader that notices.

    catch up       to the live position, without any lock
    older readers  wait until no snapshot is left that is older than the build: a transaction that
                   began before it would find the new tables empty
    lock           the projection's row in event_projections: the live worker's next commit waits
    fold           the few events since; no more than MOST_POSITIONS, else catch up again
    views          copy owners, rights and policies, point the public views to the new tables;
                   readers wait from here on. If a long query holds a view, give way after
                   VIEW_LOCK_MILLISECONDS, because others queue up behind us, and try again
    commit         position, generation and epoch; the live worker finds itself fenced, drops its
                   memory and goes on with the new generation

What was live becomes the previous generation: it stands still at its position, which is kept.
"""

import time
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

from ledger.domain.operation import ProjectionOperation
from projections.engine import builds, dead_letters, generations, operations, shadow
from projections.engine.generations import schema_of
from projections.engine.projection import Projection
from projections.engine.shadow import Live, Shadow

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
_SNAPSHOT_POLL_SECONDS = 0.02
"""How often older snapshots are looked for: as short as the queries of most readers."""

_SWAP = """
    UPDATE event_projections
    SET generation = %(generation)s, code_version = %(version)s, epoch = epoch + 1, owner = NULL,
        total_events_processed = %(handled)s, error_message = NULL,
        status = CASE status WHEN 'PAUSED' THEN status ELSE 'STOPPED' END,
        last_processed_position = %(position)s, last_processed_event_id = %(event_id)s,
        updated_at = clock_timestamp()
    WHERE projection_name = %(name)s"""
# A snapshot's own name is not to be had; its session, transaction and horizon together are.
_SNAPSHOTS = """
    SELECT pid, xact_start::text, backend_xmin::text FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend' AND backend_xmin IS NOT NULL"""
_READERS = """
    SELECT DISTINCT pid FROM pg_locks
    WHERE locktype = 'relation' AND granted AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND relation = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)"""

Snapshot: TypeAlias = tuple[int, str, str]


class SwapBlocked(Exception):
    """Others kept reading in one transaction for longer than a swap waits."""


@dataclass(frozen=True)
class Swapped:
    """`lock_seconds`: from asking for the first view to the end of the commit; no reader waited
    longer. `held_seconds`: the same from having the projection's row, for which the live worker
    waited. `tries`: more than one if a reader held a view."""

    before: Live
    position: int
    lock_seconds: float
    held_seconds: float
    tries: int


def swap(fresh: Shadow, patience_seconds: float, done: ProjectionOperation) -> Swapped:
    """Makes a kept build the live generation, and says so in the log. Raises SwapBlocked."""
    deadline = time.monotonic() + patience_seconds
    assert fresh.kept is not None
    is_complete = fresh.kept.phase == builds.COMPLETE
    fresh.enter(builds.COMPLETE if is_complete else builds.SWAPPING)
    fresh.catch_up()
    _wait_for_older_snapshots(fresh.connection, fresh.projection.name, deadline)
    tries = 0
    while True:
        fresh.catch_up()
        tries += 1
        swapped = _try(fresh, tries, done)
        if swapped is not None:
            return swapped
        if time.monotonic() > deadline:
            raise _blocked(fresh.projection.name, _readers(fresh))
        time.sleep(RETRY_SECONDS)


def swap_as_it_is(
    connection: psycopg.Connection[Any],
    projection: Projection,
    kept: builds.Kept,
    patience_seconds: float,
    done: ProjectionOperation,
) -> Swapped:
    """Makes a generation of other code the live one, at the position where it stands: only that
    code can fold on. Raises SwapBlocked."""
    deadline = time.monotonic() + patience_seconds
    tries = 0
    while True:
        tries += 1
        with connection.transaction():
            before = _lock(connection, projection)
            started = time.monotonic()
            locked = _point_views(connection, projection, before, kept, back=True)
            if locked is not None:
                _commit_to(connection, projection, before, kept)
                operations.record(connection, done)
        if locked is not None:
            now = time.monotonic()
            return Swapped(before, kept.position, now - locked, now - started, tries)
        if time.monotonic() > deadline:
            raise _blocked(projection.name, [])
        time.sleep(RETRY_SECONDS)


def _try(fresh: Shadow, tries: int, done: ProjectionOperation) -> Swapped | None:
    connection, projection = fresh.connection, fresh.projection
    with connection.transaction():
        before = _lock(connection, projection)
        started = time.monotonic()
        if before.position - fresh.position > MOST_POSITIONS:
            return None
        fresh.fold_to(before.position)
        assert fresh.kept is not None
        back = fresh.kept.purpose == builds.PREVIOUS
        locked = _point_views(connection, projection, before, fresh.kept, back=back)
        if locked is not None:
            _commit_to(connection, projection, before, fresh.kept)
            assert fresh.kept.generation is not None
            dead_letters.carry_over(
                connection, projection.name, before.generation, fresh.kept.generation
            )
            operations.record(connection, done)
    if locked is None:
        return None
    now = time.monotonic()
    return Swapped(before, fresh.position, now - locked, now - started, tries)


def _lock(connection: psycopg.Connection[Any], projection: Projection) -> Live:
    connection.execute("SELECT public.commit_durably()")
    connection.execute(f"SET LOCAL lock_timeout = '{ROW_LOCK_SECONDS}s'")
    return shadow.live(connection, projection, lock=True)


def _point_views(
    connection: psycopg.Connection[Any],
    projection: Projection,
    before: Live,
    kept: builds.Kept,
    *,
    back: bool,
) -> float | None:
    """When it began to lock views; None, with nothing changed and no view locked, if a reader holds
    one for too long."""
    live_schema = schema_of(projection.name, before.generation)
    try:
        with connection.transaction():
            if not back:
                generations.grant(connection, projection, kept.schema)  # what is new in its code
            generations.copy_access(connection, projection, live_schema, kept.schema, replace=back)
            connection.execute(f"SET LOCAL lock_timeout = '{VIEW_LOCK_MILLISECONDS}ms'")
            started = time.monotonic()
            if back:
                generations.point_views_back(connection, projection, kept.schema)
            else:
                generations.point_views(connection, projection, kept.schema)
    except psycopg.errors.LockNotAvailable:
        return None
    return started


def _commit_to(
    connection: psycopg.Connection[Any], projection: Projection, before: Live, kept: builds.Kept
) -> None:
    builds.forget(connection, kept)
    builds.keep_previous(
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


def _wait_for_older_snapshots(
    connection: psycopg.Connection[Any], name: str, deadline: float
) -> None:
    """Until all snapshots of this moment are gone: later ones see what the build committed."""
    waiting = _snapshots(connection)
    while waiting:
        waiting &= _snapshots(connection)
        if waiting and time.monotonic() > deadline:
            raise _blocked(name, sorted(pid for pid, *_ in waiting))
        if waiting:
            time.sleep(_SNAPSHOT_POLL_SECONDS)


def _snapshots(connection: psycopg.Connection[Any]) -> set[Snapshot]:
    return set(connection.execute(_SNAPSHOTS).fetchall())


def _readers(fresh: Shadow) -> list[int]:
    views = [f'public."{table.name}"' for table in fresh.projection.public_tables]
    return sorted(pid for (pid,) in fresh.connection.execute(_READERS, [views]))


def _blocked(name: str, pids: list[int]) -> SwapBlocked:
    who = f" (database sessions {', '.join(map(str, pids))})" if pids else ""
    return SwapBlocked(
        f"{name} was not swapped: others are reading in transactions that do not end{who}. "
        "The build is kept: wait for them, or end them with pg_terminate_backend, and go on with "
        f"ledgerctl projections rebuild {name} --resume"
    )
