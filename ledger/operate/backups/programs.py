"""PostgreSQL's programs of the version that a server has: of the embedded package, of the system,
or in the PATH."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ledger.kernel.errors import LedgerError
from ledger.operate.embedded import programs as embedded

_PLACES = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


class ProgramFailed(LedgerError):
    """A program of PostgreSQL, or a command of the operator's, did not do its work."""


def postgres_programs(major: int) -> Path:
    """The directory of the programs of this major version. Raises ProgramMissing."""
    candidates = [Path(place.format(major)) for place in _PLACES]
    with contextlib.suppress(embedded.ProgramMissing):
        candidates.insert(0, embedded.postgres())
    on_path = shutil.which("pg_basebackup")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent)
    for directory in candidates:
        if (directory / "pg_basebackup").exists() and _major(directory) == major:
            return directory
    raise embedded.ProgramMissing(
        f"there is no pg_basebackup of PostgreSQL {major} here: install its client and server "
        "programs, or trading-ledger[embedded] if that has this version"
    )


def _major(directory: Path) -> int:
    said = subprocess.run(
        [directory / "pg_basebackup", "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = _VERSION.search(said)
    return int(found[1]) if found else 0


def run(command: Sequence[str | Path], what: str) -> str:
    """What the program prints. Raises ProgramFailed."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ProgramFailed(f"{what}: {command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-1_000:]
        raise ProgramFailed(f"{what} failed: {said or f'exit code {done.returncode}'}")
    return done.stdout
