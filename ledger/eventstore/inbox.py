"""The inbox: the one outcome of every command id ever decided.

Rows are written in the transaction of the command's events, so a command that is asked about,
sent again, or left in doubt by a lost connection is settled by looking here. What the database
would not record has its outcome, FAILED, in failed_commands alone: of such a command, too, another
copy is answered and not decided, until an operator has it tried again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors

from ledger.eventstore.rows import (
    bytes_field,
    copy_rows,
    jsonb_field,
    name_field,
    text_field,
    time_field,
    uuid_field,
)
from ledger.eventstore.store import VersionConflict


class InboxEntry(NamedTuple):
    """A decided command. `source` is what it claims, `sender` whom the bus vouches for; `outcome`
    is the outcome as JSON."""

    command_id: UUID
    command_type: str
    subject: str
    source: str
    sender: str | None
    user_id: UUID | None
    fingerprint: bytes
    status: str
    code: str | None
    outcome: bytes
    decided_at: datetime


_FIND = """
    SELECT command_id, fingerprint, outcome::text FROM public.command_inbox
    WHERE command_id = ANY (%(ids)s)
    UNION ALL
    SELECT f.command_id, f.fingerprint, jsonb_build_object('command_id', f.command_id,
        'status', 'FAILED', 'code', f.code, 'message', f.message)::text
    FROM public.failed_commands AS f
    WHERE f.command_id = ANY (%(ids)s) AND f.status <> 'RETRIED' AND NOT EXISTS (
        SELECT FROM public.command_inbox AS i WHERE i.command_id = f.command_id)"""

_COPY = """COPY command_inbox (command_id, command_type, subject, source, sender, user_id,
    fingerprint, status, code, outcome, decided_at) FROM STDIN WITH (FORMAT binary)"""
_ROW_HEAD = (11).to_bytes(2)
"""The number of fields."""


def find(
    connection: psycopg.Connection[Any], command_ids: Sequence[UUID]
) -> dict[UUID, tuple[bytes, str]]:
    """(fingerprint, outcome JSON) of each of the commands that is decided."""
    if not command_ids:
        return {}
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_FIND, {"ids": list(command_ids)})
        return {row[0]: (row[1], row[2]) for row in cursor}


def record(cursor: psycopg.Cursor[Any], entries: Sequence[InboxEntry]) -> None:
    """Writes the entries within the caller's transaction.

    Raises VersionConflict when another worker decided one of the commands meanwhile.
    """
    if not entries:
        return
    try:
        copy_rows(cursor, _COPY, [_row(entry) for entry in entries])
    except errors.UniqueViolation as conflict:
        raise VersionConflict(conflict.diag.message_detail or str(conflict)) from conflict


def _row(entry: InboxEntry) -> bytes:
    return b"".join(
        (
            _ROW_HEAD,
            uuid_field(entry.command_id),
            name_field(entry.command_type),
            text_field(entry.subject),
            text_field(entry.source),
            text_field(entry.sender),
            uuid_field(entry.user_id),
            bytes_field(entry.fingerprint),
            name_field(entry.status),
            text_field(entry.code),
            jsonb_field(entry.outcome),
            time_field(entry.decided_at),
        )
    )
