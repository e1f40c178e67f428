"""A transaction that began before a swap goes on seeing what was live when it began."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import IsolationLevel, sql

from ledger.operate.embedded import programs
from ledger.operate.plugins import migrate_all
from projections.engine.builds import candidate
from projections.engine.builds.previous import settle as settle_all
from projections.engine.builds.rebuild import clean, rebuild
from projections.engine.builds.rollback import rollback
from projections.engine.builds.swap import SwapBlocked
from projections.read_models import balances
from tests.cli import running as ledgerctl
from tests.databases import temporary_database
from tests.projections import log as events
from tests.projections.older import (
    BOTH,
    LIMITS,
    TOTAL,
    VIEW,
    deposit,
    fill,
    now,
    older,
    older_than_a_rebuild,
)
from tests.projections.workers import running
from tests.roles.acting import ROLES, login_of


@pytest.fixture
def live_url(database_url: str) -> str:
    """A database with an order, a deposit of 5, and read models up to the head."""
    migrate_all(database_url)
    fill(database_url)
    return database_url


# --- what an older transaction sees -----------------------------------------------------


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_it_sees_its_own_rows_after_rebuild_rollback_and_forward_again(
    live_url: str, level: IsolationLevel
) -> None:
    with older_than_a_rebuild(live_url, level) as reader:
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    for _ in ("back", "forward"):
        assert settle_all(live_url, BOTH, 5) == ["balances"]
        with older(live_url, level) as reader:
            assert rollback(live_url, balances.PROJECTION, LIMITS).swapped.still_read_by
            assert reader.execute(TOTAL).fetchall() == [(5,)]


def test_it_does_not_see_what_was_folded_in_the_swap_itself(live_url: str) -> None:
    """The swap folds the last events while the live worker waits."""
    rebuild(live_url, balances.PROJECTION, LIMITS)
    deposit(live_url, "2", 2)
    with older(live_url) as reader:
        deposit(live_url, "4", 3)
        assert rollback(live_url, balances.PROJECTION, LIMITS).caught_up > 0
        assert reader.execute(TOTAL).fetchall() == [(7,)]
    assert now(live_url) == [(11,)]


def test_it_sees_its_own_rows_when_those_that_are_live_stand_elsewhere(live_url: str) -> None:
    """Going back to tables of other code, which cannot be brought up to date."""
    rebuild(live_url, balances.PROJECTION, LIMITS)
    now(
        live_url,
        "UPDATE projection_generations SET code_version = 0 WHERE purpose = 'PREVIOUS' RETURNING 1",
    )
    deposit(live_url, "2", 2)
    with older(live_url) as reader:
        assert rollback(live_url, balances.PROJECTION, LIMITS).other_code == 0
        assert reader.execute(TOTAL).fetchall() == [(7,)]
        assert now(live_url) == [(5,)]


def test_it_sees_them_through_views_functions_and_prepared_statements_upon_the_view(
    live_url: str,
) -> None:
    with psycopg.connect(live_url, autocommit=True) as connection:
        connection.execute("CREATE VIEW rich AS SELECT asset, total FROM balances WHERE total > 1")
        connection.execute(
            "CREATE FUNCTION total_of(text) RETURNS numeric LANGUAGE sql STABLE "
            "AS 'SELECT sum(total) FROM balances WHERE asset = $1'"
        )
    with psycopg.connect(live_url) as reader:
        reader.isolation_level = IsolationLevel.REPEATABLE_READ
        reader.execute("PREPARE totals AS SELECT total FROM balances")
        reader.execute("EXECUTE totals")
        reader.commit()
        rebuild(live_url, balances.PROJECTION, LIMITS)
        reader.execute("SELECT count(*) FROM symbols")
        rollback(live_url, balances.PROJECTION, LIMITS)
        for query in ("SELECT total FROM rich", "SELECT total_of('USDT')", "EXECUTE totals"):
            assert reader.execute(query.encode()).fetchall() == [(5,)]


@pytest.mark.parametrize("resumed", [True, False], ids=["resumed", "cleaned"])
def test_a_dump_of_its_snapshot_is_whole_and_can_be_gone_on_with(
    live_url: str, postgres_url: str, tmp_path: Path, resumed: bool
) -> None:
    """It has the views as they are after the swap, and all rows as they were before."""
    dump = tmp_path / "ledger.dump"
    with older_than_a_rebuild(live_url) as reader:
        (snapshot,) = reader.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        _run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={dump}", live_url)
    with temporary_database(postgres_url) as restored:
        _run("pg_restore", "--exit-on-error", f"--dbname={restored}", str(dump))
        assert now(restored) == [(5,)]
        assert migrate_all(restored) == []
        if resumed:
            assert rebuild(restored, balances.PROJECTION, LIMITS, resume=True).generation == 2
        else:
            assert [kept.generation for kept in clean(restored, BOTH)] == [2]
        deposit(restored, "2", 2)
        assert now(restored) == [(7,)]
        assert "live_generation" not in now(restored, VIEW)[0][0]


def _run(program: str, *arguments: str) -> None:
    subprocess.run([programs.postgres() / program, *arguments], check=True)


def test_a_swap_that_nobody_is_older_than_leaves_views_of_one_table(live_url: str) -> None:
    before = now(live_url, VIEW)
    rebuild(live_url, balances.PROJECTION, LIMITS)
    assert now(live_url, VIEW) == [(before[0][0].replace("balances_1", "balances_2"),)]


# --- by whom it is swapped ----------------------------------------------------------------


@contextmanager
def _owner_of_a_database(postgres_url: str) -> Iterator[tuple[str, str]]:
    """A database that its owner, no superuser, has migrated: the superuser's URL, the owner's."""
    with (
        temporary_database(postgres_url) as superuser,
        login_of(superuser) as owner,
        psycopg.connect(superuser, autocommit=True) as connection,
    ):
        login = sql.Identifier(urlsplit(owner).username or "")
        database = sql.Identifier(connection.info.dbname)
        for statement in (
            "ALTER DATABASE {database} OWNER TO {login}",
            f"GRANT {', '.join(ROLES)} TO {{login}} WITH ADMIN OPTION",
        ):
            connection.execute(sql.SQL(statement).format(database=database, login=login))
        migrate_all(owner)
        try:
            yield superuser, owner
        finally:
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(login))


async def _rebuilt_under_an_older_reader(
    database_url: str, operating_url: str, directory: Path
) -> str:
    """What `ledgerctl projections rebuild` says of it."""

    async def rebuilt(*options: str) -> ledgerctl.Finished:
        return await ledgerctl.run(
            "projections",
            "rebuild",
            "balances",
            *options,
            cwd=directory,
            LEDGER_DATABASE_URL=operating_url,
            LEDGER_REBUILD_SWAP_PATIENCE_SECONDS="0.1",
        )

    with older(database_url) as reader:
        refused = await rebuilt()
        assert refused.exit_code == 1
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    resumed = await rebuilt("--resume")
    assert "generation 2 is live" in resumed.stdout, resumed.stderr
    return refused.stderr


NAMED = r"not swapped.* \(database session \d+ \(month end report\), for \d+ s\)"


async def test_by_a_superuser(live_url: str, tmp_path: Path) -> None:
    assert re.search(NAMED, await _rebuilt_under_an_older_reader(live_url, live_url, tmp_path))


async def test_by_an_operator_who_sees_no_sessions_of_others(live_url: str, tmp_path: Path) -> None:
    with login_of(live_url, "ledger_operator") as operator:
        said = await _rebuilt_under_an_older_reader(live_url, operator, tmp_path)
    assert re.search(NAMED, said)


async def test_by_an_owner_who_sees_no_sessions_of_others(
    postgres_url: str, tmp_path: Path
) -> None:
    with _owner_of_a_database(postgres_url) as (superuser, owner):
        fill(superuser)
        said = await _rebuilt_under_an_older_reader(superuser, owner, tmp_path)
    assert re.search(r"session \d+ \(month end report\)[);]", said)


async def test_by_an_operator_on_the_oldest_supported_postgresql(
    postgres15_database_url: str, tmp_path: Path
) -> None:
    migrate_all(postgres15_database_url)
    fill(postgres15_database_url)
    with login_of(postgres15_database_url, "ledger_operator") as operator:
        said = await _rebuilt_under_an_older_reader(postgres15_database_url, operator, tmp_path)
    assert re.search(NAMED, said)


# --- rights ---------------------------------------------------------------------------------


def test_a_user_sees_their_own_rows_of_what_was_live_and_no_others(live_url: str) -> None:
    other = "UPDATE balances_{}.balances SET user_id = gen_random_uuid() RETURNING 1"
    rebuild(live_url, balances.PROJECTION, LIMITS)
    with psycopg.connect(live_url) as own, psycopg.connect(live_url) as stranger:
        for reader, user in ((own, events.USER), (stranger, events.ACCOUNT)):
            reader.execute("SET ROLE ledger_user")
            reader.execute(f"SET app.current_user_id = '{user}'".encode())
            reader.commit()
            reader.isolation_level = IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM symbols")
        rollback(live_url, balances.PROJECTION, LIMITS)
        now(live_url, other.format(1))
        assert own.execute(TOTAL).fetchall() == [(5,)]
        assert stranger.execute(TOTAL).fetchall() == []
        own.commit()
        assert own.execute(TOTAL).fetchall() == []


def test_a_dump_that_has_the_new_tables_is_named_and_holds_up_no_worker(live_url: str) -> None:
    with psycopg.connect(live_url, application_name="pg_dump") as dump:

        def begin(progress: candidate.BuildProgress) -> None:
            if progress.phase == "COMPARING":
                dump.execute("LOCK TABLE balances_2.balances IN ACCESS SHARE MODE")

        with running(live_url, BOTH):
            with pytest.raises(SwapBlocked, match=rf"{dump.info.backend_pid} \(pg_dump\)"):
                rebuild(live_url, balances.PROJECTION, LIMITS, on_progress=begin)
            deposit(live_url, "2", 2)
    assert now(live_url) == [(7,)]
