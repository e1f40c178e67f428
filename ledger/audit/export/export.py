"""Export: a range of events in a file, with a manifest by which the file can be verified.

    DIRECTORY/events.jsonl | events.csv | events.parquet
    DIRECTORY/ledger.beancount      with events.jsonl, which it was made from
    DIRECTORY/manifest.json         positions, counts, hashes of the files, seals of the range

The manifest has every seal whose block the range touches. A block that the range only touches is
completed by the leaf hashes of its other events, so that its root can be made again from the file
(verify.py). The manifest is written last: a directory without one is not a whole export.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import orjson
import psycopg

from ledger.audit.export import beancount
from ledger.audit.export.files import WRITERS, CannotExport, Format, Values, read_jsonl
from ledger.audit.prove import seals
from ledger.audit.prove.canonical import values
from ledger.audit.prove.printed_events import rows
from ledger.eventstore import reader
from ledger.kernel import money
from ledger.kernel.time import time_text

FORMAT = "ledger-export/1"
MANIFEST = "manifest.json"
BEANCOUNT_FILE = "ledger.beancount"
REPORT_EVENTS = 1_000
"""So many events between two reports of progress."""

_SEALS_OF_RANGE = """
    SELECT number FROM event_seals WHERE last_position >= %s AND first_position <= %s
    ORDER BY number"""
_OPENING = """
    SELECT stream_id::text, posting->>'book', posting->>'asset',
        sum((posting->>'amount')::numeric)
    FROM event_store, jsonb_array_elements(event_data->'postings') AS posting
    WHERE stream_type = 'account' AND position < %s
    GROUP BY 1, 2, 3 HAVING sum((posting->>'amount')::numeric) <> 0 ORDER BY 1, 2, 3"""


def export(
    connection: psycopg.Connection[Any],
    directory: Path,
    file_format: Format,
    *,
    first: int = 1,
    last: int | None = None,
    report: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Writes the events from position `first` to `last` (without it, all) to a new directory;
    returns the manifest. Raises CannotExport."""
    _make(directory)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        head = reader.head(connection)
        end = head if last is None else min(last, head)
        if end < first:
            raise CannotExport(
                f"there are no events from position {first} on: the log ends at {head}. "
                "Correct --from and --to."
            )
        opening = _opening(connection, first) if file_format == "beancount" else {}
        name = "events.jsonl" if file_format == "beancount" else f"events.{file_format}"
        events = _reported(connection, first, end, report)
        WRITERS[name.rpartition(".")[2]](directory / name, events)
        names = [name]
        if file_format == "beancount":
            _write_beancount(directory / BEANCOUNT_FILE, directory / name, opening)
            names.append(BEANCOUNT_FILE)
        blocks = _blocks(connection, first, end)
    sealed_end = min(blocks[-1]["seal"]["last_position"], end) if blocks else first - 1
    manifest = {
        "format": FORMAT,
        "tool": f"trading-ledger {version('trading-ledger')}",
        "exported_at": time_text(datetime.now(UTC).replace(microsecond=0)),
        "file_format": file_format,
        "first_position": first,
        "last_position": end,
        "events": end - first + 1,
        "unsealed_events": end - sealed_end,
        "files": [_file(directory / name) for name in names],
        "opening": [[*book, money.plain(amount)] for book, amount in sorted(opening.items())],
        "blocks": blocks,
    }
    (directory / MANIFEST).write_bytes(
        orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    return manifest


def _write_beancount(path: Path, events: Path, opening: beancount.Balances) -> None:
    """Writes the books of the events in a file of JSON lines, which is read twice."""
    with path.open("w", encoding="utf-8", newline="\n") as file, money.exact():
        with events.open("rb") as lines:
            rounded = beancount.places(read_jsonl(lines), opening)
        with events.open("rb") as lines:
            file.writelines(beancount.render(read_jsonl(lines), opening, rounded))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise CannotExport(f"{directory} is not empty. Name a new directory.")
    except FileExistsError as error:
        raise CannotExport(f"{directory} is a file. Name a new directory.") from error


def _reported(
    connection: psycopg.Connection[Any],
    first: int,
    last: int,
    report: Callable[[int], None] | None,
) -> Iterator[Values]:
    expected = first
    for row in rows(connection, first, last):
        if row[0] != str(expected):
            raise CannotExport(
                f"there is no event at position {expected}. Run: ledgerctl audit verify"
            )
        yield values(row)
        expected += 1
        if report is not None and expected % REPORT_EVENTS == 0:
            report(REPORT_EVENTS)


def _opening(connection: psycopg.Connection[Any], first: int) -> dict[beancount.Book, Decimal]:
    found = connection.execute(_OPENING, [first]).fetchall()
    return {(account, book, asset): amount for account, book, asset, amount in found}


def _blocks(connection: psycopg.Connection[Any], first: int, last: int) -> list[dict[str, Any]]:
    numbers = [row[0] for row in connection.execute(_SEALS_OF_RANGE, [first, last])]
    blocks = []
    for number in numbers:
        seal = cast(seals.Seal, seals.numbered(connection, number))
        before = max(first - seal.first_position, 0)
        after = max(seal.last_position - last, 0)
        leaves = seals.leaves_of(connection, number) if before or after else []
        block = seal.document()
        block["leaves_before"] = [leaf.hex() for leaf in leaves[:before]]
        block["leaves_after"] = [leaf.hex() for leaf in leaves[len(leaves) - after :]]
        blocks.append(block)
    return blocks


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": _digest(path)}
