"""Reading the log for folds.

A fold needs less of the envelope than an auditor. Ids are the dearest columns to read (half a
microsecond each), so those that tell causes are left in the database.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import orjson
import psycopg

from ledger.domain.event import Event
from ledger.eventstore.codec import decode


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """What a fold is told about an event beside its payload. `user_id` is the account's user;
    `occurred_at` is when it happened, `recorded_at` when it was stored."""

    position: int
    id: UUID
    stream_id: UUID
    event_type: str
    event_version: int
    data: str
    metadata: str
    user_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime

    def decoded(self) -> Event:
        """The domain event. Raises UnknownEventType or UndecodableEvent."""
        schema = 1
        if '"schema"' in self.metadata:
            schema = int(orjson.loads(self.metadata).get("schema", 1))
        return decode(self.event_type, self.data, schema)


class Part(NamedTuple):
    """One of `of` equal parts of the streams; `number` counts from 0."""

    number: int
    of: int


WHOLE = Part(0, 1)
"""All streams."""

_READ = """
    SELECT position, id, stream_id, event_type, event_version, event_data::text, metadata::text,
           user_id, occurred_at, recorded_at
    FROM event_store
    WHERE position > %(after)s AND position <= %(up_to)s AND event_type = ANY(%(types)s) {part}
    ORDER BY position"""
_READ_WHOLE = _READ.format(part="")
_READ_PART = _READ.format(part="AND abs(uuid_hash(stream_id) %% %(of)s::integer) = %(number)s")


def read(
    connection: psycopg.Connection[Any],
    *,
    after: int,
    up_to: int,
    event_types: Sequence[str],
    part: Part = WHOLE,
) -> list[Recorded]:
    """The events of these types with `after` < position <= `up_to`, in order; with `part`, only
    those of its streams. `up_to` must not be beyond the head: positions are gapless and final,
    so whoever has handled the answer has handled everything up to `up_to`."""
    parameters = {"after": after, "up_to": up_to, "types": list(event_types)}
    with connection.cursor(binary=True) as cursor:
        if part == WHOLE:
            cursor.execute(_READ_WHOLE, parameters)
        else:
            cursor.execute(_READ_PART, parameters | part._asdict())
        return [Recorded(*row) for row in cursor]
