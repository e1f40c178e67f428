"""What is kept beside the log holds when nobody alters it: retried, forgotten, found, alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors
from uuid_utils.compat import uuid7

from ledger.audit.prove import seals
from ledger.audit.prove.sealer import CannotSeal
from ledger.audit.prove.verify import verify
from ledger.operate import schema
from ledger.programs import housekeeping, unreadable_messages
from ledger.programs.unreadable_messages import UnreadableMessage
from ledger.write import failed_commands
from ledger.write.ledger import Ledger
from tests.audit import history
from tests.audit.beside import (
    Connection,
    found,
    record,
    set_aside,
    unguarded,
    verdict,
    without_triggers,
)
from tests.commands import command, open_account
from tests.roles.acting import acting_as


@pytest.fixture
def ledger(database_url: str) -> Iterator[Connection]:
    """Records of all kinds, sealed, and the connection of their owner."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        record(database_url, connection)
        history.seal(connection)
        yield connection


def test_rejections_alone_are_sealed(database_url: str, ledger: Connection) -> None:
    before = seals.head(ledger)
    with Ledger(database_url) as deciding:
        deciding.execute([command("Withdraw", uuid7(), asset="USDT", amount="1")])
    (sealed,) = history.seal(ledger)
    assert before is not None
    assert sealed.event_count == 0
    assert sealed.journal_last == (before.journal_last or 0) + 1
    assert history.seal(ledger) == []
    with Ledger(database_url) as deciding:
        deciding.execute([open_account(uuid7())])
    (after,) = history.seal(ledger)
    assert after.event_count == 1
    assert seals.seal_of(ledger, after.last_position) == after
    assert verdict(ledger).holds
    assert verify(ledger, first=after.first_position, trusted=history.TRUSTED).holds


def test_a_command_that_is_retried_and_decided_again_holds(
    database_url: str, ledger: Connection
) -> None:
    again = command("Withdraw", uuid7(), asset="USDT", amount="1")
    set_aside(ledger, again.id)
    history.seal(ledger)
    failed_commands.settle(ledger, again.id, "RETRIED", by="olga", reason="it is mended")
    with Ledger(database_url) as deciding:
        assert deciding.execute([again])[0].code == "UNKNOWN_ACCOUNT"
    history.seal(ledger)
    assert verdict(ledger).holds


def test_outcomes_that_are_forgotten_hold_and_are_counted(
    database_url: str, ledger: Connection
) -> None:
    old = uuid4()
    with without_triggers(ledger, "record_journal"):
        ledger.execute(
            """INSERT INTO command_inbox (command_id, command_type, subject, source, fingerprint,
                   status, outcome, decided_at)
               VALUES (%s, 'Deposit', 'a', 's', '\\x01', 'REJECTED', '{}',
                   now() - interval '9 days')""",
            [old],
        )
        ledger.execute(
            "UPDATE record_journal SET recorded_at = now() - interval '9 days' WHERE keys = %s",
            [[str(old)]],
        )
    history.seal(ledger)
    assert housekeeping.forget(database_url, 8) == 1
    history.seal(ledger)
    check = verdict(ledger)
    assert check.findings == ()
    assert check.records is not None
    assert check.records.forgotten == 1


def test_unreadable_messages_that_are_forgotten_hold_and_young_ones_stay(
    database_url: str, ledger: Connection
) -> None:
    for age in (timedelta(days=100), timedelta(0)):
        message = UnreadableMessage(datetime.now(UTC) - age, "x", f"no JSON {age}", b"{")
        unreadable_messages.keep(ledger, [message])
    with without_triggers(ledger, "record_journal"):
        ledger.execute(
            """UPDATE record_journal SET recorded_at = recorded_at - interval '99 days'
               WHERE number > (SELECT max(journal_last) FROM event_seals)"""
        )
    history.seal(ledger)
    with acting_as(database_url, "ledger_writer") as writer:
        with pytest.raises(errors.InsufficientPrivilege):
            writer.execute("DELETE FROM unreadable_messages")
        with pytest.raises(errors.CheckViolation, match="at least a day"):
            writer.execute("SELECT forget_unreadable_messages('1 hour', 10)")
    with pytest.raises(errors.InsufficientPrivilege, match="at least a day"):
        ledger.execute("DELETE FROM unreadable_messages")
    assert housekeeping.forget_unreadable(database_url, 90) == 1
    history.seal(ledger)
    check = verdict(ledger)
    assert check.findings == ()
    assert check.records is not None
    assert check.records.forgotten == 1
    kept = ledger.execute("SELECT dropped, amount FROM retention_log").fetchall()
    assert kept == [("unreadable_messages", 1)]


# --- the sealer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["max(number)", "max(number) - 1"])
def test_a_journal_that_lost_entries_is_not_sealed(
    database_url: str, ledger: Connection, number: str
) -> None:
    if number != "max(number)":
        with Ledger(database_url) as deciding:
            for _ in range(2):
                deciding.execute([command("Withdraw", uuid7(), asset="USDT", amount="1")])
    with unguarded(ledger):
        ledger.execute(
            f"""DELETE FROM record_journal
                WHERE number = (SELECT {number} FROM record_journal)""".encode()
        )
        with pytest.raises(CannotSeal, match="removed"):
            history.seal(ledger)


NEEDED_BEFORE = ("roles/_roles.sql", "functions/commit_durably.sql")
"""Beside its tables, what a ledger from before must have for this; all else came with the rest."""

# --- ledgers from before ------------------------------------------------------------------------


def test_records_of_a_ledger_without_a_journal_are_entered_as_found(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_files = schema.schema_files

    def before() -> list[schema.SchemaFile]:
        return [
            file
            for file in all_files()
            if (file.name < "migrations/0017" if file.numbered else file.name in NEEDED_BEFORE)
        ]

    monkeypatch.setattr(schema, "schema_files", before)
    schema.migrate(empty_database_url)
    monkeypatch.undo()
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        for status in ("REJECTED", "FAILED"):
            connection.execute(
                """INSERT INTO command_inbox (command_id, command_type, subject, source,
                       fingerprint, status, outcome, decided_at)
                   VALUES (gen_random_uuid(), 'Deposit', 'a', 's', '\\x01', %s, '{}',
                       now() - interval '9 days')""",
                [status],
            )
        unreadable_messages.keep(
            connection, [UnreadableMessage(datetime.now(UTC), "x", "no JSON", b"{")]
        )
        schema.migrate(empty_database_url)
        history.seal(connection)
        check = verdict(connection)
        assert check.findings == ()
        assert check.records is not None
        assert check.records.outcomes == 2
        assert housekeeping.forget(empty_database_url, 8) == 1
        record(empty_database_url, connection)
        history.seal(connection)
        assert verdict(connection).findings == ()
        with unguarded(connection):
            connection.execute("UPDATE command_inbox SET source = 'eve' WHERE status = 'FAILED'")
            assert found(connection)
