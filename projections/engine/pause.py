"""Pausing and resuming: what an operator says to whoever works on a projection, anywhere.

A pause takes the projection from its owner in one statement, which waits for the batch that is
being committed. When it returns, no batch can be committed any more (checkpoint.py), whether or
not the owner has noticed yet; nobody can claim it (lease.py) until it is resumed.
"""

from typing import Any

import psycopg

from ledger.nouns.projections.events import ProjectionOperation, ProjectionPaused, ProjectionResumed
from ledger.subscriptions.wakeup import CONTROL_CHANNEL
from projections.engine import operator_events
from projections.engine.operator_events import Deed

LOCK_TIMEOUT_SECONDS = 15
"""Longer than a hung owner can hold its row: by then another worker has ended its connection."""

_PAUSE = """
    UPDATE event_projections
    SET status = 'PAUSED', paused_by = %(who)s, pause_reason = %(reason)s,
        paused_at = clock_timestamp(), owner = NULL, epoch = epoch + 1,
        updated_at = clock_timestamp()
    WHERE projection_name = ANY(%(names)s) AND status <> 'PAUSED' RETURNING projection_name"""
_RESUME = """
    UPDATE event_projections
    SET status = 'STOPPED', paused_by = NULL, pause_reason = NULL, paused_at = NULL,
        updated_at = clock_timestamp()
    WHERE projection_name = ANY(%(names)s) AND status = 'PAUSED' RETURNING projection_name"""


def pause(connection: psycopg.Connection[Any], names: list[str], deed: Deed) -> list[str]:
    """Pauses these projections; returns those that were not paused already."""
    return _tell(connection, _PAUSE, names, deed, ProjectionPaused)


def resume(connection: psycopg.Connection[Any], names: list[str], deed: Deed) -> list[str]:
    """Lets them go on; returns those that were paused."""
    return _tell(connection, _RESUME, names, deed, ProjectionResumed)


def _tell(
    connection: psycopg.Connection[Any],
    statement: str,
    names: list[str],
    deed: Deed,
    kind: type[ProjectionOperation],
) -> list[str]:
    parameters = {"names": names, "who": deed.actor, "reason": deed.reason}
    with connection.transaction():
        connection.execute("SELECT public.commit_durably()")  # it survives a crash
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
        changed = sorted(name for (name,) in connection.execute(statement, parameters))
        for name in changed:
            connection.execute("SELECT public.wake(%s, %s)", [CONTROL_CHANNEL, name])
        for name in changed:
            operator_events.record(connection, deed.as_event(kind, name))
    return changed
