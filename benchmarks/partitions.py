"""The log in partitions: `python -m benchmarks.partitions [--json] [--events N] [--partition P]`.

    append    groups of events as the command worker writes them, to the log in partitions and to
              one in a single table that is as long as one partition, in turns, each time that a
              partition is all but full: where its indexes are as large as they get
    archive   the oldest partition, sealed, into files
    halves    another log, in SIXTEEN partitions: all of it verified, and every read model made
              anew, while all of it is in the database and again when half of it is archived

`to_single` is the log in partitions to the single table, at the first partition's end; `flat` the
same at the last one's end, to that: what becomes of an append as the log grows, whatever else the
machine does meanwhile. Both for the processor time of the server's process, and for time.

What is measured is the mix. What only fills the log are copies of its first events under other ids,
made by the server: ten million events of the mix take as long to invent as to append. The servers
do not wait for the disk, which is the same for both.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
from ledger.eventstore.store import NewEvent
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
COPIED_EVENTS = 50_000
"""At once."""
MOST_COPIES = 1_000
COPIES_APART_MS = 10 * 86_400_000
"""Of ids, which are ordered by time: those of each copy lie together, and before all others."""
_COPY = """
    INSERT INTO public.event_store (position, id, stream_id, stream_type, event_type, event_version,
        event_data, metadata, correlation_id, causation_id, user_id, occurred_at, recorded_at)
    SELECT position + %(shift)s, (lpad(to_hex(('x' || substr(replace(id::text, '-', ''), 1, 12)
            )::bit(48)::bigint - %(earlier)s), 12, '0') || substr(replace(id::text, '-', ''), 13)
            )::uuid,
        md5(stream_id::text || %(number)s)::uuid, stream_type, event_type, event_version,
        event_data, metadata, correlation_id, causation_id, user_id, occurred_at, %(recorded_at)s
    FROM public.event_store WHERE position > %(after)s AND position <= %(until)s
    ORDER BY position"""


class Cost(NamedTuple):
    """Of one event: microseconds of the server's process, and of time."""

    processor: float
    elapsed: float


class Log:
    """A log in partitions of a size that grows by events of the mix; `copies`: so many of its first
    events fill the partitions after the first."""

    def __init__(self, url: str, mix: EventMix, *, partition: int, copies: int = 0) -> None:
        self.url = url
        self.partition = partition
        self.connection = psycopg.connect(url, autocommit=True)
        self._mix = mix
        self._copies = copies
        self._process = self.connection.info.backend_pid
        with self.connection.transaction():
            self.connection.execute("ALTER TABLE event_store DETACH PARTITION event_store_1")
            for name in self.connection.execute(
                "SELECT inhrelid::regclass::text FROM pg_inherits "
                "WHERE inhparent = 'event_store'::regclass"
            ).fetchall():
                self.connection.execute(f"DROP TABLE {name[0]}".encode())
            self.connection.execute(
                "ALTER TABLE event_store ATTACH PARTITION event_store_1 "
                f"FOR VALUES FROM (MINVALUE) TO ({partition + 1})".encode()
            )
            self.connection.execute("DELETE FROM event_partitions WHERE first_position > 1")
            self.connection.execute("UPDATE event_partitions SET last_position = %s", (partition,))

    def grow(self, to: int) -> None:
        """To that many events, with what the service of commands does about partitions."""
        while (head := reader.head(self.connection)) < to:
            most = min(to - head, self.partition // 2, COPIED_EVENTS)
            if head < self.partition or not self._copies:
                append_mix(self.connection, self._mix, most)
            else:
                self._copy(head, most)
            self.connection.execute("SELECT public.make_event_partition(%s)", [self.partition])
            while self.connection.execute("SELECT public.register_streams()").fetchone() != (None,):
                pass

    def _copy(self, head: int, most: int) -> None:
        """As many events at most, from where the same place of a partition was filled last time."""
        after = head % self.partition
        until = min(after + most, self._copies)
        if until <= after:
            append_mix(self.connection, self._mix, most)
            return
        with self.connection.transaction(), self.connection.cursor() as cursor:
            appended = store.begin_append(cursor, until - after)
            cursor.execute(
                _COPY,
                {
                    "shift": head - after,
                    "number": head // self.partition,
                    "earlier": (MOST_COPIES - head // self.partition) * COPIES_APART_MS,
                    "recorded_at": appended.recorded_at,
                    "after": after,
                    "until": until,
                },
            )

    def append(self, events: Sequence[NewEvent]) -> Cost:
        """As the command worker does."""
        worked, began = _worked(self._process), time.perf_counter()
        for start in range(0, len(events), GROUP):
            group = events[start : start + GROUP]
            with self.connection.transaction(), self.connection.cursor() as cursor:
                store.copy_events(cursor, group, store.begin_append(cursor, len(group)))
        elapsed, worked = time.perf_counter() - began, _worked(self._process) - worked
        return Cost(worked / len(events) * 1e6, elapsed / len(events) * 1e6)

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
    with directory() as path, EmbeddedPostgres(path, fast=True) as server:
        yield path, server.url


def _database(server_url: str, name: str, template: str = "template0") -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def _appends(
    server_url: str, partition: int, events: int, turns: int
) -> tuple[Log, list[dict[str, float]]]:
    """The log, and what was measured at the end of each of its partitions. Both logs have the same
    events of the mix, and are given the same."""
    mix = EventMix(accounts=ACCOUNTS)
    url = _database(server_url, "parts")
    migrate(url)
    filled = partition - turns * TURN_EVENTS
    with Log(url, mix, partition=partition).connection as connection:
        append_mix(connection, mix, filled)
    single = Log(_database(server_url, "single", "parts"), mix, partition=ENDLESS)
    parts = Log(url, mix, partition=partition, copies=filled)
    found = []
    for end in range(partition, events + 1, partition):
        parts.grow(end - turns * TURN_EVENTS)
        costs = []
        for _ in range(turns):
            new = mix.take(TURN_EVENTS)
            costs.append((single.append(new), parts.append(new)))
        found.append(
            {
                "events": end,
                "single_us": _median(one.processor for one, _ in costs),
                "parts_us": _median(other.processor for _, other in costs),
                "processor": _median(other.processor / one.processor for one, other in costs),
                "elapsed": _median(other.elapsed / one.elapsed for one, other in costs),
            }
        )
        print(found[-1], file=sys.stderr, flush=True)
        if end == partition:
            parts.seal()  # the first is to be archived; what is behind it need not be sealed
    single.connection.close()
    return parts, found


def _median(values: Iterable[float]) -> float:
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
    with _server() as (path, url):
        parts, points = _appends(url, partition, options.events, options.turns)
        archived = parts.archive(path / "archive")
        parts.connection.close()
        size = (options.halves or options.events // 25) // SIXTEEN
        halves_url = _database(url, "halves")
        migrate(halves_url)
        log = Log(halves_url, EventMix(accounts=ACCOUNTS), partition=size)
        halves = _halves(log, path / "halves", size * SIXTEEN)
        log.connection.close()
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
