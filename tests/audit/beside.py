"""Records beside the log for tests: of all kinds, and what their owner can do to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from uuid_utils.compat import uuid7

from ledger.audit.prove.verdict import Verdict
from ledger.audit.prove.verify import verify
from ledger.programs import unreadable_messages
from ledger.programs.unreadable_messages import UnreadableMessage
from ledger.write import failed_commands
from ledger.write.failed_commands import FailedMessage
from ledger.write.ledger import Ledger
from tests.audit import history
from tests.commands import command, open_account

Connection = psycopg.Connection[Any]
TABLES = ("command_inbox", "failed_commands", "unreadable_messages")


def record(database_url: str, connection: Connection) -> None:
    account_id = uuid7()
    with Ledger(database_url) as deciding:
        deciding.execute([open_account(account_id)])
        for amount in ("1", "2", "3"):
            deciding.execute([command("Withdraw", account_id, asset="USDT", amount=amount)])
    for deed in ("RETRIED", "DISMISSED", None):
        command_id = uuid4()
        set_aside(connection, command_id)
        if deed == "RETRIED":
            failed_commands.settle(
                connection, command_id, "RETRIED", by="olga", reason="it is mended"
            )
        elif deed == "DISMISSED":
            failed_commands.settle(
                connection, command_id, "DISMISSED", by="olga", reason="obsolete"
            )
    now = datetime.now(UTC)
    messages = [UnreadableMessage(now, "ledger.commands.x", "no JSON", b"{") for _ in range(2)]
    unreadable_messages.keep(connection, messages)


def set_aside(connection: Connection, command_id: UUID) -> None:
    """A command that failed, with its outcome."""
    message = FailedMessage(command_id, "Deposit", "s", "a", b"\1", b"{}", "INTERNAL_ERROR", "x", 5)
    failed_commands.keep(connection, [message])
    connection.execute(
        """INSERT INTO command_inbox (command_id, command_type, subject, source, fingerprint,
               status, outcome, decided_at)
           VALUES (%s, 'Deposit', 'a', 's', '\\x01', 'FAILED', '{}', clock_timestamp())""",
        [command_id],
    )


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        yield


@contextmanager
def unguarded(connection: Connection) -> Iterator[None]:
    """What an owner can do: the triggers do not fire. Undone at the end."""
    with undone(connection):
        for table in (*TABLES, "record_journal", "event_seals"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        yield


def verdict(connection: Connection) -> Verdict:
    return verify(connection, trusted=history.TRUSTED)


def found(connection: Connection) -> list[str]:
    return [f"{finding.tampering}: {finding.message}" for finding in verdict(connection).findings]


@contextmanager
def without_triggers(connection: Connection, table: str) -> Iterator[None]:
    connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    yield
    connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
