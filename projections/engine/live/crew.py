"""The workers of one process, and who serves them all: a thread each.

worker      one per projection, because each waits for the database most of the time and a
            slow one must not hold the others up
listener    rings the bells that all workers wait on
keeper      renews the leases of all, also while their workers are busy
"""

import threading
from collections.abc import Sequence

from ledger.subscriptions.lease import LeaseKeeper, LeaseOptions, owner_name
from ledger.subscriptions.wakeup import Bell, Listener
from projections.engine.live.log_reader import shared_log
from projections.engine.live.worker import Worker, WorkerOptions
from projections.engine.projection import Projection


class Crew:
    """Keeps projections up to date between `start` and `stop`."""

    def __init__(
        self,
        database_url: str,
        projections: Sequence[Projection],
        options: WorkerOptions,
        leases: LeaseOptions,
        *,
        owner: str | None = None,
    ) -> None:
        self._stop = threading.Event()
        self._bell, self._control = Bell(), Bell()
        keeper = LeaseKeeper(database_url, leases, self._stop, owner=owner or owner_name())
        listener = Listener(database_url, self._stop, bell=self._bell, control=self._control)
        log = shared_log(self._bell)
        workers = [
            Worker(
                database_url,
                projection,
                options,
                keeper=keeper,
                bell=self._bell,
                log=log,
                control=self._control,
                stop=self._stop,
            )
            for projection in projections
        ]
        self._threads = [
            threading.Thread(target=listener.run, name="listener"),
            threading.Thread(target=keeper.run, name="leases"),
            *(threading.Thread(target=worker.run, name=worker.name) for worker in workers),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when the batches under way are finished and the leases released."""
        self._stop.set()
        for bell in (self._bell, self._control):
            bell.ring()  # so that nobody sleeps through the stop
        for thread in self._threads:
            thread.join()
