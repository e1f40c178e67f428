"""Which event last touched a row.

Most tables say it: `last_position`, or `position` where a row is made once. Of the others, which
folds keep for themselves, the log tells: the last event whose fold looks the row up. That takes a
pass over the log, and is only asked for rows that differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from ledger.eventstore import reader
from ledger.eventstore.codec import UndecodableEvent, UnknownEventType
from projections.engine.live import source
from projections.engine.projection import Projection, Table

_POSITION_COLUMNS = ("last_position", "position")
_BATCH_POSITIONS = 10_000
"""Positions read at once by the pass over the log: 20 MB of events."""


@dataclass(frozen=True)
class Touch:
    """An event of the log."""

    position: int
    type: str
    id: UUID

    def __str__(self) -> str:
        return f"{self.type} {self.id} at position {self.position}"


def last_events(
    connection: psycopg.Connection[Any],
    projection: Projection,
    table: Table[Any],
    rows: Sequence[Mapping[str, str | None]],
) -> list[Touch | None]:
    """For each row (its values as text) the event that last touched it, None where nothing
    tells."""
    column = next((name for name in _POSITION_COLUMNS if name in table.columns), None)
    if column is not None:
        positions = [int(row.get(column) or 0) for row in rows]
    else:
        keys = [tuple(row[name] or "" for name in table.key) for row in rows]
        found = _last_lookups(connection, projection, table, set(keys))
        positions = [found.get(key, 0) for key in keys]
    events = _events(connection, set(positions))
    return [events.get(position) for position in positions]


def _events(connection: psycopg.Connection[Any], positions: Iterable[int]) -> dict[int, Touch]:
    rows = connection.execute(
        "SELECT position, event_type, id FROM event_store WHERE position = ANY(%s)",
        [list(positions)],
    )
    return {position: Touch(position, kind, event_id) for position, kind, event_id in rows}


def _last_lookups(
    connection: psycopg.Connection[Any],
    projection: Projection,
    table: Table[Any],
    wanted: set[tuple[str, ...]],
) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    head = reader.head(connection)
    for after in range(0, head, _BATCH_POSITIONS):
        for recorded in source.read(
            connection,
            after=after,
            up_to=min(after + _BATCH_POSITIONS, head),
            event_types=projection.event_types,
        ):
            try:
                looked_up = list(projection.keys(recorded, recorded.decoded()))
            except (UndecodableEvent, UnknownEventType):
                continue  # no fold was given this one
            for of_table, key in looked_up:
                if of_table is table:
                    parts = key if len(table.key) > 1 else (key,)
                    text = tuple(str(part) for part in parts)
                    if text in wanted:
                        found[text] = recorded.position
    return found
