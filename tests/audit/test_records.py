"""Changes of what is kept beside the log, by its owner with the triggers disabled: none escapes."""

from collections.abc import Iterator

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.audit.prove import records
from ledger.write.ledger import Ledger
from tests.audit import history
from tests.audit.beside import TABLES, Connection, found, record, unguarded, verdict
from tests.commands import command


@pytest.fixture
def ledger(database_url: str) -> Iterator[Connection]:
    """Records of all kinds, sealed, and the connection of their owner."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        record(database_url, connection)
        history.seal(connection)
        yield connection


def test_records_that_nobody_touched_hold(ledger: Connection) -> None:
    check = verdict(ledger)
    assert check.findings == ()
    assert check.records is not None
    assert check.records.outcomes == 6
    assert check.records.failed_commands == 3
    assert check.records.unreadable_messages == 1  # one was delivered twice
    assert check.records.forgotten == 0
    assert check.records.unsealed_entries == 0


# --- what an owner can do -----------------------------------------------------------------------

CHANGES = {
    "uuid": "gen_random_uuid()",
    "text": "coalesce({0}, '') || 'x'",
    "bytea": "{0} || '\\x00'",
    "jsonb": '{0} || \'{{"message": "x"}}\'',
    "timestamp with time zone": "coalesce({0}, now()) + interval '1 microsecond'",
    "integer": "{0} + 1",
    "bigint": "{0} + 1000000",
}
UNCHECKED = """
    ALTER TABLE command_inbox DROP CONSTRAINT command_inbox_status;
    ALTER TABLE failed_commands DROP CONSTRAINT failed_commands_status,
        DROP CONSTRAINT failed_commands_settled, ALTER id DROP IDENTITY;
    ALTER TABLE unreadable_messages ALTER id DROP IDENTITY"""


@pytest.mark.parametrize("table", TABLES)
def test_a_change_of_any_column_of_any_record_shows(ledger: Connection, table: str) -> None:
    columns = ledger.execute(
        """SELECT column_name, data_type FROM information_schema.columns
           WHERE table_schema = 'public' AND table_name = %s""",
        [table],
    ).fetchall()
    places = [row[0] for row in ledger.execute(f"SELECT ctid::text FROM {table}".encode())]
    assert columns
    assert places
    for column, kind in columns:
        change = f"{column} = {CHANGES[kind].format(column)}"
        for place in places:
            with unguarded(ledger):
                ledger.execute(UNCHECKED.encode())
                ledger.execute(f"UPDATE {table} SET {change} WHERE ctid = %s".encode(), [place])
                assert found(ledger), change
    assert not found(ledger)


DEEDS = {
    "a rejection is deleted": (
        "DELETE FROM command_inbox WHERE status = 'REJECTED'",
        "removed: the outcome of command",
    ),
    "all outcomes are deleted": ("TRUNCATE command_inbox", "removed: the outcome of command"),
    "messages are deleted": ("TRUNCATE unreadable_messages", "removed: the unreadable message"),
    "a failed command is deleted": (
        "DELETE FROM failed_commands WHERE status = 'FAILED'",
        "removed: the failed command number 3 is missing",
    ),
    "a deed is undone": (
        "UPDATE failed_commands SET settled_by = 'eve' WHERE status = 'DISMISSED'",
        "changed: the failed command number 2 is not what was recorded",
    ),
    "an outcome is put in": (
        """INSERT INTO command_inbox SELECT gen_random_uuid(), command_type, subject, source,
               user_id, fingerprint, status, code, outcome, decided_at, sender
           FROM command_inbox LIMIT 1""",
        "inserted: the outcome of command",
    ),
    "an outcome is doubled": (
        """ALTER TABLE command_inbox DROP CONSTRAINT command_inbox_pkey;
           INSERT INTO command_inbox SELECT * FROM command_inbox WHERE status = 'ACCEPTED'""",
        "is there more than once",
    ),
    "outcomes are swapped": (
        """UPDATE command_inbox AS i SET outcome = o.outcome, fingerprint = o.fingerprint
           FROM command_inbox AS o WHERE i.status = 'REJECTED' AND o.status = 'ACCEPTED'""",
        "changed: the outcome of command",
    ),
    "the journal says what was never": (
        "UPDATE record_journal SET login = 'eve' WHERE number = 2",
        "changed: the entries 1-",
    ),
    "the journal is cut off": (
        "DELETE FROM record_journal WHERE number > 3",
        "removed: entry 4 of record_journal is missing",
    ),
    "the journal has a gap": (
        "DELETE FROM record_journal WHERE number = 2",
        "removed: entry 2 of record_journal is missing",
    ),
    "the journal changes its order": (
        """UPDATE record_journal SET number = 1000 WHERE number = 2;
           UPDATE record_journal SET number = 2 WHERE number = 3;
           UPDATE record_journal SET number = 3 WHERE number = 1000""",
        "changed: the entries 1-",
    ),
    "a seal forgets the journal": (
        "UPDATE event_seals SET journal_root = sha256('')",
        "changed: seal 1",
    ),
}


@pytest.mark.parametrize(("deed", "said"), DEEDS.values(), ids=DEEDS)
def test_what_an_owner_does_to_records_shows(ledger: Connection, deed: str, said: str) -> None:
    with unguarded(ledger):
        ledger.execute(deed.encode())
        told = found(ledger)
        assert any(said in one for one in told), told


DROPPED_TOGETHER = {
    "a rejection and its entry, before it is sealed": """
        DELETE FROM record_journal WHERE number = (SELECT max(number) - 1 FROM record_journal);
        DELETE FROM command_inbox WHERE command_id = %(late)s""",
    "a rejection, as if it had been old": """
        INSERT INTO record_journal
        SELECT (SELECT max(number) + 1 FROM record_journal), 'command_inbox', 'FORGOTTEN', j.keys,
            j.digests, clock_timestamp(), 'ledger_commands'
        FROM record_journal AS j WHERE j.keys = ARRAY[%(old)s::text];
        DELETE FROM command_inbox WHERE command_id = %(old)s""",
    "a rejection, as if it had failed and been retried": """
        INSERT INTO record_journal
        SELECT (SELECT max(number) + 1 FROM record_journal), 'command_inbox', 'RETRIED', j.keys,
            j.digests, clock_timestamp(), 'ledger_operator'
        FROM record_journal AS j WHERE j.keys = ARRAY[%(old)s::text];
        DELETE FROM command_inbox WHERE command_id = %(old)s""",
    "an outcome replaced by another, as if recorded again": """
        UPDATE command_inbox SET source = 'eve' WHERE command_id = %(old)s;
        INSERT INTO record_journal
        SELECT (SELECT max(number) + 1 FROM record_journal), 'command_inbox', 'RECORDED',
            ARRAY[command_id::text], ARRAY[record_digest(i)], clock_timestamp(), 'ledger_commands'
        FROM command_inbox AS i WHERE command_id = %(old)s""",
    "a failed outcome that nobody had retried": """
        INSERT INTO record_journal
        SELECT (SELECT max(number) + 1 FROM record_journal), 'command_inbox', 'RETRIED',
            ARRAY[command_id::text], ARRAY[record_digest(i)], clock_timestamp(), 'ledger_operator'
        FROM command_inbox AS i WHERE status = 'FAILED' LIMIT 1;
        DELETE FROM command_inbox AS i USING record_journal AS j
        WHERE j.change = 'RETRIED' AND j.keys = ARRAY[i.command_id::text]""",
    "a record that is said to have been there from the beginning": """
        UPDATE command_inbox SET source = 'eve' WHERE command_id = %(old)s;
        INSERT INTO record_journal
        SELECT (SELECT max(number) + 1 FROM record_journal), 'command_inbox', 'FOUND',
            ARRAY[command_id::text], ARRAY[record_digest(i)], clock_timestamp(), 'ledger_commands'
        FROM command_inbox AS i WHERE command_id = %(old)s""",
}


@pytest.mark.parametrize("deed", DROPPED_TOGETHER.values(), ids=DROPPED_TOGETHER)
def test_an_owner_who_writes_the_journal_as_well_is_found_out(
    database_url: str, ledger: Connection, deed: str
) -> None:
    (old,) = ledger.execute(
        "SELECT command_id FROM command_inbox WHERE status = 'REJECTED' LIMIT 1"
    ).fetchone() or (None,)
    late = command("Withdraw", uuid7(), asset="USDT", amount="1")
    with Ledger(database_url) as deciding:
        deciding.execute([late])
        deciding.execute([command("Withdraw", uuid7(), asset="USDT", amount="1")])
    with unguarded(ledger):
        for statement in deed.split(";"):
            ledger.execute(statement.encode(), {"old": old, "late": late.id})
        assert found(ledger)


def test_an_altered_digest_function_does_not_deceive(ledger: Connection) -> None:
    with unguarded(ledger):
        ledger.execute(
            """CREATE OR REPLACE FUNCTION record_digest(entry command_inbox) RETURNS bytea
               LANGUAGE sql STABLE RETURN sha256('')"""
        )
        ledger.execute("UPDATE command_inbox SET source = 'eve'")
        assert found(ledger)


def test_the_journal_hashes_what_is_checked(ledger: Connection) -> None:
    """What the database enters and what is computed of the rows are made by two statements."""
    for table in TABLES:
        same = ledger.execute(
            f"""SELECT count(*) FROM {table} AS t WHERE record_digest(t) =
                (SELECT sha256(convert_to(jsonb_build_array({records._CONTENT[table]})::text,
                    'UTF8')) FROM {table} WHERE ctid = t.ctid)""".encode()
        ).fetchone()
        assert same == ledger.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()


# --- what the database refuses ------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE command_inbox SET source = 'eve'",
        "DELETE FROM command_inbox WHERE status = 'REJECTED'",
        "TRUNCATE command_inbox",
        "DELETE FROM failed_commands",
        "TRUNCATE failed_commands",
        "UPDATE unreadable_messages SET reason = ''",
        "DELETE FROM unreadable_messages",
        "TRUNCATE unreadable_messages",
        "UPDATE record_journal SET login = 'eve'",
        "DELETE FROM record_journal",
        "TRUNCATE record_journal",
    ],
)
def test_the_database_refuses_to_change_records_even_to_a_superuser(
    ledger: Connection, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ledger.execute(statement.encode())
