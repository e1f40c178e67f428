"""Taking away the backups that are not kept any more, and the WAL that none of the others needs."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ledger.operate.backups.catalogue import Backup, BackupStatus, Catalogue
from ledger.operate.backups.retention import Retention, kept, wal_base

SEGMENT_BYTES = 16 * 1024 * 1024
"""Of WAL, unless the server was made with another size; a larger one only keeps more."""
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.gz|\.partial)?")


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
    return Expired(gone, _wal_before(catalogue.wal, base) if base else [])


def prune(catalogue: Catalogue, found: Expired) -> None:
    """Takes it away. Raises BackupUnderWay."""
    with catalogue.changing():
        for one in found.backups:
            catalogue.expire(one)
        for path in found.wal_files:
            path.unlink(missing_ok=True)


def _wal_before(directory: Path, base: Backup) -> list[Path]:
    """The segments that the base and what follows do not need. Files of history stay: they are
    small, and tell how timelines belong together."""
    if base.start_lsn is None or not directory.exists():
        return []
    high, _, low = base.start_lsn.partition("/")
    needed = (int(high, 16) << 32 | int(low, 16)) // SEGMENT_BYTES
    per_log = 0x1_0000_0000 // SEGMENT_BYTES
    found = []
    for path in sorted(directory.iterdir()):
        name = _SEGMENT.fullmatch(path.name)
        if name is None:
            continue
        number = int(name[2], 16) * per_log + int(name[3], 16)
        if int(name[1], 16) <= base.timeline and number < needed:
            found.append(path)
    return found
