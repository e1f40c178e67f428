"""Who publishes: the row `publisher` of event_projections, and how far that one is.

As with read models, whoever wants to publish claims the row first, which raises its epoch, and the
position moves only from the position, owner and epoch that the publisher knows. An owner says every
few seconds that it is alive; another may claim what has no owner, or a silent one. What keeps a
publisher that was overtaken without noticing from publishing is the stream: each batch names the
message it follows.

The progress is a note: where publishing goes on, the stream itself says (event_stream.py). So it
need not wait for the disk.
"""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg

from ledger.kernel.errors import LedgerError

NAME = "publisher"


class Overtaken(LedgerError):
    """Another publisher has taken over, or a person has paused this one."""


@dataclass(frozen=True)
class Claim:
    """The publisher's row, as its owner knows it."""

    owner: str
    epoch: int
    position: int


_INSTALL = "INSERT INTO event_projections (projection_name) VALUES (%s) ON CONFLICT DO NOTHING"
_CLAIM = """
    UPDATE event_projections
    SET owner = %(owner)s, epoch = epoch + 1, status = 'RUNNING', updated_at = clock_timestamp()
    WHERE projection_name = 'publisher' AND status <> 'PAUSED' AND (owner IS NULL
        OR updated_at < clock_timestamp() - make_interval(secs => %(silent)s))
    RETURNING epoch, last_processed_position"""
_MINE = """projection_name = 'publisher' AND owner = %(owner)s AND epoch = %(epoch)s
    AND status <> 'PAUSED'"""
_ADVANCE = f"""
    UPDATE event_projections
    SET last_processed_position = %(to)s, last_processed_event_id = %(event_id)s,
        last_processed_at = clock_timestamp(), updated_at = clock_timestamp(),
        total_events_processed = total_events_processed + %(events)s,
        processing_rate_per_second = coalesce(round(%(rate)s::numeric, 1),
                                              processing_rate_per_second),
        status = 'RUNNING', error_message = NULL
    WHERE {_MINE} AND last_processed_position = %(position)s"""
_MOVE = f"""
    UPDATE event_projections
    SET last_processed_position = %(to)s, updated_at = clock_timestamp(),
        status = 'RUNNING', error_message = NULL
    WHERE {_MINE} AND last_processed_position = %(position)s"""
_HEARTBEAT = f"UPDATE event_projections SET updated_at = clock_timestamp() WHERE {_MINE}"
_FAIL = f"""
    UPDATE event_projections
    SET status = 'ERROR', error_message = %(message)s, error_count = error_count + 1,
        updated_at = clock_timestamp()
    WHERE {_MINE}"""
_RELEASE = f"""
    UPDATE event_projections
    SET owner = NULL, status = CASE status WHEN 'RUNNING' THEN 'STOPPED' ELSE status END,
        updated_at = clock_timestamp()
    WHERE {_MINE}"""


def claim(
    connection: psycopg.Connection[Any], owner: str, *, silent_seconds: float
) -> Claim | None:
    """Makes `owner` the publisher if there is none or it was silent for that long; else None."""
    with connection.transaction():
        # A claim must not be lost with the server, or an older owner could come back to life.
        connection.execute("SELECT public.commit_durably()")
        connection.execute(_INSTALL, [NAME])
        row = connection.execute(_CLAIM, {"owner": owner, "silent": silent_seconds}).fetchone()
    return None if row is None else Claim(owner, *row)


def advance(
    connection: psycopg.Connection[Any],
    claim: Claim,
    *,
    to: int,
    event_id: UUID,
    events: int,
    rate: float | None,
) -> Claim:
    """Notes that everything up to `to` is in the stream. Raises Overtaken."""
    parameters = vars(claim) | {"to": to, "event_id": event_id, "events": events, "rate": rate}
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = off")
        _only_if_mine(connection.execute(_ADVANCE, parameters))
    return replace(claim, position=to)


def move(connection: psycopg.Connection[Any], claim: Claim, to: int) -> Claim:
    """Sets the note to where the stream is, in either direction. Raises Overtaken."""
    _only_if_mine(connection.execute(_MOVE, vars(claim) | {"to": to}))
    return replace(claim, position=to)


def heartbeat(connection: psycopg.Connection[Any], claim: Claim) -> None:
    """Says that the publisher is alive. Raises Overtaken."""
    _only_if_mine(connection.execute(_HEARTBEAT, vars(claim)))


def fail(connection: psycopg.Connection[Any], claim: Claim, message: str) -> None:
    """Records why nothing is published."""
    connection.execute(_FAIL, vars(claim) | {"message": message})


def release(connection: psycopg.Connection[Any], claim: Claim) -> None:
    """Gives the row up, so that another publisher may claim it at once."""
    connection.execute(_RELEASE, vars(claim))


def _only_if_mine(cursor: psycopg.Cursor[Any]) -> None:
    if cursor.rowcount != 1:
        raise Overtaken("another publisher has taken over, or a person has paused this one")
