"""Questions about the past: `python -m benchmarks.audit [--json] [--events N] [--accounts N]`.

A log of the demo's mix is filled, and each question of docs/auditors.md is asked with chances from
all over it: the first page of 100 events, or a balance, by what p95 of them takes. Then appending
is measured with and without the indexes that these questions need, in turns: `append_ratio`.
`append_cpu_ratio` compares how long the server's process worked, which a shared machine disturbs
less.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any

import psutil
import psycopg

from benchmarks.event_mix import EventMix, append_mix
from benchmarks.harness import directory, quiet, report
from ledger.audit.ask import payload
from ledger.audit.ask.events import EventCriteria, find
from ledger.eventstore import store
from ledger.eventstore.moments import Moment, position_at
from ledger.eventstore.reader import RecordedEvent
from ledger.eventstore.session import reading
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from projections.engine.builds.generations import schema_of
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.past.balances import balances_at
from projections.read_models import balance_history

PAGE = 100
ASKED = 60
"""Times each question is asked."""
FOLD_POSITIONS = 20_000
APPENDED, GROUP, TURNS = 10_000, 500, 7
FILLED_BEFORE_APPENDING = 100_000
AUDIT_INDEXES = (
    "event_store_account",
    "event_store_uncommon_type",
    "event_store_occurred",
    "event_store_correlation",
    "event_store_causation",
    "event_store_caused_by",
    "event_store_person",
)


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--accounts", type=int, default=20)
    options = arguments.parse_args()
    with servers() as (url, other_url):
        fill(url, EventMix(accounts=options.accounts), options.events)
        fold_balance_history(url)
        figures = asked(url)
        mix = EventMix(accounts=options.accounts)
        fill(other_url, mix, FILLED_BEFORE_APPENDING)
        figures |= appended(other_url, mix)
    report("audit", {"events": options.events, "accounts": options.accounts, **figures})


@contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """Two databases on one server: one for questions, one for appending."""
    with directory() as path, EmbeddedPostgres(path) as server:
        migrate_all(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE other")
        other = server.url.replace("/ledger?", "/other?")
        migrate_all(other)
        yield server.url, other


def fill(url: str, mix: EventMix, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        append_mix(connection, mix, count)
        connection.execute("VACUUM ANALYZE event_store")


def fold_balance_history(url: str) -> None:
    """The read model behind past balances, as its worker would have built it."""
    projection = balance_history.PROJECTION
    with connect(url, "benchmark") as connection:
        head = connection.execute("SELECT max(position) FROM event_store").fetchone()
        assert head is not None
        schema = schema_of(projection.name, 1)
        build = Build(projection, schema, connection, rows_in_memory=1_000_000, empty=True)
        for after in range(0, head[0], FOLD_POSITIONS):
            up_to = min(after + FOLD_POSITIONS, head[0])
            build.fold(
                source.read(
                    connection, after=after, up_to=up_to, event_types=projection.event_types
                )
            )
            with connection.transaction():
                build.write()
            build.settle()
        connection.execute(
            "UPDATE event_projections SET last_processed_position = %s WHERE projection_name = %s",
            (head[0], projection.name),
        )


# --- questions ------------------------------------------------------------------------


def asked(url: str) -> dict[str, float]:
    """p95 in milliseconds of each question."""
    random = Random(1)
    with reading(url) as connection:
        head = connection.execute("SELECT max(position) FROM event_store").fetchone()
        assert head is not None
        chances = [random.randint(head[0] // 20, head[0] - 1_000) for _ in range(ASKED)]
        some = [event_at(connection, position) for position in chances]
        figures = {}
        for name, question in questions().items():
            taken = []
            for number, event in enumerate(some):
                started = time.perf_counter()
                question(connection, event, number % 2 == 0)
                taken.append((time.perf_counter() - started) * 1_000)
            figures[f"p95_ms_{name}"] = statistics.quantiles(taken, n=20)[-1]
        figures["slowest_p95_ms"] = max(figures.values())
        return figures


def event_at(connection: psycopg.Connection[Any], position: int) -> RecordedEvent:
    """A trade of an account, at or after the position."""
    events = EventCriteria(after=position, event_types=("account.trade_settled",))
    return next(find(connection, events, limit=1))


Question = Callable[[psycopg.Connection[Any], RecordedEvent, bool], object]


def questions() -> dict[str, Question]:
    def page(of: Callable[[RecordedEvent], EventCriteria]) -> Question:
        return lambda connection, event, newest: list(
            find(connection, of(event), newest_first=newest, limit=PAGE)
        )

    hour = timedelta(hours=1)
    buys = payload.parse('data.side == "BUY" and data.last_qty > 0.5')
    return {
        "stream": page(lambda e: EventCriteria(stream_id=e.stream_id)),
        "stream_from_position": page(
            lambda e: EventCriteria(stream_id=e.stream_id, after=e.position)
        ),
        "type": page(lambda e: EventCriteria(event_types=("order.filled",), after=e.position)),
        "uncommon_type": page(lambda _: EventCriteria(event_types=("account.adjusted",))),
        "aggregate": page(lambda _: EventCriteria(stream_type="allocation")),
        "account": page(lambda e: EventCriteria(account_id=e.stream_id, before=e.position)),
        "user": page(lambda e: EventCriteria(user_id=e.user_id, after=e.position)),
        "correlation": page(lambda e: EventCriteria(correlation_id=e.correlation_id)),
        "causation": page(lambda e: EventCriteria(causation_id=e.causation_id)),
        "positions": page(lambda e: EventCriteria(after=e.position, before=e.position + 500)),
        "recorded": page(
            lambda e: EventCriteria(recorded_from=e.recorded_at, recorded_to=e.recorded_at + hour)
        ),
        "occurred": page(
            lambda e: EventCriteria(occurred_from=e.occurred_at, occurred_to=e.occurred_at + hour)
        ),
        "account_and_payload": page(lambda e: EventCriteria(account_id=e.stream_id, where=buys)),
        "balances_known_at_position": lambda connection, event, _: balances_at(
            connection, event.stream_id, Moment(event.position)
        ),
        "balances_known_at_time": lambda connection, event, _: balances_at(
            connection, event.stream_id, Moment(position_at(connection, event.recorded_at))
        ),
        "balances_effective_at": lambda connection, event, _: balances_at(
            connection, event.stream_id, Moment(10**12, event.occurred_at)
        ),
    }


# --- appending ------------------------------------------------------------------------


def appended(url: str, mix: EventMix) -> dict[str, float]:
    """With the audit indexes and without them, in turns."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    work: dict[bool, list[float]] = {True: [], False: []}
    with psycopg.connect(url, autocommit=True) as connection:
        definitions = [
            row[0]
            for row in connection.execute(
                "SELECT indexdef FROM pg_indexes WHERE indexname = ANY(%s)", (list(AUDIT_INDEXES),)
            ).fetchall()
        ]
        assert len(definitions) == len(AUDIT_INDEXES)
        backend = psutil.Process(connection.info.backend_pid)
        for _ in range(TURNS):
            for indexed in (False, True):  # it begins with them
                for name, definition in zip(AUDIT_INDEXES, definitions, strict=True):
                    statement = definition if indexed else f"DROP INDEX {name}"
                    connection.execute(statement.encode())
                connection.execute("CHECKPOINT")
                rate, worked = append(connection, mix, backend)
                rates[indexed].append(rate)
                work[indexed].append(worked)
    return {
        "append_with_indexes_per_s": statistics.median(rates[True]),
        "append_without_per_s": statistics.median(rates[False]),
        "append_ratio": statistics.median(rates[True]) / statistics.median(rates[False]),
        "append_cpu_ratio": statistics.median(work[False]) / statistics.median(work[True]),
    }


def append(
    connection: psycopg.Connection[Any], mix: EventMix, backend: psutil.Process
) -> tuple[float, float]:
    """(events per second, seconds of the server's processor)."""
    events = mix.take(APPENDED)
    before, started = backend.cpu_times(), time.perf_counter()
    for start in range(0, APPENDED, GROUP):
        group = events[start : start + GROUP]
        with connection.transaction(), connection.cursor() as cursor:
            store.copy_events(cursor, group, store.begin_append(cursor, len(group)))
    seconds, after = time.perf_counter() - started, backend.cpu_times()
    worked = after.user + after.system - before.user - before.system
    return APPENDED / seconds, worked


if __name__ == "__main__":
    main()
