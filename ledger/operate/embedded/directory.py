"""What a data directory tells about the services that run on it.

<name>.lock      locked by whoever runs the service, and by the service itself, which inherits
                 the lock: taken as long as either lives. Holds the process id of the owner.
services.json    URL and process id of each service, for other commands in the same directory

The URL of a service is its key: whoever can read services.json can use it, so nobody else can.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.kernel.errors import LedgerError
from ledger.operate import processes

RELEASE_TIMEOUT_SECONDS = 30.0
"""How long a service may take to end after its owner has died."""
PRIVATE, PRIVATE_OF_ROOT = 0o700, 0o711
"""Modes of a data directory. The PostgreSQL of root runs in another account, which has to get
through to its data; it can list nothing, and every file is private by itself."""
POLL_SECONDS = 0.05
"""Pause between two tries for a lock."""


SERVICES = ("postgresql", "nats")


class NotADataDirectory(LedgerError):
    """Nothing of ours is there."""


class DataDirectoryInUse(LedgerError):
    """Another process runs the service on the same data."""


def make_private(directory: Path) -> None:
    """Makes the data directory, and keeps others out of it. One that we did not make stays as it
    is: it may be somebody's home."""
    if directory.exists() and not (directory / "services.lock").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(PRIVATE_OF_ROOT if os.geteuid() == 0 else PRIVATE)


def write_private(path: Path, text: str) -> None:
    """Writes a file that only we can read."""
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "w") as file:
        file.write(text)


def open_private(path: Path, flags: int) -> int:
    """The descriptor of a file that only we can read, made if need be."""
    descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)  # of the days before
    return descriptor


def take_lock(directory: Path, name: str) -> int:
    """The lock of a service, as a file descriptor. A lock whose owner has died is waited for:
    its service is ending. Raises DataDirectoryInUse."""
    path = directory / f"{name}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + RELEASE_TIMEOUT_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(path)
            if time.monotonic() < deadline and not (owner and processes.alive(owner)):
                time.sleep(POLL_SECONDS)
                continue
            os.close(lock)
            raise DataDirectoryInUse(
                f"{name} already runs on {directory}, for process {owner or 'unknown'}. Use that "
                "one, stop it, or choose another directory with LEDGER_DATA_DIR."
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return lock


def release_lock(lock: int) -> None:
    """Gives the lock up; a service that still ends keeps it until it is gone."""
    os.ftruncate(lock, 0)
    os.close(lock)


def remove(directory: Path) -> None:
    """Removes the data directory with everything in it, also what root's PostgreSQL keeps
    elsewhere. Raises DataDirectoryInUse while a service runs on it, NotADataDirectory."""
    if not is_data_directory(directory):
        raise NotADataDirectory(
            f"{directory} is no data directory of the ledger: nothing was removed. Name the right "
            "one with LEDGER_DATA_DIR."
        )
    with contextlib.ExitStack() as stack:
        for name in SERVICES:
            stack.callback(os.close, take_lock(directory, name))
        cluster = directory / "postgresql"
        if cluster.is_symlink():
            shutil.rmtree(cluster.readlink(), ignore_errors=True)
        shutil.rmtree(directory)


def is_data_directory(directory: Path) -> bool:
    """Whether services of ours were ever started on it."""
    return (directory / "services.lock").exists()


def record(directory: Path, name: str, entry: dict[str, Any] | None) -> None:
    """Writes a service's entry of services.json, or removes it."""
    with _services_locked(directory):
        entries = _entries(directory) | {name: entry}
        kept = {key: value for key, value in entries.items() if value is not None}
        unfinished = directory / "services.json.unfinished"
        write_private(unfinished, json.dumps(kept, indent=2) + "\n")  # URLs have secrets
        unfinished.replace(directory / "services.json")


def running_services(directory: Path | str) -> dict[str, str]:
    """URL by name ("postgresql", "nats") of the services that run on the data directory."""
    path = Path(directory).absolute()
    entries = _entries(path)
    return {name: str(entry["url"]) for name, entry in entries.items() if _locked(path, name)}


def _owner(path: Path) -> int | None:
    text = path.read_text()
    return int(text) if text.isdigit() else None


def _entries(directory: Path) -> dict[str, Any]:
    try:
        entries: dict[str, Any] = json.loads((directory / "services.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return entries


def _locked(directory: Path, name: str) -> bool:
    try:
        lock = os.open(directory / f"{name}.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextmanager
def _services_locked(directory: Path) -> Iterator[None]:
    lock = os.open(directory / "services.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.closing(os.fdopen(lock)):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
