"""Running commands of `ledgerctl projections` inside the test's process."""

from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from projections.cli import app


def run_command(
    monkeypatch: pytest.MonkeyPatch, database_url: str, *arguments: str
) -> tuple[int, Any]:
    """(exit code, what it printed as JSON). Raises what the command raised."""
    monkeypatch.setenv("LEDGER_DATABASE_URL", database_url)
    result = CliRunner().invoke(app, [*arguments, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, orjson.loads(result.stdout) if result.stdout else None
