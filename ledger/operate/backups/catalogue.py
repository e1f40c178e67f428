"""What backups there are: one JSON file beside each, so that it is lost only with the backup."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import msgspec

from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
from ledger.operate.settings import Settings

FILE, DATA, WAL = "backup.json", "data", "wal"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")


class NoSuchBackup(LedgerError, LookupError):
    """The catalogue has no such backup."""


class BackupUnderWay(LedgerError):
    """Another process makes or removes a backup in the same directory."""


class BackupStatus(StrEnum):
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


class RestoreTrial(msgspec.Struct, frozen=True):
    """What came of restoring it."""

    at: datetime
    holds: bool
    position: int
    """The last position of the restored log."""
    seconds: float
    message: str


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the catalogue. `first_position` is the last of the log when the backup began,
    `head` the newest seal then: what the restored log must lead to."""

    id: str
    type: str = "FULL"
    status: BackupStatus
    by: str
    started_at: datetime
    ended_at: datetime | None = None
    size_bytes: int = 0
    compressed: str | None = None
    server_version: int
    superuser: str
    database: str
    timeline: int = 1
    start_lsn: str | None = None
    end_lsn: str | None = None
    first_position: int = 0
    position: int = 0
    """The last of the log when the backup had ended."""
    head: dict[str, Any] | None = None
    incarnation: str | None = None
    error: str | None = None
    verified: RestoreTrial | None = None

    @property
    def verified_at(self) -> datetime | None:
        """When it was last restored, and was whole."""
        return self.verified.at if self.verified and self.verified.holds else None


class Catalogue:
    """The backups of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Of the directory that is set."""
        return cls(settings.backup_dir or settings.data_dir / "backups")

    @property
    def wal(self) -> Path:
        return self.directory / WAL

    def data(self, backup: Backup) -> Path:
        return self.directory / backup.id / DATA

    def all(self) -> list[Backup]:
        """The newest last."""
        if not self.directory.exists():
            return []
        found = [path for path in self.directory.iterdir() if _ID.fullmatch(path.name)]
        return [
            msgspec.json.decode((path / FILE).read_bytes(), type=known(Backup))
            for path in sorted(found)
            if (path / FILE).exists()
        ]

    def completed(self) -> list[Backup]:
        """Those that can be restored, the newest last."""
        return [one for one in self.all() if one.status is BackupStatus.COMPLETED]

    def find(self, backup_id: str | None) -> Backup:
        """The backup with the id, or the newest that is complete. Raises NoSuchBackup."""
        wanted = [one for one in self.all() if one.id == backup_id] if backup_id else None
        found = self.completed() if wanted is None else wanted
        if not found:
            which = f"no backup {backup_id}" if backup_id else "no complete backup"
            raise NoSuchBackup(
                f"{self.directory} has {which}. See: ledgerctl backup list (LEDGER_BACKUP_DIR)"
            )
        return found[-1]

    def write(self, backup: Backup) -> Backup:
        """Enters it, or what has become of it."""
        directory = self.directory / backup.id
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = directory / f"{FILE}.unfinished"
        text = msgspec.json.format(msgspec.json.encode(backup), indent=2)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(directory / FILE)
        return backup

    def expire(self, backup: Backup) -> None:
        """Takes away what it holds; its entry stays."""
        self.write(msgspec.structs.replace(backup, status=BackupStatus.EXPIRED))
        shutil.rmtree(self.directory / backup.id / DATA, ignore_errors=True)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """One process at a time makes or removes backups. What others began and did not end has
        failed. Raises BackupUnderWay."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupUnderWay(
                    f"another process makes or removes backups in {self.directory}: wait for it"
                ) from None
            for one in self.all():
                if one.status is BackupStatus.RUNNING:
                    shutil.rmtree(self.data(one), ignore_errors=True)
                    error = "it was broken off"
                    self.write(
                        msgspec.structs.replace(one, status=BackupStatus.FAILED, error=error)
                    )
            yield


def verified_age_seconds(catalogue: Catalogue) -> float | None:
    """How old the newest backup is that was restored and found whole; None where there is none."""
    good = [one for one in catalogue.completed() if one.verified_at is not None]
    if not good:
        return None
    return (datetime.now(UTC) - good[-1].started_at).total_seconds()
