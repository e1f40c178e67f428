"""Comparing two builds of a read model, row for row, in the database.

Values are compared as they are stored, so 5 is not 5.0: a read model is made from the log to the
same bytes. Where the builds are of different code, what both have is compared, and what only one
has is said in `notes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import psycopg
from psycopg import sql

from projections.engine.builds.generations import columns_of
from projections.engine.live import last_event
from projections.engine.live.last_event import Touch
from projections.engine.projection import Projection, Table

SHOWN_DIFFERENCES = 100
"""Rows of one table that are named. Whoever has more looks at the first hundred first."""

ONLY_LIVE = "only live"
ONLY_REBUILT = "only rebuilt"
DIFFERENT = "different"

RowTexts: TypeAlias = dict[str, str | None]


@dataclass(frozen=True)
class RowDifference:
    """A row that is not the same in both. `columns`: those that differ, as (live, rebuilt).
    `event`: the one that last touched the row, where the log tells."""

    table: str
    key: dict[str, str]
    kind: str
    columns: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    event: Touch | None = None

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        columns = "; ".join(
            f"{name}: live {live}, rebuilt {rebuilt}"
            for name, (live, rebuilt) in self.columns.items()
        )
        event = f" (last touched by {self.event})" if self.event else ""
        return f"{self.table} ({key}): {self.kind}" + (f": {columns}" if columns else "") + event


@dataclass(frozen=True)
class Comparison:
    """`differences` names at most SHOWN_DIFFERENCES of each table; the counts are of all."""

    rows_compared: int
    only_live: int
    only_rebuilt: int
    different: int
    differences: tuple[RowDifference, ...]
    notes: tuple[str, ...] = ()

    @property
    def difference_count(self) -> int:
        return self.only_live + self.only_rebuilt + self.different


class _Counts(NamedTuple):
    rows: int
    only_live: int
    only_rebuilt: int
    different: int


def compare(
    connection: psycopg.Connection[Any],
    projection: Projection,
    *,
    live_schema: str,
    rebuilt_schema: str,
) -> Comparison:
    """Compares all tables, as the connection's current transaction sees them."""
    totals = _Counts(0, 0, 0, 0)
    shown: list[RowDifference] = []
    notes: list[str] = []
    for table in projection.tables:
        columns = _shared_columns(connection, table, live_schema, rebuilt_schema, notes)
        if columns is None:
            continue
        of_two = _Pair(connection, table, columns, live_schema, rebuilt_schema)
        counts = of_two.counts()
        totals = _Counts(*(total + count for total, count in zip(totals, counts, strict=True)))
        if counts.only_live or counts.only_rebuilt or counts.different:
            shown += of_two.differences(projection)
    return Comparison(
        totals.rows,
        totals.only_live,
        totals.only_rebuilt,
        totals.different,
        tuple(shown),
        tuple(notes),
    )


def _shared_columns(
    connection: psycopg.Connection[Any],
    table: Table[Any],
    live_schema: str,
    rebuilt_schema: str,
    notes: list[str],
) -> tuple[str, ...] | None:
    """The columns that both tables have; None if their rows cannot be matched."""
    live = columns_of(connection, live_schema, table.name)
    rebuilt = columns_of(connection, rebuilt_schema, table.name)
    if not live:
        notes.append(f"table {table.name} is new: not compared")
        return None
    shared = {name for name, kind in live.items() if rebuilt.get(name) == kind}
    if not shared.issuperset(table.key):
        notes.append(f"table {table.name} has another key: not compared")
        return None
    notes += [f"column {table.name}.{name} is new: not compared" for name in rebuilt.keys() - live]
    notes += [f"column {table.name}.{name} is gone: not compared" for name in live.keys() - rebuilt]
    notes += [
        f"column {table.name}.{name} has another type: not compared"
        for name in (live.keys() & rebuilt.keys()) - shared
    ]
    return tuple(name for name in table.columns if name in shared)


class _Pair:
    """A table in both builds."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        table: Table[Any],
        columns: Sequence[str],
        live_schema: str,
        rebuilt_schema: str,
    ) -> None:
        self._connection = connection
        self._table = table
        self._columns = columns
        self._parts = {
            "first": sql.Identifier(table.key[0]),
            "live": sql.Identifier(live_schema, table.name),
            "rebuilt": sql.Identifier(rebuilt_schema, table.name),
            "key": sql.SQL(", ").join(map(sql.Identifier, table.key)),
            "live_values": self._list("live", "{}"),
            "rebuilt_values": self._list("rebuilt", "{}"),
            "live_texts": self._list("live", "{}::text"),
            "rebuilt_texts": self._list("rebuilt", "{}::text"),
            "limit": sql.Literal(SHOWN_DIFFERENCES),
        }

    def counts(self) -> _Counts:
        query = sql.SQL(
            """SELECT count(*) FILTER (WHERE live.{first} IS NOT NULL),
                      count(*) FILTER (WHERE rebuilt.{first} IS NULL),
                      count(*) FILTER (WHERE live.{first} IS NULL),
                      count(*) FILTER (WHERE live.{first} IS NOT NULL
                          AND rebuilt.{first} IS NOT NULL
                          AND ROW({live_values})::record *<> ROW({rebuilt_values})::record)
               FROM {live} AS live FULL JOIN {rebuilt} AS rebuilt USING ({key})"""
        ).format(**self._parts)
        row = self._connection.execute(query).fetchone()
        assert row is not None
        return _Counts(*row)

    def differences(self, projection: Projection) -> list[RowDifference]:
        """The first of them, by key."""
        query = sql.SQL(
            """SELECT live.{first} IS NOT NULL, rebuilt.{first} IS NOT NULL,
                      ARRAY[{live_texts}], ARRAY[{rebuilt_texts}]
               FROM {live} AS live FULL JOIN {rebuilt} AS rebuilt USING ({key})
               WHERE live.{first} IS NULL OR rebuilt.{first} IS NULL
                   OR ROW({live_values})::record *<> ROW({rebuilt_values})::record
               ORDER BY {key} LIMIT {limit}"""
        ).format(**self._parts)
        found: list[RowDifference] = []
        present: list[RowTexts] = []
        for has_live, has_rebuilt, live_texts, rebuilt_texts in self._connection.execute(query):
            live: RowTexts = dict(zip(self._columns, live_texts, strict=True))
            rebuilt: RowTexts = dict(zip(self._columns, rebuilt_texts, strict=True))
            kind = (
                DIFFERENT if has_live and has_rebuilt else ONLY_LIVE if has_live else ONLY_REBUILT
            )
            present.append(rebuilt if has_rebuilt else live)
            found.append(
                RowDifference(
                    self._table.name,
                    {name: present[-1][name] or "" for name in self._table.key},
                    kind,
                    {
                        name: (live[name], rebuilt[name])
                        for name in self._columns
                        if kind == DIFFERENT and live[name] != rebuilt[name]
                    },
                )
            )
        events = last_event.last_events(self._connection, projection, self._table, present)
        return [
            replace(difference, event=event)
            for difference, event in zip(found, events, strict=True)
        ]

    def _list(self, alias: str, form: str) -> sql.Composed:
        return sql.SQL(", ").join(
            sql.SQL(form).format(sql.Identifier(alias, name)) for name in self._columns
        )
