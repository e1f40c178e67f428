"""The files of WAL that were received, and which of them a backup does not need."""

import re
from pathlib import Path

from ledger.operate.backups.catalogue import Backup

SEGMENT_BYTES = 16 * 1024 * 1024
"""Of WAL, unless the server was made with another size; a larger one only keeps more."""
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.gz|\.partial)?")


def segments_before(directory: Path, backup: Backup) -> list[Path]:
    """The segments from before the backup, which it and what follows do not need. Files of history
    are none: they are small, and tell how timelines belong together."""
    if backup.start_lsn is None or not directory.exists():
        return []
    high, _, low = backup.start_lsn.partition("/")
    needed = (int(high, 16) << 32 | int(low, 16)) // SEGMENT_BYTES
    per_log = 0x1_0000_0000 // SEGMENT_BYTES
    found = []
    for path in sorted(directory.iterdir()):
        name = _SEGMENT.fullmatch(path.name)
        if name is None:
            continue
        number = int(name[2], 16) * per_log + int(name[3], 16)
        if int(name[1], 16) <= backup.timeline and number < needed:
            found.append(path)
    return found
