"""The fence: a projection's row in event_projections.

Whoever wants to write a read model first claims it, which raises the row's epoch. A batch
writes its rows and moves the checkpoint in one transaction, and the checkpoint moves only from
the position, owner and epoch that the writer knows. So of two workers that believe to be the
owner at most one commits; the other updates no row, gets `Fenced` and rolls back.

An owner that has nothing to do says every few seconds that it is alive (`heartbeat`); another
worker may claim what has no owner, or an owner that has been silent for too long.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg


class Fenced(Exception):
    """The projection has another owner, epoch, position or generation than this worker knows."""


class NotInstalled(Exception):
    """The projection has no row in event_projections."""


@dataclass(frozen=True)
class Checkpoint:
    """A claimed projection, as its owner knows it."""

    projection_name: str
    owner: str
    epoch: int
    position: int
    generation: int
    code_version: int


_CLAIM = """
    UPDATE event_projections
    SET owner = %(owner)s, epoch = epoch + 1, status = 'RUNNING', updated_at = clock_timestamp()
    WHERE projection_name = %(name)s AND (%(anyway)s OR owner IS NULL
        OR updated_at < clock_timestamp() - make_interval(secs => %(silent)s))
    RETURNING epoch, last_processed_position, generation, code_version"""
_MINE = """projection_name = %(projection_name)s AND owner = %(owner)s AND epoch = %(epoch)s"""
_ADVANCE = f"""
    UPDATE event_projections
    SET last_processed_position = %(to)s,
        last_processed_event_id = coalesce(%(event_id)s, last_processed_event_id),
        last_processed_at = clock_timestamp(), updated_at = clock_timestamp(),
        total_events_processed = total_events_processed + %(handled)s,
        processing_rate_per_second = coalesce(%(rate)s, processing_rate_per_second),
        status = 'RUNNING', error_message = NULL
    WHERE {_MINE} AND last_processed_position = %(position)s AND generation = %(generation)s"""
_FAIL = f"""
    UPDATE event_projections
    SET status = 'ERROR', error_message = %(message)s, error_count = error_count + 1,
        updated_at = clock_timestamp()
    WHERE {_MINE}"""
_READ = f"SELECT last_processed_position FROM event_projections WHERE {_MINE}"
_HEARTBEAT = f"UPDATE event_projections SET updated_at = clock_timestamp() WHERE {_MINE}"
_RELEASE = f"""
    UPDATE event_projections
    SET owner = NULL, status = CASE status WHEN 'RUNNING' THEN 'STOPPED' ELSE status END,
        updated_at = clock_timestamp()
    WHERE {_MINE}"""


def claim(
    connection: psycopg.Connection[Any], name: str, owner: str, *, silent_seconds: float | None
) -> Checkpoint | None:
    """Makes `owner` the owner and fences whoever was. With `silent_seconds`, only if there is
    no owner or it has been silent for that long; else None. Raises NotInstalled."""
    parameters = {
        "name": name,
        "owner": owner,
        "anyway": silent_seconds is None,
        "silent": silent_seconds or 0,
    }
    with connection.transaction():
        # A claim must not be lost with the server, or an older owner could come back to life.
        connection.execute("SET LOCAL synchronous_commit = on")
        row = connection.execute(_CLAIM, parameters).fetchone()
    if row is not None:
        epoch, position, generation, code_version = row
        return Checkpoint(name, owner, epoch, position, generation, code_version)
    found = connection.execute(
        "SELECT 1 FROM event_projections WHERE projection_name = %s", [name]
    ).fetchone()
    if found is None:
        raise NotInstalled(f"projection {name} is not installed. Run: ledgerctl migrate")
    return None


def advance(
    connection: psycopg.Connection[Any],
    checkpoint: Checkpoint,
    *,
    to: int,
    handled: int,
    event_id: UUID | None,
    rate: Decimal | None,
) -> Checkpoint:
    """Moves the checkpoint, inside the caller's transaction. Raises Fenced."""
    parameters = vars(checkpoint) | {
        "to": to,
        "handled": handled,
        "event_id": event_id,
        "rate": rate,
    }
    if connection.execute(_ADVANCE, parameters).rowcount != 1:
        raise _fenced(checkpoint)
    return replace(checkpoint, position=to)


def reread(connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint as it is in the database. Raises Fenced."""
    row = connection.execute(_READ, vars(checkpoint)).fetchone()
    if row is None:
        raise _fenced(checkpoint)
    return replace(checkpoint, position=row[0])


def heartbeat(connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> None:
    """Says that the owner is alive. Raises Fenced."""
    if connection.execute(_HEARTBEAT, vars(checkpoint)).rowcount != 1:
        raise _fenced(checkpoint)


def fail(connection: psycopg.Connection[Any], checkpoint: Checkpoint, message: str) -> None:
    """Records an error. Raises Fenced."""
    if connection.execute(_FAIL, vars(checkpoint) | {"message": message}).rowcount != 1:
        raise _fenced(checkpoint)


def release(connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> None:
    """Gives the projection up, so that another worker may claim it at once."""
    connection.execute(_RELEASE, vars(checkpoint))


def _fenced(checkpoint: Checkpoint) -> Fenced:
    return Fenced(
        f"{checkpoint.projection_name} is no longer owned by {checkpoint.owner} in epoch "
        f"{checkpoint.epoch} at position {checkpoint.position}"
    )
