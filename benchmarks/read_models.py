"""What each read model takes of the processor: `python -m benchmarks.read_models [--json]`.

    --events N   of the benchmarks' mix; a snapshot of all accounts after every SNAPSHOT_EVERY
    --batch N    positions in a batch

ACCOUNTS accounts trade, so that all of them hold something, at EVENTS_PER_SECOND, and the clock
takes a snapshot every 30 s. Each read model folds all of it alone, in batches as a live worker has
them: what is counted is the processor time of this process and of its PostgreSQL session, for
folding and for writing. Reading and decoding is done once for all, as in a live process, and
counted by itself.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg

from benchmarks.event_mix import EventMix, append_mix
from benchmarks.harness import migrated_database, quiet, report
from benchmarks.live import EVENTS_PER_SECOND
from ledger.eventstore import codec, reader, store
from ledger.nouns.clock import state as clock_state
from ledger.nouns.clock.events import SnapshotKind, SnapshotsTaken
from projections.engine.builds import generations
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build, decoded
from projections.engine.live.source import LogEvent
from projections.engine.live.worker import PACE_SECONDS
from projections.engine.projection import Projection
from projections.install import install
from projections.registry import all_projections
from projections.settings import ProjectionSettings

ACCOUNTS = 50
SNAPSHOT_EVERY = 30 * EVENTS_PER_SECOND
LIVE_BATCH = int(EVENTS_PER_SECOND * PACE_SECONDS)
"""What comes between the starts of two batches."""
_SETTINGS = ProjectionSettings()
_TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """Seconds of the processor."""

    python: float
    postgres: float

    @property
    def whole(self) -> float:
        return self.python + self.postgres


class _Meter:
    """The processor time of this process and of a connection's session."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._stat = Path(f"/proc/{connection.info.backend_pid}/stat")

    def read(self) -> Cost:
        # The name of the process, in brackets, may have blanks; what follows has none.
        of_session = self._stat.read_text().rpartition(")")[2].split()
        return Cost(time.process_time(), (int(of_session[11]) + int(of_session[12])) / _TICKS)

    def since(self, before: Cost) -> Cost:
        now = self.read()
        return Cost(now.python - before.python, now.postgres - before.postgres)


def measure(database_url: str, events: int, batch: int) -> dict[str, Any]:
    install(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        _write_log(connection, events)
    with connect(database_url, "benchmark", by_key=False) as connection:
        meter = _Meter(connection)
        before = meter.read()
        told = source.read(connection, after=0, up_to=reader.head(connection), event_types=_types())
        decoded("all", told)
        shared = meter.since(before)
    costs = {
        projection.name: _cost(database_url, projection, told, batch)
        for projection in all_projections(_SETTINGS)
    }
    whole = shared.whole + sum(one.whole for one in costs.values())
    figures: dict[str, Any] = {
        "events": len(told),
        "batch": batch,
        "processor_us_per_event": whole / len(told) * 1e6,
        "reading and decoding: us per event": shared.whole / len(told) * 1e6,
    }
    for name, cost in sorted(costs.items(), key=lambda one: -one[1].whole):
        if cost.whole / whole >= 0.01:
            figures[f"{name}: share"] = round(cost.whole / whole, 3)
            figures[f"{name}: python, postgres: us per event"] = [
                round(seconds / len(told) * 1e6, 2) for seconds in cost
            ]
    return figures


def _types() -> list[str]:
    projections = all_projections(_SETTINGS)
    return sorted({name for projection in projections for name in projection.event_types})


def _write_log(connection: psycopg.Connection[Any], events: int) -> None:
    mix = EventMix(accounts=ACCOUNTS)
    for version, first in enumerate(range(0, events, SNAPSHOT_EVERY), 1):
        append_mix(connection, mix, min(SNAPSHOT_EVERY, events - first))
        taken = SnapshotsTaken(kind=SnapshotKind.SCHEDULED, time=mix.now)
        new = store.NewEvent(
            id=uuid4(),
            stream_id=clock_state.stream_id(),
            stream_type=clock_state.CLOCK.stream_type,
            event_type=taken.type,
            event_version=version,
            data=codec.encode(taken),
            metadata="{}",
            correlation_id=None,
            causation_id=None,
            user_id=None,
            occurred_at=mix.now,
        )
        with connection.transaction(), connection.cursor() as cursor:
            store.copy_events(cursor, [new], store.begin_append(cursor, 1))


def _cost(database_url: str, projection: Projection, told: list[LogEvent], batch: int) -> Cost:
    known = projection.fold_of
    own = [one for one in told if one.event_type in known]
    events = decoded(projection.name, own)
    schema = f"{projection.name}_benchmark"
    with connect(database_url, "benchmark", by_key=False) as connection:
        generations.create_tables(connection, projection, schema)
        build = Build(
            projection,
            schema,
            connection,
            rows_in_memory=_SETTINGS.projection_rows_in_memory,
            empty=True,
        )
        meter = _Meter(connection)
        before = meter.read()
        first = 0
        while first < len(own):
            end, following = own[first].position + batch, first
            while following < len(own) and own[following].position < end:
                following += 1
            build.fold(own[first:following], events[first:following])
            with connection.transaction():
                build.write()
            build.settle()
            first = following
        cost = meter.since(before)
        generations.drop(connection, projection, schema)
    return cost


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--events", type=int, default=SNAPSHOT_EVERY)
    arguments.add_argument("--batch", type=int, default=LIVE_BATCH)
    options = arguments.parse_args()
    with migrated_database() as url:
        report("read_models", measure(url, options.events, options.batch))


if __name__ == "__main__":
    main()
