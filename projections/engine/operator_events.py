"""What operators do to projections, recorded in the log with the deed itself.

`record` is called inside the transaction that does it, as its last statement: it takes the append
lock, which every command waits for, until that transaction's end. The database appends the event
(sql/functions/record_operation.sql), because the read side has no right to write into the log.
"""

import getpass
import os
import platform
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from uuid_utils.compat import uuid7

from ledger.eventstore import codec
from ledger.eventstore.reader import NOTIFY_CHANNEL
from ledger.nouns.projections import events as projection_events
from ledger.nouns.projections.events import ProjectionOperation


@dataclass(frozen=True)
class Deed:
    """Who does something, and why."""

    actor: str
    reason: str | None = None

    @classmethod
    def of_terminal(cls, actor: str | None = None, reason: str | None = None) -> Self:
        """Of whoever is said, else of the account at the terminal."""
        return cls(actor or whoever_this_is(), reason)

    def as_event(
        self, kind: type[ProjectionOperation], projection_name: str, **details: Any
    ) -> ProjectionOperation:
        """What the log tells of it."""
        return kind(
            projection_name=projection_name,
            actor=self.actor,
            reason=self.reason,
            details=details,
        )


def record(connection: psycopg.Connection[Any], done: ProjectionOperation) -> int:
    """Appends what was done, inside the caller's transaction; its position in the log. Raises
    psycopg.errors.InsufficientPrivilege for who is no operator."""
    row = connection.execute(
        "SELECT record_operation(%s, %s, %s, %s::jsonb, %s)",
        [
            uuid7(),
            projection_events.stream_id(done.projection_name),
            done.type,
            codec.encode(done).decode(),
            NOTIFY_CHANNEL,
        ],
    ).fetchone()
    assert row is not None
    return int(row[0])


def whoever_this_is() -> str:
    """Who acts, unless somebody says otherwise: the account at the terminal."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        name = str(os.getuid())
    return f"{name}@{platform.node()}"
