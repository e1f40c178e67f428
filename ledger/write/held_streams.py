"""Streams that cannot be read, kept for whoever looks after the ledger.

    note      with the outcomes of the commands that need one: what is wrong, and how many wait
    find      what status, doctor and metrics show
    examine   reads each again; one that can be read goes on, and is taken off the list

The list is a note for people, not what is decided by: that a stream is held is found out by reading
it. What waits for it are commands that failed (`failed_commands.py`); a repair is an event of the
log (`ledger/nouns/streams`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog
from psycopg import errors
from psycopg.rows import class_row
from uuid_utils.compat import uuid7

from ledger.eventstore.codec import encode
from ledger.eventstore.reader import NOTIFY_CHANNEL
from ledger.kernel.errors import LedgerError
from ledger.nouns.streams.events import StreamEventPassedOver, StreamGapAccepted, repairs_of
from ledger.write import stream_reader
from ledger.write.stream_reader import HeldStream

_NOTE = """
    INSERT INTO public.held_streams AS held
        (stream_id, stream_type, event_version, position, reason, commands)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::integer[], %s::bigint[], %s::text[],
        %s::bigint[])
    ON CONFLICT (stream_id) DO UPDATE SET stream_type = excluded.stream_type,
        event_version = excluded.event_version, position = excluded.position,
        reason = excluded.reason, commands = held.commands + excluded.commands,
        last_command_at = clock_timestamp()"""
_FIND = """
    SELECT stream_id, stream_type, event_version, position, reason, commands, held_since,
        last_command_at
    FROM public.held_streams ORDER BY held_since, stream_id"""
_FORGET = "DELETE FROM public.held_streams WHERE stream_id = ANY (%s)"
_REPAIR = "SELECT public.repair_stream(%s, %s, %s, %s, %s::jsonb, %s)"

_log = structlog.get_logger(__name__)


class CannotRepair(LedgerError):
    """The stream is not held there, or the event is repaired so already."""


class HeldRecord(NamedTuple):
    """A stream that was held when a command last needed it. `commands` counts those that were set
    aside because of it."""

    stream_id: UUID
    stream_type: str | None
    event_version: int | None
    position: int | None
    reason: str
    commands: int
    held_since: datetime
    last_command_at: datetime

    def shown(self) -> dict[str, Any]:
        """For people and scripts."""
        return self._asdict()


def note(cursor: psycopg.Cursor[Any], held: Mapping[HeldStream, int]) -> None:
    """Within the caller's transaction."""
    if held:
        rows = [(*stream, commands) for stream, commands in held.items()]
        cursor.execute(_NOTE, [list(column) for column in zip(*rows, strict=True)])


def find(connection: psycopg.Connection[Any]) -> list[HeldRecord]:
    """All of them, the longest held first."""
    with connection.cursor(row_factory=class_row(HeldRecord)) as cursor:
        return cursor.execute(_FIND).fetchall()


def examine(connection: psycopg.Connection[Any]) -> list[UUID]:
    """Takes those off the list that can be read, and returns them."""
    noted = [record.stream_id for record in find(connection)]
    if not noted:
        return []
    found = stream_reader.read(connection, noted)
    well = [one for one, stream in found.items() if not isinstance(stream, HeldStream)]
    if well:
        connection.execute(_FORGET, (well,))
        _log.info("streams_go_on", streams=[str(one) for one in well])
    return well


def repair(
    connection: psycopg.Connection[Any],
    stream_id: UUID,
    event_version: int,
    *,
    by: str,
    reason: str,
) -> int:
    """Records that an operator goes on past the event at which the stream is held: what cannot be
    read is passed over; where versions before it are missing, that is accepted, and it counts. The
    position of the record, which the command service heeds with the next command. Raises
    CannotRepair."""
    held = stream_reader.read(connection, [stream_id])[stream_id]
    if not isinstance(held, HeldStream):
        raise CannotRepair(f"stream {stream_id} can be read: there is nothing to repair.")
    if held.position is None or held.event_version != event_version:
        where = "the database itself" if held.position is None else f"version {held.event_version}"
        raise CannotRepair(
            f"stream {stream_id} is held at {where}, not at version {event_version}: {held.reason}"
        )
    kind = StreamGapAccepted if held.is_after_a_gap else StreamEventPassedOver
    done = kind(
        repaired_stream_id=stream_id,
        event_version=event_version,
        position=held.position,
        actor=by,
        reason=reason,
    )
    of = repairs_of(stream_id)
    values = (uuid7(), of, stream_id, done.type, encode(done).decode(), NOTIFY_CHANNEL)
    try:
        row = connection.execute(_REPAIR, values).fetchone()
    except errors.CheckViolation as refusal:
        raise CannotRepair(f"{refusal.diag.message_primary}.") from refusal
    assert row is not None
    return int(row[0])
