"""Ending a swap when nobody is left who is older, and doing without what was live before."""

import threading
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg import IsolationLevel, sql

from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from projections.engine.builds import candidate, generations
from projections.engine.builds.previous import StillRead, drop, listed
from projections.engine.builds.previous import settle as settle_all
from projections.engine.builds.rebuild import rebuild, rebuild_all
from projections.engine.builds.rollback import NothingToReturnTo, rollback
from projections.engine.builds.swap import NotSettled, SwapBlocked
from projections.engine.connection import connect
from projections.engine.operator_events import Deed
from projections.read_models import balances, orders
from tests.cli import running as ledgerctl
from tests.projections.older import (
    BOTH,
    LIMITS,
    TOTAL,
    fill,
    now,
    older,
    older_than_a_rebuild,
)
from tests.projections.workers import wait_until
from tests.roles.acting import login_of

ADA = Deed("ada", "room is needed")


@pytest.fixture
def live_url(database_url: str) -> str:
    """A database with an order, a deposit of 5, and read models up to the head."""
    migrate_all(database_url)
    fill(database_url)
    return database_url


# --- settling -----------------------------------------------------------------------------


def test_the_next_swap_waits_for_those_older_than_the_last_and_keeps_its_build(
    live_url: str,
) -> None:
    with older_than_a_rebuild(live_url) as reader:
        who = rf"session {reader.info.backend_pid} \(month end report\), for .*--resume"
        with pytest.raises(SwapBlocked, match=who):
            rebuild(live_url, balances.PROJECTION, LIMITS)
        with pytest.raises(SwapBlocked):
            rollback(live_url, balances.PROJECTION, LIMITS)
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    assert rebuild(live_url, balances.PROJECTION, LIMITS, resume=True).generation == 3
    assert now(live_url) == [(5,)]


def test_one_who_imports_the_snapshot_of_another_is_waited_for(live_url: str) -> None:
    with older_than_a_rebuild(live_url) as exporter, psycopg.connect(live_url) as importer:
        (name,) = exporter.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        importer.isolation_level = IsolationLevel.REPEATABLE_READ
        importer.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name)))
        importer.execute("SELECT 1")
        exporter.commit()
        with pytest.raises(NotSettled, match=str(importer.info.backend_pid)):
            settle_all(live_url, BOTH, 0.1)
        assert importer.execute(TOTAL).fetchall() == [(5,)]
        importer.commit()
        assert settle_all(live_url, BOTH, 5) == ["balances"]


def test_a_cursor_of_a_read_committed_transaction_is_waited_for(live_url: str) -> None:
    with psycopg.connect(live_url) as reader:
        reader.execute("DECLARE held CURSOR FOR SELECT total FROM balances, generate_series(1, 3)")
        with pytest.raises(SwapBlocked, match=str(reader.info.backend_pid)):
            rebuild(live_url, balances.PROJECTION, LIMITS)
        assert reader.execute("FETCH ALL held").fetchall() == [(5,)] * 3
    assert rebuild(live_url, balances.PROJECTION, LIMITS, resume=True).swapped is not None


def test_an_idle_read_committed_transaction_is_not_waited_for(live_url: str) -> None:
    with psycopg.connect(live_url) as reader:
        reader.execute("SELECT 1")
        report = rebuild(live_url, balances.PROJECTION, LIMITS)
        assert report.swapped is not None
        assert report.swapped.still_read_by == ()
        assert reader.execute(TOTAL).fetchall() == [(5,)]


def test_a_rebuild_of_all_swaps_the_others_too(live_url: str) -> None:
    with ExitStack() as stack:

        def begin(progress: candidate.BuildProgress) -> None:
            if (progress.projection_name, progress.phase) == ("balances", "COMPARING"):
                stack.enter_context(older(live_url))

        reports = rebuild_all(live_url, BOTH, LIMITS, on_progress=begin)
        assert [bool(r.swapped and r.swapped.still_read_by) for r in reports] == [True, True]
    assert settle_all(live_url, BOTH, 5) == ["balances", "orders"]
    assert settle_all(live_url, BOTH, 5) == []


def test_settling_goes_on_when_the_last_older_reader_ends(live_url: str) -> None:
    settled: list[str] = []
    with older_than_a_rebuild(live_url) as reader:
        thread = threading.Thread(target=lambda: settled.extend(settle_all(live_url, BOTH, 30)))
        thread.start()
        at_it = "SELECT 1 FROM public.projection_builders"
        wait_until(lambda: now(live_url, at_it) != [], "settling to begin")
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    thread.join()
    assert settled == ["balances"]


def test_a_prepared_transaction_is_named(server_directory: Path) -> None:
    with EmbeddedPostgres(server_directory, fast=True) as server:
        migrate_all(server.url)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
        server.stop()
        server.start()
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE of_others (x int)")
            connection.execute("PREPARE TRANSACTION 'an order of others'")
            with pytest.raises(SwapBlocked, match="prepared transaction an order of others, for"):
                rebuild(server.url, balances.PROJECTION, LIMITS)
            connection.execute("ROLLBACK PREPARED 'an order of others'")
            assert rebuild(server.url, balances.PROJECTION, LIMITS, resume=True).equal


# --- doing without the generation before ----------------------------------------------------


def test_what_older_transactions_may_read_cannot_be_dropped(live_url: str) -> None:
    with older_than_a_rebuild(live_url) as reader:
        with pytest.raises(NotSettled, match=str(reader.info.backend_pid)):
            drop(live_url, BOTH, 0.1, ADA)
        with (
            connect(live_url, "test") as connection,
            pytest.raises(generations.GenerationShown, match=r"balances_1.*balances"),
        ):
            generations.drop(connection, balances.PROJECTION, "balances_1")
        assert reader.execute(TOTAL).fetchall() == [(5,)]
    assert [one.generation for one in drop(live_url, BOTH, 5, ADA)] == [1]
    assert now(live_url, "SELECT to_regnamespace('balances_1')") == [(None,)]
    assert now(live_url) == [(5,)]


def test_tables_in_use_are_not_dropped_and_nobody_queues_behind(live_url: str) -> None:
    rebuild(live_url, balances.PROJECTION, LIMITS)
    with psycopg.connect(live_url, application_name="a notebook") as reader:
        reader.execute("SELECT count(*) FROM balances_1.balances")
        with pytest.raises(StillRead, match=rf"{reader.info.backend_pid} \(a notebook\)"):
            drop(live_url, BOTH, 0.1, ADA)
        assert reader.execute("SELECT count(*) FROM balances_1.balances").fetchone() == (1,)
    assert drop(live_url, BOTH, 5, ADA)


async def test_an_operator_lists_and_drops_them_by_ledgerctl(live_url: str, tmp_path: Path) -> None:
    async def said(operator: str, *arguments: str) -> str:
        done = await ledgerctl.run(
            "projections", *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=operator
        )
        assert done.exit_code == 0, done.stderr
        return done.stdout

    with login_of(live_url, "ledger_operator") as operator:
        await said(operator, "rebuild", "balances")
        assert "balances: generation 1 at position 4" in await said(operator, "generations", "list")
        assert await said(operator, "generations", "settle", "--all") == "nothing to settle\n"
        dropped = await said(operator, "generations", "drop", "--all", "--by", "ada")
        assert dropped.startswith("balances: dropped generation 1, ")
        assert "no read model has" in await said(operator, "generations", "list")
    with pytest.raises(NothingToReturnTo):
        rollback(live_url, balances.PROJECTION, LIMITS)
    recorded = "SELECT event_type FROM event_store ORDER BY position DESC LIMIT 1"
    assert now(live_url, recorded) == [("projection.generation_dropped",)]


def test_the_list_tells_rows_and_size(live_url: str) -> None:
    rebuild(live_url, orders.PROJECTION, LIMITS)
    rebuild(live_url, orders.PROJECTION, LIMITS)
    with connect(live_url, "test") as connection:
        (was,) = listed(connection, BOTH)
    assert (was.projection_name, was.generation, was.live_generation) == ("orders", 2, 3)
    assert (was.rows, was.is_settled) == (1, True)
    assert was.size_bytes > 0
