"""What is acknowledged is on disk, whatever the server's default is."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from ledger.eventstore import reader
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.write.ledger import Ledger
from tests.commands import command, open_account
from tests.roles.acting import acting_as


def default(database_url: str, value: str) -> None:
    """What every new session of the database begins with."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(
                sql.Identifier(connection.info.dbname), sql.Literal(value)
            )
        )


def inside(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    """What holds after commit_durably, in its transaction and afterwards."""
    with connection.transaction():
        connection.execute("SELECT public.commit_durably()")
        within: Any = connection.execute("SHOW synchronous_commit").fetchone()
    after: Any = connection.execute("SHOW synchronous_commit").fetchone()
    return within[0], after[0]


@pytest.mark.parametrize(
    ("asked", "commits"),
    [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
def test_less_than_the_disk_is_raised_and_more_is_kept(
    database_url: str, asked: str, commits: str
) -> None:
    default(database_url, asked)
    for role in ("ledger_writer", "ledger_projector", "ledger_sealer", "ledger_operator"):
        with acting_as(database_url, role) as connection:
            assert inside(connection) == (commits, asked)
            connection.execute("SET synchronous_commit = off")  # as those do that fold
            assert inside(connection) == (commits, "off")


@pytest.mark.parametrize(("asked", "commits"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_an_append_commits_so(database_url: str, asked: str, commits: str) -> None:
    default(database_url, asked)
    with acting_as(database_url, "ledger_writer") as connection, connection.transaction():
        connection.execute("SELECT begin_append(0, 'ledger_events')")
        assert connection.execute("SHOW synchronous_commit").fetchone() == (commits,)


def test_no_accepted_command_is_lost_with_a_server_that_does_not_wait_for_its_disk(
    postgres_server: EmbeddedPostgres,
) -> None:
    migrate_all(postgres_server.url)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")
    account_id = uuid4()
    with Ledger(postgres_server.url) as ledger:
        outcomes = ledger.execute([open_account(account_id)])
        for _ in range(4):
            deposit = command("Deposit", account_id, asset="USDT", amount="5")
            outcomes += ledger.execute([deposit])
    assert {outcome.status for outcome in outcomes} == {"ACCEPTED"}
    postgres_server.stop("immediate")
    postgres_server.start()
    with psycopg.connect(postgres_server.url) as connection:
        assert reader.head(connection) == outcomes[-1].position


def test_the_servers_log_is_its_accounts_alone_and_repeats_no_data(
    postgres_server: EmbeddedPostgres, server_directory: Path
) -> None:
    migrate_all(postgres_server.url)
    secret = uuid4()
    with (
        psycopg.connect(postgres_server.url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.NotNullViolation),
    ):
        connection.execute(
            "INSERT INTO unreadable_messages (subject, reason, body, body_bytes) "
            f"VALUES ('{secret}', '', '', NULL)".encode()
        )
    log = server_directory / "postgresql.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "null value in column" in log.read_text()
    assert str(secret) not in log.read_text()
