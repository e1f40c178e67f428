"""A ledger for the length of a block, in a directory that is gone afterwards.

PostgreSQL and NATS are those that are set by URL, else embedded ones in the directory. Programs
that already work there are used, the others are started.
"""

import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ledger.operate.servers import NotRunning
from ledger.operate.settings import Settings
from ledger.operate.supervisor import Supervisor
from ledger.programs import registry
from ledger.programs.registry import Places

CLOCK, ALERTS = "clock", "alerts"


class Running(NamedTuple):
    """A ledger that works. `directory` is for the logs of whoever else is started. `tells`: alerts
    are told the demo, and not somebody else."""

    database_url: str
    nats_url: str
    directory: Path
    tells: bool = False


@contextmanager
def temporary_ledger(
    settings: Settings, *, channel: str | None = None, needed: Collection[str] | None = None
) -> Iterator[Running]:
    """A ledger of these settings, but for their data directory and for whom alerts are told: the
    demo's `channel`. With all its programs, or those that are `needed`. Its logs are left behind
    when the block fails."""
    # Named before it is there: whenever a signal comes, it is known what is to be removed.
    directory = Path(tempfile.gettempdir()) / f"ledger-demo-{secrets.token_hex(8)}"
    own = settings.model_copy(update={"data_dir": directory})
    log_file = directory / "services.log"
    try:
        directory.mkdir(mode=0o700)
        directory.chmod(0o711)  # root's PostgreSQL runs as another account, which must get through
        programs = _missing(own, needed)
        told = {"LEDGER_ALERT_CHANNELS": "" if channel is None else f"demo={channel}"}
        with Supervisor(own, programs=programs, log_file=log_file, variables=told) as supervisor:
            supervisor.wait_until_ready()
            yield Running(
                supervisor.database_url, supervisor.nats_url, directory, ALERTS in programs
            )
    except Exception:
        _remove(directory, keep_logs=True)
        raise
    except BaseException:
        _remove(directory)
        raise
    _remove(directory)


def _missing(settings: Settings, needed: Collection[str] | None) -> list[str]:
    """The programs that nobody runs for the servers that are set; but no clock: what is due here is
    due at the market's time (simulated_time.py), which the exchange keeps."""
    wanted = [
        name
        for name in registry.wanted(settings)
        if name != CLOCK and (needed is None or name in needed)
    ]
    return [name for name in wanted if not _works(name, Places(settings))]


def _works(name: str, places: Places) -> bool:
    try:
        return registry.find(name).ready(places)
    except NotRunning:
        return False


def _remove(directory: Path, *, keep_logs: bool = False) -> None:
    cluster = directory / "postgresql"
    if cluster.is_symlink():  # root's PostgreSQL could not get through to here
        shutil.rmtree(cluster.readlink(), ignore_errors=True)
    if not keep_logs:
        shutil.rmtree(directory, ignore_errors=True)
        return
    for path in directory.iterdir() if directory.exists() else ():
        if path.is_symlink() or not path.is_dir():
            if path.suffix != ".log":
                path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)
