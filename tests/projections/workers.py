"""Running workers for the length of a block, and waiting for what they do."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from ledger.subscriptions.lease import LeaseOptions
from projections.engine import status
from projections.engine.live.crew import Crew
from projections.engine.live.worker import WorkerOptions
from projections.engine.projection import Projection

OPTIONS = WorkerOptions(batch_positions=50, rows_in_memory=100, poll_seconds=0.05)
LEASES = LeaseOptions(lease_seconds=0.6, hang_seconds=30)
DEADLINE_SECONDS = 30.0


def wait_until(
    condition: Callable[[], bool],
    what: str,
    seen: Callable[[], object] = lambda: "",
    *,
    seconds: float = DEADLINE_SECONDS,
) -> None:
    """Waits for a condition; fails by saying what did not come, and what was `seen` instead."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}: {seen()}"
        time.sleep(0.01)


@contextmanager
def running(
    database_url: str,
    projections: Sequence[Projection],
    *,
    owner: str = "test",
    batch_positions: int = OPTIONS.batch_positions,
    poll_seconds: float = OPTIONS.poll_seconds,
    stop_at_poison: bool = False,
) -> Iterator[None]:
    """Workers of these projections, stopped at the end."""
    names = frozenset(projection.name for projection in projections)
    options = replace(
        OPTIONS,
        batch_positions=batch_positions,
        poll_seconds=poll_seconds,
        stop_at_poison=names if stop_at_poison else frozenset(),
    )
    crew = Crew(database_url, projections, options, LEASES, owner=owner)
    crew.start()
    try:
        yield
    finally:
        crew.stop()


def statuses(database_url: str) -> dict[str, status.Status]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return {row.projection_name: row for row in status.read(connection)}


def caught_up(database_url: str, *names: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Waits until the projections (all without names) have handled the whole log."""

    def arrived() -> bool:
        rows = statuses(database_url)
        return all(rows[name].lag_events == 0 for name in names or rows)

    what = f"{names or 'all projections'} to catch up"
    wait_until(arrived, what, lambda: statuses(database_url), seconds=seconds)
