"""Restoring a backup: a data directory, recovered to a moment, as its server leaves it.

    unpack    the base backup into a directory of its own, or what the operator's command brings
    recover   a server that nobody else reaches replays the WAL that was received since, up to the
              moment, and begins another timeline there
    stop      the directory is then like one of a server that was stopped

A moment is the end of the WAL, a time, an LSN, or a position of the log. Which transaction wrote a
position is in no WAL that could be read without replaying it: so it is looked up on a server that
was recovered to the end, and then everything begins anew with that transaction as the target. A
batch of commands is one transaction: the log then ends with the last event of that batch. Who wrote
a position that has been archived since, is asked of a server from before that: files do not say it,
and what is taken in from them again is written by another transaction.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import psycopg

from ledger.eventstore import reader
from ledger.kernel.errors import LedgerError
from ledger.operate import processes
from ledger.operate.backups import programs
from ledger.operate.backups.catalogue import Backup, Catalogue, NoSuchBackup
from ledger.operate.backups.wal_segments import segments_before
from ledger.operate.database import connect
from ledger.operate.embedded import root
from ledger.operate.settings import Settings

LATEST = "latest"
POLL_SECONDS = 0.05
LAST_WORDS = 3
"""Lines of the server's log that a failure is told with."""

_LSN = re.compile(r"[0-9A-Fa-f]+/[0-9A-Fa-f]+")
_TRANSACTION = "SELECT xmin::text FROM public.event_store WHERE position = %s"
_ARCHIVED = """
    SELECT min(archived_at) FROM public.event_archives
    WHERE %s BETWEEN first_position AND last_position"""
_TOO_EARLY = ("before consistent recovery point", "before configured recovery target")
"""What the server says of a transaction that was committed while the backup was made, or before."""
_ASKED_TOO_EARLY = "not accepting connections"
_ANYBODY_HERE = "local all all trust\n"
"""Who may connect to the server that recovers: its socket is in a directory that only we enter."""


class CannotRestore(LedgerError):
    """The backup, with the WAL that there is, does not reach the moment."""


class RecoveryTarget(NamedTuple):
    """The moment to restore to: one of these, or the end of the WAL."""

    position: int | None = None
    time: datetime | None = None
    lsn: str | None = None
    transaction: str | None = None
    immediate: bool = False
    """As soon as the backup is consistent."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of what an operator writes. Raises CannotRestore."""
        if text == LATEST:
            return cls()
        if text.isdigit():
            return cls(position=int(text))
        if _LSN.fullmatch(text):
            return cls(lsn=text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise CannotRestore(
                f"--to {text!r} is no moment: give `latest`, a position of the log, an LSN like "
                "0/3000148, or a time with its zone like 2026-11-27T14:00:00Z"
            )
        return cls(time=moment)

    @property
    def settings(self) -> dict[str, str]:
        """What the recovering server is told."""
        if self.immediate:
            return {"recovery_target": "immediate"}
        if self.transaction is not None:
            return {"recovery_target_xid": self.transaction}
        if self.lsn is not None:
            return {"recovery_target_lsn": self.lsn}
        if self.time is not None:
            return {"recovery_target_time": self.time.isoformat()}
        return {}

    @property
    def text(self) -> str:
        """For the operator's own command."""
        (value,) = self.settings.values() or (LATEST,)
        return f"xid:{value}" if self.transaction is not None else value


class Restored(NamedTuple):
    """What came of it."""

    backup: Backup
    directory: Path
    position: int
    """The last position of the restored log."""


def restore(
    settings: Settings,
    catalogue: Catalogue,
    target: RecoveryTarget,
    directory: Path,
    *,
    backup_id: str | None = None,
) -> Restored:
    """Makes `directory`, which must not be there, the data directory of a server that was stopped
    at the moment. Raises CannotRestore, NoSuchBackup, ProgramFailed."""
    if directory.exists():
        raise CannotRestore(f"{directory} is there already: name a new directory, or move it away")
    backup = catalogue.find(backup_id) if backup_id else _base(catalogue, target)
    wanted = target.position
    try:
        if wanted is not None:
            target = _transaction_of(settings, catalogue, backup, wanted, directory)
        return _restored(settings, catalogue, backup, target, directory)
    except CannotRestore as error:
        # The position is there, so it was written while the backup was made, or before.
        if wanted is None or not any(text in str(error) for text in _TOO_EARLY):
            raise
    whole = _restored(settings, catalogue, backup, RecoveryTarget(immediate=True), directory)
    if whole.position > wanted:
        shutil.rmtree(whole.directory)
        raise CannotRestore(
            f"backup {backup.id} is whole from position {whole.position} on, and {wanted} was "
            "wanted: name an older backup (--backup)"
        )
    return whole


def _restored(
    settings: Settings,
    catalogue: Catalogue,
    backup: Backup,
    target: RecoveryTarget,
    directory: Path,
) -> Restored:
    with (
        recovered(settings, catalogue, backup, target, directory) as server,
        connect(server.url, "restore") as connection,
    ):
        position = reader.head(connection)
    server.leave()
    return Restored(backup, server.cluster, position)


def _base(catalogue: Catalogue, target: RecoveryTarget) -> Backup:
    """The newest backup that had ended before the moment. Raises NoSuchBackup."""

    def before(backup: Backup) -> bool:
        if target.position is not None:
            return backup.position <= target.position
        if target.time is not None:
            return backup.ended_at is not None and backup.ended_at <= target.time
        if target.lsn is not None:
            return backup.end_lsn is None or _number(backup.end_lsn) <= _number(target.lsn)
        return True

    found = [one for one in catalogue.completed() if before(one)]
    if not found:
        raise NoSuchBackup(
            f"{catalogue.directory} has no complete backup from before that moment: see "
            "`ledgerctl backup list`"
        )
    return found[-1]


def _number(lsn: str) -> int:
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _transaction_of(
    settings: Settings, catalogue: Catalogue, backup: Backup, position: int, directory: Path
) -> RecoveryTarget:
    """The transaction that wrote the position. Raises CannotRestore."""
    aside = directory.with_name(f"{directory.name}.looking")
    shutil.rmtree(aside, ignore_errors=True)
    before = RecoveryTarget()
    while True:
        with (
            recovered(settings, catalogue, backup, before, aside) as server,
            connect(server.url, "restore") as connection,
        ):
            head = reader.head(connection)
            archived_at = _archived_at(connection, position)
            row = None
            if archived_at is None:
                row = connection.execute(_TRANSACTION, [position]).fetchone()
        server.remove()
        if archived_at is None:
            break
        before = RecoveryTarget(time=archived_at)  # what archived it was committed after that
    if row is None:
        raise CannotRestore(
            f"the log of backup {backup.id}, with all the WAL that there is, ends at position "
            f"{head}: it has no position {position}"
        )
    return RecoveryTarget(transaction=row[0])


def _archived_at(connection: psycopg.Connection[Any], position: int) -> datetime | None:
    """When the position was first archived, if it ever was."""
    there = connection.execute("SELECT to_regclass('public.event_archives')").fetchone()
    if there == (None,):  # a log from before there were archives
        return None
    row = connection.execute(_ARCHIVED, [position]).fetchone()
    return None if row is None else row[0]


class RecoveringServer:
    """A server on a restored data directory, for us alone."""

    def __init__(self, cluster: Path, backup: Backup) -> None:
        self.cluster, self._account = root.home(cluster)
        self._backup = backup
        found = programs.postgres_programs(backup.server_version // 10_000)
        self._programs = root.reachable(found, self._account)
        self._given = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets = Path(tempfile.mkdtemp(prefix="ledger-", dir="/tmp"))
        root.make_private(self._sockets, self._account)
        self._log = self._sockets.with_suffix(".log")
        self._wal = cluster.with_name(f"{cluster.name}.wal")

    @property
    def url(self) -> str:
        user = quote(self._backup.superuser, safe="")
        database = quote(self._backup.database, safe="")
        return f"postgresql://{user}@/{database}?host={quote(str(self._sockets))}"

    def own(self) -> None:
        """What was unpacked is the server's."""
        for directory in (self.cluster, self._wal):
            if self._account is not None and directory.exists():
                for path in (directory, *directory.rglob("*")):
                    os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)
        self.cluster.chmod(0o700)

    def wal(self, received: Path, backup: Backup) -> Path:
        """Where the server finds the WAL that was received: there, or in a copy if it works as
        another account, which cannot get there."""
        if self._account is None or not received.exists():
            return received
        self._wal.mkdir(mode=0o700)
        needed = set(received.iterdir()) - set(segments_before(received, backup))
        for path in needed:
            shutil.copyfile(path, self._wal / path.name)
        return self._wal

    def start(self) -> None:
        """Returns when the target is reached. Raises CannotRestore."""
        access = self._sockets / "pg_hba.conf"
        access.write_text(_ANYBODY_HERE)
        options = {
            "listen_addresses": "",
            "hba_file": str(access),
            "hot_standby": "off",  # nobody asks before the target is reached
            "archive_mode": "off",
            "ssl": "off",
            "logging_collector": "off",
            "log_destination": "stderr",
            "unix_socket_directories": str(self._sockets),
            "synchronous_standby_names": "",
        }
        with self._log.open("ab") as output:
            self._process = processes.start(
                [
                    self._programs / "postgres",
                    *("-D", self.cluster),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                death_signal=signal.SIGINT,
                account=self._account,
                environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                output=output,
            )
        while not self._ready():
            if self._process.poll() is not None:
                raise CannotRestore(
                    f"backup {self._backup.id} was not recovered: {self._last_words()}"
                )
            time.sleep(POLL_SECONDS)

    def _ready(self) -> bool:
        try:
            with connect(self.url, "restore") as connection:
                return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        except psycopg.OperationalError:
            return False

    def _last_words(self) -> str:
        """Why the server ended, as it says."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        fatal = [line for line in lines if "FATAL" in line and _ASKED_TOO_EARLY not in line]
        return " | ".join((fatal or lines)[-LAST_WORDS:])

    def stop(self) -> None:
        """Ends the server in good order; nothing if it does not run."""
        if self._process is not None:
            processes.stop(self._process, signal.SIGINT)
            self._process = None
        shutil.rmtree(self._sockets, ignore_errors=True)
        shutil.rmtree(self._wal, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def leave(self) -> None:
        """Takes away what was only for the recovery."""
        settings = self.cluster / "postgresql.auto.conf"
        kept = [
            line
            for line in settings.read_text().splitlines(keepends=True)
            if not line.startswith(("recovery_target", "restore_command"))
        ]
        settings.write_text("".join(kept))

    def remove(self) -> None:
        """Takes the data directory away."""
        shutil.rmtree(self.cluster, ignore_errors=True)
        if self._given.is_symlink():
            self._given.unlink()


@contextmanager
def recovered(
    settings: Settings,
    catalogue: Catalogue,
    backup: Backup,
    target: RecoveryTarget,
    directory: Path,
) -> Iterator[RecoveringServer]:
    """Inside the block a server runs on the restored directory. Raises CannotRestore,
    ProgramFailed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    server = RecoveringServer(directory, backup)
    try:
        if settings.backup_restore_command is not None:
            _by_command(settings.backup_restore_command, backup, target, server.cluster)
        else:
            _unpack(catalogue, backup, server.cluster)
            _tell(server.cluster, server.wal(catalogue.wal, backup), target)
        server.own()
        server.start()
        yield server
    except BaseException:
        server.stop()
        server.remove()
        raise
    finally:
        server.stop()


def _by_command(command: str, backup: Backup, target: RecoveryTarget, cluster: Path) -> None:
    places = {"id": backup.id, "target": str(cluster), "to": target.text}
    words = [word.format(**places) for word in shlex.split(command)]
    programs.run(words, "LEDGER_BACKUP_RESTORE_COMMAND")


def _unpack(catalogue: Catalogue, backup: Backup, cluster: Path) -> None:
    data = catalogue.data(backup)
    unknown = {path.name for path in data.glob("*.tar.gz")} - {"base.tar.gz", "pg_wal.tar.gz"}
    if unknown or not (data / "base.tar.gz").exists():
        raise CannotRestore(
            f"{data} is not what `ledgerctl backup create` writes: {sorted(unknown) or 'nothing'} "
            "(table spaces are not restored by it: use pgBackRest or Barman)"
        )
    for name, place in (("base.tar.gz", cluster), ("pg_wal.tar.gz", cluster / "pg_wal")):
        try:
            with tarfile.open(data / name) as archive:
                archive.extractall(place, filter="data")
        except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
            raise CannotRestore(f"{data / name} cannot be read: {error}") from error


def _tell(cluster: Path, received: Path, target: RecoveryTarget) -> None:
    """What the server is to do when it starts, in the files that it looks for."""
    (cluster / "recovery.signal").touch()
    for name in ("standby.signal", "postmaster.pid"):
        (cluster / name).unlink(missing_ok=True)
    (cluster / "postgresql.conf").touch()  # elsewhere, on some systems
    wal = shlex.quote(str(received))
    told = {
        # The segment that is being received is not whole; a server takes what there is of it.
        "restore_command": f'cp {wal}/%f "%p" || cp {wal}/%f.partial "%p"',
        "recovery_target_action": "promote",
        "recovery_target_inclusive": "on",
    } | target.settings
    with (cluster / "postgresql.auto.conf").open("a") as file:
        for name, value in told.items():
            escaped = value.replace("'", "''")
            file.write(f"{name} = '{escaped}'\n")
