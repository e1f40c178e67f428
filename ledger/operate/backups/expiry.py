"""Taking away the backups that are not kept any more, and the WAL that none of the others needs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ledger.operate.backups.catalogue import Backup, BackupStatus, Catalogue
from ledger.operate.backups.retention import Retention, kept, wal_base
from ledger.operate.backups.wal_segments import segments_before


class Expired(NamedTuple):
    """What is, or would be, taken away."""

    backups: list[Backup]
    wal_files: list[Path]


def expired(catalogue: Catalogue, retention: Retention, now: datetime | None = None) -> Expired:
    """What the retention does not keep."""
    now = now or datetime.now(UTC)
    complete = catalogue.completed()
    keep = kept(complete, retention, now)
    gone = [
        one
        for one in catalogue.all()
        if (one.status is BackupStatus.COMPLETED and one.id not in keep)
        or (one.status is BackupStatus.FAILED and catalogue.data(one).exists())
    ]
    base = wal_base(complete, retention, now)
    return Expired(gone, segments_before(catalogue.wal, base) if base else [])


def prune(catalogue: Catalogue, found: Expired) -> None:
    """Takes it away. Raises BackupUnderWay."""
    with catalogue.changing():
        for one in found.backups:
            catalogue.expire(one)
        for path in found.wal_files:
            path.unlink(missing_ok=True)
