"""Behind a pooler the ledger works in session mode, and says why it does not where it cannot."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from ledger.operate import database, database_session
from ledger.operate.database_url import acting_as
from ledger.operate.roles import as_role
from tests.pooler import needed, pooled
from tests.programs.publishing import published_up_to, running_publisher
from tests.programs.services import client, count, open_account, running_worker

pytestmark = needed
WRITER = "ledger_writer"


@pytest.fixture
def logins(database_url: str) -> tuple[str, ...]:
    """The owner's, and one of a service."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            """DO $$ BEGIN CREATE ROLE pooled_commands LOGIN; GRANT ledger_writer TO
               pooled_commands; EXCEPTION WHEN duplicate_object THEN NULL; END $$"""
        )
        return (owner.info.user, "pooled_commands")


async def test_in_session_mode_commands_are_decided_and_events_published(
    database_url: str, nats_url: str, server_directory: Path, logins: tuple[str, ...]
) -> None:
    with pooled(database_url, server_directory, mode="session", logins=logins) as url:
        as_writer = as_role(url, WRITER, "the tests")
        async with (
            running_worker(as_writer, nats_url),
            running_publisher(url, nats_url),
            await client(nats_url) as ledger,
        ):
            account = await open_account(ledger)
            deposit = {"asset": "USDT", "amount": "1"}
            sent = [await ledger.send("Deposit", deposit, account_id=account) for _ in range(300)]
            assert {(await one).status for one in sent} == {"ACCEPTED"}
            await published_up_to(database_url, count(database_url, "event_store"))
    with psycopg.connect(database_url) as owner:
        made = "SELECT DISTINCT login FROM record_journal WHERE change = 'RECORDED'"
        assert owner.execute(made).fetchall() == [(logins[0],)]


@pytest.mark.parametrize("login", [0, 1], ids=["owner", "of a service"])
def test_in_session_mode_a_role_that_the_pooler_drops_is_taken_all_the_same(
    database_url: str, server_directory: Path, logins: tuple[str, ...], login: int
) -> None:
    names = logins[login:]
    with pooled(database_url, server_directory, mode="session", logins=names) as url:
        with psycopg.connect(acting_as(url, WRITER)) as naive:
            assert naive.execute("SELECT current_user").fetchone() == (names[0],), "it is dropped"
        with database.connect(acting_as(url, WRITER), "tests") as connection:
            assert connection.execute("SELECT current_user").fetchone() == (WRITER,)
            shown = connection.execute("SHOW search_path").fetchone()
            assert shown == ("public,pg_temp",)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_another_mode_is_refused_with_the_reason(
    database_url: str, server_directory: Path, logins: tuple[str, ...], mode: str
) -> None:
    with pooled(database_url, server_directory, mode=mode, logins=logins) as url:
        for _ in range(3):
            with pytest.raises(database.UnsupportedPostgres, match="pool_mode = session"):
                database.connect(url, "tests")
        with pytest.raises(database.UnsupportedPostgres, match="pool_mode = session"):
            asyncio.run(database.connect_async(url, "tests"))


def test_a_pooler_that_refuses_what_sessions_begin_with_is_named(
    database_url: str, server_directory: Path, logins: tuple[str, ...]
) -> None:
    with (
        pooled(database_url, server_directory, mode="session", logins=logins, ignored="x") as url,
        pytest.raises(database.UnsupportedPostgres, match="ignore_startup_parameters = options"),
    ):
        database.connect(url, "tests")


def test_a_session_that_has_not_the_role_it_should_is_not_worked_in(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        steps = database_session.beginning(connection.info, acting_as(database_url, WRITER))
        next(steps)
        steps.send((0,))
        with pytest.raises(database.UnsupportedPostgres, match=f"and not as {WRITER}"):
            steps.send(("postgres", connection.info.backend_pid, "origin"))
