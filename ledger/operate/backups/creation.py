"""Making a backup, and receiving the WAL since.

create    pg_basebackup into a directory of its own, or the command that is set; before and
          after it the log is asked how far it is, and the newest seal is entered
receive   pg_receivewal with a slot, so that the server keeps what has not come here
"""

import getpass
import os
import platform
import secrets
import shlex
import shutil
import signal
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from ledger.audit.prove import seals
from ledger.eventstore import incarnations, reader
from ledger.operate import processes
from ledger.operate.backups import programs
from ledger.operate.backups.catalogue import Backup, BackupStatus, Catalogue
from ledger.operate.backups.programs import ProgramFailed
from ledger.operate.database import connect
from ledger.operate.settings import Settings

SLOT = "ledger_backup"
"""Of the replication that receives WAL: the server keeps what it has not confirmed."""
STOP_SECONDS = 10.0

_ABOUT = """
    SELECT (SELECT rolname FROM pg_roles WHERE oid = 10), current_database(), clock_timestamp()"""


def create(settings: Settings, catalogue: Catalogue, database_url: str) -> Backup:
    """Makes a backup; its entry. Raises ProgramFailed, BackupUnderWay, psycopg.Error."""
    with catalogue.changing(), connect(database_url, "backup") as connection:
        about = connection.execute(_ABOUT).fetchone()
        assert about is not None
        started_at = about[2].astimezone(UTC)
        head = seals.head(connection)
        backup = catalogue.write(
            Backup(
                id=f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
                status=BackupStatus.RUNNING,
                by=f"{getpass.getuser()}@{platform.node()}",
                started_at=started_at,
                server_version=connection.info.server_version,
                superuser=about[0],
                database=about[1],
                first_position=reader.head(connection),
                head=head.document() if head is not None else None,
            )
        )
        try:
            data = catalogue.data(backup)
            details = (
                _by_command(settings.backup_command, backup, data)
                if settings.backup_command
                else _by_basebackup(backup, data, database_url)
            )
            return catalogue.write(_ended(backup, connection, details))
        except BaseException as error:
            shutil.rmtree(catalogue.data(backup), ignore_errors=True)
            said = str(error) or type(error).__name__
            catalogue.write(msgspec.structs.replace(backup, status=BackupStatus.FAILED, error=said))
            raise


def _ended(backup: Backup, connection: psycopg.Connection[Any], details: dict[str, Any]) -> Backup:
    newest = incarnations.lineage(connection).newest
    return msgspec.structs.replace(
        backup,
        status=BackupStatus.COMPLETED,
        ended_at=datetime.now(UTC),
        position=reader.head(connection),
        incarnation=str(newest) if newest else None,
        **details,
    )


def _by_basebackup(backup: Backup, data: Path, database_url: str) -> dict[str, Any]:
    found = programs.postgres_programs(backup.server_version // 10_000)
    programs.run(
        [
            found / "pg_basebackup",
            f"--dbname={database_url}",
            f"--pgdata={data}",
            "--format=tar",
            "--gzip",
            "--compress=1",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-password",
            "--manifest-checksums=SHA256",
            f"--label=ledger {backup.id}",
        ],
        "pg_basebackup",
    )
    manifest = msgspec.json.decode((data / "backup_manifest").read_bytes())
    wal = manifest["WAL-Ranges"][0]
    for path in data.iterdir():
        path.chmod(0o600)
    return {
        "size_bytes": sum(path.stat().st_size for path in data.iterdir()),
        "compressed": "gzip",
        "timeline": wal["Timeline"],
        "start_lsn": wal["Start-LSN"],
        "end_lsn": wal["End-LSN"],
    }


def _by_command(command: str, backup: Backup, data: Path) -> dict[str, Any]:
    """What the operator has set, as pgBackRest's or Barman's: it keeps the backup itself."""
    words = [word.format(id=backup.id, directory=data) for word in shlex.split(command)]
    programs.run(words, "LEDGER_BACKUP_COMMAND")
    return {}


def receive(catalogue: Catalogue, database_url: str, stop: threading.Event) -> None:
    """Receives WAL until `stop` is set; a server that is away is looked for again. Raises
    ProgramFailed, psycopg.Error."""
    catalogue.wal.mkdir(mode=0o700, parents=True, exist_ok=True)
    with connect(database_url, "backup") as connection:
        found = programs.postgres_programs(connection.info.server_version // 10_000)
    base: list[str | Path] = [found / "pg_receivewal", f"--dbname={database_url}"]
    base += [f"--directory={catalogue.wal}", f"--slot={SLOT}", "--no-password"]
    programs.run([*base, "--create-slot", "--if-not-exists"], "pg_receivewal")
    process = processes.start(
        [*base, "--synchronous"],
        death_signal=signal.SIGINT,
        environment=dict(os.environ),
    )
    try:
        while not stop.wait(0.5):
            if process.poll() is not None:
                raise ProgramFailed(f"pg_receivewal ended with exit code {process.returncode}")
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """It writes what it has, and ends."""
    processes.stop(process, signal.SIGINT, STOP_SECONDS)
