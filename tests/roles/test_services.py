"""The services work as the least of the roles, whatever login they are given."""

import asyncio
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from ledger.operate import roles
from ledger.operate.database_url import acting_as as acting_as_role
from ledger.operate.database_url import confined
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.roles import with_login
from ledger.operate.settings import Settings
from ledger.operate.supervisor import Supervisor
from ledger.programs import registry
from ledger.write.ledger import Ledger
from projections.engine.builds.candidate import Limits
from projections.engine.builds.rebuild import rebuild
from projections.read_models import accounts, balances
from tests.cli.running import run
from tests.commands import open_account as open_an_account
from tests.databases import url_of
from tests.programs.services import client, open_account
from tests.projections.workers import caught_up, running, wait_until
from tests.roles.acting import acting_as, login_of


def current_user(url: str) -> tuple[str, bool]:
    """Who a connection with this URL is, and whether as a superuser."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_the_services_of_a_running_ledger_are_no_superusers_and_do_their_work(
    server_directory: Path,
) -> None:
    settings = Settings(data_dir=server_directory)
    log = server_directory / "services.log"

    async def trade(nats_url: str) -> None:
        async with await client(nats_url) as ledger:
            account_id = await open_account(ledger)
            money = {"asset": "USDT", "amount": "5"}
            outcome = await ledger.submit("Deposit", money, account_id=account_id)
            assert outcome.status == "ACCEPTED", outcome

    with Supervisor(settings, log_file=log) as supervisor:
        supervisor.wait_until_ready()
        asyncio.run(trade(supervisor.nats_url))
        with psycopg.connect(supervisor.database_url, autocommit=True) as connection:
            wait_until(
                lambda: bool(connection.execute("SELECT FROM balances").fetchall()), "a balance"
            )
            sessions = connection.execute(
                """SELECT DISTINCT usename, rolsuper FROM pg_stat_activity
                   JOIN pg_roles ON rolname = usename
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
            ).fetchall()
            memberships = connection.execute(
                """SELECT member::regrole::text, array_agg(roleid::regrole::text)
                   FROM pg_auth_members WHERE member::regrole::text ~ '^ledger_(com|pro.*s$|seals)'
                   GROUP BY 1"""
            ).fetchall()
    assert set(sessions) == {(f"ledger_{name}", False) for name in registry.wanted(settings)}
    assert dict(memberships) == {
        "ledger_commands": ["ledger_writer"],
        "ledger_projections": ["ledger_projector"],
        "ledger_seals": ["ledger_sealer"],
    }


def test_an_owner_who_is_no_superuser_can_migrate_and_work_as_every_role(
    postgres_server: EmbeddedPostgres,
) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE boss LOGIN CREATEROLE")
        connection.execute("CREATE DATABASE shop OWNER boss")
    boss = with_login(url_of(postgres_server.url, "shop"), "boss")
    assert migrate_all(boss)
    assert migrate_all(boss) == []
    assert rebuild(roles.at_terminal(boss), balances.PROJECTION, Limits(100, 100)).equal
    with Ledger(roles.as_role(boss, roles.WRITER, "a test")) as ledger:
        assert ledger.execute([open_an_account(uuid4())])[0].status == "ACCEPTED"
    with running(roles.as_role(boss, roles.PROJECTOR, "a test"), [accounts.PROJECTION]):
        caught_up(boss, "accounts")
    with psycopg.connect(roles.stepping_down(boss)) as connection:
        assert len(connection.execute("SELECT FROM accounts").fetchall()) == 1


@pytest.mark.parametrize("program", registry.names())
def test_a_superusers_login_serves_as_the_programs_role(database_url: str, program: str) -> None:
    role = registry.find(program).role
    assert role is not None
    assert current_user(database_url)[1]
    assert current_user(roles.as_role(database_url, role, "a test")) == (role, False)


def test_the_owner_of_the_log_serves_as_the_services_role(database_url: str) -> None:
    with login_of(database_url, "ledger_writer") as owner:
        name = current_user(owner)[0]
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"ALTER TABLE event_store OWNER TO {name}".encode())
            served = roles.as_role(owner, roles.WRITER, "a test")
            assert current_user(served) == ("ledger_writer", False)
            connection.execute("ALTER TABLE event_store OWNER TO CURRENT_USER")


def test_a_login_with_the_services_role_is_used_as_it_is(database_url: str) -> None:
    with login_of(database_url, "ledger_projector") as login:
        assert roles.as_role(login, roles.PROJECTOR, "a test") == confined(login)


async def test_a_login_without_the_services_role_is_refused_with_the_remedy(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    with login_of(database_url, "ledger_auditor") as login:
        name = current_user(login)[0]
        for service, role in (("commands", "ledger_writer"), ("projections", "ledger_projector")):
            finished = await run(
                "serve",
                service,
                cwd=tmp_path,
                LEDGER_DATABASE_URL=login,
                LEDGER_NATS_URL=nats_url,
            )
            assert finished.exit_code == 1
            assert f"GRANT {role} TO {name}" in finished.stderr
            assert "Traceback" not in finished.stderr


def test_an_operators_login_steers_projections_as_operators_do(database_url: str) -> None:
    with login_of(database_url, "ledger_operator") as operator:
        assert current_user(roles.at_terminal(operator)) == ("ledger_operator", False)
    assert current_user(roles.at_terminal(database_url)) == ("ledger_operator", False)


def test_others_look_at_projections_with_their_own_rights(database_url: str) -> None:
    with login_of(database_url, "ledger_monitor") as login:
        assert roles.at_terminal(login) == confined(login)


def test_options_of_a_url_are_kept(database_url: str) -> None:
    url = acting_as_role(
        f"{database_url}&options=-c%20work_mem%3D5MB&connect_timeout=3", "ledger_writer"
    )
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)
        assert connection.execute("SELECT current_user").fetchone() == ("ledger_writer",)


@pytest.mark.parametrize(
    ("given", "confined_to"),
    [
        ("postgresql:///ledger", "postgresql:///ledger?options={}"),
        ("postgresql://u:p%23@h/d?x=1", "postgresql://u:p%23@h/d?x=1&options={}"),
        ("postgresql://h/d?options=-c%20a%3Db&x=1", "postgresql://h/d?x=1&options=-c%20a%3Db%20{}"),
    ],
)
def test_a_url_is_otherwise_left_as_it_is(given: str, confined_to: str) -> None:
    expected = confined_to.format("-c%20search_path%3Dpublic%2Cpg_temp")
    assert confined(given) == expected
    assert confined(expected) == expected


def test_names_are_looked_up_in_pg_catalog_first_and_among_temporary_tables_last(
    database_url: str,
) -> None:
    with psycopg.connect(confined(database_url)) as connection:
        connection.execute("CREATE TEMPORARY TABLE event_store (); CREATE TABLE public.pg_class ()")
        assert connection.execute(
            """SELECT 'event_store'::regclass = 'public.event_store'::regclass,
                   'pg_class'::regclass = 'pg_catalog.pg_class'::regclass"""
        ).fetchone() == (True, True)


def test_a_query_at_the_terminal_needs_no_more_than_to_read(database_url: str) -> None:
    assert current_user(roles.stepping_down(database_url)) == ("ledger_auditor", False)
    with login_of(database_url, "ledger_user") as login:
        assert current_user(roles.stepping_down(login)) == current_user(login)


async def test_a_user_at_the_terminal_is_shown_their_own_rows(
    tmp_path: Path, database_url: str
) -> None:
    with acting_as(database_url, "ledger_user") as connection:
        assert connection.execute("SELECT FROM balances").fetchall() == []
    with login_of(database_url, "ledger_user") as login:
        finished = await run(
            *("query", "balances", "--account", str(uuid4()), "--json"),
            cwd=tmp_path,
            LEDGER_DATABASE_URL=f"{login}&options=-c%20app.current_user_id%3D{uuid4()}",
        )
    assert (finished.exit_code, finished.stdout.strip()) == (0, "[]")
