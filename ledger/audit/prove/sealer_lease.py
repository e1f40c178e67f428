"""How far the sealer is: its row in event_projections, and the fence that the row is.

A sealer claims the row, which raises its epoch, and says every few seconds that it is alive. A seal
and the progress commit together, and the progress moves only from the position, owner and epoch
that the writer knows: of two sealers at most one makes the next seal. `ledgerctl audit seal` seals
under the epoch of whoever is the owner, without taking the row away from it.
"""

from dataclasses import dataclass, replace
from typing import Any

import psycopg

from ledger.audit.prove.seals import PROJECTION
from ledger.kernel.errors import LedgerError

TAKEOVER_SECONDS = 15.0
"""A sealer that was silent for this long is taken to be gone: five times its heartbeat."""
HEARTBEAT_SECONDS = 3.0
"""How often a sealer that has nothing to seal says that it is there."""


class Fenced(LedgerError):
    """Another sealer was faster, or the sealer was paused."""


@dataclass(frozen=True)
class Progress:
    """The row as its reader knows it."""

    owner: str | None
    epoch: int
    position: int


# Where there is no row (a database of which only some tables were restored), the seals tell.
_INSTALL = f"""
    INSERT INTO event_projections (projection_name, last_processed_position)
    SELECT '{PROJECTION}', coalesce(max(last_position), 0) FROM event_seals
    ON CONFLICT DO NOTHING"""
_CLAIM = f"""
    UPDATE event_projections
    SET owner = %(owner)s, epoch = epoch + 1, status = 'RUNNING', updated_at = clock_timestamp()
    WHERE projection_name = '{PROJECTION}' AND status <> 'PAUSED' AND (owner IS NULL
        OR updated_at < clock_timestamp() - make_interval(secs => %(silent)s))
    RETURNING owner, epoch, last_processed_position"""
_READ = f"""
    SELECT owner, epoch, last_processed_position FROM event_projections
    WHERE projection_name = '{PROJECTION}'"""
_MINE = f"""projection_name = '{PROJECTION}' AND owner IS NOT DISTINCT FROM %(owner)s
    AND epoch = %(epoch)s AND status <> 'PAUSED'"""
_ADVANCE = f"""
    UPDATE event_projections
    SET last_processed_position = %(to)s,
        last_processed_event_id = coalesce(%(event_id)s, last_processed_event_id),
        last_processed_at = clock_timestamp(), updated_at = clock_timestamp(),
        total_events_processed = total_events_processed + %(to)s - %(position)s,
        processing_rate_per_second = %(rate)s, error_message = NULL,
        status = CASE WHEN owner IS NULL THEN 'STOPPED' ELSE 'RUNNING' END
    WHERE {_MINE} AND last_processed_position = %(position)s"""
_HOLD = f"SELECT last_processed_position FROM event_projections WHERE {_MINE} FOR UPDATE"
_HEARTBEAT = f"UPDATE event_projections SET updated_at = clock_timestamp() WHERE {_MINE}"
_FAIL = f"""
    UPDATE event_projections
    SET status = 'ERROR', error_message = %(message)s, error_count = error_count + 1,
        updated_at = clock_timestamp()
    WHERE {_MINE}"""
_RELEASE = f"""
    UPDATE event_projections
    SET owner = NULL, updated_at = clock_timestamp(),
        status = CASE status WHEN 'RUNNING' THEN 'STOPPED' ELSE status END
    WHERE projection_name = '{PROJECTION}' AND owner = %(owner)s AND epoch = %(epoch)s"""


def claim(connection: psycopg.Connection[Any], owner: str) -> Progress | None:
    """Makes `owner` the owner if there is none, or one that is silent; None if it has to wait."""
    with connection.transaction():
        # A claim must not be lost with the server, or an older owner could come back to life.
        connection.execute("SELECT public.commit_durably()")
        connection.execute(_INSTALL)
        row = connection.execute(_CLAIM, {"owner": owner, "silent": TAKEOVER_SECONDS}).fetchone()
    return Progress(*row) if row else None


def read(connection: psycopg.Connection[Any]) -> Progress | None:
    """The row as it is; None before the first sealer ran."""
    row = connection.execute(_READ).fetchone()
    return Progress(*row) if row else None


def read_or_begin(connection: psycopg.Connection[Any]) -> Progress:
    """The row as it is, made if it is missing."""
    connection.execute(_INSTALL)
    progress = read(connection)
    assert progress is not None
    return progress


def hold(connection: psycopg.Connection[Any], progress: Progress) -> None:
    """Keeps the row as it is until the end of the caller's transaction. Raises Fenced if it is not
    as the caller knows it."""
    row = connection.execute(_HOLD, vars(progress)).fetchone()
    if row is None or row[0] != progress.position:
        raise Fenced(f"the seals are no longer at position {progress.position}, or not for us")


def advance(
    connection: psycopg.Connection[Any],
    progress: Progress,
    *,
    to: int,
    event_id: str | None,
    rate: float,
) -> Progress:
    """Moves the progress, inside the transaction of the seal. Raises Fenced."""
    values = vars(progress) | {"to": to, "event_id": event_id, "rate": round(rate, 1)}
    if connection.execute(_ADVANCE, values).rowcount != 1:
        raise Fenced(f"the seals are no longer at position {progress.position}, or not for us")
    return replace(progress, position=to)


def heartbeat(connection: psycopg.Connection[Any], progress: Progress) -> None:
    """Says that the owner is there. Raises Fenced."""
    if connection.execute(_HEARTBEAT, vars(progress)).rowcount != 1:
        raise Fenced(f"the seals are no longer for {progress.owner}")


def fail(connection: psycopg.Connection[Any], progress: Progress, message: str) -> None:
    """Records why no seal can be made."""
    connection.execute(_FAIL, vars(progress) | {"message": message})


def release(connection: psycopg.Connection[Any], progress: Progress) -> None:
    """Gives the row up, so that another sealer may begin at once."""
    connection.execute(_RELEASE, vars(progress))
