"""Reading the log for folds.

A fold needs less of the envelope than an auditor, so ids that tell causes, and all metadata but
the schema version, are left in the database. A decoded event stays with its envelope: in a live
process several workers fold the same one (log_reader.py).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from ledger.eventstore.codec import decode
from ledger.eventstore.reader import where_streams_are
from ledger.kernel.event import Event
from projections.engine.projection import Recorded


class LogEvent(Recorded, frozen=True, gc=False):
    """An event as it was read, to be decoded."""

    def decoded(self) -> Event:
        """The domain event. Raises UnknownEventType or UndecodableEvent."""
        return decode(self.event_type, self.data, 1 if self.schema is None else int(self.schema))


class Part(NamedTuple):
    """One of `of` equal parts of the streams; `number` counts from 0."""

    number: int
    of: int


WHOLE = Part(0, 1)
"""All streams."""

_COLUMNS = """position, id, stream_id, event_type, event_version, event_data::text,
    metadata ->> 'schema',
    user_id, occurred_at, recorded_at"""
_READ = f"""
    SELECT {_COLUMNS} FROM event_store
    WHERE position > %(after)s AND position <= %(up_to)s AND {{types}}
    ORDER BY position"""
_READ_WHOLE = _READ.format(types="event_type = ANY(%(types)s)")
_READ_PART = _READ.format(
    types="event_type = ANY(%(types)s) "
    "AND abs(uuid_hash(stream_id) %% %(of)s::integer) = %(number)s"
)
_READ_NEXT = f"""
    SELECT {_COLUMNS}, stream_type FROM event_store
    WHERE position > %(after)s ORDER BY position LIMIT %(most)s"""
_READ_AT = f"""
    SELECT {_COLUMNS} FROM event_store WHERE position = ANY(%(positions)s) ORDER BY position"""

_READ_EARLIER = f"""
    SELECT {_COLUMNS} FROM public.event_store
    WHERE stream_id = %(stream)s AND event_version < %(version)s AND event_type = ANY(%(types)s)
        AND {where_streams_are("ARRAY[%(stream)s::uuid]")}
        AND position NOT IN (SELECT position FROM public.projection_dead_letters
            WHERE projection_name = %(projection)s AND status = 'SKIPPED')
    ORDER BY event_version"""


def read(
    connection: psycopg.Connection[Any],
    *,
    after: int,
    up_to: int,
    event_types: Sequence[str],
    part: Part = WHOLE,
) -> list[LogEvent]:
    """The events of these types with `after` < position <= `up_to`, in order; with `part`, only
    those of its streams. `up_to` must not be beyond the head: positions are gapless and final,
    so whoever has handled the answer has handled everything up to `up_to`."""
    parameters: dict[str, Any] = {"after": after, "up_to": up_to, "types": list(event_types)}
    with connection.cursor(binary=True) as cursor:
        if part == WHOLE:
            cursor.execute(_READ_WHOLE, parameters)
        else:
            cursor.execute(_READ_PART, parameters | part._asdict())
        return [LogEvent(*row) for row in cursor]


def read_next(
    connection: psycopg.Connection[Any], *, after: int, most: int
) -> list[tuple[Any, ...]]:
    """The next events after a position, at most `most`: the values of a LogEvent, and the type of
    the stream."""
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(_READ_NEXT, {"after": after, "most": most}).fetchall()


def read_at(connection: psycopg.Connection[Any], positions: Sequence[int]) -> list[LogEvent]:
    """The events at these positions, in order."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_READ_AT, {"positions": list(positions)})
        return [LogEvent(*row) for row in cursor]


def read_earlier(
    connection: psycopg.Connection[Any],
    recorded: Recorded,
    *,
    event_types: Sequence[str],
    projection_name: str,
) -> list[LogEvent]:
    """The events of its stream before an event, of these types, but for those that an operator has
    left out of the projection."""
    parameters = {
        "stream": recorded.stream_id,
        "version": recorded.event_version,
        "types": list(event_types),
        "projection": projection_name,
    }
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_READ_EARLIER, parameters)
        return [LogEvent(*row) for row in cursor]
