"""How long after its commit an event is visible in the read models.

    writer      a process that appends the mix through the event store at an even rate, in commits
                of EVENTS_PER_COMMIT, and notes when each commit returned
    service     a process that runs `ledgerctl serve projections`'s workers, all read models
    watcher     here: asks event_projections for the checkpoints again and again. Rows and
                checkpoint commit together, so whoever sees the checkpoint sees the rows

The delay of a commit in a read model ends when the watcher's query returns a checkpoint at or
beyond it; the time between two looks is part of it. All processes read the machine's one
monotonic clock.
"""

import multiprocessing
import statistics
import time
from bisect import bisect_left
from typing import Any

import psycopg

from benchmarks.event_mix import EventMix
from benchmarks.harness import quiet
from ledger.eventstore import store
from ledger.operate.settings import load
from ledger.programs.registry import Places
from projections.service import PROGRAM

EVENTS_PER_SECOND = 2_000
EVENTS_PER_COMMIT = 20
"""A hundred commits a second, as a command worker under that load makes."""
SECONDS = 15.0
_UNCOUNTED_SECONDS = 2.0
"""At the start: connections are opened and modules imported."""
_LOOK_SECONDS = 0.002
"""Between two looks at the checkpoints: small beside what is measured."""
_DEADLINE_SECONDS = 60.0

_CHECKPOINTS = "SELECT projection_name, last_processed_position FROM event_projections"


def measure(url: str, *, seed: int, seconds: float = SECONDS) -> dict[str, Any]:
    """Delays in milliseconds, of all read models together and of each at its 99th percentile."""
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    commits: Any = spawn.SimpleQueue()
    service = spawn.Process(target=_service, args=(url, stop))
    writer = spawn.Process(target=_write, args=(url, seed, seconds, commits))
    service.start()
    looks: dict[str, list[tuple[float, int]]] = {}
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            _await(connection, _head(connection))
            writer.start()
            noted: list[tuple[float, int]] = []
            while writer.is_alive() or not noted:
                _look(connection, looks)
                if not commits.empty():
                    noted = commits.get()
            deadline = time.monotonic() + _DEADLINE_SECONDS
            while min(seen[-1][1] for seen in looks.values()) < noted[-1][1]:
                _look(connection, looks)
                if time.monotonic() > deadline:
                    raise SystemExit("the projections did not keep up with the writer")
    finally:
        stop.set()
        service.join()
    return _figures(noted, looks)


def _figures(
    noted: list[tuple[float, int]], looks: dict[str, list[tuple[float, int]]]
) -> dict[str, Any]:
    counted = [at for at in noted if at[0] >= noted[0][0] + _UNCOUNTED_SECONDS]
    of_each: dict[str, list[float]] = {}
    for name, seen in looks.items():
        positions = [position for _, position in seen]
        of_each[name] = [
            (seen[bisect_left(positions, position)][0] - committed) * 1_000
            for committed, position in counted
        ]
    slowest = [max(delays) for delays in zip(*of_each.values(), strict=True)]
    return {
        "events_per_s": (counted[-1][1] - counted[0][1]) / (counted[-1][0] - counted[0][0]),
        "commits": len(counted),
        "visible_in_all_p50_ms": round(statistics.median(slowest), 1),
        "visible_in_all_p99_ms": round(_p99(slowest), 1),
        "visible_in_all_max_ms": round(max(slowest), 1),
        "p99_ms_of_each": {name: round(_p99(delays), 1) for name, delays in of_each.items()},
    }


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


def _head(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT coalesce(max(position), 0) FROM event_store").fetchone()
    assert row is not None
    return int(row[0])


def _await(connection: psycopg.Connection[Any], head: int) -> None:
    """Until the service has claimed its projections and is up to date."""
    while any(
        position < head or owner is None
        for position, owner in connection.execute(
            "SELECT last_processed_position, owner FROM event_projections"
        )
    ):
        time.sleep(_LOOK_SECONDS)


def _look(connection: psycopg.Connection[Any], looks: dict[str, list[tuple[float, int]]]) -> None:
    found = connection.execute(_CHECKPOINTS).fetchall()
    now = time.monotonic()
    for name, position in found:
        seen = looks.setdefault(name, [])
        if not seen or position > seen[-1][1]:
            seen.append((now, position))
    time.sleep(_LOOK_SECONDS)


# --- the other processes ----------------------------------------------------------------


def _service(url: str, stop: Any) -> None:
    quiet()
    PROGRAM.run(Places(load(), url), stop)


def _write(url: str, seed: int, seconds: float, commits: Any) -> None:
    mix = EventMix(seed=seed)
    pause = EVENTS_PER_COMMIT / EVENTS_PER_SECOND
    chunks = [mix.take(EVENTS_PER_COMMIT) for _ in range(int(seconds / pause))]
    noted: list[tuple[float, int]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        start = time.monotonic()
        for number, chunk in enumerate(chunks):
            time.sleep(max(start + number * pause - time.monotonic(), 0))
            with connection.transaction(), connection.cursor() as cursor:
                appended = store.begin_append(cursor, len(chunk))
                store.copy_events(cursor, chunk, appended)
            noted.append((time.monotonic(), appended.head + len(chunk)))
    commits.put(noted)
