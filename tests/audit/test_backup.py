"""A backup of the ledger is the ledger: it verifies in another cluster, and goes on from there."""

import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.audit.prove import seals
from ledger.audit.prove.verify import verify
from ledger.operate.embedded import programs as embedded_programs
from ledger.operate.embedded.programs import ProgramMissing
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.settings import Settings
from ledger.programs.registry import Places
from ledger.write.ledger import Ledger
from projections.service import PROGRAM as PROJECTIONS
from tests.audit import history
from tests.cli.running import run
from tests.commands import command
from tests.databases import create_database
from tests.projections import log as logs

BEHIND = """
    SELECT count(*) FROM event_projections WHERE projection_name <> 'seals'
        AND last_processed_position < (SELECT max(position) FROM event_store)"""
PATIENCE_SECONDS = 30.0


@pytest.fixture
def programs() -> Path:
    """pg_dump and pg_restore of the server's version."""
    try:
        return embedded_programs.postgres()
    except ProgramMissing as error:
        pytest.skip(str(error))


async def test_a_backup_restored_into_another_cluster_verifies_and_projects_on(
    database_url: str, server_directory: Path, tmp_path: Path, programs: Path
) -> None:
    with logs.opened_log(database_url) as log:
        log.account(logs.account_opened(), logs.deposited("USDT", "1000"))
        log.order(logs.submitted(), logs.accepted())
        log.account(logs.settled("2", "100", fee="0.1"))
        project(database_url)
        log.account(logs.deposited("USDT", "5"))  # recorded, but not projected when it is dumped
    with Ledger(database_url) as ledger:
        ledger.execute([command("Withdraw", uuid7(), asset="USDT", amount="1")])
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.seal(connection)
        kept = seals.head(connection)
        assert kept is not None
    backup = tmp_path / "ledger.dump"
    _run([programs / "pg_dump", "--format=custom", f"--file={backup}", database_url])
    with EmbeddedPostgres(server_directory, fast=True) as other:
        # Roles belong to a cluster, not to a database: made by a migration beside it.
        migrate_all(other.url)
        restored = create_database(other.url)
        _run([programs / "pg_restore", "--exit-on-error", f"--dbname={restored}", backup])

        assert migrate_all(restored) == []
        with psycopg.connect(restored, autocommit=True) as connection:
            verdict = verify(connection, trusted=history.TRUSTED, kept=[kept])
            assert verdict.holds
            assert verdict.head == kept
            assert verdict.records is not None
            assert verdict.records.outcomes == 1
        project(restored)
        verified = await run("projections", "verify", cwd=tmp_path, LEDGER_DATABASE_URL=restored)
        assert verified.exit_code == 0, verified.stdout + verified.stderr

        with psycopg.connect(restored, autocommit=True) as connection:
            history.append(connection, 20)
            history.seal(connection)
            assert verify(connection, trusted=history.TRUSTED, kept=[kept]).holds
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute("DELETE FROM event_store")


def _run(command: list[Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def project(database_url: str) -> None:
    """Runs the projections until they have handled the whole log."""
    stop = threading.Event()
    service = threading.Thread(
        target=PROJECTIONS.run, args=(Places(Settings(), database_url), stop)
    )
    service.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while connection.execute(BEHIND).fetchone() != (0,):
                assert time.monotonic() < deadline, "the read models do not catch up"
                time.sleep(0.02)
    finally:
        stop.set()
        service.join()
