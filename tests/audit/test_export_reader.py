"""An export that somebody else made: whatever is in it, it is only read, and always answered."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from ledger.audit.export.export import export
from ledger.audit.export.files import READERS
from ledger.audit.export.reader import UnreadableExport
from ledger.audit.export.verify import verify_export
from ledger.audit.prove.seals import UnreadableSeal
from tests.audit import history
from tests.projections import log as logs

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "300"))
STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 10**30, "", "x", "\u0000", "../manifest.json", "/etc/passwd"),
    *([], {}, [[]], {"a": {}}, ["a"] * 4, "NaN", "1e999999", "0" * 64, "9999-12-31T23:59:59Z"),
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Path:
    """An export in each format."""
    from tests.conftest import TEMPLATE
    from tests.databases import temporary_database

    place = tmp_path_factory.mktemp("exports")
    with temporary_database(postgres_url, template=TEMPLATE) as url:
        with logs.opened_log(url) as log:
            log.account(logs.account_opened(), logs.deposited("USDT", "1000.10"))
            log.order(logs.submitted(), logs.accepted())
            log.account(logs.settled("2", "100.05", fee="0.2"))
        with psycopg.connect(url, autocommit=True) as connection:
            history.seal(connection, block_events=2)
            for file_format in ("jsonl", "csv", "parquet", "beancount"):
                export(connection, place / file_format, file_format, first=2)
    return place


@pytest.fixture
def received(exported: Path, tmp_path: Path) -> Path:
    shutil.copytree(exported, tmp_path / "received")
    return tmp_path / "received"


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.lstat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.iterdir())
    }


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet", "beancount"])
def test_nothing_is_written_and_a_medium_that_only_reads_will_do(
    received: Path, file_format: str
) -> None:
    directory = received / file_format
    before = contents(directory)
    directory.chmod(0o555)
    try:
        assert verify_export(directory, trusted=history.TRUSTED).standing == "held"
    finally:
        directory.chmod(0o755)
    assert contents(directory) == before


def test_a_link_is_not_followed_wherever_it_leads(received: Path, tmp_path: Path) -> None:
    """The precious file is what an attacker would have overwritten, or read."""
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    directory = received / "beancount"
    for name in ("ledger.beancount.again", ".ledger.beancount.swp"):
        (directory / name).symlink_to(precious)
    assert verify_export(directory, trusted=history.TRUSTED).standing == "held"
    assert precious.read_text() == "precious"
    for name in ("ledger.beancount", "events.jsonl", "manifest.json"):
        copy = tmp_path / f"real-{name}"
        (directory / name).rename(copy)
        (directory / name).symlink_to(copy)
        with pytest.raises(UnreadableExport, match="is a link"):
            verify_export(directory)
        (directory / name).unlink()
        copy.rename(directory / name)


def test_what_is_no_file_does_not_block(received: Path) -> None:
    directory = received / "jsonl"
    for name in ("events.jsonl", "manifest.json"):
        kept = (directory / name).read_bytes()
        for make in (os.mkfifo, os.mkdir):
            (directory / name).unlink()
            make(directory / name)
            with pytest.raises(UnreadableExport):
                verify_export(directory)
            remove: Callable[[Path], None] = Path.rmdir if make is os.mkdir else Path.unlink
            remove(directory / name)
            (directory / name).write_bytes(kept)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "events.csv", "", ".", "a/../events.jsonl"]
)
def test_only_the_files_that_an_export_has_are_opened(received: Path, name: str) -> None:
    manifest = received / "jsonl" / "manifest.json"
    document = orjson.loads(manifest.read_bytes())
    for files in (
        [document["files"][0] | {"name": name}],
        [*document["files"], document["files"][0] | {"name": name}],
        [],
    ):
        manifest.write_bytes(orjson.dumps(document | {"files": files}))
        with pytest.raises(UnreadableExport, match="names other files"):
            verify_export(received / "jsonl")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a document."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    key, *rest = path
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[key] = changed(document[key], tuple(rest), value)
    return copy


def judged(directory: Path) -> str:
    """How the export stands; "unreadable" if it says that it is none."""
    try:
        return verify_export(directory, trusted=history.TRUSTED).standing
    except (UnreadableExport, UnreadableSeal):
        return "unreadable"


# What the manifest says of itself, and of positions outside the export, is not under the seals.
_SAYS_NOTHING = {("tool",), ("exported_at",)}


def test_whatever_a_manifest_says_is_answered(received: Path) -> None:
    chance = random.Random(7)
    directory = received / "beancount"
    true = orjson.loads((directory / "manifest.json").read_bytes())
    ways = [way for way in places(true) if way not in _SAYS_NOTHING]
    for _ in range(ROUNDS):
        way, value = chance.choice(ways), chance.choice(STRANGE)
        document = changed(true, way, value)
        if document == true or value == 10**30:
            continue
        (directory / "manifest.json").write_bytes(orjson.dumps(document))
        assert judged(directory) in ("altered", "unreadable"), (way, value)


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet", "beancount"])
def test_whatever_the_files_are_is_answered(received: Path, file_format: str) -> None:
    """The forger puts the file's size and hash right in the manifest."""
    chance = random.Random(8)
    directory = received / file_format
    manifest = orjson.loads((directory / "manifest.json").read_bytes())
    name = manifest["files"][0]["name"]
    true, events_of_true = (directory / name).read_bytes(), events(directory / name)
    for _ in range(ROUNDS // 3):
        other = bytearray(true)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(other))
            part = chance.choice((b"", b"\xff", b"\x00", b"\n", b'"', b"{[" * 2_000, b"9" * 400))
            other[at : at + chance.randint(0, 8)] = part
        if bytes(other) == true:
            continue
        (directory / name).write_bytes(other)
        digest = sha256(other).hexdigest()
        manifest["files"][0] |= {"bytes": len(other), "sha256": digest}
        (directory / "manifest.json").write_bytes(orjson.dumps(manifest))
        # What still holds says the same of every event: blanks, or the padding of a file.
        if judged(directory) == "held":
            assert events(directory / name) == events_of_true


def events(path: Path) -> list[Any]:
    with path.open("rb") as file:
        return list(READERS[path.suffix[1:]](file))
