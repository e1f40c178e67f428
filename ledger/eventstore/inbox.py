"""The inbox: the one outcome of every command id ever decided.

Rows are written in the transaction of the command's events, so a command that is asked about,
sent again, or left in doubt by a lost connection is settled by looking here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors

from ledger.eventstore.store import NULL, VersionConflict, copy_lines, copy_text


class InboxEntry(NamedTuple):
    """A decided command. `outcome` is the outcome as JSON text."""

    command_id: UUID
    command_type: str
    subject: str
    source: str
    user_id: UUID | None
    fingerprint: bytes
    status: str
    code: str | None
    outcome: str
    decided_at: datetime


_FIND = (
    "SELECT command_id, fingerprint, outcome::text FROM command_inbox WHERE command_id = ANY(%s)"
)

_COPY = """COPY command_inbox (command_id, command_type, subject, source, user_id, fingerprint,
    status, code, outcome, decided_at) FROM STDIN"""


def find(
    connection: psycopg.Connection[Any], command_ids: Sequence[UUID]
) -> dict[UUID, tuple[bytes, str]]:
    """(fingerprint, outcome JSON) of each of the commands that is decided."""
    if not command_ids:
        return {}
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_FIND, (list(command_ids),))
        return {row[0]: (row[1], row[2]) for row in cursor}


def record(cursor: psycopg.Cursor[Any], entries: Sequence[InboxEntry]) -> None:
    """Writes the entries within the caller's transaction.

    Raises VersionConflict when another worker decided one of the commands meanwhile.
    """
    if not entries:
        return
    lines = [
        f"{entry.command_id}\t{copy_text(entry.command_type)}\t{copy_text(entry.subject)}"
        f"\t{copy_text(entry.source)}\t{entry.user_id or NULL}\t\\\\x{entry.fingerprint.hex()}"
        f"\t{entry.status}\t{copy_text(entry.code)}\t{copy_text(entry.outcome)}"
        f"\t{entry.decided_at}\n"
        for entry in entries
    ]
    try:
        copy_lines(cursor, _COPY, lines)
    except errors.UniqueViolation as conflict:
        raise VersionConflict(conflict.diag.message_detail or str(conflict)) from conflict
