"""Commands that failed through a fault of ours and were set aside for an operator.

    keep      the command service puts the whole message here before it answers FAILED, where the
              outcome is recorded in the same transaction
    find      what an operator is shown
    settle    RETRIED takes the FAILED outcome away, so that the command can be decided anew under
              its id; DISMISSED makes it the outcome for ever

A command id has one outcome for ever, with this one exception: FAILED says that the ledger could
not decide, so what it decides later takes its place. No other outcome is ever replaced.

A message that comes again after a crash finds its FAILED outcome and is kept then. Who settled a
command, when and why stays in its row; a command that fails again gets another row.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors
from psycopg.rows import class_row

from ledger.kernel.errors import LedgerError

WAITING, RETRIED, DISMISSED = "FAILED", "RETRIED", "DISMISSED"
Deed = Literal["RETRIED", "DISMISSED"]

_KEEP = """
    INSERT INTO failed_commands
        (command_id, command_type, source, subject, fingerprint, body, code, message, tries)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::bytea[],
        %s::text[], %s::text[], %s::integer[])
    ON CONFLICT DO NOTHING"""

_FIND = """
    SELECT f.command_id, f.command_type, f.source, split_part(f.subject, '.', 1) AS subject,
        nullif(split_part(f.subject, '.', 2), '') AS command_class,
        nullif(split_part(f.subject, '.', 3), '') AS sender, f.code, f.message, f.tries,
        f.failed_at, f.status, f.settled_at, f.settled_by, f.reason, f.body, i.status AS outcome
    FROM failed_commands AS f LEFT JOIN command_inbox AS i USING (command_id)
    WHERE (%(command_id)s::uuid IS NULL OR f.command_id = %(command_id)s)
        AND (%(settled)s OR f.status = 'FAILED' AND coalesce(i.status, 'FAILED') = 'FAILED')
    ORDER BY f.id"""


class NotWaiting(LedgerError):
    """A command does not wait for what an operator wants with it."""


class FailedMessage(NamedTuple):
    """A command to keep, with the end of its tries."""

    command_id: UUID
    command_type: str
    source: str
    sent_to: str
    """What its subject said, `<account_id | family>.<class>.<sender>`."""
    fingerprint: bytes
    body: bytes
    code: str
    message: str
    tries: int


class FailedCommand(NamedTuple):
    """One failure of a command. Those of the days before there were classes and senders have none.
    `outcome` is the status of the outcome that the command has now,
    None while it has none."""

    command_id: UUID
    command_type: str
    source: str
    subject: str
    command_class: str | None
    sender: str | None
    code: str
    message: str
    tries: int
    failed_at: datetime
    status: str
    settled_at: datetime | None
    settled_by: str | None
    reason: str | None
    body: bytes
    outcome: str | None

    def shown(self) -> dict[str, Any]:
        """For people and scripts."""
        return self._asdict() | {"body": self.body.decode("utf-8", "backslashreplace")}


def keep(connection: psycopg.Connection[Any], messages: Sequence[FailedMessage]) -> None:
    """Writes the messages in one transaction. One that is kept already stays as it is."""
    if messages:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT public.commit_durably()")  # the message is acknowledged next
            keep_within(cursor, messages)


def keep_within(cursor: psycopg.Cursor[Any], messages: Sequence[FailedMessage]) -> None:
    """The same, in the caller's transaction."""
    if messages:
        rows = [tuple(map(_storable, message)) for message in messages]
        cursor.execute(_KEEP, [list(column) for column in zip(*rows, strict=True)])


def find(
    connection: psycopg.Connection[Any], command_id: UUID | None = None, *, settled: bool = False
) -> list[FailedCommand]:
    """What waits for an operator, the oldest first; with `settled` also what does not any more."""
    with connection.cursor(row_factory=class_row(FailedCommand)) as cursor:
        return cursor.execute(_FIND, {"command_id": command_id, "settled": settled}).fetchall()


def of_command(connection: psycopg.Connection[Any], command_id: UUID) -> list[FailedCommand]:
    """All failures of a command, the last one last. Raises NotWaiting if there are none."""
    found = find(connection, command_id, settled=True)
    if not found:
        raise NotWaiting(
            f"no command {command_id} was set aside. See: ledgerctl commands failed list. (One "
            "that failed before messages were kept is kept when its sender sends it again.)"
        )
    return found


def settle(
    connection: psycopg.Connection[Any], command_id: UUID, deed: Deed, *, by: str, reason: str
) -> None:
    """Raises NotWaiting when the command does not wait for it."""
    try:
        connection.execute(
            "SELECT settle_failed_command(%s, %s, %s, %s)", (command_id, deed, by, reason)
        )
    except errors.CheckViolation as refusal:
        hint = refusal.diag.message_hint
        raise NotWaiting(f"{refusal.diag.message_primary}. {hint or ''}".strip()) from refusal


def _storable(value: object) -> object:
    """Texts without what PostgreSQL cannot store."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    return value
