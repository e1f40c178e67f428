"""Running workers for the length of a block, and waiting for what they do."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from projections.engine import status
from projections.engine.projection import Projection
from projections.engine.wakeup import Bell, Listener
from projections.engine.worker import Worker, WorkerOptions

OPTIONS = WorkerOptions(
    batch_positions=50,
    rows_in_memory=100,
    poll_seconds=0.05,
    heartbeat_seconds=0.1,
    takeover_seconds=0.5,
)
DEADLINE_SECONDS = 30.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits for a condition; fails by saying what did not come."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what}"
        time.sleep(0.01)


@contextmanager
def running(
    database_url: str,
    projections: Sequence[Projection],
    *,
    owner: str = "test",
    batch_positions: int = OPTIONS.batch_positions,
    poll_seconds: float = OPTIONS.poll_seconds,
    listen: bool = False,
) -> Iterator[None]:
    """Workers of these projections, stopped at the end."""
    stop, bell = threading.Event(), Bell()
    options = replace(OPTIONS, batch_positions=batch_positions, poll_seconds=poll_seconds)
    threads = [
        threading.Thread(
            target=Worker(database_url, projection, options, bell=bell, stop=stop, owner=owner).run
        )
        for projection in projections
    ]
    if listen:
        threads.append(threading.Thread(target=Listener(database_url, bell, stop).run))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        bell.ring()
        for thread in threads:
            thread.join()


def statuses(database_url: str) -> dict[str, status.Status]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return {row.projection_name: row for row in status.read(connection)}


def caught_up(database_url: str, *names: str) -> None:
    """Waits until the projections (all without names) have handled the whole log."""

    def arrived() -> bool:
        rows = statuses(database_url)
        return all(rows[name].lag_events == 0 for name in names or rows)

    wait_until(arrived, f"{names or 'all projections'} to catch up: {statuses(database_url)}")
