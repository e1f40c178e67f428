"""Rows on their way out, in the formats that people and other tools read, never all in memory.

table     for people: ledger/operate/table.py
json      an array of objects
jsonl     an object per line
csv       with a header, for spreadsheets: what would be a formula there has an ' before it
parquet   by Arrow's own library, if it is installed

What reaches a terminal commands nothing there (ledger/kernel/text.py). In JSON and Parquet each
text is the one that was recorded, to the last character; in tables and CSV `text.original` gives it
back.
"""

import csv
import importlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import chain, islice
from typing import Any, BinaryIO

import orjson

from ledger.kernel.errors import LedgerError
from ledger.kernel.text import csv_cell, json_text, plain
from ledger.operate import table, terminal

Row = Mapping[str, Any]
GROUP_ROWS = 10_000
"""Rows in a row group of Parquet: some megabytes in memory."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class ParquetMissing(LedgerError):
    """Arrow's library is not installed."""


def write(
    rows: Iterable[Row],
    columns: Sequence[str],
    form: Format,
    out: BinaryIO,
    shown: Sequence[str],
    asked: str | None = None,
    wide: bool = False,
) -> int:
    """Writes the rows with these columns. A table has those `shown`, as far as the terminal has
    room, those that the person `asked` for, or all. Returns how many rows there were."""
    counted = _Counted(rows)
    if form is Format.PARQUET:
        _write_parquet(counted, columns, out)
    else:
        parts = {
            Format.TABLE: lambda: _table(
                counted, columns if wide else shown, columns, asked, wide, out
            ),
            Format.JSON: lambda: _json(counted, columns),
            Format.JSONL: lambda: _jsonl(counted, columns),
            Format.CSV: lambda: _csv(counted, columns),
        }[form]()
        for part in parts:
            out.write(part)
    out.flush()
    return counted.count


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
    return json_text(orjson.dumps({name: plain(row[name]) for name in columns}))


def _csv(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_for_spreadsheets(row[name]) for name in columns])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def _for_spreadsheets(value: object) -> str:
    """Numbers are numbers, -5 too, and JSON is JSON; what somebody wrote is never a formula."""
    if value is None or isinstance(value, Decimal | int):
        return text(value)
    if isinstance(value, orjson.Fragment | dict | list):
        return json_text(text(value))
    return csv_cell(text(value))


def _table(
    rows: Iterable[Row],
    shown: Sequence[str],
    columns: Sequence[str],
    asked: str | None,
    wide: bool,
    out: BinaryIO,
) -> Iterator[bytes]:
    names = list(shown) if asked is None else table.asked_for(asked, columns)
    iterator = iter(rows)
    first = list(islice(iterator, 1))
    if not first:
        yield b"no rows\n"
        return
    cells = ([text(row[name]) for name in names] for row in chain(first, iterator))
    width = terminal.width_of(out)
    for line in table.lines(names, cells, width=width, wide=wide or asked is not None):
        yield line.encode() + b"\n"


def _write_parquet(rows: Iterable[Row], columns: Sequence[str], out: BinaryIO) -> None:
    arrow, parquet = _arrow()
    iterator = iter(rows)
    group = list(islice(iterator, GROUP_ROWS))
    schema = arrow.schema([(name, _arrow_type(arrow, name)) for name in columns])
    with parquet.ParquetWriter(out, schema) as writer:
        while group:
            cells = {
                name: [_cell(row[name], schema.field(name).type, arrow) for row in group]
                for name in columns
            }
            writer.write_table(arrow.table(cells, schema=schema))
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
