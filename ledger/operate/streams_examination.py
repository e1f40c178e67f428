"""Is a stream held, and is there room for notifications: what holds up a part and tells nobody."""

from typing import Any

import psycopg

from ledger.operate.check_result import CheckResult
from ledger.write import held_streams

MOST_NAMED = 3
"""Streams, or sessions, that a finding names."""
FILLING = 0.1
"""Share of the queue of notifications from which somebody keeps it from being emptied: what ours
put there is gone within milliseconds."""

_QUEUE = "SELECT pg_notification_queue_usage()"
_OLDEST = """
    SELECT pid, usename::text, application_name, datname::text,
        extract(epoch FROM clock_timestamp() - xact_start)::bigint
    FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    ORDER BY xact_start LIMIT %s"""


def held(connection: psycopg.Connection[Any]) -> CheckResult:
    """Streams that cannot be read, and hold up the commands that need them."""
    found = held_streams.find(connection)
    if not found:
        return CheckResult("streams", "ok", "every stream that a command needed can be read")
    named = "; ".join(
        f"{one.stream_type or 'stream'} {one.stream_id} at version {one.event_version}"
        for one in found[:MOST_NAMED]
    )
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    commands = sum(one.commands for one in found)
    return CheckResult(
        "streams",
        "fail",
        f"cannot be read: {named}{more}; {commands} commands were set aside because of it",
        "See ledgerctl streams held, and docs/runbooks/stuck-stream.md.",
    )


def notifications(connection: psycopg.Connection[Any]) -> CheckResult:
    """The queue of notifications, which any session of the server can fill."""
    row = connection.execute(_QUEUE).fetchone()
    used = row[0] if row else 0.0
    message = f"the queue of notifications is {used:.0%} full"
    if used < FILLING:
        return CheckResult("notifications", "ok", message)
    oldest = [
        f"pid {pid} ({login or 'of another login'}, {name or 'unnamed'}, database {database}, "
        f"{seconds} s)"
        for pid, login, name, database, seconds in connection.execute(_OLDEST, (MOST_NAMED,))
    ]
    return CheckResult(
        "notifications",
        "warn",
        f"{message}: a session that listens has stopped in a transaction. The longest: "
        + ("; ".join(oldest) or "none to be seen by this login"),
        "End it: SELECT pg_terminate_backend(pid). From half full on, followers are not woken and "
        "look by themselves; nothing is lost.",
    )
