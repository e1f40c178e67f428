"""Reading the log in position order: what projections, publishers and auditors read with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import orjson
import psycopg

from ledger.eventstore.codec import decode
from ledger.kernel.event import Event

NOTIFY_CHANNEL = "ledger_events"
"""Told once per append transaction; the payload is the head position, as text."""


class RecordedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as stored. `data` and `metadata` are JSON texts."""

    position: int
    id: UUID
    stream_id: UUID
    stream_type: str
    event_type: str
    event_version: int
    data: str
    metadata: str
    correlation_id: UUID | None
    causation_id: UUID | None
    user_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime

    @property
    def schema(self) -> int:
        """Version of the payload's shape; 1 unless the metadata says otherwise."""
        if '"schema"' not in self.metadata:
            return 1
        return int(orjson.loads(self.metadata).get("schema", 1))

    def decoded(self) -> Event:
        """The domain event. Raises UnknownEventType or UndecodableEvent."""
        return decode(self.event_type, self.data, self.schema)


COLUMNS = """position, id, stream_id, stream_type, event_type, event_version, event_data::text,
    metadata::text, correlation_id, causation_id, user_id, occurred_at, recorded_at"""
"""The columns of a RecordedEvent, in its order."""

ACCOUNT = (
    "(CASE WHEN stream_type = 'account' THEN stream_id::text ELSE event_data->>'account_id' END)"
)
"""The account that an event is about, as index event_store_account has it."""

PERSON = """(CASE WHEN metadata->>'source' LIKE 'web:%%'
            AND coalesce(metadata->>'sender', 'anonymous') IN ('anonymous', 'web')
        THEN substr(metadata->>'source', 5)
        ELSE coalesce(event_data->>'actor', event_data->>'by') END)"""
OF_PEOPLE = "(event_data ?| ARRAY['actor', 'by'] OR metadata->>'source' LIKE 'web:%%')"
"""Who did what an event says, and which events say so, as index event_store_person has them: who
signed in at the console, for whom alone it speaks, or whom the event names. With parameters."""


def where_kept(archived: str) -> str:
    """A condition that holds for all events that are not archived and for those whose positions a
    query finds in `archived_events AS kept`. It takes nothing from an answer that has no others,
    and keeps PostgreSQL from reading every archive from its beginning to its end for it."""
    return f"""(position >= public.log_kept_from() OR position = ANY(ARRAY(
        SELECT kept.position FROM {archived})))"""


def where_streams_are(streams: str) -> str:
    """The same for the events of some streams; `streams` is an expression of SQL for an array."""
    return where_kept(f"public.archived_events AS kept WHERE kept.stream_id = ANY({streams})")


_READ = f"""
    SELECT {COLUMNS} FROM event_store
    WHERE position > %(after)s AND position <= %(up_to)s
    ORDER BY position"""
_READ_OF_TYPES = f"""
    SELECT {COLUMNS} FROM event_store
    WHERE position > %(after)s AND position <= %(up_to)s AND event_type = ANY(%(types)s)
    ORDER BY position"""
_READ_AT = f"""
    SELECT {COLUMNS} FROM event_store WHERE position = ANY(%(positions)s) ORDER BY position"""


def head(connection: psycopg.Connection[Any]) -> int:
    """The position of the last event; 0 when there is none."""
    row = connection.execute(
        "SELECT position FROM event_store WHERE position >= log_kept_from() "
        "ORDER BY position DESC LIMIT 1"
    ).fetchone()
    return int(row[0]) if row else 0


def read(
    connection: psycopg.Connection[Any],
    *,
    after: int,
    up_to: int,
    event_types: Sequence[str] | None = None,
) -> list[RecordedEvent]:
    """The events with `after` < position <= `up_to`, in position order; only those of
    `event_types` when given. `up_to` must not be beyond the head: positions are gapless and
    final, so a caller that has handled the answer has handled everything up to `up_to`."""
    with connection.cursor(binary=True) as cursor:
        if event_types is None:
            cursor.execute(_READ, {"after": after, "up_to": up_to})
        else:
            cursor.execute(
                _READ_OF_TYPES, {"after": after, "up_to": up_to, "types": list(event_types)}
            )
        return [RecordedEvent(*row) for row in cursor]


def read_at(connection: psycopg.Connection[Any], positions: Sequence[int]) -> list[RecordedEvent]:
    """The events at these positions, in order."""
    if not positions:
        return []
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_READ_AT, {"positions": list(positions)})
        return [RecordedEvent(*row) for row in cursor]
