"""There is one way to connect to the bus and one to the database, each with its security."""

import ast
import asyncio
import contextlib
import inspect
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from nats.aio.client import Client
from psycopg import sql
from psycopg_pool import PoolTimeout
from uuid_utils.compat import uuid7

from ledger.bus import connection as bus
from ledger.bus.security import BusSecurity
from ledger.eventstore.library.factory import LedgerFactory
from ledger.operate import database, database_session, doctor
from ledger.operate.database_url import acting_as, catalog_only, confined, settled
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.settings import Settings
from ledger.programs.registry import Places, find
from ledger.write.ledger import Ledger
from tests.commands import open_account
from tests.databases import create_database
from tests.programs.services import client, running_worker
from tests.programs.services import open_account as open_an_account

ROOT = Path(__file__).parent.parent
DATABASE = "ledger/operate/database.py"
ELSEWHERE = {
    "ledger/eventstore/library/factory.py": "the library's own pool, for who uses the library",
    "ledger/operate/database_session.py": "looks at a pooler with two, and asks nothing else",
}
"""Who else opens connections to PostgreSQL, and why."""
OPENS_DATABASE = re.compile(
    r"psycopg\.connect\(|Connection\.connect\(|ConnectionPool\(|PostgresDatastore\("
)
OPENS_BUS = re.compile(r"nats\.connect\(|\b(Nats)?Client\(")
AWAY_SECONDS, BACK_SECONDS = 4.0, 1.5
"""With pauses that double, the next try of a pool would come four seconds after these four."""
BEGINS_WITH = (
    ("search_path", "public,pg_temp"),
    ("application_name", "ledger tests"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "UTC"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
)


def as_auditor(url: str) -> str:
    return acting_as(url, "ledger_auditor")


def calls(pattern: re.Pattern[str]) -> Iterator[str]:
    """The files of ours with such a call."""
    for path in sorted([*ROOT.glob("ledger/**/*.py"), *ROOT.glob("projections/**/*.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(
            isinstance(node, ast.Call) and pattern.search(f"{ast.unparse(node.func)}(")
            for node in ast.walk(tree)
        ):
            yield str(path.relative_to(ROOT))


def test_one_module_connects_to_the_database() -> None:
    assert set(calls(OPENS_DATABASE)) == {DATABASE, *ELSEWHERE}


async def test_of_several_servers_of_the_bus_the_one_that_is_there_is_used_everywhere(
    nats_url: str, database_url: str
) -> None:
    urls = f"nats://127.0.0.1:1, {nats_url},nats://[::1]:1"
    security = BusSecurity()
    once = await bus.connect_once(urls, "tests", security=security)
    lasting = await bus.connect(urls, "tests", security=security, retry_wait=0.1)
    for connection in (once, lasting):
        await connection.jetstream().account_info()
        await connection.close()
    places = Places(Settings(nats_url=urls, database_url=database_url))
    async with running_worker(database_url, urls), await client(urls) as ledger:
        await open_an_account(ledger)
        assert await asyncio.to_thread(find("commands").ready, places)
        checked = await asyncio.to_thread(lambda: list(doctor.examine(places.settings)))
        assert {one.check: one.status for one in checked}["nats"] == "ok"


def test_one_module_connects_to_the_bus_and_asks_who_we_are() -> None:
    assert set(calls(OPENS_BUS)) == set(), "a client is made by our Connection alone"
    assert issubclass(bus.Connection, Client)
    for way in (bus.connect, bus.connect_once, bus.Connection):
        security = inspect.signature(way).parameters["security"]
        assert security.default is inspect.Parameter.empty


@pytest.mark.parametrize("beginning", [confined, catalog_only, as_auditor])
def test_a_url_that_says_where_names_are_looked_up_is_left_as_it_is(
    beginning: Callable[[str], str], database_url: str
) -> None:
    url = beginning(database_url)
    assert settled(url) == url
    assert settled(database_url) == confined(database_url)


def test_a_connection_has_what_must_hold_whatever_url_it_is_made_with(database_url: str) -> None:
    with database.connect(database_url, "tests") as connection:
        assert connection.autocommit
        for name, value in BEGINS_WITH:
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == (value,)


async def test_a_pool_and_a_connection_of_a_loop_begin_alike(database_url: str) -> None:
    async with (
        database.pool(database_url, "tests", size=1) as pool,
        pool.connection() as pooled,
        await database.connect_async(database_url, "tests") as alone,
    ):
        for one in (pooled, alone):
            assert one.autocommit
            for name, value in BEGINS_WITH:
                shown = await (await one.execute(f"SHOW {name}".encode())).fetchone()
                assert shown == (value,)


async def test_a_pool_uses_a_database_that_is_back_at_once_however_long_it_was_away(
    postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POOL_TIMEOUT_SECONDS", 0.5)
    url = create_database(postgres_server.url)

    async def asks() -> bool:
        with contextlib.suppress(PoolTimeout, psycopg.OperationalError):
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
            return True
        return False

    async with database.pool(url, "tests", size=2) as pool:
        assert await asks()
        postgres_server.stop()
        away = time.monotonic()
        while time.monotonic() - away < AWAY_SECONDS:
            assert not await asks()
        postgres_server.start()
        back = time.monotonic()
        while not await asks():
            assert time.monotonic() - back < BACK_SECONDS


ODD = (
    ("datestyle", "German"),
    ("client_encoding", "LATIN1"),
    ("timezone", "America/New_York"),
    ("standard_conforming_strings", "off"),
    ("default_transaction_isolation", "serializable"),
    ("intervalstyle", "iso_8601"),
    ("bytea_output", "escape"),
)
"""Settings with which statements mean something else."""


async def test_no_setting_of_the_database_the_login_or_the_shell_changes_what_a_statement_means(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        for name, value in ODD:
            owner.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                    *map(sql.Identifier, (owner.info.dbname, name)), sql.Literal(value)
                )
            )
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGDATESTYLE", "SQL, DMY")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    test_a_connection_has_what_must_hold_whatever_url_it_is_made_with(database_url)
    await test_a_pool_and_a_connection_of_a_loop_begin_alike(database_url)
    with Ledger(database_url) as ledger:
        outcomes = ledger.execute([open_account(uuid7(), name="€ 漢 😀")])
    assert [outcome.status for outcome in outcomes] == ["ACCEPTED"]


def test_applications_of_the_library_have_the_same_settings(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET datestyle = German").format(
                sql.Identifier(owner.info.dbname)
            )
        )
    factory = LedgerFactory({"LEDGER_DATABASE_URL": database_url})
    try:
        with factory.datastore.get_connection() as connection:
            for name in ("datestyle", "timezone", "default_transaction_isolation"):
                shown = connection.execute(f"SHOW {name}".encode()).fetchone()
                assert list((shown or {}).values()) == [database_session.PINNED[name]]
    finally:
        factory.close()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_keep_every_text_is_refused_before_anything_is_made(
    postgres_url: str, encoding: str
) -> None:
    name = f"test_{encoding.lower()}"
    place = sql.Identifier(name)
    with psycopg.connect(postgres_url, autocommit=True) as server:
        made = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0")
        server.execute(made.format(place, sql.Literal(encoding)))
        try:
            url = f"postgresql:///{name}?host={server.info.host}&user={server.info.user}"
            with pytest.raises(database.UnsupportedPostgres, match=f"keeps texts as {encoding}"):
                migrate_all(url)
        finally:
            server.execute(sql.SQL("DROP DATABASE {}").format(place))


def test_a_login_for_which_the_guards_of_the_log_do_not_work_is_refused(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET session_replication_role = replica").format(
                sql.Identifier(owner.info.dbname)
            )
        )
    with pytest.raises(database.UnsupportedPostgres, match="would not fire"):
        database.connect(database_url, "tests")


def test_a_server_that_is_too_old_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_session, "OLDEST_POSTGRES", 990_000)
    with pytest.raises(database.UnsupportedPostgres, match="99 or later is needed"):
        database.connect(database_url, "tests")
    with psycopg.connect(database_url) as connection:
        left = "SELECT FROM pg_stat_activity WHERE application_name = 'ledger tests'"
        assert connection.execute(left).fetchall() == []
