"""What was sent, and what became of it: the commands that were decided, by whatever is known.

Requests that were refused are told nowhere else: but for orders (order.denied) they left no event.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from ledger.eventstore.session import FETCH_ROWS

COLUMNS = (
    "decided_at", "command_id", "command_type", "subject", "source", "sender", "user_id", "status",
    "code", "message", "position",
)  # fmt: skip

_COMMANDS = """
    SELECT decided_at, command_id, command_type, subject, source, sender, user_id, status, code,
        outcome->>'message' AS message, (outcome->>'position')::bigint AS position
    FROM public.command_inbox"""


@dataclass(frozen=True)
class CommandFilter:
    """What must be true of a command; None is anything. Times are those of the decision: from,
    and up to, without."""

    status: str | None = None
    code: str | None = None
    command_type: str | None = None
    source: str | None = None
    sender: str | None = None
    subject: str | None = None
    decided_from: datetime | None = None
    decided_to: datetime | None = None


_CONDITIONS: dict[str, LiteralString] = {
    "status": "status = %(status)s",
    "code": "code = %(code)s",
    "command_type": "command_type = %(command_type)s",
    "source": "source = %(source)s",
    "sender": "sender = %(sender)s",
    "subject": "subject = %(subject)s",
    "decided_from": "decided_at >= %(decided_from)s",
    "decided_to": "decided_at < %(decided_to)s",
}


def find(
    connection: psycopg.Connection[Any], wanted: CommandFilter, *, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """The commands that fit, the newest first, never all in memory. Reads all there are: no index
    would be used often enough to be worth what it costs each command."""
    given = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    tests = [sql.SQL(_CONDITIONS[name]) for name, value in given.items() if value is not None]
    where = sql.SQL(" WHERE ") + sql.SQL(" AND ").join(tests) if tests else sql.SQL("")
    statement = sql.SQL("{}{} ORDER BY decided_at DESC, command_id DESC LIMIT %(limit)s").format(
        sql.SQL(_COMMANDS), where
    )
    with connection.cursor(name=f"commands_{time.monotonic_ns()}") as cursor:
        cursor.itersize = FETCH_ROWS
        cursor.execute(statement, {**given, "limit": limit})
        for row in cursor:
            yield dict(zip(COLUMNS, row, strict=True))
