"""Putting a restored data directory in the place of the embedded server's."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ledger.operate.embedded import root
from ledger.operate.embedded.directory import make_private, release_lock, take_lock
from ledger.operate.settings import Settings


class EmbeddedCluster(NamedTuple):
    """Where the embedded server has its data, and where it is restored to."""

    cluster: Path
    restoring: Path

    def take(self) -> Path | None:
        """What was restored is the server's from here on; where the data before are kept."""
        kept = None
        if self.cluster.exists():
            kept = self.cluster.with_name(f"cluster.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
            self.cluster.rename(kept)
        self.restoring.rename(self.cluster)
        return kept


@contextmanager
def embedded_cluster(settings: Settings) -> Iterator[EmbeddedCluster]:
    """Inside the block nobody starts the embedded server. Raises DataDirectoryInUse."""
    data = settings.data_dir.absolute()
    make_private(data)
    lock = take_lock(data, "postgresql")
    try:
        home, _ = root.home(data / "postgresql")
        yield EmbeddedCluster(home / "cluster", home / "cluster.restoring")
    finally:
        release_lock(lock)
