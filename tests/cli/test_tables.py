"""Tables of ledgerctl: within 80 columns on such a terminal, ids whole; elsewhere all is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.main import get_command
from uuid_utils.compat import uuid7

from ledger.cli.main import app
from projections.cli import app as projections_app
from projections.questions.commands import app as query_app
from tests.cli.running import run, run_on_terminal

COLUMNS = 80
FAILED = uuid7()
LETTER = uuid7()
ERROR = "the database refused this with a reason that goes on and on, far beyond eighty columns"


@pytest.fixture
def full_url(database_url: str) -> str:
    """A database with a row for each table, each longer than a line."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """INSERT INTO failed_commands (command_id, command_type, source, subject,
                   fingerprint, body, code, message, tries)
               VALUES (%s, 'RebalanceAllocations', 'a-service-with-a-long-name', %s, '\\x01',
                   '{}', 'INTERNAL_ERROR', %s, 5)""",
            [FAILED, f"{uuid7()}.trade.somebody", ERROR],
        )
        connection.execute(
            """INSERT INTO projection_dead_letters (id, projection_name, generation, position,
                   event_id, event_type, partition_key, kind, error, status,
                   code_version)
               VALUES (%s, 'user_strategy_assignments', 1, 0, gen_random_uuid(),
                   'account.trade_settled', gen_random_uuid()::text, 'fold', %s, 'PARKED', 1)""",
            [LETTER, ERROR],
        )
        connection.execute(
            "UPDATE event_projections SET owner = 'a-machine-with-a-long-name:4711:0123456789ab'"
        )
    return database_url


@pytest.mark.parametrize(
    ("command", "column", "whole"),
    [
        ("commands failed list", "failed_at", [str(FAILED), ERROR]),
        ("projections dead-letters list", "position", [str(LETTER), ERROR]),
        ("status", "stalled", ["user_strategy_assignments"]),
        ("projections status", "parked", ["user_strategy_assignments", "with-a-long-name:4711"]),
    ],
)
async def test_a_table_fits_its_terminal_with_ids_whole_and_is_whole_elsewhere(
    tmp_path: Path, full_url: str, command: str, column: str, whole: list[str]
) -> None:
    words = command.split()

    async def on_terminal(*more: str) -> str:
        shown = await run_on_terminal(
            *words, *more, cwd=tmp_path, columns=COLUMNS, LEDGER_DATABASE_URL=full_url
        )
        return shown.stdout

    shown = await on_terminal()
    table = [line for line in shown.splitlines() if whole[0] in line and ": " not in line]
    assert table
    assert max(map(len, table)) <= COLUMNS
    piped = (await run(*words, cwd=tmp_path, LEDGER_DATABASE_URL=full_url)).stdout
    wide = await on_terminal("--wide")
    for text in whole:
        assert text in piped
        assert text in wide
    chosen = (await on_terminal("--columns", column)).splitlines()
    assert column.replace("_", " ") in chosen
    assert not any(line.startswith(whole[0]) and ": " not in line for line in chosen)


def test_every_command_with_a_table_lets_its_columns_be_chosen() -> None:
    options = {name: {option.opts[0] for option in command.params} for name, command in all_of()}
    with_columns = {name for name, names in options.items() if "--columns" in names}
    assert {name for name, names in options.items() if "--wide" in names} == with_columns
    for name in ("query positions", "audit events", "status", "backup list", "database tables"):
        assert name in with_columns


def all_of() -> Iterator[tuple[str, Any]]:
    """Every command of ledgerctl, with its parameters."""
    roots = [("", get_command(app))]
    roots += [("projections", get_command(projections_app)), ("query", get_command(query_app))]
    while roots:
        name, command = roots.pop()
        if not hasattr(command, "commands"):
            yield name, command
            continue
        roots += [(f"{name} {word}".strip(), one) for word, one in command.commands.items()]
