"""How every projection is, read in one statement, so that the numbers fit each other.

`why` is the line for a person: what keeps a projection from moving, the most final cause first.
`needs_person`: it will not go on by itself.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row

from projections.engine.builds import catalogue

LOCK_PATIENCE_SECONDS = 10.0
"""A wait for a lock that is over by then is nobody's business."""
CLAIM_PATIENCE_SECONDS = 3.0
"""A worker that there is claims within a second what has no owner."""


@dataclass(frozen=True)
class Rebuild:
    """A build under way beside the live one; not running if it was interrupted."""

    phase: str
    position: int
    target_position: int
    rate_per_second: Decimal | None
    is_running: bool


@dataclass(frozen=True)
class Status:
    """`lag_seconds`: how long ago the oldest event that is not in the read model was stored.
    `lease_age_seconds`: since the owner last renewed its lease. `blocked_by`: database sessions
    that hold a lock which the owner waits for. `service`: whose work it is; what is no read model
    (the publisher, the sealer, another subscription) has one of its own name. `rebuild`: the one
    under way.
    `unsettled_generation`: what transactions from before the last swap may still be reading."""

    projection_name: str
    status: str
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    rate_per_second: Decimal | None
    total_events_processed: int
    owner: str | None
    lease_age_seconds: float | None
    lease_seconds_left: float | None
    lease_changes: int
    epoch: int
    generation: int
    code_version: int
    parked_keys: int
    parked_events: int
    skipped_events: int
    unwanted_events: int
    """That it shows, and that decisions are made without since."""
    error_count: int
    error_message: str | None
    paused_by: str | None
    pause_reason: str | None
    paused_at: datetime | None
    blocked_by: list[int]
    unowned_seconds: float
    last_processed_at: datetime | None
    service: str
    rebuild: Rebuild | None = None
    unsettled_generation: int | None = None

    @property
    def is_owned(self) -> bool:
        return self.owner is not None and (self.lease_seconds_left or 0) > 0

    @property
    def seconds_to_catch_up(self) -> float | None:
        """At the rate of its last batches; None while it does not move."""
        if not self.lag_events:
            return 0.0
        if not self.rate_per_second or self.status != "RUNNING" or not self.is_owned:
            return None
        return round(self.lag_events / float(self.rate_per_second), 1)

    @property
    def needs_person(self) -> bool:
        return (
            self.status in ("PAUSED", "ERROR")
            or self.parked_keys > 0
            or self.unwanted_events > 0
            or (not self.is_owned and self.unowned_seconds > CLAIM_PATIENCE_SECONDS)
            or (bool(self.blocked_by) and self.lag_seconds > LOCK_PATIENCE_SECONDS)
        )

    @property
    def why(self) -> str | None:
        """Why it does not move, or is not whole; None if all is well."""
        if self.status == "PAUSED":
            reason = f": {self.pause_reason}" if self.pause_reason else ""
            since = f"{self.paused_at:%Y-%m-%d %H:%M:%S %Z}" if self.paused_at else "?"
            return f"paused by {self.paused_by or 'nobody known'} since {since}{reason}"
        if self.owner is None:
            return f"no owner: start `ledgerctl serve {self.service}`"
        if not self.is_owned:
            silent = f"{self.lease_age_seconds:,.0f} s" if self.lease_age_seconds else "long"
            return (
                f"no owner: {self.owner} has been silent for {silent}, and nobody took over: "
                f"start `ledgerctl serve {self.service}`"
            )
        if self.blocked_by:
            pids = ", ".join(map(str, self.blocked_by))
            return f"waits for a lock held by pid {pids}"
        if self.status == "ERROR":
            return f"error: {self.error_message}"
        if self.parked_keys:
            return (
                f"{self.parked_keys:,} keys parked with {self.parked_events:,} events: "
                "ledgerctl projections dead-letters list"
            )
        if self.unwanted_events:
            return (
                f"shows {self.unwanted_events:,} events that were passed over since: "
                f"ledgerctl projections rebuild {self.projection_name} --accept-differences"
            )
        return None


_STATUS = """
    SELECT projection.projection_name, status, last_processed_position AS position,
        head.position AS head, greatest(head.position - last_processed_position, 0) AS lag_events,
        coalesce(greatest(extract(epoch FROM clock_timestamp() - next.recorded_at), 0), 0)::float8
            AS lag_seconds,
        processing_rate_per_second AS rate_per_second, total_events_processed, projection.owner,
        extract(epoch FROM clock_timestamp() - coalesce(renewed_at, projection.updated_at)
            )::float8 AS lease_age_seconds,
        extract(epoch FROM leased_until - clock_timestamp())::float8 AS lease_seconds_left,
        coalesce(changes, 0) AS lease_changes, epoch, generation, projection.code_version,
        parked.keys AS parked_keys, parked.events AS parked_events,
        parked.skipped AS skipped_events, parked.unwanted AS unwanted_events, error_count,
        error_message, paused_by, pause_reason, paused_at,
        coalesce(blocked.pids, '{}') AS blocked_by,
        extract(epoch FROM clock_timestamp() - CASE WHEN projection.owner IS NULL
            THEN projection.updated_at ELSE coalesce(leased_until, projection.updated_at) END
            )::float8 AS unowned_seconds,
        last_processed_at,
        CASE WHEN EXISTS (SELECT FROM pg_namespace
                WHERE nspname = projection.projection_name || '_' || generation)
            THEN 'projections' ELSE projection.projection_name END AS service
    FROM event_projections AS projection
    CROSS JOIN (SELECT coalesce(max(position), 0) AS position FROM event_store
        WHERE position >= log_kept_from()) AS head
    LEFT JOIN event_store AS next ON next.position = last_processed_position + 1
    LEFT JOIN projection_leases AS lease
        ON lease.projection_name = projection.projection_name
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT partition_key) FILTER (WHERE letter.status = 'PARKED') AS keys,
            count(*) FILTER (WHERE letter.status = 'PARKED') AS events,
            count(*) FILTER (WHERE letter.status = 'SKIPPED') AS skipped,
            count(*) FILTER (WHERE letter.status = 'SKIPPED' AND letter.kind = 'folded'
                AND letter.generation = projection.generation) AS unwanted
        FROM projection_dead_letters AS letter
        WHERE letter.projection_name = projection.projection_name
            AND (letter.status = 'SKIPPED' OR letter.generation = projection.generation
                AND letter.position <= last_processed_position)) AS parked
    LEFT JOIN LATERAL (
        SELECT pg_blocking_pids(pid) AS pids FROM pg_stat_activity AS session
        WHERE pid = backend_pid
            AND coalesce(session.backend_start = lease.backend_start, true)) AS blocked ON true
    ORDER BY projection.projection_name"""


def read(connection: psycopg.Connection[Any]) -> list[Status]:
    """The status of every installed projection, by name."""
    with connection.cursor(row_factory=class_row(Status)) as cursor:
        rows = cursor.execute(_STATUS).fetchall()
    rebuilds = _rebuilds(connection)
    unsettled = {
        kept.projection_name: kept.generation
        for kept in catalogue.listed(connection, purpose=catalogue.PREVIOUS)
        if kept.phase == catalogue.SWAPPING
    }
    return [
        replace(
            row,
            rebuild=rebuilds.get(row.projection_name),
            unsettled_generation=unsettled.get(row.projection_name),
        )
        for row in rows
    ]


def _rebuilds(connection: psycopg.Connection[Any]) -> dict[str, Rebuild]:
    return {
        kept.projection_name: Rebuild(
            kept.phase,
            kept.reached,
            kept.target_position,
            kept.rate_per_second,
            is_running=kept.running,
        )
        for kept in catalogue.listed(connection, purpose=catalogue.NEXT)
    }
