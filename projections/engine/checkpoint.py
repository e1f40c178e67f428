"""The fence: a projection's row in event_projections.

Whoever wants to write a read model first claims it (lease.py), which raises the row's epoch. A
batch writes its rows and moves the checkpoint in one transaction, and the checkpoint moves only
from the position, owner, epoch and generation that the writer knows, and never while the
projection is paused. So of two workers that believe to be the owner at most one commits; the
other updates no row, gets `Fenced` and rolls back.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from ledger.kernel.errors import LedgerError
from projections.engine.projection import Projection


class Fenced(LedgerError):
    """The projection has another owner, epoch, position or generation than this worker knows."""


class NotInstalled(LedgerError):
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


_MINE = """projection_name = %(projection_name)s AND owner = %(owner)s AND epoch = %(epoch)s"""
_ADVANCE = f"""
    UPDATE event_projections
    SET last_processed_position = %(to)s,
        last_processed_event_id = coalesce(%(event_id)s, last_processed_event_id),
        last_processed_at = clock_timestamp(), updated_at = clock_timestamp(),
        total_events_processed = total_events_processed + %(handled)s,
        processing_rate_per_second = coalesce(%(rate)s, processing_rate_per_second),
        status = 'RUNNING', error_message = NULL
    WHERE {_MINE} AND last_processed_position = %(position)s AND generation = %(generation)s
        AND status <> 'PAUSED'"""
_FAIL = f"""
    UPDATE event_projections
    SET status = 'ERROR', error_message = %(message)s, error_count = error_count + 1,
        updated_at = clock_timestamp()
    WHERE {_MINE} AND status <> 'PAUSED'"""
_READ = f"SELECT last_processed_position FROM event_projections WHERE {_MINE}"
_HOLD = """
    SELECT owner, epoch, last_processed_position, generation, status FROM event_projections
    WHERE projection_name = %s FOR UPDATE"""


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


def hold(connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> None:
    """Makes sure, until the caller's transaction ends, that `advance` will move the checkpoint.
    Raises Fenced."""
    row = connection.execute(_HOLD, [checkpoint.projection_name]).fetchone()
    known = (checkpoint.owner, checkpoint.epoch, checkpoint.position, checkpoint.generation)
    if row is None or row[:4] != known or row[4] == "PAUSED":
        raise _fenced(checkpoint)


def reread(connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint as it is in the database. Raises Fenced."""
    row = connection.execute(_READ, vars(checkpoint)).fetchone()
    if row is None:
        raise _fenced(checkpoint)
    return replace(checkpoint, position=row[0])


def fail(connection: psycopg.Connection[Any], checkpoint: Checkpoint, message: str) -> None:
    """Records an error. Raises Fenced."""
    if connection.execute(_FAIL, vars(checkpoint) | {"message": message}).rowcount != 1:
        raise _fenced(checkpoint)


def _fenced(checkpoint: Checkpoint) -> Fenced:
    return Fenced(
        f"{checkpoint.projection_name} is no longer owned by {checkpoint.owner} in epoch "
        f"{checkpoint.epoch} at position {checkpoint.position}"
    )


def other_version(projection: Projection, code_version: int) -> str:
    """What to do when the tables are of another version of the code."""
    return (
        f"the tables of {projection.name} were built by version {code_version} of its code, this "
        f"is version {projection.version}. Run: ledgerctl projections rebuild {projection.name}"
    )
