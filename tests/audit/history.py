"""A small history for tests of seals: a few streams, all kinds of values, sealed in blocks."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from uuid_utils.compat import uuid7

from ledger.audit.prove.sealer import SealerOptions, seal_all
from ledger.audit.prove.seals import Seal
from ledger.audit.prove.trust import TrustedKey
from ledger.eventstore import store
from ledger.eventstore.store import NewEvent

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STREAMS = 8
BLOCK = 8
"""Events per seal: small, so that a short history has many."""
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw()
TRUSTED = [TrustedKey(PUBLIC_KEY)]
DATA = (
    '{"amount": "12.50", "asset": "BTC", "note": "ä \\"x\\" \\\\ \\t", '
    '"deep": [{"a": 1}], "ok": true}'
)


def append(connection: psycopg.Connection[Any], count: int) -> list[UUID]:
    """Appends events, spread over the streams; returns their ids."""
    head, versions = _state(connection)
    events = []
    for number in range(head, head + count):
        stream_id = UUID(int=(0x0190A000 << 96) + number % STREAMS)
        versions[stream_id] = versions.get(stream_id, 0) + 1
        events.append(
            NewEvent(
                id=uuid7(),
                stream_id=stream_id,
                stream_type="account",
                event_type="account.deposited",
                event_version=versions[stream_id],
                data=DATA.encode(),
                metadata=f'{{"command_id": "{uuid7()}", "source": "tests"}}',
                correlation_id=uuid7() if number % 3 else None,
                causation_id=uuid7() if number % 5 else None,
                user_id=uuid7() if number % 2 else None,
                occurred_at=START + timedelta(milliseconds=250 * number),
            )
        )
    with connection.transaction(), connection.cursor() as cursor:
        store.copy_events(cursor, events, store.begin_append(cursor, count))
    return [event.id for event in events]


def new_event(stream_id: UUID, version: int) -> NewEvent:
    """An event of any stream."""
    return NewEvent(
        id=uuid7(),
        stream_id=stream_id,
        stream_type="account",
        event_type="account.deposited",
        event_version=version,
        data=DATA.encode(),
        metadata="{}",
        correlation_id=None,
        causation_id=None,
        user_id=None,
        occurred_at=START,
    )


def append_these(connection: psycopg.Connection[Any], *events: NewEvent) -> int:
    """Appends these events; returns the head."""
    with connection.transaction(), connection.cursor() as cursor:
        appended = store.begin_append(cursor, len(events))
        store.copy_events(cursor, events, appended)
    return appended.head + len(events)


def seal(
    connection: psycopg.Connection[Any],
    key: Ed25519PrivateKey | None = KEY,
    block_events: int = BLOCK,
) -> list[Seal]:
    """Seals everything."""
    options = SealerOptions(block_events=block_events, block_age_seconds=60, key=key)
    return list(seal_all(connection, options))


def _state(connection: psycopg.Connection[Any]) -> tuple[int, dict[UUID, int]]:
    rows = connection.execute(
        "SELECT stream_id, max(event_version), max(position) FROM event_store GROUP BY stream_id"
    ).fetchall()
    head = max((row[2] for row in rows), default=0)
    return head, {row[0]: row[1] for row in rows}
