"""Comparing two builds of a read model, row for row, in the database."""

from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from projections.engine.projection import Projection, Table

SHOWN_DIFFERENCES = 100
"""Rows of one table that are named. Whoever has more looks at the first hundred first."""

ONLY_LIVE = "only live"
ONLY_REBUILT = "only rebuilt"
DIFFERENT = "different"


@dataclass(frozen=True)
class Difference:
    """A row that is not the same in both. `columns`: those that differ, as (live, rebuilt)."""

    table: str
    key: dict[str, str]
    kind: str
    columns: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        columns = "; ".join(
            f"{name}: live {live}, rebuilt {rebuilt}"
            for name, (live, rebuilt) in self.columns.items()
        )
        return f"{self.table} ({key}): {self.kind}" + (f": {columns}" if columns else "")


@dataclass(frozen=True)
class Comparison:
    """`differences` names at most SHOWN_DIFFERENCES of each table; `difference_count` is all."""

    rows_compared: int
    difference_count: int
    differences: tuple[Difference, ...]


def compare(
    connection: psycopg.Connection[Any],
    projection: Projection,
    *,
    live_schema: str,
    rebuilt_schema: str,
) -> Comparison:
    """Compares all tables, as the connection's current transaction sees them."""
    rows = total = 0
    shown: list[Difference] = []
    for table in projection.tables:
        rows += _count(connection, live_schema, table)
        of_table, differences = _compare_table(connection, table, live_schema, rebuilt_schema)
        total += of_table
        shown += differences
    return Comparison(rows, total, tuple(shown))


def _count(connection: psycopg.Connection[Any], schema: str, table: Table[Any]) -> int:
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table.name))
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _compare_table(
    connection: psycopg.Connection[Any], table: Table[Any], live_schema: str, rebuilt_schema: str
) -> tuple[int, list[Difference]]:
    def columns(alias: str, *, as_text: bool) -> sql.Composed:
        cast = sql.SQL("{}::text" if as_text else "{}")
        return sql.SQL(", ").join(cast.format(sql.Identifier(alias, c)) for c in table.columns)

    query = sql.SQL(
        """SELECT count(*) OVER (), live.{first} IS NOT NULL, rebuilt.{first} IS NOT NULL,
                  ARRAY[{live_texts}], ARRAY[{rebuilt_texts}]
           FROM {live} AS live FULL JOIN {rebuilt} AS rebuilt USING ({key})
           WHERE ROW({live_values}) IS DISTINCT FROM ROW({rebuilt_values})
           ORDER BY {key} LIMIT {limit}"""
    ).format(
        first=sql.Identifier(table.key[0]),
        live_texts=columns("live", as_text=True),
        rebuilt_texts=columns("rebuilt", as_text=True),
        live_values=columns("live", as_text=False),
        rebuilt_values=columns("rebuilt", as_text=False),
        live=sql.Identifier(live_schema, table.name),
        rebuilt=sql.Identifier(rebuilt_schema, table.name),
        key=sql.SQL(", ").join(map(sql.Identifier, table.key)),
        limit=SHOWN_DIFFERENCES,
    )
    total = 0
    differences: list[Difference] = []
    for count, has_live, has_rebuilt, live_texts, rebuilt_texts in connection.execute(query):
        total = count
        live_row = dict(zip(table.columns, live_texts, strict=True))
        rebuilt_row = dict(zip(table.columns, rebuilt_texts, strict=True))
        kind = DIFFERENT if has_live and has_rebuilt else ONLY_LIVE if has_live else ONLY_REBUILT
        differences.append(
            Difference(
                table.name,
                {name: (live_row if has_live else rebuilt_row)[name] for name in table.key},
                kind,
                {
                    name: (live_row[name], rebuilt_row[name])
                    for name in table.columns
                    if kind == DIFFERENT and live_row[name] != rebuilt_row[name]
                },
            )
        )
    return total, differences
