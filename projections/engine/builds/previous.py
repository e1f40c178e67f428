"""The generations that were live before: what they take, settling their swaps, dropping them.

Each is there for a rollback, and costs its disk. It may be dropped as soon as nobody may be reading
it any more: when the swap is settled (swap.py) and nobody has its tables in a transaction.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from ledger.kernel.errors import LedgerError
from ledger.nouns.projections.events import ProjectionGenerationDropped
from projections.engine import operator_events
from projections.engine.builds import catalogue, fill, generations, snapshots, swap
from projections.engine.projection import Projection

DROP_LOCK_MILLISECONDS = 40
"""Longest wait for readers of its tables at once: whoever comes then waits behind us."""


class StillRead(LedgerError):
    """Somebody has the tables of a generation in a transaction."""


@dataclass(frozen=True)
class Previous:
    """`rows`: as the planner estimates. `since`: when it ceased to be live. `is_settled`: nobody
    is left to whom it is live."""

    projection_name: str
    generation: int
    live_generation: int
    position: int
    rows: int
    size_bytes: int
    since: datetime
    is_settled: bool


_LISTED = """
    SELECT kept.projection_name, kept.generation, live.generation AS live_generation,
        kept.last_processed_position AS position, kept.started_at AS since,
        kept.phase <> 'SWAPPING' AS is_settled,
        coalesce(sum(greatest(t.reltuples, 0)), 0)::bigint AS rows,
        coalesce(public.generation_bytes(kept.schema_name), 0) AS size_bytes
    FROM projection_generations AS kept
    JOIN event_projections AS live USING (projection_name)
    LEFT JOIN pg_class AS t
        ON t.relnamespace = to_regnamespace(quote_ident(kept.schema_name)) AND t.relkind = 'r'
    WHERE kept.purpose = 'PREVIOUS' AND kept.projection_name = ANY(%s)
    GROUP BY kept.projection_name, kept.schema_name, live.generation
    ORDER BY kept.projection_name"""


def listed(
    connection: psycopg.Connection[Any], projections: Sequence[Projection]
) -> list[Previous]:
    """What each was before, if it was rebuilt."""
    names = [projection.name for projection in projections]
    with connection.cursor(row_factory=class_row(Previous)) as cursor:
        return cursor.execute(_LISTED, [names]).fetchall()


def settle(
    database_url: str, projections: Sequence[Projection], patience_seconds: float
) -> list[str]:
    """Settles those swaps that are not; their names. Raises NotSettled for the first that cannot
    be, when it has tried all, AlreadyRunning."""
    deadline = time.monotonic() + patience_seconds
    settled: list[str] = []
    refused: list[swap.NotSettled] = []
    with fill.session(database_url, projections, "settling") as connection:
        for projection in projections:
            try:
                if swap.settle(connection, projection, deadline - time.monotonic()):
                    settled.append(projection.name)
            except swap.NotSettled as error:
                refused.append(error)
    if refused:
        raise refused[0]
    return settled


def drop(
    database_url: str,
    projections: Sequence[Projection],
    patience_seconds: float,
    deed: operator_events.Deed,
) -> list[Previous]:
    """Drops what was live before, which the log then tells; there is no going back then. Returns
    what there was. Raises NotSettled, StillRead, AlreadyRunning."""
    deadline = time.monotonic() + patience_seconds
    dropped = []
    with fill.session(database_url, projections, "dropping") as connection:
        for projection in projections:
            for was in listed(connection, [projection]):
                swap.settle(connection, projection, deadline - time.monotonic())
                _drop(connection, projection, was, deadline, deed)
                dropped.append(was)
    return dropped


def _drop(
    connection: psycopg.Connection[Any],
    projection: Projection,
    was: Previous,
    deadline: float,
    deed: operator_events.Deed,
) -> None:
    kept = catalogue.find(connection, projection, catalogue.PREVIOUS)
    assert kept is not None
    done = deed.as_event(
        ProjectionGenerationDropped,
        projection.name,
        generation=was.generation,
        live_generation=was.live_generation,
    )
    while True:
        try:
            with connection.transaction():
                connection.execute("SELECT public.commit_durably()")
                connection.execute(f"SET LOCAL lock_timeout = '{DROP_LOCK_MILLISECONDS}ms'")
                catalogue.remove(connection, projection, kept)
                connection.execute(f"SET LOCAL lock_timeout = '{swap.ROW_LOCK_SECONDS}s'")
                operator_events.record(connection, done)
            return
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() > deadline:
                raise _still_read(connection, projection, kept) from error
        time.sleep(swap.RETRY_SECONDS)


def _still_read(
    connection: psycopg.Connection[Any], projection: Projection, kept: catalogue.KeptBuild
) -> StillRead:
    tables = [generations.qualified(kept.schema, table.name) for table in projection.tables]
    who = snapshots.in_the_way(connection, kept.schema, tables)
    return StillRead(
        f"generation {kept.generation} of {projection.name} was not dropped: its tables are in use"
        f"{snapshots.listed(who)}. Wait for their end, or end sessions with "
        "SELECT pg_terminate_backend(…), and try again"
    )
