"""`python -m ledger` is `ledgerctl`: the servers, which the client's installation has not."""

import importlib.metadata
import re
import sys
from typing import NoReturn

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+).*extra == [\"']server[\"']")


def main() -> NoReturn:
    """Entry point of the console script."""
    missing = _missing()
    if missing:
        sys.exit(
            f"error: ledgerctl needs packages that are not installed: {', '.join(missing)}. "
            "Run: pip install 'trading-ledger[server]'"
        )
    from ledger.cli.main import main

    main()


def _missing() -> list[str]:
    """The packages of the extra "server" that are not there."""
    required = map(_REQUIREMENT.match, importlib.metadata.requires("trading-ledger") or [])
    return [found["name"] for found in required if found and not _is_installed(found["name"])]


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
