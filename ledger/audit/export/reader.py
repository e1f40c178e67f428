"""The files of an export that somebody else made: read, and nothing but read.

Whoever made the directory chose what lies in it. So only the names that an export has are opened,
only below the directory itself, and only if they are regular files: never a link, which could lead
to any file of the reader's, and nothing that could block or never end. Nothing is ever written
here, and a medium that cannot be written to will do.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path

from ledger.kernel.errors import LedgerError


class UnreadableExport(LedgerError):
    """The directory has no export that can be verified."""


@contextmanager
def opened(directory: Path, name: str) -> Iterator[BufferedReader]:
    """The file of the export with this name. Raises UnreadableExport."""
    path = directory / name
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Not blocking: opening a named pipe would wait for somebody to write into it.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        what = "is a link" if path.is_symlink() else f"cannot be read ({error.strerror})"
        raise UnreadableExport(
            f"{path} {what}: {directory} is no whole export. Get the files themselves, or export "
            "again: ledgerctl audit export"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableExport(f"{path} is not a regular file. Export again.")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def size_and_digest(directory: Path, name: str) -> tuple[int, str]:
    """The size and the SHA-256 of a file of the export. Raises UnreadableExport."""
    with opened(directory, name) as file:
        return os.fstat(file.fileno()).st_size, file_digest(file, "sha256").hexdigest()
