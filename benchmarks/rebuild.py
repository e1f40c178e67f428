"""Rebuilding read models: `python -m benchmarks.rebuild [--json] [--events N] [--turns N]`.

    ours    `orders` built anew by the engine from the ledger's log: tables made, all events
            folded, secondary indexes made
    peer    the same read model by the stock library's ProjectionRunner from the stock log, on the
            same PostgreSQL: the same kinds of events with the same content, into the same kind of
            table without secondary indexes. Its log has nothing but these events; ours has all
            the others between them. It is given fewer events, for time; rates are compared.
    all     every read model together, two processes at a time: events of the whole log per second

They take turns. `ratio` is ours to peer, both in events folded per second.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import psycopg

from benchmarks import peer_orders
from benchmarks.event_mix import EventMix, append_mix
from benchmarks.harness import migrated_database, peer_environment, quiet, report, take_turns
from ledger.domain import order
from ledger.eventstore import reader
from projections import orders
from projections.engine import generations, source
from projections.engine.connection import connect
from projections.engine.shadow import Limits, Shadow, no_progress
from projections.install import install
from projections.registry import all_projections, find
from projections.settings import ProjectionSettings

PEER_SHARE = 50
"""The peer folds a fiftieth of the events."""
_POSITIONS_PER_ORDER_EVENT = 3
"""More than one event in three of the mix is an order's."""
_SETTINGS = ProjectionSettings()
_LIMITS = Limits(
    batch_positions=_SETTINGS.rebuild_batch_positions,
    rows_in_memory=_SETTINGS.projection_rows_in_memory,
)
_DEAREST_FIRST = ("transactions", "portfolio_snapshots", "orders", "balances", "order_fills")


def build(database_url: str, name: str) -> tuple[int, float]:
    """Builds a read model anew beside the live one, as a rebuild does; returns the events folded
    and the most memory that this process ever had, in MiB."""
    projection = find(name, _SETTINGS)
    schema = f"{name}_benchmark"
    with connect(database_url, "benchmark", by_key=False) as connection:
        head = reader.head(connection)
        shadow = Shadow(
            connection, projection, schema, _LIMITS, logged=True, on_progress=no_progress
        )
        shadow.fold_to(head)
        generations.create_indexes(connection, projection, schema)
        return shadow.handled, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


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
        assert isinstance(event, order.OrderEvent)
        events.append(peer_orders.translated(recorded, event))
    return events, recorded_events[-1].position


def _in_order_of_cost(names: Iterable[str]) -> list[str]:
    places = {name: place for place, name in enumerate(_DEAREST_FIRST)}
    return sorted(names, key=lambda name: places.get(name, len(places)))


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--events", type=int, default=200_000)
    arguments.add_argument("--turns", type=int, default=3)
    options = arguments.parse_args()
    total: int = options.events

    with migrated_database() as url, psycopg.connect(url, autocommit=True) as connection:
        install(url)
        append_mix(connection, EventMix(), total)
        connection.execute("VACUUM ANALYZE event_store")
        environment = peer_environment(url)
        peer_events, peer_head = _peer_events(connection, max(total // PEER_SHARE, 100))
        peer_orders.store_events(environment, peer_events)
        connection.execute(f"CREATE TABLE {peer_orders.TABLE} (LIKE orders_1.orders INCLUDING ALL)")
        names = _in_order_of_cost(p.name for p in all_projections(_SETTINGS))
        spawn = multiprocessing.get_context("spawn")  # threads of the peer are not to be forked
        with ProcessPoolExecutor(max_workers=2, mp_context=spawn) as pool:
            list(pool.map(build, [url, url], ["symbols", "accounts"]))  # start both processes

            memory: list[float] = []

            def ours() -> float:
                started = time.perf_counter()
                folded, _ = pool.submit(build, url, "orders").result()
                return folded / (time.perf_counter() - started)

            def peer() -> float:
                started = time.perf_counter()
                peer_orders.rebuild(environment, connection, len(peer_events))
                return len(peer_events) / (time.perf_counter() - started)

            def everything() -> float:
                started = time.perf_counter()
                memory.extend(mib for _, mib in pool.map(build, [url] * len(names), names))
                return total / (time.perf_counter() - started)

            ours_rate, peer_rate, all_rate = take_turns(options.turns, ours, peer, everything)
        _check_peer(connection, peer_head)

    report(
        "rebuild",
        {
            "ours_per_s": ours_rate,
            "peer_per_s": peer_rate,
            "ratio": ours_rate / peer_rate,
            "all_read_models_per_s": all_rate,
            "read_model": "orders",
            "log_events": total,
            "peer_events": len(peer_events),
            "peak_memory_mib": max(memory),
        },
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
