"""The log in partitions: `python -m benchmarks.partitions [--json] [--events N] [--partition P]`.

    append    groups of events as the command worker writes them, to the log in partitions and to
              one in a single table that is as long as one partition, in turns, each time that a
              partition is all but full: where its indexes are as large as they get
    archive   the oldest partition, sealed, into files (three partitions are needed at least)
    halves    another log, in SIXTEEN partitions: all of it verified, and every read model made
              anew, while all of it is in the database and again when half of it is archived

`to_single` is the log in partitions to the single table, at the first partition's end; `flat` the
same at the last one's end, to that: what becomes of an append as the log grows, whatever else the
machine does meanwhile. Both for the processor time of the server's process, and for time.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.append import GROUP
from benchmarks.event_mix import EventMix, append_mix
from benchmarks.harness import directory, quiet, report
from benchmarks.rebuild import build
from ledger.audit import archive
from ledger.audit.prove.sealer import SealerOptions, seal_all
from ledger.audit.prove.verify import verify_database
from ledger.eventstore import reader, store
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.schema import migrate
from ledger.operate.settings import Settings
from projections.install import install
from projections.registry import all_projections
from projections.settings import ProjectionSettings

TURN_EVENTS = 10_000
SIXTEEN = 16
"""Partitions of the log of which half is archived."""
ACCOUNTS = 200
ENDLESS = 10**12
"""Positions of the single table."""


class Cost(NamedTuple):
    """Of one event: microseconds of the server's process, and of time."""

    processor: float
    elapsed: float


class Log:
    """A log that grows by events of the mix."""

    def __init__(self, url: str, *, partition: int, seed: int) -> None:
        migrate(url)
        self.url = url
        self.partition = partition
        self.connection = psycopg.connect(url, autocommit=True)
        self._mix = EventMix(accounts=ACCOUNTS, seed=seed)
        self._process = self.connection.info.backend_pid
        with self.connection.transaction():
            self.connection.execute("ALTER TABLE event_store DETACH PARTITION event_store_1")
            self.connection.execute(
                "ALTER TABLE event_store ATTACH PARTITION event_store_1 "
                f"FOR VALUES FROM (MINVALUE) TO ({partition + 1})".encode()
            )
            self.connection.execute("UPDATE event_partitions SET last_position = %s", (partition,))

    def grow(self, to: int) -> None:
        """To that many events, with what the service of commands does about partitions."""
        while (missing := to - reader.head(self.connection)) > 0:
            append_mix(self.connection, self._mix, min(missing, self.partition // 2))
            self.connection.execute("SELECT public.make_event_partition(%s)", [self.partition])
            while self.connection.execute("SELECT public.register_streams()").fetchone() != (None,):
                pass

    def append(self) -> Cost:
        """TURN_EVENTS more."""
        events = self._mix.take(TURN_EVENTS)
        worked, began = _worked(self._process), time.perf_counter()
        for start in range(0, TURN_EVENTS, GROUP):
            group = events[start : start + GROUP]
            with self.connection.transaction(), self.connection.cursor() as cursor:
                store.copy_events(cursor, group, store.begin_append(cursor, len(group)))
        elapsed, worked = time.perf_counter() - began, _worked(self._process) - worked
        return Cost(worked / TURN_EVENTS * 1e6, elapsed / TURN_EVENTS * 1e6)

    def seal(self) -> None:
        settings = Settings()
        options = SealerOptions(
            settings.seal_block_events,
            settings.seal_block_age_seconds,
            Ed25519PrivateKey.generate(),
        )
        for _ in seal_all(self.connection, options):
            pass

    def archive(self, place: Path) -> float:
        """The oldest partition; seconds."""
        began = time.perf_counter()
        archive.create(self.connection, place, "benchmark", lambda _doing, _events: None)
        return time.perf_counter() - began


def _worked(process: int) -> float:
    """Seconds that the process has had a processor."""
    nanoseconds, *_ = Path(f"/proc/{process}/schedstat").read_text().split()
    return int(nanoseconds) / 1e9


@contextmanager
def _server() -> Iterator[tuple[Path, str]]:
    with directory() as path, EmbeddedPostgres(path) as server:
        yield path, server.url


def _database(server_url: str, name: str) -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def _appends(single: Log, parts: Log, events: int, turns: int) -> list[dict[str, float]]:
    """At the end of each partition, in turns."""
    single.grow(parts.partition - turns * TURN_EVENTS)
    found = []
    for end in range(parts.partition, events + 1, parts.partition):
        parts.grow(end - turns * TURN_EVENTS)
        costs = [(single.append(), parts.append()) for _ in range(turns)]
        processor = [(one.processor, other.processor) for one, other in costs]
        elapsed = [(one.elapsed, other.elapsed) for one, other in costs]
        found.append(
            {
                "events": end,
                "single_us": _median(one for one, _ in processor),
                "parts_us": _median(other for _, other in processor),
                "processor": _median(other / one for one, other in processor),
                "elapsed": _median(other / one for one, other in elapsed),
            }
        )
        print(found[-1], file=sys.stderr, flush=True)
        if end == 2 * parts.partition:
            parts.seal()  # the first is to be archived; what is behind the second need not be
    return found


def _median(values: Iterator[float]) -> float:
    return round(statistics.median(values), 3)


def _halves(log: Log, place: Path, events: int) -> dict[str, Any]:
    """What is read of the log, with all of it in the database and with half of it in files."""
    install(log.url)
    names = [one.name for one in all_projections(ProjectionSettings())]
    log.grow(events + 1)
    log.seal()
    told: dict[str, Any] = {"events": events}
    rows = []
    for name in ("hot", "half_archived"):
        began = time.perf_counter()
        verdict = verify_database(log.url)
        assert verdict.consistent, verdict.first
        told[f"{name}_verify_s"] = round(time.perf_counter() - began, 1)
        built = build(log.url, names)
        told[f"{name}_rebuild_s"] = round(built.seconds, 1)
        rows.append((verdict.events, built.events, _digests(log.connection)))
        if name == "hot":
            for _ in range(SIXTEEN // 2):
                log.archive(place)
    if rows[0] != rows[1]:
        raise SystemExit("the log is not the same with half of it archived")
    return told


def _digests(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Of all rows of all read models that were made anew."""
    return {
        table.name: connection.execute(
            f"""SELECT count(*), bit_xor(hashtextextended(made::text, 0))
                FROM {projection.name}_benchmark.{table.name} AS made""".encode()
        ).fetchone()
        for projection in all_projections(ProjectionSettings())
        for table in projection.tables
    }


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--partition", type=int, help="events in one; a tenth without it")
    arguments.add_argument("--halves", type=int, help="events of the other log; a 25th without it")
    arguments.add_argument("--turns", type=int, default=5)
    options = arguments.parse_args()
    partition: int = options.partition or options.events // 10
    with _server() as (path, url), ExitStack() as stack:

        def log(name: str, size: int, seed: int) -> Log:
            made = Log(_database(url, name), partition=size, seed=seed)
            stack.callback(made.connection.close)
            return made

        single, parts = log("single", ENDLESS, 1), log("parts", partition, 2)
        points = _appends(single, parts, options.events, options.turns)
        archived = parts.archive(path / "archive")
        size = (options.halves or options.events // 25) // SIXTEEN
        halves = _halves(log("halves", size, 3), path / "halves", size * SIXTEEN)
    first, last = points[0], points[-1]
    report(
        "partitions",
        {
            "events": options.events,
            "partition": partition,
            "to_single_processor": first["processor"],
            "to_single_elapsed": first["elapsed"],
            "flat_processor": last["processor"] / first["processor"],
            "flat_elapsed": last["elapsed"] / first["elapsed"],
            "archive_s": archived,
            "archive_s_per_million": archived / partition * 1e6,
            "halves": halves,
            "points": points,
        },
    )


if __name__ == "__main__":
    main()
