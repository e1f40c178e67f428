"""What Prometheus is told, through the client library's default registry.

Counts of this process are kept here, by its workers. How far each projection is, is asked of the
database when somebody looks (`StatusCollector`): a worker that hangs, or that runs elsewhere,
cannot keep a lag small by not telling. So every instance shows all projections; a dashboard takes
the maximum.
"""

from collections.abc import Callable, Iterable

import psycopg
import structlog
from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from projections.engine import status
from projections.engine.connection import connect
from projections.engine.status import Status

_BATCH_EVENTS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
_BATCH_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)

log = structlog.get_logger()

BATCH_EVENTS = Histogram(
    "ledger_projection_batch_events",
    "Events handled in a batch by this process.",
    ["projection"],
    buckets=_BATCH_EVENTS,
)
BATCH_SECONDS = Histogram(
    "ledger_projection_batch_seconds",
    "Duration of a batch of this process, from reading to the commit.",
    ["projection"],
    buckets=_BATCH_SECONDS,
)
ERRORS = Counter(
    "ledger_projection_errors",
    "What went wrong in this process, by kind: an event's (decode, unknown type, fold, database), "
    "the database's (connection, database), version, engine.",
    ["projection", "kind"],
)
CLAIMS = Counter(
    "ledger_projection_claims", "How often this process became the owner.", ["projection"]
)
FENCED = Counter(
    "ledger_projection_fenced",
    "How often this process found that it was not the owner any more.",
    ["projection"],
)


class OfProjection:
    """One worker's counts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._batch_events = BATCH_EVENTS.labels(name)
        self._batch_seconds = BATCH_SECONDS.labels(name)

    def batch(self, events: int, seconds: float) -> None:
        self._batch_events.observe(events)
        self._batch_seconds.observe(seconds)

    def failed(self, kind: str) -> None:
        ERRORS.labels(self._name, kind).inc()

    def claimed(self) -> None:
        CLAIMS.labels(self._name).inc()

    def fenced(self) -> None:
        FENCED.labels(self._name).inc()


_GAUGES: tuple[tuple[str, str, Callable[[Status], float]], ...] = (
    ("position", "Where the read model is in the log.", lambda row: row.position),
    ("lag_events", "Events that the read model does not show yet.", lambda row: row.lag_events),
    (
        "lag_seconds",
        "How long ago the oldest event that it does not show was stored.",
        lambda row: row.lag_seconds,
    ),
    (
        "rate_events_per_second",
        "Events handled in a second of work, of the last batches.",
        lambda row: float(row.rate_per_second or 0),
    ),
    ("parked_keys", "Keys (orders, accounts) that stand still.", lambda row: row.parked_keys),
    ("parked_events", "Events of those keys.", lambda row: row.parked_events),
    ("owned", "1 if a worker owns it by a lease that runs.", lambda row: float(row.is_owned)),
    ("paused", "1 while paused by an operator.", lambda row: float(row.status == "PAUSED")),
    ("needs_person", "1 if it does not go on by itself.", lambda row: float(row.needs_person)),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Status], float]], ...] = (
    (
        "events",
        "Events handled since the read model was begun.",
        lambda row: row.total_events_processed,
    ),
    ("failures", "Errors since the read model was begun.", lambda row: row.error_count),
    ("lease_changes", "How often another worker became the owner.", lambda row: row.lease_changes),
)


class StatusCollector(Collector):
    """Reads the status of all projections when it is asked."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not ask the database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "ledger_projection_database_up", "1 if the database told how the projections are."
        )
        rows: list[Status] = []
        try:
            with connect(self._database_url, "projections metrics", by_key=False) as connection:
                rows = status.read(connection)
            up.add_metric([], 1)
        except psycopg.Error as error:
            log.warning("projections.metrics_without_database", error=str(error).strip())
            up.add_metric([], 0)
        yield up
        for name, text, value_of in _GAUGES:
            gauge = GaugeMetricFamily(f"ledger_projection_{name}", text, labels=["projection"])
            for row in rows:
                gauge.add_metric([row.projection_name], value_of(row))
            yield gauge
        for name, text, value_of in _COUNTERS:
            counter = CounterMetricFamily(f"ledger_projection_{name}", text, labels=["projection"])
            for row in rows:
                counter.add_metric([row.projection_name], value_of(row))
            yield counter
