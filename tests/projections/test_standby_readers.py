"""Older transactions on a hot standby, through swaps on the primary."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import IsolationLevel

from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from projections.engine.builds import candidate
from projections.engine.builds.previous import settle
from projections.engine.builds.rebuild import rebuild
from projections.engine.builds.rollback import rollback
from projections.read_models import balances
from tests.projections import log as events
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running, wait_until

LIMITS = candidate.Limits(batch_positions=200, rows_in_memory=1000, swap_patience_seconds=0.1)
TOTAL = "SELECT total FROM balances"
FEEDBACK = "SELECT 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL"
SHOWN = "SELECT pg_get_viewdef('public.balances'::regclass)"


@contextmanager
def _pair(directory: Path, **settings: str) -> Iterator[tuple[str, str]]:
    """A primary with a deposit of 5 and balances that were rebuilt, and a standby with these
    settings: their URLs."""
    primary = EmbeddedPostgres(directory / "primary", fast=True)
    with primary:
        migrate_all(primary.url)
        with opened_log(primary.url) as log:
            log.account(events.account_opened(), events.deposited("USDT", "5"))
        with running(primary.url, [balances.PROJECTION]):
            caught_up(primary.url, "balances")
        rebuild(primary.url, balances.PROJECTION, LIMITS)
    standby = EmbeddedPostgres(directory / "standby", fast=True)
    place = (directory / "standby" / "postgresql").resolve() / "cluster"
    source = (directory / "primary" / "postgresql").resolve() / "cluster"
    subprocess.run(["cp", "-a", source, place], check=True)
    with primary:
        sockets = parse_qs(urlsplit(primary.url).query)["host"][0]
        settings |= {"primary_conninfo": f"host={sockets} user=ledger"}
        _write(place, "standby.signal", "")
        _write(
            place,
            "postgresql.auto.conf",
            "".join(f"{name} = '{value}'\n" for name, value in settings.items()),
        )
        with standby:
            yield primary.url, standby.url


def _write(cluster: Path, name: str, text: str) -> None:
    owner = cluster.stat()
    (cluster / name).write_text(text)
    os.chown(cluster / name, owner.st_uid, owner.st_gid)


def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def _replayed(primary: str, standby: str) -> None:
    ((head,),) = _rows(primary, "SELECT pg_current_wal_lsn()::text")
    reached = f"SELECT pg_last_wal_replay_lsn() >= '{head}'"
    wait_until(lambda: _rows(standby, reached) == [(True,)], "the standby to replay all")


@pytest.fixture
def directory(server_directory: Path) -> Path:
    return server_directory


def test_one_that_sends_feedback_is_waited_for(directory: Path) -> None:
    with _pair(directory, hot_standby_feedback="on", wal_receiver_status_interval="1s") as (
        primary,
        standby,
    ):
        wait_until(lambda: _rows(primary, FEEDBACK) == [(1,)], "feedback")
        with psycopg.connect(standby) as reader:
            reader.isolation_level = IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM symbols")
            swapped = rollback(primary, balances.PROJECTION, LIMITS).swapped
            assert any("standby at this machine" in who for who in swapped.still_read_by)
            _replayed(primary, standby)
            assert reader.execute(TOTAL).fetchall() == [(5,)]
        assert settle(primary, [balances.PROJECTION], 30) == ["balances"]
        _replayed(primary, standby)
        assert _rows(standby, TOTAL) == [(5,)]


def test_one_that_sends_none_has_its_replay_wait_or_its_reader_ended(directory: Path) -> None:
    with _pair(directory, max_standby_streaming_delay="-1") as (primary, standby):
        with psycopg.connect(standby) as reader:
            reader.isolation_level = IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM symbols")
            swapped = rollback(primary, balances.PROJECTION, LIMITS).swapped
            assert swapped.still_read_by == ()
            wait_until(lambda: "live_generation" in str(_rows(standby, SHOWN)), "the swap")
            assert reader.execute(TOTAL).fetchall() == [(5,)]
            # Nothing that comes after can be replayed, or its rows would be gone.
            assert "live_generation" in str(_rows(standby, SHOWN))
        _replayed(primary, standby)
        assert "live_generation" not in str(_rows(standby, SHOWN))
        with psycopg.connect(standby, autocommit=True) as administrator:
            administrator.execute("ALTER SYSTEM SET max_standby_streaming_delay = '100ms'")
            administrator.execute("SELECT pg_reload_conf()")
        with psycopg.connect(standby) as reader:
            reader.isolation_level = IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM symbols")
            rollback(primary, balances.PROJECTION, LIMITS)
            _replayed(primary, standby)
            with pytest.raises(psycopg.errors.SerializationFailure, match="conflict with recovery"):
                reader.execute(TOTAL)
