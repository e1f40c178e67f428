"""Ways in which a stream comes to be unreadable, done to it as a superuser would."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

_APPEND = """
    INSERT INTO event_store (position, id, stream_id, stream_type, event_type, event_version,
        event_data, metadata, occurred_at, recorded_at)
    SELECT head + 1, %(id)s, %(stream)s, coalesce(last.stream_type, split_part(%(type)s, '.', 1)),
        %(type)s, coalesce(last.event_version, 0) + 1 + %(skipped)s, %(data)s::jsonb,
        %(metadata)s::jsonb, %(time)s::timestamptz, recorded_at
    FROM begin_append(1, 'ledger_events') LEFT JOIN LATERAL (
        SELECT e.stream_type, e.event_version FROM event_store AS e WHERE e.stream_id = %(stream)s
        ORDER BY e.event_version DESC LIMIT 1) AS last ON true
    RETURNING event_version"""
_GUARD = "event_store_is_guarded"


def appended(
    url: str,
    stream_id: UUID,
    event_type: str = "account.deposited",
    *,
    data: str = "{}",
    metadata: str = "{}",
    skipped: int = 0,
    occurred_at: str = "now",
) -> int:
    """Appends an event of any kind, so many versions too far; its version."""
    values = {
        "id": uuid7(),
        "stream": stream_id,
        "type": event_type,
        "skipped": skipped,
        "data": data,
        "metadata": metadata,
        "time": occurred_at,
    }
    # All at once: the locks are not held for as long as a busy machine lets us wait.
    with psycopg.connect(url, autocommit=True) as connection, connection.pipeline():
        connection.execute("BEGIN")
        connection.execute("SELECT begin_append(0, '')")
        if skipped:
            connection.execute(f"ALTER TABLE event_store DISABLE TRIGGER {_GUARD}".encode())
        made = connection.execute(_APPEND, values)
        if skipped:
            connection.execute(f"ALTER TABLE event_store ENABLE TRIGGER {_GUARD}".encode())
        connection.execute("COMMIT")
        (version,) = made.fetchone() or (0,)
    return int(version)


def _with_gap(url: str, account_id: UUID) -> int:
    return appended(url, account_id, "account.suspended", data='{"reason": "x"}', skipped=4)


DAMAGES: dict[str, Callable[[str, UUID], int]] = {
    "unknown type": lambda url, one: appended(url, one, "account.of_tomorrow"),
    "undecodable": lambda url, one: appended(url, one, data='{"amount": []}'),
    "newer schema": lambda url, one: appended(url, one, metadata='{"schema": 99}'),
    "no schema": lambda url, one: appended(url, one, metadata='{"schema": "x"}'),
    "no time": lambda url, one: appended(
        url, one, "account.suspended", data='{"reason": "x"}', occurred_at="infinity"
    ),
    "of another noun": lambda url, one: appended(
        url, one, "instrument.delisted", data='{"instrument": "A:B"}'
    ),
    "gap": _with_gap,
}
"""What is done to an account's stream, by name; each returns the version that is bad."""


def rows(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode(), values).fetchall()
