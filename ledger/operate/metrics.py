"""What the write side tells Prometheus, through the client library's default registry.

Counted once per batch, not per command: measuring must cost nothing that one could measure. All
are counts of this process; how far the publisher is, is asked of the database when somebody looks,
so that one that hangs cannot hide it.
"""

import contextlib
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.kernel.command import Command, InvalidCommand, Outcome
from ledger.nouns import COMMAND_DATA
from ledger.operate.database import connect

INVALID, REPLAYED = "INVALID", "REPLAYED"
SCRAPE_TIMEOUT_SECONDS = 2
"""A database that does not answer by then is told as away; Prometheus waits ten by default."""

_BATCH_COMMANDS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)

COMMANDS = Counter(
    "ledger_commands",
    "Commands by type (INVALID: none that there is) and status. REPLAYED: decided before. FAILED "
    "counts each try.",
    ["type", "status"],
)
REDELIVERED = Counter(
    "ledger_commands_redelivered", "Commands that the server handed out more than once."
)
BATCH_COMMANDS = Histogram(
    "ledger_command_batch_commands", "Commands in a batch.", buckets=_BATCH_COMMANDS
)
DECIDE_SECONDS = Histogram(
    "ledger_command_decide_seconds", "Time to decide a batch, in memory.", buckets=_SECONDS
)
COMMIT_SECONDS = Histogram(
    "ledger_command_commit_seconds",
    "Time to record a batch: the append lock, COPY and the commit.",
    buckets=_SECONDS,
)
WAITING = Gauge(
    "ledger_commands_waiting",
    "Commands that the server had not handed out when it last handed some out.",
    ["consumer"],
)
COMMANDS_ROOM_USED = Gauge(
    "ledger_commands_room_used_ratio",
    "Share of its room that the stream of commands uses; from 0.75 on it is filling up.",
)
LOG_BEHIND = Gauge(
    "ledger_log_behind",
    "1 while the database lacks what the bus says was done, and nothing is decided: recover it.",
)
CACHE_HITS = Counter("ledger_aggregate_cache_hits", "Streams that were in memory when needed.")
CACHE_MISSES = Counter("ledger_aggregate_cache_misses", "Streams that had to be loaded.")
EVENTS_PUBLISHED = Counter("ledger_publisher_events", "Events that the bus confirmed.")

_POSITION = """
    SELECT last_processed_position, (SELECT coalesce(max(position), 0) FROM event_store)
    FROM event_projections WHERE projection_name = 'publisher'"""


def batch(commands: Iterable[Command | InvalidCommand], outcomes: Iterable[Outcome]) -> None:
    """Counts a batch whose outcomes are known."""
    tally = Tally(
        (
            command.type if command.type in COMMAND_DATA else INVALID,
            REPLAYED if outcome.replayed else outcome.status,
        )
        for command, outcome in zip(commands, outcomes, strict=True)
    )
    for labels, count in tally.items():
        COMMANDS.labels(*labels).inc(count)
    BATCH_COMMANDS.observe(tally.total())


class _Publisher(Collector):
    """How far what is published is behind the log, whoever publishes."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not ask the database when this is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        up = 1
        found: tuple[int, int] | None = None
        try:
            with connect(
                self._database_url, "publisher metrics", timeout=SCRAPE_TIMEOUT_SECONDS
            ) as connection:
                found = connection.execute(_POSITION).fetchone()
        except psycopg.Error:
            up = 0
        yield GaugeMetricFamily(
            "ledger_publisher_database_up", "Whether the database answered.", value=up
        )
        if found is None:
            return
        position, head = found
        yield GaugeMetricFamily(
            "ledger_publisher_position", "The last event that is published.", value=position
        )
        yield GaugeMetricFamily(
            "ledger_publisher_lag_events",
            "Events in the log that are not published yet.",
            value=max(head - position, 0),
        )


@contextmanager
def publisher(database_url: str) -> Iterator[None]:
    """Inside the block, whoever looks is told how far the publisher is."""
    collector = _Publisher(database_url)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        with contextlib.suppress(KeyError):
            REGISTRY.unregister(collector)
