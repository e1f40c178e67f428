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
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
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


class _Columns(NamedTuple):
    """What the database has of a table: its columns with their types, in order, and whether no
    row-level security holds for us, as on a build that nobody reads yet."""

    types: tuple[tuple[str, str], ...]
    is_open: bool


_COLUMNS = """
    SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum),
        array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
        NOT row_security_active(c.oid)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
        AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY c.oid, c.relname"""


def _columns_of(
    connection: psycopg.Connection[Any], schema: str, tables: Iterable[Table[Any]]
) -> dict[str, _Columns]:
    """Of all tables at once: whoever opens a build waits for it."""
    found = connection.execute(
        _COLUMNS, [sql.Identifier(schema).as_string(None), [table.name for table in tables]]
    )
    return {
        name: _Columns(tuple(zip(names, types, strict=True)), is_open)
        for name, names, types, is_open in found
    }


class _Statements(NamedTuple):
    """What is said to the database of one table: as bytes, since to put a statement together again
    for each batch takes longer than to send it."""

    create_stage: bytes
    create_stage_of_new: bytes
    empty_stage: bytes
    empty_stage_of_new: bytes
    copy: bytes
    copy_to_stage: bytes
    copy_new_to_stage: bytes
    insert: bytes
    upsert: bytes
    insert_few: bytes
    upsert_few: bytes
    select: bytes
    select_all: bytes
    delete: bytes


KEPT_STATEMENTS = 256
"""Of so many tables: those of all read models, and of a second build of each."""


@lru_cache(KEPT_STATEMENTS)
def _statements(
    schema: str, table: Table[Any], column_types: tuple[tuple[str, str], ...]
) -> _Statements:
    types = dict(column_types)
    name = sql.Identifier(schema, table.name)
    stage, stage_of_new = (
        sql.Identifier("pg_temp", f"{kind}_{schema}_{table.name}"[:63]) for kind in ("stage", "new")
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    keys = sql.SQL(", ").join(map(sql.Identifier, table.key))
    values = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column))
        for column in table.columns
        if column not in table.key
    )
    create = sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS")
    empty = sql.SQL("TRUNCATE {}")
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, NULL 'null', ESCAPE '\\')")
    insert = sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM {2}")
    update = sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(keys, values)
    insert_few = sql.SQL(
        "INSERT INTO {} ({}) SELECT {} FROM jsonb_array_elements(%s::text::jsonb) AS row"
    ).format(
        name,
        columns,
        sql.SQL(", ").join(
            _value_of(place, types[column]) for place, column in enumerate(table.columns)
        ),
    )
    wanted = sql.SQL("unnest({}) AS wanted ({})").format(
        sql.SQL(", ").join(sql.SQL("%s::" + types[column] + "[]") for column in table.key), keys
    )
    select = sql.SQL("SELECT {} FROM {} JOIN {} USING ({})").format(columns, name, wanted, keys)
    delete = sql.SQL("DELETE FROM {} AS there USING {} WHERE {}").format(
        name,
        wanted,
        sql.SQL(" AND ").join(
            sql.SQL("there.{0} = wanted.{0}").format(sql.Identifier(column)) for column in table.key
        ),
    )
    composed = (
        create.format(stage, name),
        create.format(stage_of_new, name),
        empty.format(stage),
        empty.format(stage_of_new),
        copy.format(name, columns),
        copy.format(stage, columns),
        copy.format(stage_of_new, columns),
        insert.format(name, columns, stage_of_new),
        insert.format(name, columns, stage) + update,
        insert_few,
        insert_few + update,
        select,
        sql.SQL("SELECT {} FROM {}").format(columns, name),
        delete,
    )
    return _Statements(*(one.as_bytes(None) for one in composed))


def _value_of(place: int, type_name: str) -> sql.SQL:
    """A column's value of a row that is a JSON array. JSON is taken as it is: as a text it would be
    written and parsed once more."""
    if type_name == "jsonb":
        return sql.SQL(f"nullif(row -> {place}, 'null')")
    return sql.SQL(f"(row ->> {place})::{type_name}")


class _Stage:
    """A temporary table like a table, empty when a transaction begins."""

    def __init__(self, connection: psycopg.Connection[Any], create: bytes, empty: bytes) -> None:
        self._connection = connection
        self._create, self._empty = create, empty
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
            self._connection.execute(self._empty)


class TableWriter:
    """One table of one build, on one connection. `found` is what the database has of it."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        schema: str,
        table: Table[Any],
        found: _Columns | None = None,
    ) -> None:
        self._connection = connection
        self._table = table
        self._schema = schema
        self._months: set[tuple[int, int]] = set()
        found = found or _columns_of(connection, schema, [table]).get(table.name)
        types = self._checked(() if found is None else found.types)
        self._may_copy = found is not None and found.is_open
        self._json = [place for place, (_, name) in enumerate(types) if name in ("json", "jsonb")]
        says = self._says = _statements(schema, table, types)
        self._stage = _Stage(connection, says.create_stage, says.empty_stage)
        self._stage_of_new = _Stage(connection, says.create_stage_of_new, says.empty_stage_of_new)

    def cut(self, until: datetime) -> None:
        """Deletes what a time series has from before a time, inside the caller's transaction."""
        self._connection.execute(_CUT, [self._schema, self._table.name, until])

    def write(self, new: Sequence[Row], changed: Sequence[Row], removed: Sequence[Key]) -> None:
        """Inside the caller's transaction."""
        says = self._says
        if self._table.series and (new or changed):
            self._add_partitions(chain(new, changed))
        if removed:
            self._connection.execute(says.delete, self._by_column(removed))
        if new and self._may_copy:
            self._send(says.copy, new)
        elif len(new) > FEW_ROWS:
            self._stage_of_new.make()
            self._send(says.copy_new_to_stage, new)
            self._connection.execute(says.insert)
        elif new:
            self._send_few(says.insert_few, new)
        if len(changed) > FEW_ROWS:
            self._stage.make()
            self._send(says.copy_to_stage, changed)
            self._connection.execute(says.upsert)
        elif changed:
            self._send_few(says.upsert_few, changed)

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
            cursor.execute(self._says.select, self._by_column(keys))
            found = cursor.fetchall()
        row = known(self._table.row)
        return [msgspec.convert(values, row) for values in found]

    def load_all(self) -> list[Row]:
        """Every row of the table."""
        with self._connection.cursor(binary=True) as cursor:
            found = cursor.execute(self._says.select_all).fetchall()
        row = known(self._table.row)
        return [msgspec.convert(values, row) for values in found]

    def _by_column(self, keys: Sequence[Key]) -> list[list[Any]]:
        columns = zip(*keys, strict=True) if len(self._table.key) > 1 else [keys]
        return [list(column) for column in columns]

    def _send(self, statement: bytes, rows: Sequence[Row]) -> None:
        plain: Sequence[Any] = list(self._with_json_texts(rows)) if self._json else rows
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(copy_lines(plain))

    def _send_few(self, statement: bytes, rows: Sequence[Row]) -> None:
        self._connection.execute(statement, [_ENCODER.encode(rows).decode()], prepare=True)

    def _with_json_texts(self, rows: Iterable[Row]) -> Iterator[list[Any]]:
        for row in rows:
            values = list(msgspec.structs.astuple(row))
            for place in self._json:
                if values[place] is not None:
                    values[place] = _ENCODER.encode(values[place]).decode()
            yield values

    def _checked(self, types: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        found = tuple(name for name, _ in types)
        if found != self._table.columns:
            raise TableMismatch(
                f"table {self._schema}.{self._table.name} has the columns "
                f"{', '.join(found) or 'none'}; "
                f"the code writes {', '.join(self._table.columns)}. Run: ledgerctl projections "
                "rebuild, with the code that fits sql/read_models"
            )
        return types


class Writer:
    """All tables of one build, on one connection. After a failed transaction it does not know
    what exists: make a new one."""

    def __init__(
        self, connection: psycopg.Connection[Any], schema: str, tables: Iterable[Table[Any]]
    ) -> None:
        tables = tuple(tables)
        if any(table.series for table in tables):
            connection.execute(_DECOMPRESS)
        found = _columns_of(connection, schema, tables)
        self._tables = {
            table: TableWriter(connection, schema, table, found.get(table.name)) for table in tables
        }

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
