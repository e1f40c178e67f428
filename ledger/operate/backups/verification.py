"""Trying a backup: restored on a server of its own, brought to today's schema, and asked whether
the ledger in it is whole.

    ledgerctl migrate                  today's schema
    ledgerctl audit verify --head …    nothing was altered, and it leads to the head of that time
    ledgerctl projections verify       the read models are what the log says

They are run as an operator runs them, each as a process of its own on the restored database.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import orjson

from ledger.eventstore import reader
from ledger.kernel.errors import LedgerError
from ledger.operate.backups.catalogue import Backup, Catalogue, RestoreTrial
from ledger.operate.backups.restoration import RecoveryTarget, recovered
from ledger.operate.database import connect
from ledger.operate.settings import Settings

CONSISTENT_ONLY = 3
"""Exit code of `audit verify` where there was no seal yet when the backup was made."""


def verify(settings: Settings, catalogue: Catalogue, backup: Backup, *, to_the_end: bool) -> Backup:
    """Restores the backup, with all the WAL since if `to_the_end`, and enters what came of it in
    the catalogue. Raises BackupUnderWay."""
    started = time.monotonic()
    position, message = 0, ""
    target = RecoveryTarget() if to_the_end else RecoveryTarget(immediate=True)
    with catalogue.changing(), tempfile.TemporaryDirectory(prefix="ledger-", dir="/tmp") as scratch:
        Path(scratch).chmod(0o711)
        try:
            with recovered(
                settings, catalogue, backup, target, Path(scratch) / "cluster"
            ) as server:
                with connect(server.url, "verify") as connection:
                    position = reader.head(connection)
                message = wrong(server.url, Path(scratch), backup, position)
            server.remove()
        except LedgerError as error:
            message = str(error)
        found = RestoreTrial(
            at=datetime.now(UTC),
            holds=not message,
            position=position,
            seconds=round(time.monotonic() - started, 1),
            message=message or "restored, migrated, verified",
        )
        return catalogue.write(msgspec.structs.replace(backup, verified=found))


def wrong(url: str, scratch: Path, backup: Backup, position: int) -> str:
    """What is wrong with the restored ledger; nothing if it is whole."""
    if position < backup.first_position:
        return (
            f"the restored log ends at position {position}; when the backup began it had come to "
            f"{backup.first_position}"
        )
    head = []
    if backup.head is not None:
        path = scratch / "head.json"
        path.write_bytes(orjson.dumps(backup.head))
        head = ["--head", str(path)]
    for command, also_good in (
        (["migrate"], ()),
        (["audit", "verify", *head], (CONSISTENT_ONLY,)),
        (["projections", "verify"], ()),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ledger", *command],
            cwd=scratch,
            env=_environment(url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, *also_good):
            said = " ".join((done.stdout + done.stderr).split())[-500:]
            return f"`ledgerctl {' '.join(command[:2])}` exit {done.returncode}: {said}"
    return ""


def _environment(url: str) -> dict[str, str]:
    """Ours, with the restored database: nothing of the one that lives may be touched."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    return kept | {"LEDGER_DATABASE_URL": url}
