"""Appending to the log and loading streams from it.

One append is one transaction of its caller:

    begin_append()   takes the append lock until commit, tells the head and the time of
                     recording, and queues one NOTIFY             (sql/functions/begin_append.sql)
    copy_events()    binary COPY to positions head + 1, head + 2 … in the order given
    … whatever must commit together with the events (inbox, tracking) …
    COMMIT           by the caller; readers are woken

so four round trips whatever the number of events. Streams are guarded by the unique key
(stream_id, event_version): a writer that decided on an old version gets `VersionConflict`
and nothing of its transaction is kept.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors

from ledger.eventstore.reader import COLUMNS, NOTIFY_CHANNEL, RecordedEvent, read_at
from ledger.eventstore.rows import copy_rows, jsonb_field, name_field, time_field, uuid_field
from ledger.kernel.errors import LedgerError


class VersionConflict(LedgerError):
    """Somebody else appended to one of the streams since it was loaded, or the event id is
    taken: load again and decide again."""


class MissingFromArchive(LedgerError):
    """An archive lacks an event whose key was kept."""


class NewEvent(NamedTuple):
    """An event to append. `data` is the payload in JSON as bytes, `metadata` a JSON text."""

    id: UUID
    stream_id: UUID
    stream_type: str
    event_type: str
    event_version: int
    data: bytes
    metadata: str
    correlation_id: UUID | None
    causation_id: UUID | None
    user_id: UUID | None
    occurred_at: datetime


class Appended(NamedTuple):
    """`head` was the last position before; the appended events follow it without a gap."""

    head: int
    recorded_at: datetime


COPY_EVENTS = """COPY event_store (position, id, stream_id, stream_type, event_type, event_version,
    event_data, metadata, correlation_id, causation_id, user_id, occurred_at, recorded_at)
    FROM STDIN WITH (FORMAT binary)"""

# Of an archived event, its position alone: it is read only if there is one.
_LOAD = f"""
    SELECT {COLUMNS} FROM unnest(%(ids)s::uuid[], %(after)s::integer[]) AS wanted (id_wanted, after)
    JOIN event_store ON stream_id = id_wanted AND event_version > after
    WHERE position >= public.log_kept_from()
    UNION ALL
    SELECT kept.position, kept.id, kept.stream_id, NULL, NULL, kept.event_version, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL
    FROM unnest(%(ids)s::uuid[], %(after)s::integer[]) AS wanted (id_wanted, after)
    JOIN public.archived_events AS kept
        ON kept.stream_id = id_wanted AND kept.event_version > after
    WHERE kept.position < public.log_kept_from()
    ORDER BY stream_id, event_version"""

_LOAD_BACKWARDS = f"""
    SELECT {COLUMNS} FROM event_store
    WHERE stream_id = %(stream_id)s AND event_version <= %(up_to)s
      AND event_data->>'instrument' = ANY(%(instruments)s)
      AND position >= public.log_kept_from()
    ORDER BY event_version DESC LIMIT %(page)s"""
_ARCHIVED_BACKWARDS = """
    SELECT kept.position, kept.event_version FROM public.archived_events AS kept
    WHERE kept.stream_id = %(stream_id)s AND kept.event_version <= %(up_to)s
      AND kept.position < public.log_kept_from()
    ORDER BY kept.event_version DESC LIMIT %(page)s"""
_AT_BACKWARDS = f"""
    SELECT {COLUMNS} FROM event_store
    WHERE position = ANY(%(positions)s) AND event_data->>'instrument' = ANY(%(instruments)s)
    ORDER BY position DESC"""
PAGE = 1_000
"""Events that are read at a time by whoever goes back in a stream and stops when he has found."""

_FIELDS = 13
_BEGINNING = Struct("!hiqi16si16s")
"""Of a row: the number of fields, position, id, stream."""
_VERSION = Struct("!ii")


def begin_append(cursor: psycopg.Cursor[Any], event_count: int) -> Appended:
    """Takes the append lock for the rest of the caller's transaction and tells where the next
    `event_count` events go. What the caller reads from here on includes every append before."""
    row = cursor.execute(
        "SELECT head, recorded_at FROM begin_append(%s, %s)", (event_count, NOTIFY_CHANNEL)
    ).fetchone()
    assert row is not None
    return Appended(*row)


def copy_events(
    cursor: psycopg.Cursor[Any], events: Sequence[NewEvent], appended: Appended
) -> None:
    """Writes the events after `appended.head`, in order.

    Raises VersionConflict; the transaction is then lost.
    """
    if not events:
        return
    try:
        copy_rows(cursor, COPY_EVENTS, event_rows(events, appended))
    except errors.UniqueViolation as conflict:
        raise VersionConflict(conflict.diag.message_detail or str(conflict)) from conflict


def event_rows(events: Iterable[NewEvent], appended: Appended) -> list[bytes]:
    """The events as rows of `COPY_EVENTS`."""
    recorded_at = time_field(appended.recorded_at)
    happened_at, occurred_at = appended.recorded_at, recorded_at
    rows = []
    for position, event in enumerate(events, appended.head + 1):
        if event.occurred_at is not happened_at:  # one command's events have one time
            happened_at = event.occurred_at
            occurred_at = time_field(happened_at)
        rows.append(
            b"".join(
                (
                    _BEGINNING.pack(
                        _FIELDS, 8, position, 16, event.id.bytes, 16, event.stream_id.bytes
                    ),
                    name_field(event.stream_type),
                    name_field(event.event_type),
                    _VERSION.pack(4, event.event_version),
                    jsonb_field(event.data),
                    jsonb_field(event.metadata.encode()),
                    uuid_field(event.correlation_id),
                    uuid_field(event.causation_id),
                    uuid_field(event.user_id),
                    occurred_at,
                    recorded_at,
                )
            )
        )
    return rows


def streams_changed(cursor: psycopg.Cursor[Any], *, after: int, up_to: int) -> set[UUID]:
    """The streams with an event at `after` < position <= `up_to`."""
    cursor.execute(
        "SELECT DISTINCT stream_id FROM event_store WHERE position >= %s + 1 AND position <= %s",
        (after, up_to),
    )
    return {row[0] for row in cursor}


def load_streams(
    connection: psycopg.Connection[Any], after: dict[UUID, int]
) -> dict[UUID, list[RecordedEvent]]:
    """The events of each stream beyond the version given for it, oldest first. Streams
    without such events have an empty list."""
    streams: dict[UUID, list[RecordedEvent]] = {stream_id: [] for stream_id in after}
    if not after:
        return streams
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_LOAD, {"ids": list(after), "after": list(after.values())}).fetchall()
    archived = [row[0] for row in rows if row[3] is None]
    read_again = {event.position: event for event in read_at(connection, archived)}
    for row in rows:
        event = RecordedEvent(*row) if row[3] is not None else read_again.get(row[0])
        if event is None:
            raise MissingFromArchive(
                f"the event at position {row[0]} is not in the archive that should have it. Run: "
                "ledgerctl audit verify"
            )
        streams[event.stream_id].append(event)
    return streams


def load_backwards(
    connection: psycopg.Connection[Any], stream_id: UUID, up_to: int, instruments: Collection[str]
) -> Iterator[RecordedEvent]:
    """The events of a stream up to a version that are about one of the instruments, newest first,
    read page by page as they are asked for."""
    wanted = {"stream_id": stream_id, "instruments": list(instruments), "page": PAGE}
    while up_to > 0:
        with connection.cursor(binary=True) as cursor:
            cursor.execute(_LOAD_BACKWARDS, {**wanted, "up_to": up_to})
            page = [RecordedEvent(*row) for row in cursor]
        yield from page
        if len(page) < PAGE:
            break
        up_to = page[-1].event_version - 1
    while archived := connection.execute(
        _ARCHIVED_BACKWARDS, {**wanted, "up_to": up_to}
    ).fetchall():
        with connection.cursor(binary=True) as cursor:
            cursor.execute(_AT_BACKWARDS, {**wanted, "positions": [row[0] for row in archived]})
            yield from [RecordedEvent(*row) for row in cursor]
        up_to = archived[-1][1] - 1
