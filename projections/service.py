"""All projections' workers in one process: a thread each, and one that listens for all.

A thread per projection, because each waits for the database most of the time and a slow one
must not hold the others up.
"""

import sys
import threading

import structlog

from projections import settings
from projections.engine.wakeup import Bell, Listener
from projections.engine.worker import Worker, WorkerOptions
from projections.registry import all_projections
from projections.settings import ProjectionSettings

SWITCH_SECONDS = 0.0002
"""How long a thread computes before another one that is ready gets its turn. With Python's own
value, 5 ms, a worker with an answer of the database waits behind several busy ones."""

log = structlog.get_logger()


def worker_options(values: ProjectionSettings) -> WorkerOptions:
    """The workers' share of the settings."""
    return WorkerOptions(
        batch_positions=values.projection_batch_positions,
        rows_in_memory=values.projection_rows_in_memory,
        poll_seconds=values.projection_poll_seconds,
        heartbeat_seconds=values.projection_heartbeat_seconds,
        takeover_seconds=values.projection_takeover_seconds,
    )


def serve(database_url: str, stop: threading.Event) -> None:
    """Keeps every read model up to date until `stop` is set. Raises InvalidSettings."""
    values = settings.load()
    sys.setswitchinterval(SWITCH_SECONDS)
    bell = Bell()
    workers = [
        Worker(database_url, projection, worker_options(values), bell=bell, stop=stop)
        for projection in all_projections(values)
    ]
    threads = [
        threading.Thread(target=Listener(database_url, bell, stop).run, name="listener"),
        *(threading.Thread(target=worker.run, name=worker.name) for worker in workers),
    ]
    for thread in threads:
        thread.start()
    log.info("projections.started", projections=len(workers))
    stop.wait()
    bell.ring()  # so that nobody sleeps through the stop
    for thread in threads:
        thread.join()
    log.info("projections.stopped")
