"""A backup is what can be restored: to its end, to any position of the log, and found whole."""

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.audit import archive
from ledger.audit.prove import seals
from ledger.eventstore import reader
from ledger.operate.backups import creation, expiry, verification
from ledger.operate.backups.catalogue import (
    Backup,
    BackupStatus,
    Catalogue,
    NoSuchBackup,
    RestoreTrial,
    verified_age_seconds,
)
from ledger.operate.backups.programs import ProgramFailed
from ledger.operate.backups.restoration import CannotRestore, RecoveryTarget, recovered, restore
from ledger.operate.backups.retention import Retention
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.settings import Settings
from ledger.vitals.examination import examine
from ledger.write.ledger import Ledger
from tests.audit import history
from tests.commands import command
from tests.eventstore.partitions import EVENTS as PARTITION
from tests.eventstore.partitions import begin_small

PATIENCE_SECONDS = 20.0
TRIAL_SECONDS = 60.0
"""Of a busy machine, to restore one backup."""


@pytest.fixture(scope="module")
def server(memory_directory: Path) -> Iterator[EmbeddedPostgres]:
    directory = memory_directory / "backed-up"
    with EmbeddedPostgres(directory, fast=True) as server:
        migrate_all(server.url)
        yield server


@pytest.fixture
def server_directory(memory_directory: Path) -> Iterator[Path]:
    """In memory: what is asked is what comes back, and not whether a disk has it."""
    directory = memory_directory / uuid7().hex[-12:]
    directory.mkdir(mode=0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def catalogue(server_directory: Path) -> Iterator[Catalogue]:
    catalogue = Catalogue(server_directory / "backups")
    yield catalogue
    shutil.rmtree(catalogue.directory, ignore_errors=True)


@pytest.fixture
def account(server: EmbeddedPostgres) -> str:
    """Of a ledger that lives."""
    account_id = uuid7()
    data = {
        "account_id": str(account_id), "user_id": str(uuid7()), "exchange": "BINANCE",
        "name": "x", "account_type": "CASH", "environment": "PAPER", "base_currency": "USDT",
    }  # fmt: skip
    with Ledger(server.url) as ledger:
        (outcome,) = ledger.execute([command("OpenAccount", account_id, **data)])
        assert outcome.accepted, outcome
    return str(account_id)


def deposit(server: EmbeddedPostgres, account: str, *, at_once: int = 1) -> int:
    """So many deposits in one transaction; the last position."""
    with Ledger(server.url) as ledger:
        some = [command("Deposit", account, asset="USDT", amount="1") for _ in range(at_once)]
        return max(outcome.position or 0 for outcome in ledger.execute(some))


def head(url: str) -> int:
    with psycopg.connect(url) as connection:
        return reader.head(connection)


class Receiving:
    """`ledgerctl backup receive`, in this process."""

    def __init__(self, server: EmbeddedPostgres, catalogue: Catalogue) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=creation.receive, args=(catalogue, server.url, self._stop)
        )

    def __enter__(self) -> "Receiving":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [creation.SLOT])

    def until_all_is_here(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            (end,) = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone() or ("",)
            while connection.execute(
                "SELECT restart_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s",
                [end, creation.SLOT],
            ).fetchone() != (True,):
                assert time.monotonic() < deadline, "WAL is not received"
                time.sleep(0.02)


def test_any_position_time_and_end_can_be_restored(
    server: EmbeddedPostgres, catalogue: Catalogue, account: str, server_directory: Path
) -> None:
    with Receiving(server, catalogue) as receiving:
        backup = creation.create(Settings(), catalogue, server.url)
        assert backup.status is BackupStatus.COMPLETED
        assert (backup.first_position, backup.position) == (head(server.url), head(server.url))
        alone = deposit(server, account)
        moment = datetime.now(UTC)
        batch = deposit(server, account, at_once=5)
        end = deposit(server, account)
        receiving.until_all_is_here()
    wanted = {
        RecoveryTarget(): end,
        RecoveryTarget(time=moment): alone,
        RecoveryTarget(position=backup.position): backup.position,  # from before it was made
        RecoveryTarget(position=batch - 3): batch,  # a batch is one transaction
    }
    places = [server_directory / f"restored-{number}" for number in range(len(wanted))]
    with ThreadPoolExecutor() as beside_each_other:
        restored = beside_each_other.map(partial(restore, Settings(), catalogue), wanted, places)
        found = list(restored)
    for done, (target, position) in zip(found, wanted.items(), strict=True):
        assert done.position == position, target
        assert (done.directory / "PG_VERSION").exists()
        assert not (done.directory / "recovery.signal").exists()
        assert "recovery_target" not in (done.directory / "postgresql.auto.conf").read_text()
    with pytest.raises(CannotRestore, match="it has no position"):
        restore(Settings(), catalogue, RecoveryTarget(position=end + 1), server_directory / "none")
    with pytest.raises(NoSuchBackup, match="from before that moment"):
        restore(
            Settings(),
            catalogue,
            RecoveryTarget(position=backup.position - 1),
            server_directory / "none",
        )
    with pytest.raises(CannotRestore, match="is there already"):
        restore(Settings(), catalogue, RecoveryTarget(), server_directory / "restored-0")


@pytest.mark.timeout(3 * TRIAL_SECONDS)  # three servers recover
def test_a_position_that_is_archived_since_can_be_restored(
    server: EmbeddedPostgres, catalogue: Catalogue, account: str, server_directory: Path
) -> None:
    """Also one that was taken in again, by a transaction that wrote all of its partition."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        full = begin_small(connection, reader.head(connection) + PARTITION)
        with Receiving(server, catalogue) as receiving:
            creation.create(Settings(), catalogue, server.url)
            wanted = deposit(server, account, at_once=5)
            deposit(server, account)
            history.append(connection, full + 1 - reader.head(connection))
            history.seal(connection, block_events=1_000)
            places = server_directory / "first", server_directory / "second"
            for place in places:
                archive.create(connection, place, "tests", lambda *_: None)
                if place == places[0]:
                    archive.restore(connection, server.url, "tests", lambda *_: None)
            receiving.until_all_is_here()
        target = RecoveryTarget(position=wanted - 3)
        done = restore(Settings(), catalogue, target, server_directory / "archived")
        assert done.position == wanted
        archive.restore(connection, server.url, "tests", lambda *_: None)


def test_a_backup_is_verified_by_restoring_it(
    server: EmbeddedPostgres, catalogue: Catalogue, account: str
) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        history.seal(connection)
        newest = seals.head(connection)
    assert newest is not None
    backup = creation.create(Settings(), catalogue, server.url)
    assert backup.head == newest.document()
    assert verified_age_seconds(catalogue) is None
    verified = verification.verify(Settings(), catalogue, backup, to_the_end=False)
    assert verified.verified is not None
    assert verified.verified.holds, verified.verified.message
    assert verified.verified.position == head(server.url)
    assert catalogue.find(None) == verified
    age = verified_age_seconds(catalogue)
    assert age is not None
    assert 0 <= age < PATIENCE_SECONDS * 6

    # One whose bytes are not those that were written is found out.
    base = catalogue.data(backup) / "base.tar.gz"
    base.write_bytes(base.read_bytes()[:200_000])
    broken = verification.verify(Settings(), catalogue, backup, to_the_end=False)
    assert broken.verified is not None
    assert not broken.verified.holds
    assert broken.verified_at is None
    assert verified_age_seconds(catalogue) is None


def test_who_makes_backups_is_told_how_old_the_newest_good_one_is(
    server: EmbeddedPostgres, catalogue: Catalogue, server_directory: Path
) -> None:
    nowhere = Settings(data_dir=server_directory)
    assert examine(nowhere, None, None).value("backup_verified_age_seconds") is None
    settings = Settings(backup_dir=catalogue.directory)
    never = examine(settings, None, None)
    assert never.value("backup_verified_age_seconds") == float("inf")
    assert "LedgerBackupOld" in [alarm.condition.alert for alarm, _ in never.alarms()]
    backup = creation.create(Settings(), catalogue, server.url)
    good = RestoreTrial(datetime.now(UTC), True, 1, 1.0, "")
    catalogue.write(msgspec.structs.replace(backup, verified=good))
    assert examine(settings, None, None).alarms() == []


def test_a_restored_ledger_that_was_altered_is_not_whole(
    server: EmbeddedPostgres, catalogue: Catalogue, account: str, server_directory: Path
) -> None:
    deposit(server, account)
    with psycopg.connect(server.url, autocommit=True) as connection:
        history.seal(connection)
    backup = creation.create(Settings(), catalogue, server.url)
    with recovered(
        Settings(), catalogue, backup, RecoveryTarget(immediate=True), server_directory / "altered"
    ) as restored:
        with psycopg.connect(restored.url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("UPDATE event_store SET occurred_at = now() WHERE position = 1")
        said = verification.wrong(restored.url, server_directory, backup, backup.position)
    restored.remove()
    assert said.startswith("`ledgerctl audit verify` exit 1:")
    assert "changed" in said
    short = verification.wrong("", server_directory, backup, backup.first_position - 1)
    assert "when the backup began it had come to" in short


def test_a_backup_that_fails_or_is_broken_off_says_so_and_goes(
    server: EmbeddedPostgres, catalogue: Catalogue
) -> None:
    settings = Settings(backup_command="false {id} {directory}")
    with pytest.raises(ProgramFailed, match="LEDGER_BACKUP_COMMAND failed: exit code 1"):
        creation.create(settings, catalogue, server.url)
    (failed,) = catalogue.all()
    assert failed.status is BackupStatus.FAILED
    assert failed.error is not None
    with pytest.raises(NoSuchBackup, match="no complete backup"):
        catalogue.find(None)
    running = Backup(
        id="20260101T000000Z-0000", status=BackupStatus.RUNNING, by="x",
        started_at=datetime.now(UTC), server_version=180_000, superuser="x", database="x",
    )  # fmt: skip
    catalogue.write(running)
    catalogue.data(running).mkdir()
    with catalogue.changing():
        assert [one.status for one in catalogue.all()] == [BackupStatus.FAILED] * 2
    assert not catalogue.data(running).exists()


def test_a_command_of_the_operators_makes_and_brings_back_the_backup(
    server: EmbeddedPostgres, catalogue: Catalogue, server_directory: Path
) -> None:
    """As pgBackRest or Barman would: here with a copy made by pg_basebackup and cp."""
    from ledger.operate.backups.programs import postgres_programs

    kept = server_directory / "elsewhere"
    program = postgres_programs(server_version(server) // 10_000) / "pg_basebackup"
    settings = Settings(
        backup_command=f"{program} --dbname='{server.url}' --pgdata={kept}/{{id}} -c fast",
        backup_restore_command=f"cp -a {kept}/{{id}}/. {{target}}",
    )
    kept.mkdir()
    backup = creation.create(settings, catalogue, server.url)
    assert not catalogue.data(backup).exists()
    done = restore(settings, catalogue, RecoveryTarget(), server_directory / "brought-back")
    assert done.position == head(server.url)


def server_version(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.url) as connection:
        return connection.info.server_version


def test_what_is_not_kept_goes_with_its_wal(catalogue: Catalogue) -> None:
    def entered(day: int, lsn: str) -> Backup:
        moment = datetime(2026, 1, day, tzinfo=UTC)
        one = Backup(
            id=f"{moment:%Y%m%dT%H%M%SZ}-0000", status=BackupStatus.COMPLETED, by="x",
            started_at=moment, ended_at=moment, server_version=180_000, superuser="x",
            database="x", start_lsn=lsn, end_lsn=lsn,
        )  # fmt: skip
        catalogue.write(one)
        catalogue.data(one).mkdir()
        return one

    first, second, third = entered(1, "0/2000028"), entered(2, "0/5000028"), entered(9, "1/1000028")
    catalogue.wal.mkdir()
    names = ["000000010000000000000004", "000000010000000000000005", "000000010000000100000001"]
    for name in [*names, "00000002.history", "000000010000000100000002.partial"]:
        (catalogue.wal / name).touch()
    now = datetime(2026, 1, 10, tzinfo=UTC)
    found = expiry.expired(catalogue, Retention(1, 0, 0, 0, 7.0), now)
    assert [one.id for one in found.backups] == [first.id]
    assert [path.name for path in found.wal_files] == names[:1]
    expiry.prune(catalogue, found)
    assert [one.status for one in catalogue.all()] == [
        BackupStatus.EXPIRED, BackupStatus.COMPLETED, BackupStatus.COMPLETED,
    ]  # fmt: skip
    assert not catalogue.data(first).exists()
    assert catalogue.data(second).exists()
    assert catalogue.data(third).exists()
    assert {path.name for path in catalogue.wal.iterdir()} == {
        *names[1:], "00000002.history", "000000010000000100000002.partial",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["yesterday", "2026-11-27T14:00:00", "-5", "0/xyz"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(CannotRestore, match="is no moment"):
        RecoveryTarget.parse(text)


def test_moments_are_told_apart() -> None:
    assert RecoveryTarget.parse("latest") == RecoveryTarget()
    assert RecoveryTarget.parse("4711") == RecoveryTarget(position=4711)
    assert RecoveryTarget.parse("0/3000148").settings == {"recovery_target_lsn": "0/3000148"}
    time_of = RecoveryTarget.parse("2026-11-27T14:00:00Z")
    assert time_of.text == "2026-11-27T14:00:00+00:00"
    assert RecoveryTarget(transaction="77").text == "xid:77"
    assert RecoveryTarget().text == "latest"
