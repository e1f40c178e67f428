"""Rows as they would have been: the folds of the read models, on events that somebody chose.

`ledgerctl query … --known-at` asks for orders as they were at a past moment. The same fold that
keeps a read model answers, in memory: whoever asks gives the events that count, and gets the rows
that they make. Plugged in by the entry point "ledger.folds".
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.money import exact
from projections import settings
from projections.engine.live.rows import RowSet
from projections.engine.projection import Projection, Recorded
from projections.registry import all_projections

_MANY = 1_000_000_000
"""Rows that may stay in memory: all, for there are few."""


def fold(table_name: str, events: Sequence[RecordedEvent]) -> list[dict[str, Any]]:
    """The rows of a public table, with its columns, that these events make from nothing. Each
    stream's events must be there from its first, in order."""
    projection, table = _table(table_name)
    rows = RowSet(projection.tables, limit=_MANY, complete=True)
    with exact():
        for event in events:
            apply = projection.fold_of.get(event.event_type)
            if apply is not None:
                apply(_recorded(event), event.decoded(), rows)
    added, _ = rows[table].take()
    return [msgspec.structs.asdict(row) for row in added]


def _table(name: str) -> tuple[Projection, Any]:
    for projection in all_projections(settings.load()):
        for table in projection.public_tables:
            if table.name == name:
                return projection, table
    raise LookupError(f"no projection has a table {name}")


def _recorded(event: RecordedEvent) -> Recorded:
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
