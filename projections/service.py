"""`ledgerctl serve projections`: all read models kept up to date by this process, as far as no
other owns them."""

import sys
import threading

import structlog

from ledger.operate.roles import PROJECTOR
from ledger.programs.readiness import followed
from ledger.programs.registry import Places, Program
from ledger.subscriptions.lease import LeaseOptions
from projections import settings
from projections.engine.live.crew import Crew
from projections.engine.live.worker import WorkerOptions
from projections.registry import all_projections, find
from projections.settings import ProjectionSettings

SWITCH_SECONDS = 0.0002
"""How long a thread computes before another one that is ready gets its turn. With Python's own
value, 5 ms, a worker with an answer of the database waits behind several busy ones."""

log = structlog.get_logger()


def worker_options(values: ProjectionSettings) -> WorkerOptions:
    """The workers' share of the settings. Raises UnknownProjection."""
    named = [name.strip() for name in values.projection_stop_at_poison.split(",")]
    return WorkerOptions(
        batch_positions=values.projection_batch_positions,
        rows_in_memory=values.projection_rows_in_memory,
        poll_seconds=values.projection_poll_seconds,
        stop_at_poison=frozenset(find(name, values).name for name in named if name),
    )


def lease_options(values: ProjectionSettings) -> LeaseOptions:
    """The leases' share of the settings."""
    return LeaseOptions(
        lease_seconds=values.projection_lease_seconds,
        hang_seconds=values.projection_hang_seconds,
    )


def _serve(places: Places, stop: threading.Event) -> None:
    """Keeps every read model up to date until `stop` is set. Raises InvalidSettings,
    UnknownProjection."""
    database_url = places.database_url
    values = settings.load()
    sys.setswitchinterval(SWITCH_SECONDS)
    projections = all_projections(values)
    crew = Crew(database_url, projections, worker_options(values), lease_options(values))
    crew.start()
    log.info("projections.started", projections=len(projections))
    try:
        stop.wait()
    finally:
        crew.stop()
        log.info("projections.stopped")


def _ready(places: Places) -> bool:
    names = [projection.name for projection in all_projections(settings.load())]
    return followed(places, names)


PROGRAM = Program(
    name="projections",
    summary="keeps the read models up to date",
    role=PROJECTOR,
    bus=False,
    ready=_ready,
    run=_serve,
    port=9465,
)
