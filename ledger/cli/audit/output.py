"""Rows on their way out, in the formats that people and other tools read, never all in memory.

table     columns as wide as the first rows need
json      an array of objects
jsonl     an object per line
csv       with a header
parquet   by Arrow's own library, if it is installed
"""

import csv
import importlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import chain, islice
from typing import Any, BinaryIO
from uuid import UUID

import orjson

Row = Mapping[str, Any]

WIDTH_ROWS = 100
"""Rows that a table's column widths are taken from."""
GROUP_ROWS = 10_000
"""Rows in a row group of Parquet: some megabytes in memory."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class ParquetMissing(Exception):
    """Arrow's library is not installed."""


def write(
    rows: Iterable[Row], columns: Sequence[str], form: Format, out: BinaryIO, shown: Sequence[str]
) -> int:
    """Writes the rows with these columns; a table has only those `shown`. Returns how many."""
    counted = _Counted(rows)
    if form is Format.PARQUET:
        _write_parquet(counted, columns, out)
    else:
        parts = {
            Format.TABLE: lambda: _table(counted, shown),
            Format.JSON: lambda: _json(counted, columns),
            Format.JSONL: lambda: _jsonl(counted, columns),
            Format.CSV: lambda: _csv(counted, columns),
        }[form]()
        for part in parts:
            out.write(part)
    out.flush()
    return counted.count


def plain(value: object) -> Any:
    """The value as JSON has it."""
    from ledger.kernel import money

    if isinstance(value, Decimal):
        return money.shown(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, orjson.Fragment):
        return value
    return str(value) if isinstance(value, UUID) else value


def text(value: object) -> str:
    """The value as a cell of a table or of CSV."""
    if isinstance(value, orjson.Fragment):
        return orjson.dumps(value).decode()
    if value is None:
        return ""
    shown = plain(value)
    return orjson.dumps(shown).decode() if isinstance(shown, dict | list) else str(shown)


class _Counted:
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _json(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    before = b"["
    for row in rows:
        yield before + _object(row, columns)
        before = b",\n "
    yield b"]\n" if before != b"[" else b"[]\n"


def _jsonl(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    for row in rows:
        yield _object(row, columns) + b"\n"


def _object(row: Row, columns: Sequence[str]) -> bytes:
    return orjson.dumps({name: plain(row[name]) for name in columns})


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([text(row[name]) for name in columns])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def _table(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    lines = ([text(row[name]) for name in columns] for row in rows)
    first = list(islice(lines, WIDTH_ROWS))
    if not first:
        yield b"no rows\n"
        return
    widths = [
        max(len(name), *(len(line[place]) for line in first)) for place, name in enumerate(columns)
    ]
    for line in chain([list(columns)], first, lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip().encode() + b"\n"


def _write_parquet(rows: Iterable[Row], columns: Sequence[str], out: BinaryIO) -> None:
    arrow, parquet = _arrow()
    iterator = iter(rows)
    group = list(islice(iterator, GROUP_ROWS))
    schema = arrow.schema([(name, _arrow_type(arrow, name)) for name in columns])
    with parquet.ParquetWriter(out, schema) as writer:
        while group:
            table = {
                name: [_cell(row[name], schema.field(name).type, arrow) for row in group]
                for name in columns
            }
            writer.write_table(arrow.table(table, schema=schema))
            group = list(islice(iterator, GROUP_ROWS))


def _arrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ParquetMissing(
            "Parquet needs Arrow's library, which is not installed. "
            "Run: pip install 'trading-ledger[parquet]'"
        ) from error


def _arrow_type(arrow: Any, column: str) -> Any:
    """By the column's name: amounts and JSON stay text, which loses nothing."""
    if column.endswith("_at"):
        return arrow.timestamp("us", tz="UTC")
    return arrow.int64() if column in ("position", "event_version") else arrow.string()


def _cell(value: object, of_type: Any, arrow: Any) -> object:
    if value is None or not arrow.types.is_string(of_type):
        return value
    return text(value)
