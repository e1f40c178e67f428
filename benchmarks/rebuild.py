"""Rebuilding read models: `python -m benchmarks.rebuild [--json] [--events N] [--turns N]`.

    ours    `orders` built anew by the engine from the ledger's log, in as many processes as a
            rebuild uses unasked: tables made, all events folded, secondary indexes made
    peer    the same read model by the stock library's ProjectionRunner from the stock log, on the
            same PostgreSQL: the same kinds of events with the same content, into the same kind of
            table without secondary indexes. Its log has nothing but these events; ours has all
            the others between them. It is given fewer events, for time; rates are compared.
    all     every read model together: events of the whole log per second
    live    the delay from a commit to the visible rows of all read models (live.py)

They take turns. `ratio` is ours to peer, both in events folded per second. A log of ten million
events or more is also measured when it has a tenth of them: `all_rate_kept` is the share of the
rate that is left at its full length. Memory is the sum of the peaks of all processes of a rebuild,
PostgreSQL's own not counted.
"""

import argparse
import functools
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import psycopg

from benchmarks import live, peer_orders
from benchmarks.event_mix import EventMix, append_mix
from benchmarks.harness import migrated_database, peer_environment, quiet, report, take_turns
from ledger.eventstore import reader
from ledger.nouns.orders.events import OrderEvent
from projections.cli.rebuild import MOST_PROCESSES
from projections.engine.builds import generations, parallel_fill
from projections.engine.builds.parallel_fill import BulkLimits, FillTarget
from projections.engine.connection import connect
from projections.engine.live import source
from projections.install import install
from projections.read_models import orders
from projections.registry import all_projections, find
from projections.settings import ProjectionSettings

PEER_SHARE = 50
"""The peer folds a fiftieth of the events, but at most PEER_MOST: some ten seconds."""
PEER_MOST = 12_000
SCALED_EVENTS = 10_000_000
"""From here on the log is also measured at a tenth of its length."""
_POSITIONS_PER_ORDER_EVENT = 3
"""More than one event in three of the mix is an order's."""
_SETTINGS = ProjectionSettings()
_LIMITS = BulkLimits(
    processes=min(os.cpu_count() or 1, MOST_PROCESSES),
    batch_positions=_SETTINGS.rebuild_batch_positions,
    rows_in_memory=_SETTINGS.projection_rows_in_memory,
)
_find = functools.partial(find, settings=_SETTINGS)


class Built(NamedTuple):
    """What a build did: events folded, seconds, and the memory of its processes."""

    events: int
    seconds: float
    memory_mib: float


def build(database_url: str, names: Sequence[str]) -> Built:
    """Builds read models anew beside the live ones, as a rebuild does, and drops what an earlier
    one left. Runs in a process of its own, whose memory counts, too."""
    started = time.perf_counter()
    with connect(database_url, "benchmark", by_key=False) as connection:
        head = reader.head(connection)
        targets = [FillTarget(name, f"{name}_benchmark") for name in names]
        for target in targets:
            projection = _find(target.projection_name)
            generations.drop(connection, projection, target.schema)
            generations.create_tables(connection, projection, target.schema)
        filled = parallel_fill.fill(database_url, targets, find=_find, up_to=head, limits=_LIMITS)
    memory = filled.peak_memory_bytes + parallel_fill.peak_memory_bytes()
    return Built(sum(filled.events.values()), time.perf_counter() - started, memory / 2**20)


def _apart(database_url: str, names: Sequence[str]) -> Built:
    spawn = multiprocessing.get_context("spawn")  # threads of the peer are not to be forked
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(build, database_url, names).result()


def _peer_events(
    connection: psycopg.Connection[Any], count: int
) -> tuple[list[peer_orders.OrderHappened], int]:
    """The first order events of the log, for the peer, and our position of the last."""
    recorded_events = source.read(
        connection,
        after=0,
        up_to=min(reader.head(connection), count * _POSITIONS_PER_ORDER_EVENT),
        event_types=orders.PROJECTION.event_types,
    )[:count]
    events = []
    for recorded in recorded_events:
        event = recorded.decoded()
        assert isinstance(event, OrderEvent)
        events.append(peer_orders.translated(recorded, event))
    return events, recorded_events[-1].position


def _measured(
    url: str,
    connection: psycopg.Connection[Any],
    environment: dict[str, str],
    peer_count: int,
    turns: int,
) -> dict[str, Any]:
    """Ours, the peer and all read models in turns, on the log as it is."""
    log_events = reader.head(connection)
    names = [projection.name for projection in all_projections(_SETTINGS)]
    memory: list[float] = []

    def ours() -> float:
        built = _apart(url, ["orders"])
        return built.events / built.seconds

    def peer() -> float:
        started = time.perf_counter()
        peer_orders.rebuild(environment, connection, peer_count)
        return peer_count / (time.perf_counter() - started)

    def everything() -> float:
        built = _apart(url, names)
        memory.append(built.memory_mib)
        return log_events / built.seconds

    ours_rate, peer_rate, all_rate = take_turns(turns, ours, peer, everything)
    return {
        "log_events": log_events,
        "ours_per_s": round(ours_rate, 1),
        "peer_per_s": round(peer_rate, 1),
        "ratio": round(ours_rate / peer_rate, 1),
        "all_read_models_per_s": round(all_rate, 1),
        "peak_memory_mib": round(max(memory), 1),
    }


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--turns", type=int, default=3)
    options = arguments.parse_args()
    total: int = options.events
    lengths = [total // 10, total] if total >= SCALED_EVENTS else [total]

    with migrated_database() as url, psycopg.connect(url, autocommit=True) as connection:
        install(url)
        # Nobody needs this log after a crash: filling it need not wait for the disk.
        connection.execute("SET synchronous_commit = off")
        mix = EventMix()
        environment = peer_environment(url)
        peer_count = peer_head = 0
        scales: list[dict[str, Any]] = []
        for length in lengths:
            append_mix(connection, mix, length - reader.head(connection))
            connection.execute("VACUUM ANALYZE event_store")
            if not scales:
                wanted = min(max(total // PEER_SHARE, 100), PEER_MOST)
                peer_events, peer_head = _peer_events(connection, wanted)
                peer_orders.store_events(environment, peer_events)
                peer_count = len(peer_events)
                connection.execute(
                    f"CREATE TABLE {peer_orders.TABLE} (LIKE orders_1.orders INCLUDING ALL)"
                )
            scales.append(_measured(url, connection, environment, peer_count, options.turns))
            _check_peer(connection, peer_head)
    with migrated_database() as url:
        install(url)
        live_figures = live.measure(url, seed=2)

    figures = dict(scales[-1])
    if len(scales) > 1:
        kept = scales[-1]["all_read_models_per_s"] / scales[0]["all_read_models_per_s"]
        figures["all_rate_kept"] = round(kept, 3)
    report(
        "rebuild",
        figures | {"read_model": "orders", "live": live_figures, "scales": scales},
    )


def _check_peer(connection: psycopg.Connection[Any], peer_head: int) -> None:
    """Both did the same work: the peer's rows are ours, as far as its events went."""
    rows = connection.execute(
        f"""SELECT count(*), count(*) FILTER (WHERE peer.status = ours.status
                AND peer.filled_quantity = ours.filled_quantity
                AND peer.commission = ours.commission)
            FROM {peer_orders.TABLE} AS peer JOIN orders_benchmark.orders AS ours USING (order_id)
            WHERE ours.last_position <= %s""",
        [peer_head],
    ).fetchone()
    if rows is None or rows[0] == 0 or rows[0] != rows[1]:
        raise SystemExit(f"ours and the peer's rows differ: {rows}")


if __name__ == "__main__":
    main()
