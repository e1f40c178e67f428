"""Migrations: applied once, by one process, and never to a database that is ahead of the code."""

import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest

from ledger.operate import schema
from ledger.operate.schema import (
    DatabaseNewerThanCode,
    MigrationChanged,
    MigrationFailed,
    SchemaFile,
    SchemaOutdated,
    check_schema,
    migrate,
    schema_files,
)
from tests.databases import temporary_database


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def with_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[SchemaFile], None]:
    """Makes the code believe that it has one more file, or another version of a file."""

    def add(file: SchemaFile) -> None:
        files = [known for known in schema_files() if known.name != file.name]
        monkeypatch.setattr(schema, "schema_files", lambda: [*files, file])

    return add


def test_an_empty_database_gets_every_file_once(empty_database_url: str) -> None:
    applied = migrate(empty_database_url)

    assert applied == [file.name for file in schema_files()]
    assert migrate(empty_database_url) == []
    check_schema(empty_database_url)


def test_roles_come_after_all_they_grant_on() -> None:
    kinds = [file.name.partition("/")[0] for file in schema_files()]

    assert kinds == sorted(kinds, key=("migrations", "functions", "views", "roles").index)


def test_a_migration_is_recorded_with_checksum_time_and_who(empty_database_url: str) -> None:
    migrate(empty_database_url)

    rows = execute(
        empty_database_url,
        """SELECT length(checksum), applied_at <= clock_timestamp(), applied_by, duration_ms >= 0
           FROM schema_migrations WHERE name = 'migrations/0001_event_store.sql'""",
    )
    ((length, in_the_past, who, has_duration),) = rows
    assert (length, in_the_past, has_duration) == (64, True, True)
    assert str(who).endswith(" as ledger")


def test_several_processes_at_once_apply_each_file_once(empty_database_url: str) -> None:
    program = (
        "import sys; from ledger.operate.schema import migrate; print(len(migrate(sys.argv[1])))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, empty_database_url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    applied = [int(process.communicate()[0]) for process in processes]

    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(applied) == [0, 0, 0, len(schema_files())]


def test_two_databases_of_one_server_can_be_migrated_at_once(postgres15_url: str) -> None:
    program = "import sys; from ledger.operate.schema import migrate; migrate(sys.argv[1])"
    with temporary_database(postgres15_url) as one, temporary_database(postgres15_url) as two:
        processes = [subprocess.Popen([sys.executable, "-c", program, url]) for url in (one, two)]
        assert [process.wait() for process in processes] == [0, 0]


def test_postgresql_15_takes_the_whole_schema(postgres15_url: str) -> None:
    with temporary_database(postgres15_url) as url:
        assert len(migrate(url)) == len(schema_files())
        assert migrate(url) == []


def test_a_database_newer_than_the_code_is_refused(database_url: str) -> None:
    execute(
        database_url,
        """INSERT INTO schema_migrations (name, checksum, applied_by, duration_ms)
           VALUES ('migrations/9999_from_the_future.sql', 'x', 'somebody', 1)""",
    )

    with pytest.raises(DatabaseNewerThanCode, match=r"9999_from_the_future.*Update"):
        migrate(database_url)
    with pytest.raises(DatabaseNewerThanCode):
        check_schema(database_url)


def test_a_migration_that_was_edited_after_it_was_applied_is_refused(
    database_url: str, with_file: Callable[[SchemaFile], None]
) -> None:
    with_file(SchemaFile("migrations/0001_event_store.sql", "SELECT 1", "another checksum"))

    with pytest.raises(MigrationChanged, match=r"0001_event_store\.sql was changed.*Restore"):
        migrate(database_url)


def test_a_function_that_was_changed_is_applied_again(
    database_url: str, with_file: Callable[[SchemaFile], None]
) -> None:
    name = "functions/begin_append.sql"
    with_file(SchemaFile(name, "CREATE FUNCTION is_new() RETURNS int RETURN 1", "new checksum"))

    assert migrate(database_url) == [name]
    assert execute(database_url, "SELECT is_new()") == [(1,)]
    assert migrate(database_url) == []


def test_a_file_that_fails_leaves_nothing_of_itself(
    database_url: str, with_file: Callable[[SchemaFile], None]
) -> None:
    with_file(SchemaFile("migrations/9000_bad.sql", "CREATE TABLE half (); SELECT 1/0", "x"))

    with pytest.raises(MigrationFailed, match=r"sql/migrations/9000_bad\.sql: division by zero"):
        migrate(database_url)
    assert execute(database_url, "SELECT to_regclass('half')") == [(None,)]


def test_a_service_does_not_start_on_a_database_that_lacks_a_migration(
    empty_database_url: str,
) -> None:
    with pytest.raises(SchemaOutdated, match="Run: ledgerctl migrate"):
        check_schema(empty_database_url)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event_store SET event_type = 'x'",
        "DELETE FROM event_store",
        "TRUNCATE event_store",
        "INSERT INTO event_store_1 SELECT * FROM event_store ON CONFLICT (position) DO UPDATE "
        "SET event_type = 'x'",
    ],
)
def test_the_database_refuses_to_change_history_even_to_a_superuser(
    database_url: str, statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        execute(database_url, statement)


def test_nobody_is_granted_to_change_history_not_even_the_owner(database_url: str) -> None:
    rows = execute(
        database_url,
        """SELECT acl.grantee::regrole, acl.privilege_type
           FROM pg_class, aclexplode(relacl) AS acl
           WHERE oid = 'event_store'::regclass
             AND acl.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')""",
    )
    assert rows == []


@pytest.mark.parametrize(
    ("role", "statement", "allowed"),
    [
        ("ledger_writer", "SELECT FROM event_store", True),
        ("ledger_writer", "DELETE FROM event_store", False),
        ("ledger_writer", "UPDATE command_inbox SET code = 'x'", False),
        ("ledger_writer", "SELECT FROM event_projections", False),
        ("ledger_projector", "SELECT FROM event_store", True),
        ("ledger_projector", "INSERT INTO command_inbox DEFAULT VALUES", False),
        ("ledger_auditor", "SELECT FROM command_inbox", True),
        ("ledger_auditor", "UPDATE event_projections SET status = 'PAUSED'", False),
        ("ledger_operator", "UPDATE event_projections SET status = 'PAUSED'", True),
        ("ledger_monitor", "SELECT max(position) FROM event_store", True),
        ("ledger_monitor", "SELECT event_data FROM event_store", False),
        ("ledger_sealer", "SELECT FROM event_store", True),
        ("ledger_sealer", "SELECT FROM command_inbox", False),
        ("ledger_user", "SELECT FROM event_store", False),
    ],
)
def test_a_role_may_do_its_work_and_no_more(
    database_url: str, role: str, statement: str, allowed: bool
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        if allowed:
            connection.execute(statement.encode())
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
