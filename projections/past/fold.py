"""Rows as they would have been: the folds of the read models, on events that somebody chose.

The same fold that keeps a read model says, in memory, how its rows were: whoever asks gives the
events that count, and gets the rows that they make.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.event import Event
from ledger.kernel.money import exact
from projections import settings
from projections.engine.live.rows import RowSet
from projections.engine.projection import Projection, Recorded, Table
from projections.registry import all_projections

_MANY = 1_000_000_000
"""Rows that may stay in memory: all, for there are few."""


def fold(table: Table[Any], events: Sequence[RecordedEvent]) -> list[dict[str, Any]]:
    """The rows of a table that these events make from nothing. Each stream's events must be there
    from its first, in order."""
    return fold_told(table, ((recorded_of(event), event.decoded()) for event in events))


def fold_told(table: Table[Any], told: Iterable[tuple[Recorded, Event]]) -> list[dict[str, Any]]:
    """The same of events that are decoded, and maybe others than were recorded."""
    added, changed, _ = rows_told(table, told)[table].take()
    return [msgspec.structs.asdict(row) for row in (*added, *changed)]


def rows_told(table: Table[Any], told: Iterable[tuple[Recorded, Event]]) -> RowSet:
    """All rows of the table's projection that these events make, also what it keeps for itself."""
    projection = _projection_of(table)
    before: dict[UUID, list[tuple[Recorded, Event]]] = {}
    rows = RowSet(
        projection.tables,
        limit=_MANY,
        complete=True,
        earlier=lambda recorded: tuple(before.get(recorded.stream_id, ())),
    )
    with exact():
        for recorded, event in told:
            apply = projection.fold_of.get(recorded.event_type)
            if apply is not None:
                apply(recorded, event, rows)
                before.setdefault(recorded.stream_id, []).append((recorded, event))
        if projection.finish is not None:
            projection.finish(rows)
    return rows


@cache
def _projection_of(table: Table[Any]) -> Projection:
    for projection in all_projections(settings.load()):
        if table in projection.tables:
            return projection
    raise LookupError(f"no projection has the table {table.name}")


def recorded_of(event: RecordedEvent) -> Recorded:
    return Recorded(
        event.position,
        event.id,
        event.stream_id,
        event.event_type,
        event.event_version,
        event.data,
        str(event.schema),
        event.user_id,
        event.occurred_at,
        event.recorded_at,
    )
