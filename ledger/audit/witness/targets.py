"""Where a witness keeps heads.

    DIRECTORY        heads.jsonl, one head a line, each on the disk before the next is looked for
    git:DIRECTORY    head.json in a git repository, a commit for each head: to be pushed, signed and
                     mirrored by whatever keeps repositories safe
    nats://…         the stream LEDGER_WITNESS of another NATS server

What contradicts the heads is kept beside them: contradictions.jsonl, ledger.witness.contradictions.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson

from ledger.audit.prove.heads import CONTRADICTIONS_FILE, GIT_FILE, HEADS_FILE, git, heads_in
from ledger.audit.prove.seals import Seal, UnreadableSeal, from_document
from ledger.audit.witness import KeptHead, Seen
from ledger.kernel.errors import LedgerError
from ledger.kernel.time import time_text

_IDENTITY = ("-c", "user.name=ledger witness", "-c", "user.email=witness@localhost")


class CannotKeep(LedgerError):
    """Heads cannot be kept there."""


class DirectoryTarget:
    """A directory, for the length of a `with` block for one witness alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._newest: KeptHead | None = None

    def __enter__(self) -> "DirectoryTarget":
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file = (self._directory / HEADS_FILE).open("a+b")
        _lock(self._file, self._directory)
        self._newest = self._last_whole_line()
        _sync_directory(self._directory)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def newest(self) -> KeptHead | None:
        return self._newest

    def heads(self) -> Iterator[Seal]:
        return heads_in(self._directory)

    def numbered(self, number: int) -> Seal | None:
        return next((seal for seal in self.heads() if seal.number == number), None)

    def keep(self, seal: Seal, sequence: int) -> None:
        assert self._file is not None
        self._file.write(orjson.dumps(kept_document(seal, sequence)) + b"\n")
        _sync(self._file)
        self._newest = KeptHead(seal, sequence)

    def keep_contradiction(self, seen: Seen, message: str) -> None:
        _append_once(self._directory / CONTRADICTIONS_FILE, seen, message, self._newest)
        _sync_directory(self._directory)

    def _last_whole_line(self) -> KeptHead | None:
        """The newest head; a line that was cut off while it was written is taken away."""
        assert self._file is not None
        self._file.seek(0)
        newest, whole = None, 0
        for line in self._file:
            if line.endswith(b"\n"):
                newest, whole = line, whole + len(line)
        self._file.truncate(whole)
        return read_kept(newest) if newest is not None else None


class GitTarget:
    """A git repository, made if there is none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock: IO[bytes] | None = None
        self._newest: KeptHead | None = None

    def __enter__(self) -> "GitTarget":
        self._directory.mkdir(parents=True, exist_ok=True)
        if not (self._directory / ".git").exists():
            git(self._directory, "init", "--quiet")
        self._lock = (self._directory / ".git" / "witness.lock").open("wb")
        _lock(self._lock, self._directory)
        with contextlib.suppress(UnreadableSeal):  # no head is committed yet
            self._newest = read_kept(git(self._directory, "cat-file", "blob", f"HEAD:{GIT_FILE}"))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._lock is not None
        self._lock.close()

    def newest(self) -> KeptHead | None:
        return self._newest

    def heads(self) -> Iterator[Seal]:
        return heads_in(self._directory)

    def numbered(self, number: int) -> Seal | None:
        return next((seal for seal in self.heads() if seal.number == number), None)

    def keep(self, seal: Seal, sequence: int) -> None:
        document = orjson.dumps(
            kept_document(seal, sequence), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
        (self._directory / GIT_FILE).write_bytes(document)
        self._commit(GIT_FILE, f"Seal {seal.number} up to position {seal.last_position}")
        self._newest = KeptHead(seal, sequence)

    def keep_contradiction(self, seen: Seen, message: str) -> None:
        if _append_once(self._directory / CONTRADICTIONS_FILE, seen, message, self._newest):
            self._commit(CONTRADICTIONS_FILE, f"Contradiction: {message}")

    def _commit(self, name: str, message: str) -> None:
        git(self._directory, "add", "--", name)
        options = ("-c", "core.fsync=committed", "-c", "core.fsyncMethod=fsync", *_IDENTITY)
        git(self._directory, *options, "commit", "--quiet", "--no-verify", "-m", message)


def kept_document(seal: Seal, sequence: int) -> dict[str, Any]:
    """A head as it is kept: as it was published, with when it was kept and its place there."""
    kept_at = time_text(datetime.now(UTC).replace(microsecond=0))
    return seal.document() | {"kept_at": kept_at, "sequence": sequence}


def read_kept(document: bytes) -> KeptHead:
    """The head of what was kept. Raises UnreadableSeal."""
    seal = from_document(document)
    sequence = orjson.loads(document).get("sequence", 0)
    if not isinstance(sequence, int):
        raise UnreadableSeal(f"seal {seal.number} was kept with sequence {sequence!r}: no number")
    return KeptHead(seal, sequence)


def contradiction_document(seen: Seen, message: str, newest: KeptHead | None) -> dict[str, Any]:
    """What does not fit, beside the newest head that is kept."""
    return {
        "contradiction": message,
        "seen": seen.document.decode(errors="backslashreplace"),
        "sequence": seen.sequence,
        "newest_kept": newest.seal.document() if newest else None,
    }


def _append_once(path: Path, seen: Seen, message: str, newest: KeptHead | None) -> bool:
    line = orjson.dumps(contradiction_document(seen, message, newest)) + b"\n"
    with path.open("a+b") as file:
        file.seek(0)
        if any(known == line for known in file):
            return False
        file.write(line)
        _sync(file)
    return True


def _lock(file: IO[bytes], directory: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise CannotKeep(
            f"another witness keeps heads in {directory}. Name another directory, or end it."
        ) from error


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
