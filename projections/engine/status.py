"""How every projection is, read in one statement, so that the numbers fit each other."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True)
class Status:
    """`lag_seconds`: how long ago the oldest event that is not in the read model was stored."""

    projection_name: str
    status: str
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    rate_per_second: Decimal | None
    total_events_processed: int
    owner: str | None
    epoch: int
    generation: int
    code_version: int
    error_count: int
    error_message: str | None
    last_processed_at: datetime | None


_STATUS = """
    SELECT projection_name, status, last_processed_position AS position, head.position AS head,
        greatest(head.position - last_processed_position, 0) AS lag_events,
        coalesce(greatest(extract(epoch FROM clock_timestamp() - next.recorded_at), 0), 0)::float8
            AS lag_seconds,
        processing_rate_per_second AS rate_per_second, total_events_processed, owner, epoch,
        generation, code_version, error_count, error_message, last_processed_at
    FROM event_projections
    CROSS JOIN (SELECT coalesce(max(position), 0) AS position FROM event_store) AS head
    LEFT JOIN event_store AS next ON next.position = last_processed_position + 1
    ORDER BY projection_name"""


def read(connection: psycopg.Connection[Any]) -> list[Status]:
    """The status of every installed projection, by name."""
    with connection.cursor(row_factory=class_row(Status)) as cursor:
        return cursor.execute(_STATUS).fetchall()
