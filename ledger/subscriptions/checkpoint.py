"""The fence: a subscription's row in event_projections, its place in the log.

Whoever wants to handle events first claims the row (lease.py), which raises its epoch. What was
handled and the checkpoint commit in one transaction, and the checkpoint moves only from the
position, owner, epoch and generation that the owner knows, and never while the subscription is
paused. So of two that believe to be the owner at most one commits; the other updates no row, gets
`Fenced` and rolls back.

A person may work beside the owner, under the epoch of whoever that is and without taking the place
away (`ledgerctl audit seal`): reads the checkpoint as it is, and advances it. The owner is fenced
once, by the position, and reads it again.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from ledger.kernel.errors import LedgerError


class Fenced(LedgerError):
    """The subscription has another owner, epoch, position or generation than this one knows, or is
    paused."""


class NotInstalled(LedgerError):
    """The subscription has no row in event_projections."""


@dataclass(frozen=True)
class Checkpoint:
    """A subscription, as its owner knows it; or, with whatever `owner`, as somebody read it.
    `generation` and `code_version` tell the tables of a read model."""

    projection_name: str
    owner: str | None
    epoch: int
    position: int
    generation: int
    code_version: int


_MINE = """projection_name = %(projection_name)s AND owner IS NOT DISTINCT FROM %(owner)s
    AND epoch = %(epoch)s AND status <> 'PAUSED'"""
_INSTALL = """
    INSERT INTO event_projections (projection_name, last_processed_position)
    VALUES (%s, %s) ON CONFLICT DO NOTHING"""
_ADVANCE = f"""
    UPDATE event_projections
    SET last_processed_position = %(to)s,
        last_processed_event_id = coalesce(%(event_id)s, last_processed_event_id),
        last_processed_at = clock_timestamp(), updated_at = clock_timestamp(),
        total_events_processed = total_events_processed + %(handled)s,
        processing_rate_per_second =
            coalesce(round(%(rate)s::numeric, 2), processing_rate_per_second),
        status = CASE WHEN owner IS NULL THEN 'STOPPED' ELSE 'RUNNING' END, error_message = NULL
    WHERE {_MINE} AND last_processed_position = %(position)s AND generation = %(generation)s"""
_FAIL = f"""
    UPDATE event_projections
    SET status = 'ERROR', error_message = %(message)s, error_count = error_count + 1,
        updated_at = clock_timestamp()
    WHERE {_MINE}"""
_REREAD = f"SELECT last_processed_position FROM event_projections WHERE {_MINE}"
_READ = """
    SELECT projection_name, owner, epoch, last_processed_position, generation, code_version
    FROM event_projections WHERE projection_name = %s"""
_PAUSED = "SELECT status = 'PAUSED' FROM event_projections WHERE projection_name = %s"
_HOLD = f"""
    SELECT last_processed_position, generation FROM event_projections
    WHERE {_MINE} FOR UPDATE"""


def install(connection: psycopg.Connection[Any], name: str, position: int = 0) -> None:
    """Gives the subscription its row, if it has none yet. It begins behind this position."""
    connection.execute(_INSTALL, [name, position])


def read(connection: psycopg.Connection[Any], name: str) -> Checkpoint | None:
    """The row as it is, whoever owns it; None if there is none."""
    row = connection.execute(_READ, [name]).fetchone()
    return Checkpoint(*row) if row else None


def paused(connection: psycopg.Connection[Any], name: str) -> bool:
    """Whether a person has paused the subscription."""
    row = connection.execute(_PAUSED, [name]).fetchone()
    return row is not None and bool(row[0])


def advance(
    connection: psycopg.Connection[Any],
    checkpoint: Checkpoint,
    *,
    to: int,
    handled: int,
    event_id: UUID | None,
    rate: float | Decimal | None,
) -> Checkpoint:
    """Moves the checkpoint, inside the caller's transaction. `handled` events concerned the
    subscription, `event_id` is the last of them, `rate` how many positions it passes in a second;
    None leaves what was noted before. Raises Fenced."""
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
    row = connection.execute(_HOLD, vars(checkpoint)).fetchone()
    if row != (checkpoint.position, checkpoint.generation):
        raise _fenced(checkpoint)


def reread(connection: psycopg.Connection[Any], checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint as it is in the database. Raises Fenced."""
    row = connection.execute(_REREAD, vars(checkpoint)).fetchone()
    if row is None:
        raise _fenced(checkpoint)
    return replace(checkpoint, position=row[0])


def fail(connection: psycopg.Connection[Any], checkpoint: Checkpoint, message: str) -> None:
    """Records an error. Raises Fenced."""
    if connection.execute(_FAIL, vars(checkpoint) | {"message": message}).rowcount != 1:
        raise _fenced(checkpoint)


def _fenced(checkpoint: Checkpoint) -> Fenced:
    return Fenced(
        f"{checkpoint.projection_name} is no longer owned by {checkpoint.owner or 'nobody'} in "
        f"epoch {checkpoint.epoch} at position {checkpoint.position}, or is paused"
    )
