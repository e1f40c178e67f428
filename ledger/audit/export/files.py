"""The files of an export: events in and out of JSON lines, CSV and Parquet.

Each format keeps the canonical form of an event (canonical.py), so that the leaf hashes can be made
from the file again: JSON lines are that form, one event to a line; CSV and Parquet have a column
for each column of the log, event_data and metadata as JSON text. Times in Parquet are timestamps.
"""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from ledger.audit.prove.canonical import COLUMNS, jcs
from ledger.kernel import strict_json
from ledger.kernel.errors import LedgerError

if TYPE_CHECKING:
    import pyarrow

Format = Literal["jsonl", "csv", "parquet", "beancount"]
Values = dict[str, Any]
"""An event as the object whose text is the canonical form."""

ROWS_AT_ONCE = 10_000
"""Rows of a Parquet row group, and what is in memory at once when one is written …"""
BYTES_AT_ONCE = 32 * 2**20
"""… unless their JSON is longer than this: an event can be a hundred times as long as most are."""
ROWS_READ = 1_000
"""Rows of a Parquet file in memory at once when it is read."""
_JSON = ("event_data", "metadata")
_TIMES = ("occurred_at", "recorded_at")
_INTEGERS = ("position", "event_version")


class CannotExport(LedgerError):
    """The export cannot be written, or not read again."""


def write_jsonl(path: Path, events: Iterator[Values]) -> None:
    with path.open("wb") as file:
        for event in events:
            file.write(jcs(event) + b"\n")


def read_jsonl(file: BinaryIO) -> Iterator[Values]:
    for line in file:
        yield strict_json.loads(line)


def write_csv(path: Path, events: Iterator[Values]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for event in events:
            writer.writerow([_cell(column, event[column]) for column in COLUMNS])


def read_csv(file: BinaryIO) -> Iterator[Values]:
    csv.field_size_limit(2**31 - 1)
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            yield {column: _of_cell(column, row[column]) for column in COLUMNS}


def _cell(column: str, value: Any) -> Any:
    return jcs(value).decode() if column in _JSON else value


def _of_cell(column: str, text: str) -> Any:
    if column in _JSON:
        return strict_json.loads(text)
    if column in _INTEGERS:
        return int(text)
    return text or None


def write_parquet(path: Path, events: Iterator[Values]) -> None:
    arrow, parquet = _arrow()
    kinds = {
        "position": arrow.int64(),
        "event_version": arrow.int32(),
        **dict.fromkeys(_TIMES, arrow.timestamp("us", tz="UTC")),
    }
    schema = arrow.schema([(column, kinds.get(column, arrow.string())) for column in COLUMNS])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        columns: dict[str, list[Any]] = {column: [] for column in COLUMNS}
        size = 0
        for event in events:
            for column in COLUMNS:
                columns[column].append(_arrow_value(column, event[column]))
            size += sum(len(columns[column][-1]) for column in _JSON)
            if len(columns["position"]) == ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
                writer.write_table(arrow.table(columns, schema=schema))
                columns, size = {column: [] for column in COLUMNS}, 0
        if columns["position"]:
            writer.write_table(arrow.table(columns, schema=schema))


def read_parquet(file: BinaryIO) -> Iterator[Values]:
    _, parquet = _arrow()
    with parquet.ParquetFile(file) as table:
        for batch in table.iter_batches(batch_size=ROWS_READ):
            for row in batch.to_pylist():
                for column in _JSON:
                    row[column] = strict_json.loads(row[column])
                for column in _TIMES:
                    row[column] = _rfc_3339(row[column])
                yield row


def _arrow_value(column: str, value: Any) -> Any:
    if column in _JSON:
        return jcs(value).decode()
    if column in _TIMES:
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise CannotExport(
                f"{column} is {value}, which Parquet cannot hold. Export as jsonl or csv."
            ) from error
    return value


def _rfc_3339(moment: datetime) -> str:
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{moment.microsecond:06}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def _arrow() -> "tuple[pyarrow, Any]":
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise CannotExport(
            "Parquet needs pyarrow, which is not installed. Install trading-ledger[parquet], or "
            "export as jsonl or csv."
        ) from error
    return pyarrow, pyarrow.parquet


WRITERS: dict[str, Callable[[Path, Iterator[Values]], None]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
}
READERS: dict[str, Callable[[BinaryIO], Iterator[Values]]] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
}
