"""Small files that only their owner reads: written whole, read again when they have changed.

A file that others could read is not used: what is in it may be known, or theirs.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known

Kept = TypeVar("Kept", bound=msgspec.Struct)


class PrivateFileUnusable(LedgerError):
    """A file is open to others, or is not what it should be."""


class PrivateFile(Generic[Kept]):
    """A value in a file, as JSON."""

    def __init__(self, path: Path, kind: type[Kept]) -> None:
        self.path = path
        self._kind = kind
        self._read_of: tuple[int, int, int] | None = None
        self._value: Kept | None = None

    def read(self) -> Kept:
        """The value; an empty one while there is no file. Raises PrivateFileUnusable."""
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return self._kind()
        if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PrivateFileUnusable(
                f"{self.path} is open to others: chmod 600 {self.path}, and change what is in it"
            )
        of = (state.st_mtime_ns, state.st_size, state.st_ino)
        if self._value is None or of != self._read_of:
            try:
                self._value = msgspec.json.decode(self.path.read_bytes(), type=known(self._kind))
            except msgspec.DecodeError as error:
                raise PrivateFileUnusable(f"{self.path} cannot be read: {error}") from error
            self._read_of = of
        return self._value

    @contextmanager
    def changed(self) -> Iterator[Kept]:
        """The value, to be changed in the block, alone; written when it ends well."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._value = None
            value = self.read()
            yield value
            unfinished = self.path.with_suffix(".unfinished")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.path)
            self._value = None
