"""Messages that could be neither decided nor recorded under a command id, kept for a person.

A message is kept before it is acknowledged, so it is never lost; one that comes again, because the
worker died in between, is kept once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

MAX_KEPT_BYTES = 4_096
"""Default of the bytes kept of a message (setting `LEDGER_UNREADABLE_BODY_LIMIT_BYTES`)."""
MAX_KEPT_SUBJECT = 255
"""Characters kept of a subject."""

_INSERT = """
    INSERT INTO unreadable_messages (received_at, subject, reason, body, body_bytes)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""


class UnreadableMessage(NamedTuple):
    """`received_at` is when NATS received it."""

    received_at: datetime
    subject: str
    reason: str
    body: bytes


def keep(
    connection: psycopg.Connection[Any],
    messages: Sequence[UnreadableMessage],
    max_bytes: int = MAX_KEPT_BYTES,
) -> None:
    """Writes the messages in one transaction, each body cut to `max_bytes`."""
    rows = [
        (
            message.received_at,
            _storable(message.subject)[:MAX_KEPT_SUBJECT],
            _storable(message.reason),
            message.body[:max_bytes],
            len(message.body),
        )
        for message in messages
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT public.commit_durably()")  # the message is acknowledged next
        cursor.executemany(_INSERT, rows)


def _storable(text: str) -> str:
    """Without what PostgreSQL cannot store as text."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
