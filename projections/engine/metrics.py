"""What Prometheus is told, through the client library's default registry.

Counts of this process, kept by its workers. How far each projection is, every program asks of the
database when somebody looks (ledger/vitals): a worker that hangs, or that runs elsewhere, cannot
keep a lag small by not telling.
"""

from prometheus_client import Counter, Histogram

_BATCH_EVENTS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
_BATCH_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)

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
