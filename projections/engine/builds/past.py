"""Read models as they were at some position of the log, in a schema to look at.

They are folded like any build, up to that position, and stay until they are dropped. All read
models of one position share a schema, so that one `SET search_path` looks at all of them. Who may
read them is who may read the live ones at the time they are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ledger.eventstore import reader
from ledger.kernel.errors import LedgerError
from ledger.kernel.time import time_text
from projections.engine.builds import catalogue, fill, generations
from projections.engine.builds.candidate import Limits, OnProgress, no_progress
from projections.engine.builds.catalogue import KeptBuild
from projections.engine.builds.fill import Begun
from projections.engine.builds.parallel_fill import Find
from projections.engine.builds.rebuild import Leftover, NothingToResume
from projections.engine.projection import Projection


class NoSuchPosition(LedgerError):
    """The log has no such position, or nothing at that time."""


@dataclass(frozen=True)
class PastBuild:
    """Where the read models of the past are. `as_of`: when its last event was recorded."""

    schema: str
    position: int
    as_of: datetime
    events: dict[str, int]


def schema_at(position: int) -> str:
    return f"past_{position}"


def look(
    database_url: str,
    projections: Sequence[Projection],
    position: int,
    limits: Limits,
    *,
    resume: bool = False,
    find: Find | None = None,
    on_progress: OnProgress = no_progress,
) -> PastBuild:
    """Builds the read models as of `position`. Raises NoSuchPosition, SchemaTaken, Leftover,
    NothingToResume, AlreadyRunning, FoldFailed."""
    schema = schema_at(position)
    with fill.session(database_url, projections, "look at the past") as connection:
        as_of = _recorded_at(connection, position)
        all_begun = [
            Begun(projection, schema, kept)
            for projection in projections
            if (kept := _begin(connection, projection, schema, position, resume=resume)) is not None
        ]
        if not all_begun:
            raise NothingToResume(
                f"nothing in schema {schema} was interrupted: there is nothing to resume"
            )
        fill.fill(
            database_url,
            connection,
            all_begun,
            limits,
            find=find,
            on_progress=on_progress,
            to=position,
        )
        events = {}
        for begun in all_begun:
            fresh = begun.shadow(connection, limits, on_progress)
            fresh.fold_to(position)
            fresh.enter(catalogue.INDEXING)
            generations.create_indexes(connection, begun.projection, begun.schema)
            fresh.enter(catalogue.COMPLETE)
            events[begun.projection.name] = fresh.handled
    return PastBuild(schema, position, as_of, events)


def drop(database_url: str, projections: Sequence[Projection], position: int) -> list[KeptBuild]:
    """Removes them, whole or not; returns what there was. Raises AlreadyRunning."""
    removed = []
    with fill.session(database_url, projections, "cleaning") as connection:
        for projection in projections:
            for kept in catalogue.listed(connection, projection.name, catalogue.PAST):
                if kept.schema == schema_at(position):
                    catalogue.remove(connection, projection, kept)
                    removed.append(kept)
    return removed


def position_at(connection: psycopg.Connection[Any], time: datetime) -> int:
    """The last position that was recorded at `time` or before: times of recording never decrease,
    so it is found by halving. Raises NoSuchPosition."""
    least, most = 0, reader.head(connection)
    while least < most:
        middle = (least + most + 1) // 2
        if _recorded_at(connection, middle) <= time:
            least = middle
        else:
            most = middle - 1
    if least == 0:
        raise NoSuchPosition(f"nothing was recorded by {time_text(time)}: name a later time")
    return least


def _recorded_at(connection: psycopg.Connection[Any], position: int) -> datetime:
    row = connection.execute(
        "SELECT recorded_at FROM event_store WHERE position = %s", [position]
    ).fetchone()
    if row is None:
        raise NoSuchPosition(
            f"the log has no position {position}: it goes from 1 to {reader.head(connection)}"
        )
    recorded_at: datetime = row[0]
    return recorded_at


def _begin(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    position: int,
    *,
    resume: bool,
) -> KeptBuild | None:
    """A new build, or the interrupted one; None if there is nothing to resume."""
    there = next(
        (
            kept
            for kept in catalogue.listed(connection, projection.name, catalogue.PAST)
            if kept.schema == schema and kept.phase != catalogue.COMPLETE
        ),
        None,
    )
    if there is None:
        return None if resume else catalogue.begin_past(connection, projection, schema, position)
    command = f"ledgerctl projections rebuild {projection.name} --to-position {position}"
    if there.code_version != projection.version:
        raise Leftover(
            f"{projection.name} in schema {schema} was begun by another version of its code and "
            f"was interrupted. Remove it: {command} --drop"
        )
    if not resume:
        raise Leftover(
            f"building {projection.name} in schema {schema} was interrupted at position "
            f"{there.reached}. Go on with it: {command} --resume. Or remove it: {command} --drop"
        )
    return there
