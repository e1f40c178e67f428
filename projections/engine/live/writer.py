"""Writing and loading rows in bulk.

    new rows          COPY into the table; where it has row-level security, which COPY does not
                      know, COPY into a temporary table and one INSERT
    changed rows      COPY into a temporary table, then one INSERT … ON CONFLICT DO UPDATE
    a few of them     as a live worker has, as the one JSON parameter of such an INSERT
    a cut             the partitions of a time series that are over, before anything is written
    removed rows      one DELETE for all keys, first: a row may be there again
    looked-up rows    one SELECT for all keys

What COPY gets is JSON with its brackets taken off: msgspec encodes a row as an array in C
(`["…",null,1]`), and COPY's CSV format with a backslash as its escape reads the inside of
that as it is: strings are quoted, `null` is not, numbers and booleans are bare. Only JSON's
named escapes (`\\n`, `\\u001f` …) mean something else to CSV; the rare rows that have them are
put right by a pass over the text.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from ledger.kernel.errors import LedgerError
from projections.engine.live.rows import Rows, RowSet
from projections.engine.projection import Key, Row, Table


class TableMismatch(LedgerError):
    """A table does not have the columns that its projection's rows have."""


FEW_ROWS = 100
"""Up to here one statement is faster than a temporary table, which costs about a millisecond to
fill and empty; beyond, COPY reads a row faster than JSON functions do."""

PARTITIONS_AHEAD = timedelta(days=92)
"""Of a time series, beside those that are written to: three months, so that one is there long
before its first row, and attached when nobody waits for it."""

_ADD_PARTITIONS = "SELECT public.add_series_partitions(%s, %s, %s, %s, %s)"
_CUT = "SELECT public.cut_series(%s, %s, %s)"
_DECOMPRESS = "SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
"""What comes late for a month that TimescaleDB has compressed unpacks the rows beside it: as many
as there are, where it would stop at a number of its own. Without it a name that nobody reads."""
_ENCODER = msgspec.json.Encoder()
_ESCAPE = re.compile(rb"\\(u[0-9a-f]{4}|[^\"])")
"""All but the escaped quote, which texts of JSON inside JSON are full of, and which is the same."""
_NAMED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _csv_escape(match: re.Match[bytes]) -> bytes:
    name = match[1]
    if name[:1] == b"u" and len(name) > 1:
        return chr(int(name[1:], 16)).encode()
    return _NAMED.get(name, match[0])


def copy_lines(rows: Sequence[Any]) -> bytes:
    """The rows (structs or lists of simple values) as lines of COPY's CSV format with
    NULL 'null' and ESCAPE '\\'. A raw line break never occurs inside JSON, so brackets beside
    one are those of a row."""
    lines = _ENCODER.encode_lines(rows)[1:].replace(b"]\n[", b"\n")[:-2] + b"\n"
    return _ESCAPE.sub(_csv_escape, lines) if b"\\" in lines else lines


class _Stage:
    """A temporary table like a table, empty when a transaction begins."""

    def __init__(
        self, connection: psycopg.Connection[Any], name: str, like: sql.Identifier
    ) -> None:
        self.name = sql.Identifier("pg_temp", name[:63])
        self._connection = connection
        self._create = sql.SQL(
            "CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS"
        ).format(self.name, like)
        self._making = self._made = False

    def make(self) -> None:
        """Inside the transaction that fills it."""
        if not self._made:
            self._connection.execute(self._create)
            self._making = True

    def written(self) -> None:
        """The transaction is over. Where it was part of a larger one, the rows are still there."""
        self._made = self._making
        if self._made and self._connection.info.transaction_status != TransactionStatus.IDLE:
            self._connection.execute(sql.SQL("TRUNCATE {}").format(self.name))


class TableWriter:
    """One table of one build, on one connection."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str, table: Table[Any]) -> None:
        self._connection = connection
        self._table = table
        self._schema = schema
        self._months: set[tuple[int, int]] = set()
        if table.series:
            connection.execute(_DECOMPRESS)
        self._name = sql.Identifier(schema, table.name)
        self._stage = _Stage(connection, f"stage_{schema}_{table.name}", self._name)
        self._stage_of_new = _Stage(connection, f"new_{schema}_{table.name}", self._name)
        types = self._column_types(schema)
        self._may_copy = self._is_open(schema)
        self._json = [name in ("json", "jsonb") for name in types.values()]
        self._has_json = any(self._json)
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        keys = sql.SQL(", ").join(map(sql.Identifier, table.key))
        values = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in table.columns
            if name not in table.key
        )
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL 'null', ESCAPE '\\')")
        self._copy = copy.format(self._name, columns)
        self._copy_to_stage = copy.format(self._stage.name, columns)
        self._copy_new_to_stage = copy.format(self._stage_of_new.name, columns)
        insert = sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM {2}")
        update = sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(keys, values)
        self._insert = insert.format(self._name, columns, self._stage_of_new.name)
        self._upsert = insert.format(self._name, columns, self._stage.name) + update
        self._insert_few = sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM jsonb_array_elements(%s::text::jsonb) AS row"
        ).format(
            self._name,
            columns,
            sql.SQL(", ").join(
                sql.SQL(f"(row ->> {place})::{types[name]}")
                for place, name in enumerate(table.columns)
            ),
        )
        self._upsert_few = self._insert_few + update
        self._select_all = sql.SQL("SELECT {} FROM {}").format(columns, self._name)
        wanted = sql.SQL("unnest({}) AS wanted ({})").format(
            sql.SQL(", ").join(sql.SQL("%s::" + types[name] + "[]") for name in table.key), keys
        )
        self._select = sql.SQL("SELECT {} FROM {} JOIN {} USING ({})").format(
            columns, self._name, wanted, keys
        )
        self._delete = sql.SQL("DELETE FROM {} AS there USING {} WHERE {}").format(
            self._name,
            wanted,
            sql.SQL(" AND ").join(
                sql.SQL("there.{0} = wanted.{0}").format(sql.Identifier(name)) for name in table.key
            ),
        )

    def cut(self, until: datetime) -> None:
        """Deletes what a time series has from before a time, inside the caller's transaction."""
        self._connection.execute(_CUT, [self._schema, self._table.name, until])

    def write(self, new: Sequence[Row], changed: Sequence[Row], removed: Sequence[Key]) -> None:
        """Inside the caller's transaction."""
        if self._table.series and (new or changed):
            self._add_partitions(chain(new, changed))
        if removed:
            self._connection.execute(self._delete, self._by_column(removed))
        if new and self._may_copy:
            self._send(self._copy, new)
        elif len(new) > FEW_ROWS:
            self._stage_of_new.make()
            self._send(self._copy_new_to_stage, new)
            self._connection.execute(self._insert)
        elif new:
            self._send_few(self._insert_few, new)
        if len(changed) > FEW_ROWS:
            self._stage.make()
            self._send(self._copy_to_stage, changed)
            self._connection.execute(self._upsert)
        elif changed:
            self._send_few(self._upsert_few, changed)

    def _add_partitions(self, rows: Iterable[Any]) -> None:
        """Those that the rows need and the next ones; months that were asked about are known."""
        months = {(time.year, time.month): time for time in (row.time for row in rows)}
        unknown = [time for month, time in months.items() if month not in self._months]
        if unknown:
            ahead = max(unknown) + PARTITIONS_AHEAD
            place = (self._schema, self._table.name)
            self._connection.execute(
                _ADD_PARTITIONS, [*place, min(unknown), ahead, not self._table.insert_only]
            )
            self._months.update(months)

    def written(self) -> None:
        """The caller's transaction is over."""
        self._stage.written()
        self._stage_of_new.written()

    def load(self, keys: Sequence[Key]) -> list[Row]:
        """The rows that exist among the keys."""
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(self._select, self._by_column(keys))
            found = cursor.fetchall()
        return [msgspec.convert(values, self._table.row) for values in found]

    def load_all(self) -> list[Row]:
        """Every row of the table."""
        with self._connection.cursor(binary=True) as cursor:
            found = cursor.execute(self._select_all).fetchall()
        return [msgspec.convert(values, self._table.row) for values in found]

    def _by_column(self, keys: Sequence[Key]) -> list[list[Any]]:
        columns = zip(*keys, strict=True) if len(self._table.key) > 1 else [keys]
        return [list(column) for column in columns]

    def _send(self, statement: sql.Composed, rows: Sequence[Row]) -> None:
        plain: Sequence[Any] = self._with_json_texts(rows) if self._has_json else rows
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(copy_lines(plain))

    def _send_few(self, statement: sql.Composed, rows: Sequence[Row]) -> None:
        self._connection.execute(statement, [_ENCODER.encode(rows).decode()], prepare=True)

    def _with_json_texts(self, rows: Iterable[Row]) -> list[list[Any]]:
        return [
            [
                _ENCODER.encode(value).decode() if is_json and value is not None else value
                for value, is_json in zip(msgspec.structs.astuple(row), self._json, strict=True)
            ]
            for row in rows
        ]

    def _is_open(self, schema: str) -> bool:
        """Whether no row-level security holds for us, as on a build that nobody reads yet."""
        row = self._connection.execute(
            "SELECT NOT row_security_active(%s)", [f'"{schema}"."{self._table.name}"']
        ).fetchone()
        return row == (True,)

    def _column_types(self, schema: str) -> dict[str, str]:
        found = dict(
            self._connection.execute(
                """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
                   WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
                   ORDER BY attnum""",
                [f'"{schema}"."{self._table.name}"'],
            ).fetchall()
        )
        if tuple(found) != self._table.columns:
            raise TableMismatch(
                f"table {schema}.{self._table.name} has the columns {', '.join(found) or 'none'}; "
                f"the code writes {', '.join(self._table.columns)}. Run: ledgerctl projections "
                "rebuild, with the code that fits sql/read_models"
            )
        return found


class Writer:
    """All tables of one build, on one connection. After a failed transaction it does not know
    what exists: make a new one."""

    def __init__(
        self, connection: psycopg.Connection[Any], schema: str, tables: Iterable[Table[Any]]
    ) -> None:
        self._tables = {table: TableWriter(connection, schema, table) for table in tables}

    def load(self, rows: Rows[Any], keys: Sequence[Key]) -> None:
        """Loads the rows with these keys, as far as they exist."""
        rows.load(keys, self._tables[rows.table].load(keys))

    def load_resident(self, rows: RowSet) -> None:
        """Loads the tables whose rows are all kept in memory."""
        for of_table in rows.values():
            if of_table.table.resident:
                of_table.load_all(self._tables[of_table.table].load_all())

    def write(self, rows: RowSet) -> None:
        """Writes what is new, changed and removed, inside the caller's transaction."""
        for of_table in rows.values():
            if of_table.cut_until is not None:
                self._tables[of_table.table].cut(of_table.cut_until)
            self._tables[of_table.table].write(*of_table.take())

    def settle(self, rows: RowSet) -> None:
        """After the commit: nothing is new or changed any more."""
        for of_table in rows.values():
            of_table.settle()
        for table in self._tables.values():
            table.written()
