"""Appending events: `python -m benchmarks.append [--json] [--events N] [--turns N]`.

    ours      `ledger.eventstore.store`, groups of events of many streams in one transaction, as the
              command worker writes them
    peer      the stock library's `Application.save`, one aggregate's event at a time, as its
              applications write them
    peer (same groups)   the stock recorder given our groups: what its table and statement cost
    raw COPY  the same rows into the same table with nothing around it: the ceiling

Each writes events with the same JSON payload to its own table on the same PostgreSQL, in turns.
`ratio` is ours to peer.
"""

import argparse
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent
from uuid_utils.compat import uuid7

from benchmarks.harness import migrated_database, peer_environment, quiet, report, take_turns
from ledger.eventstore import store
from ledger.eventstore.rows import copy_rows
from ledger.eventstore.store import NewEvent

GROUP = 500
"""Events per transaction: the command worker's default batch."""
PEER_SHARE = 20
"""The peer's one-by-one saves are timed on a twentieth of the events: rates are compared."""
PAYLOAD = (
    '{"account_id":"0193502a-8a38-7d7a-9a4b-1d2f7d1d7a11","status":"PENDING","instrument":'
    '"BINANCE:BTCUSDT","base_asset":"BTC","quote_asset":"USDT","side":"BUY","order_type":"LIMIT",'
    '"sub_account":"main","quantity":"0.50000000","price":"50000.12"}'
)
METADATA = '{"command_id":"0193502a-8a38-7d7a-9a4b-1d2f7d1d7a12","source":"benchmark"}'


class Peer(Aggregate):
    """An aggregate of the stock library whose first event carries our payload's fields."""

    @event("Submitted")
    def __init__(
        self,
        account_id: str,
        status: str,
        instrument: str,
        base_asset: str,
        quote_asset: str,
        side: str,
        order_type: str,
        sub_account: str,
        quantity: str,
        price: str,
    ) -> None:
        pass


def _new_events(count: int) -> list[NewEvent]:
    now = datetime.now(UTC)
    return [
        NewEvent(
            id=uuid7(),
            stream_id=uuid7(),
            stream_type="order",
            event_type="order.submitted",
            event_version=1,
            data=PAYLOAD.encode(),
            metadata=METADATA,
            correlation_id=uuid7(),
            causation_id=uuid7(),
            user_id=uuid7(),
            occurred_at=now,
        )
        for _ in range(count)
    ]


def _rate(count: int, started: float) -> float:
    return count / (time.perf_counter() - started)


def _append(connection: psycopg.Connection[Any], count: int) -> float:
    events = _new_events(count)
    started = time.perf_counter()
    for start in range(0, count, GROUP):
        group = events[start : start + GROUP]
        with connection.transaction(), connection.cursor() as cursor:
            store.copy_events(cursor, group, store.begin_append(cursor, len(group)))
    return _rate(count, started)


def _raw_copy(connection: psycopg.Connection[Any], count: int) -> float:
    """The lines are made beforehand: only the database is timed."""
    events = _new_events(count)
    groups = []
    with connection.cursor() as cursor:
        head, recorded_at = store.begin_append(cursor, 0)
    for start in range(0, count, GROUP):
        group = events[start : start + GROUP]
        groups.append(store.event_rows(group, store.Appended(head + start, recorded_at)))
    started = time.perf_counter()
    for rows in groups:
        with connection.transaction(), connection.cursor() as cursor:
            copy_rows(cursor, store.COPY_EVENTS, rows)
    return _rate(count, started)


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--events", type=int, default=50_000)
    arguments.add_argument("--turns", type=int, default=3)
    options = arguments.parse_args()
    count: int = options.events

    with migrated_database() as url, psycopg.connect(url, autocommit=True) as connection:
        peer = Application[UUID](env=peer_environment(url))

        def peer_saves() -> float:
            fields = dict(
                pair.split(":", 1) for pair in PAYLOAD.strip("{}").replace('"', "").split(",")
            )
            fields["instrument"] = "BINANCE:BTCUSDT"
            aggregates = [Peer(**fields) for _ in range(count // PEER_SHARE)]
            started = time.perf_counter()
            for aggregate in aggregates:
                peer.save(aggregate)
            return _rate(len(aggregates), started)

        def peer_groups() -> float:
            stored = [
                StoredEvent(uuid7(), 1, "benchmarks.append:Peer.Submitted", PAYLOAD.encode())
                for _ in range(count)
            ]
            started = time.perf_counter()
            for start in range(0, count, GROUP):
                peer.recorder.insert_events(stored[start : start + GROUP])
            return _rate(count, started)

        ours_rate, peer_rate, groups_rate, raw_rate = take_turns(
            options.turns,
            lambda: _append(connection, count),
            peer_saves,
            peer_groups,
            lambda: _raw_copy(connection, count),
        )
        peer.close()

    report(
        "append",
        {
            "ours_per_s": ours_rate,
            "peer_per_s": peer_rate,
            "ratio": ours_rate / peer_rate,
            "peer_same_groups_per_s": groups_rate,
            "ratio_same_groups": ours_rate / groups_rate,
            "raw_copy_per_s": raw_rate,
            "share_of_raw_copy": ours_rate / raw_rate,
            "events": count,
            "group": GROUP,
        },
    )


if __name__ == "__main__":
    main()
