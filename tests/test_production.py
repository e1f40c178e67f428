"""`ledgerctl doctor --production`: what a ledger trusted with money must have, both ways."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from ledger.operate import production
from ledger.operate.backups.catalogue import Backup, BackupStatus, Catalogue, RestoreTrial
from ledger.operate.check_result import CheckResult
from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.settings import Settings
from tests.cli.running import Finished, run

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
KEYED = Settings(
    nats_user="ledger", nats_nkey_seed_file=Path("ledger.nk"), nats_tls_ca_file=Path("ca.pem")
)


def by_check(found: Iterator[CheckResult]) -> dict[str, CheckResult]:
    return {one.check: one for one in found}


def of_database(url: str) -> dict[str, CheckResult]:
    with psycopg.connect(url) as connection:
        return by_check(production.of_database(connection))


@pytest.fixture(scope="module")
def archiving(memory_directory: Path) -> Iterator[EmbeddedPostgres]:
    """A server whose WAL leaves it, with what is advised."""
    advised = {"archive_mode": "on", "archive_command": "true", "log_lock_waits": "on"}
    advised |= {"wal_keep_size": "1GB", "shared_preload_libraries": "pg_stat_statements"}
    with EmbeddedPostgres(memory_directory / "archiving", fast=True) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            for name, value in advised.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        server.stop()
        server.start()
        migrate_all(server.url)
        yield server


def test_embedded_servers_are_none_for_production() -> None:
    with_urls = Settings(database_url="postgresql://db/ledger", nats_url="nats://bus")
    assert production.of_places(with_urls).status == "ok"
    found = production.of_places(Settings(nats_url="nats://bus"))
    assert (found.status, "LEDGER_DATABASE_URL" in found.message) == ("fail", True)


def test_alerts_must_be_told_somebody() -> None:
    assert production.of_alerts(Settings()).status == "fail"
    assert production.of_alerts(Settings(alert_channels=SecretStr(" "))).status == "fail"
    told = Settings(alert_channels_file=Path("channels"))
    assert production.of_alerts(told).status == "ok"


def test_wal_that_leaves_the_machine_is_well_and_an_archive_that_fails_is_not(
    archiving: EmbeddedPostgres, database_url: str
) -> None:
    assert of_database(archiving.url)["wal_archive"].status == "ok"
    found = of_database(database_url)["wal_archive"]
    assert (found.status, "archive_mode = off" in found.message) == ("fail", True)
    with psycopg.connect(archiving.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET archive_command = 'false'")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_switch_wal()")
        failed = "SELECT failed_count > 0 FROM pg_stat_archiver"
        while connection.execute(failed).fetchone() != (True,):
            connection.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(0.05)")
    found = of_database(archiving.url)["wal_archive"]
    assert (found.status, "it fails" in found.message) == ("fail", True)


def test_the_servers_settings_are_compared_with_what_is_advised(
    archiving: EmbeddedPostgres, database_url: str
) -> None:
    found = of_database(archiving.url)["advice"]
    assert found.status == "warn"
    assert "shared_buffers 2GB (restart)" in found.message
    assert "log_lock_waits" not in found.message
    assert "pg_stat_statements" not in found.message
    assert "pg_stat_statements (restart)" in of_database(database_url)["advice"].message


def test_rows_that_are_open_to_all_users_are_named(database_url: str) -> None:
    assert of_database(database_url)["rows"].status == "ok"
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE balances_1.balances DISABLE ROW LEVEL SECURITY")
    found = of_database(database_url)["rows"]
    assert (found.status, "balances_1.balances" in found.message) == ("fail", True)


def test_a_program_that_logs_in_as_superuser_is_named(database_url: str) -> None:
    assert of_database(database_url)["logins"].status == "ok"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO projection_leases (projection_name, backend_pid)
               VALUES ('balances', pg_backend_pid())"""
        )
        found = of_database(database_url)["logins"]
    assert (found.status, found.message) == (
        "fail",
        "programs log in as superuser: balances as ledger",
    )


def test_a_login_on_both_sides_is_named(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE does_it_all LOGIN IN ROLE ledger_writer, ledger_projector")
        try:
            found = of_database(database_url)["logins"]
        finally:
            connection.execute("DROP ROLE does_it_all")
    assert (found.status, "does_it_all" in found.message) == ("warn", True)


def test_what_was_accepted_last_needs_a_second_machine(database_url: str) -> None:
    assert of_database(database_url)["replication"].status == "warn"
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = local".encode())
    assert "synchronous_commit = local" in of_database(database_url)["replication"].message


@pytest.mark.parametrize(
    ("host", "encrypted", "status"),
    [
        ("db", True, "ok"),
        ("db", False, "fail"),
        ("/run/postgresql", False, "ok"),
        ("", False, "ok"),
    ],
)
def test_others_must_not_listen_between_here_and_the_database(
    host: str, encrypted: bool, status: str
) -> None:
    assert production.of_transport(host, encrypted=encrypted).status == status


def test_the_bus_must_know_us_by_a_key_and_be_encrypted() -> None:
    found = by_check(production.of_bus(KEYED, "nats://bus:4222"))
    assert {name: one.status for name, one in found.items()} == {
        "bus_tls": "ok",
        "bus_users": "ok",
        "bus_sync": "warn",
    }
    open_to_all = by_check(production.of_bus(Settings(), "nats://bus:4222"))
    assert {open_to_all[name].status for name in ("bus_tls", "bus_users")} == {"fail"}


@contextmanager
def monitoring(config: dict[str, object]) -> Iterator[str]:
    """A page as that of a NATS server with this configuration of JetStream."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"jetstream": {"config": config}}).encode()
            self.send_response(200 if self.path == "/varz" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.mark.parametrize(
    ("config", "status"),
    [({"sync_always": True, "sync_interval": 120e9}, "ok"), ({"sync_interval": 120e9}, "fail")],
)
def test_whether_the_bus_waits_for_its_disk_is_told_by_its_monitoring_page(
    config: dict[str, object], status: str
) -> None:
    with monitoring(config) as url:
        settings = KEYED.model_copy(update={"nats_monitoring_url": url})
        assert by_check(production.of_bus(settings, "tls://bus"))["bus_sync"].status == status


def test_a_monitoring_page_that_is_away_is_a_failure() -> None:
    settings = KEYED.model_copy(update={"nats_monitoring_url": "http://127.0.0.1:1"})
    found = by_check(production.of_bus(settings, "tls://bus"))["bus_sync"]
    assert (found.status, "127.0.0.1:1" in found.message) == ("fail", True)


def entered(catalogue: Catalogue, *, hours: float, restored_days: float | None) -> None:
    ended = NOW - timedelta(hours=hours)
    trial = None
    if restored_days is not None:
        tried = NOW - timedelta(days=restored_days)
        trial = RestoreTrial(at=tried, holds=True, position=7, seconds=1.0, message="whole")
    catalogue.write(
        Backup(
            id=f"{ended:%Y%m%dT%H%M%SZ}-0000", status=BackupStatus.COMPLETED, by="olga",
            started_at=ended, ended_at=ended, server_version=180000, superuser="ledger",
            database="ledger", verified=trial,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hours", "restored_days", "status"),
    [(10, 3, "ok"), (30, 3, "fail"), (10, 9, "fail"), (10, None, "fail")],
)
def test_a_backup_must_be_of_last_night_and_one_restored_within_the_week(
    tmp_path: Path, hours: float, restored_days: float | None, status: str
) -> None:
    catalogue = Catalogue(tmp_path)
    assert production.of_backups(catalogue, NOW).status == "fail"
    entered(catalogue, hours=hours, restored_days=restored_days)
    assert production.of_backups(catalogue, NOW).status == status


async def test_doctor_asks_for_it_only_when_told_to(
    tmp_path: Path, database_url: str, nats_server: EmbeddedNats
) -> None:
    async def doctor(*more: str) -> Finished:
        return await run(
            "doctor",
            *more,
            cwd=tmp_path,
            LEDGER_DATABASE_URL=database_url,
            LEDGER_NATS_URL=nats_server.url,
        )

    usual = await doctor()
    strict = await doctor("--production", "--json")
    assert "bus_users" not in usual.stdout
    told = {one["check"]: one["status"] for one in json.loads(strict.stdout)["checks"]}
    assert (told["servers"], told["bus_users"], told["seal_key"]) == ("ok", "fail", "fail")
    assert strict.exit_code == 1
