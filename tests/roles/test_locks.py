"""Whatever others hold, commands are decided, and the log says who was in the way."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import product
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from ledger.operate import roles
from ledger.operate.plugins import migrate_all
from ledger.write.blockers import LOCK_SECONDS
from ledger.write.ledger import Ledger
from tests.commands import command, open_account
from tests.roles.acting import ADVISORY_LOCKS, ROLES, login_of

BOUND_SECONDS = 2 * LOCK_SECONDS + 3
"""Two waits, and what a busy machine needs for the rest."""


@pytest.fixture
def owned_url(database_url: str) -> str:
    """Migrated under its own name: rights on databases are not copied with them."""
    migrate_all(database_url)
    return database_url


_MODES = ("ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE", "ROW EXCLUSIVE")
_OF_APPENDS = (
    "append_lock",
    "event_store",
    "command_inbox",
    "command_workers",
    "schema_migrations",
)


@pytest.fixture
def held(owned_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The database while a login of the role holds every lock that it can get."""
    with ExitStack() as stack:
        login = stack.enter_context(login_of(owned_url, request.param))
        session = stack.enter_context(psycopg.connect(login))
        session.execute("SET idle_in_transaction_session_timeout = 0")
        for statement in ADVISORY_LOCKS:
            session.execute(statement.encode())
        for table, mode in product(_OF_APPENDS, (*_MODES, "ROW SHARE", "ACCESS SHARE")):
            with suppress(psycopg.Error), session.transaction():
                session.execute(f"LOCK TABLE public.{table} IN {mode} MODE NOWAIT".encode())
        yield owned_url


@pytest.mark.parametrize("held", sorted({*ROLES} - {"ledger_writer"}), indirect=True)
def test_whatever_others_hold_commands_are_decided(held: str) -> None:
    started = time.monotonic()
    with Ledger(roles.as_role(held, roles.WRITER, "a test")) as ledger:
        assert ledger.execute([open_account(uuid4())])[0].status == "ACCEPTED"
    assert time.monotonic() - started < LOCK_SECONDS


@pytest.mark.parametrize("held", sorted({*ROLES} - {"ledger_writer"}), indirect=True)
def test_whatever_others_hold_a_migration_goes_through_or_says_why(held: str) -> None:
    assert migrate_all(held) == []


@pytest.mark.parametrize("meanwhile", ["idle", "asleep"])
def test_an_operator_who_keeps_an_append_open_holds_commands_up_for_two_waits(
    owned_url: str, meanwhile: str, capfd: pytest.CaptureFixture[str]
) -> None:
    account_id = uuid4()
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(roles.as_role(owned_url, roles.WRITER, "a test")))
        ledger.execute([open_account(account_id)])
        login = stack.enter_context(login_of(owned_url, "ledger_operator"))
        operator = stack.enter_context(psycopg.connect(login, application_name="mallory"))
        operator.execute("SET idle_in_transaction_session_timeout = 0")
        operator.execute(
            """SELECT record_operation(gen_random_uuid(), gen_random_uuid(), 'projection.paused',
                   '{"projection_name": "orders", "actor": "mallory"}', 'ledger_events')"""
        )
        if meanwhile == "asleep":
            operator.pgconn.send_query(b"SELECT pg_sleep(600)")
        started = time.monotonic()
        deposit = command("Deposit", account_id, asset="USDT", amount="5")
        assert ledger.execute([deposit])[0].status == "ACCEPTED"
        assert time.monotonic() - started < BOUND_SECONDS
        with suppress(psycopg.OperationalError):
            operator.close()
    said = capfd.readouterr()
    assert "append_waits" in said.out + said.err
    assert "mallory" in said.out + said.err
    assert "append_blocker_ended" in said.out + said.err


def test_an_administrator_who_changes_the_log_is_named_and_not_ended(
    owned_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        Ledger(roles.as_role(owned_url, roles.WRITER, "a test")) as ledger,
        psycopg.connect(owned_url, application_name="reindexing") as administrator,
    ):
        administrator.execute("LOCK TABLE event_store IN SHARE MODE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ledger.write.ledger.MOST_WAITS", 3)
            with pytest.raises(errors.LockNotAvailable):
                ledger.execute([open_account(uuid4())])
        administrator.execute("SELECT 1")
        administrator.rollback()
        assert ledger.execute([open_account(uuid4())])[0].status == "ACCEPTED"
    said = capfd.readouterr()
    assert "reindexing" in said.out + said.err
    assert "append_blocker_ended" not in said.out + said.err


def test_an_operator_who_keeps_settling_a_command_open_holds_others_up_for_two_waits(
    owned_url: str,
) -> None:
    failed = open_account(uuid4())
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(roles.as_role(owned_url, roles.WRITER, "a test")))
        with psycopg.connect(owned_url) as owner:
            owner.execute(
                """INSERT INTO failed_commands (command_id, command_type, source, subject,
                       fingerprint, body, code, message, tries)
                   VALUES (%s, 'OpenAccount', 'test', 'x', '', '', 'INTERNAL_ERROR', 'x', 1)""",
                [failed.id],
            )
        login = stack.enter_context(login_of(owned_url, "ledger_operator"))
        operator = stack.enter_context(psycopg.connect(login))
        operator.execute("SET idle_in_transaction_session_timeout = 0")
        operator.execute(
            "SELECT settle_failed_command(%s, 'DISMISSED', 'mallory', 'waits')", [failed.id]
        )
        started = time.monotonic()
        assert ledger.execute([open_account(uuid4())])[0].status == "ACCEPTED"
        assert time.monotonic() - started < BOUND_SECONDS
        with suppress(psycopg.OperationalError):
            operator.close()
