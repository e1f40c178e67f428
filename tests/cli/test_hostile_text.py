"""Whatever others wrote is shown as text: nothing commands the terminal, and a row is a line."""

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import takewhile
from pathlib import Path
from typing import Any
from unicodedata import category

import orjson
from typer.main import get_command

from ledger.cli.main import app
from ledger.table import cell
from ledger.text import visible
from projections.cli import app as projections_app
from tests.cli.hostile import ACCOUNT, COMMAND, FAILED, LETTER, ORDER, ROW, TEXT, trade
from tests.cli.running import Finished, run
from tests.messaging.services import running_worker

OF = f"--account {ACCOUNT}"
PERIOD = "--from 2020-01-01 --to 2120-01-01"
TABLES = (
    f"query balances {OF}",
    f"query orders {OF}",
    f"query order {ORDER}",
    f"query fills {OF}",
    f"query transactions {OF}",
    f"query fills {OF} --effective-at 2120-01-01",
    "audit events",
    "audit commands --status REJECTED",
    f"audit statement {OF} {PERIOD}",
)
"""What has a row to a line below its header, and the same rows as JSON."""
SAY = "--by x --reason y"
COMMANDS = (
    *TABLES,
    *("up --data", "demo --commands", "serve", "migrate", "doctor", "submit lines.jsonl"),
    *(f"query allocations {OF}", f"query snapshots {OF}"),
    *(f"audit trace {COMMAND}", f"audit trace {ORDER}", f"audit explain order {ORDER}"),
    f"audit explain balance {OF} --asset USDT",
    f"audit statement {OF} {PERIOD} --format csv",
    f"audit statement {OF} {PERIOD} --format html",
    *("audit events --format csv", "audit events --format jsonl"),
    *("audit seal", "audit verify", "audit verify --export exported", "audit prove nobody"),
    *("audit export --format jsonl exported", "audit check-proof lines.jsonl --head lines.jsonl"),
    *("commands failed list --all", f"commands failed show {FAILED}"),
    f"commands failed retry {FAILED} {SAY}",
    f"commands failed dismiss {FAILED} {SAY}",
    *("publisher replay --from 1 --subject replay.x", "schema export schemas"),
    "bus user service --name x --seed lines.jsonl",
    *("projections status", "projections dead-letters list", "projections verify"),
    f"projections dead-letters show {LETTER}",
    f"projections dead-letters retry {LETTER} {SAY}",
    f"projections dead-letters skip {LETTER} {SAY}",
    *("projections pause balances", "projections resume balances"),
    *("projections rebuild balances", "projections rollback balances"),
)
"""Every command of ledgerctl, in the order in which they are run."""


def leaves(group: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*before, name))
        else:
            yield " ".join((*before, name))


def is_harmless(text: str) -> bool:
    """Without controls, formatting (bidirectional marks among it) and separators of lines."""
    return all(one == "\n" or category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text)


def test_every_command_is_tried() -> None:
    every = [*leaves(get_command(app)), *leaves(get_command(projections_app), ("projections",))]
    tried = {name for name in every for one in COMMANDS if f"{one} ".startswith(f"{name} ")}
    assert sorted(tried) == sorted(every)


async def test_no_command_lets_a_text_of_others_command_the_terminal(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    trade(database_url)
    hostile = orjson.dumps({"type": TEXT, "data": {"account_id": TEXT}})
    lines = (hostile, b'{"\x9b":1}', TEXT.encode(), b'{"\xe2\x80\xae":1,"\xe2\x80\xae":2}')
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(lines))

    async def ledgerctl(*arguments: str) -> Finished:
        return await run(
            *arguments,
            cwd=tmp_path,
            LEDGER_DATABASE_URL=database_url,
            LEDGER_NATS_URL=nats_url,
        )

    async with running_worker(database_url, nats_url):
        for command in COMMANDS:
            words = shlex.split(command)
            starts = words[0] in ("up", "demo", "serve")
            for more in ([TEXT], ["--json"], []) if not starts else ([TEXT],):
                finished = await ledgerctl(*words, *more)
                assert is_harmless(finished.stdout), (command, finished.stdout)
                assert is_harmless(finished.stderr), (command, finished.stderr)
                assert "Traceback" not in finished.stderr


async def test_a_row_is_a_line_and_says_what_was_written(tmp_path: Path, database_url: str) -> None:
    trade(database_url)

    async def ledgerctl(*arguments: str) -> str:
        finished = await run(*arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
        assert finished.exit_code == 0, finished.stderr
        return finished.stdout

    for table in TABLES:
        words = shlex.split(table)
        rows = orjson.loads(await ledgerctl(*words, "--json"))
        lines = (await ledgerctl(*words)).splitlines()
        assert len(lines) == 1 + len(rows), table
        assert not any(line.startswith(ROW) for line in lines), table
    shown = (await ledgerctl("query", "fills", "--account", str(ACCOUNT))).splitlines()
    assert cell(TEXT) in shown[1]
    rows = orjson.loads(await ledgerctl("query", "fills", "--account", str(ACCOUNT), "--json"))
    assert rows[0]["trade_id"] == TEXT
    page = await ledgerctl("audit", "statement", *shlex.split(f"{OF} {PERIOD} --format html"))
    assert _text_of(page).count(visible(TEXT)) >= 3


async def test_a_text_stays_a_text_in_a_spreadsheet_and_a_number_a_number(
    tmp_path: Path, database_url: str
) -> None:
    trade(database_url)
    asked = shlex.split(f"audit statement {OF} {PERIOD} --format csv")
    finished = await run(*asked, cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
    assert "'" + visible(TEXT) in finished.stdout.replace('""', '"')
    assert ",-50," in finished.stdout
    assert not re.search(r'(^|,)"?=', finished.stdout, re.MULTILINE)


def test_tables_fit_a_terminal_of_eighty_columns(tmp_path: Path, database_url: str) -> None:
    trade(database_url)
    for table in (*TABLES, "projections status", "projections dead-letters list"):
        lines = _on_a_terminal(shlex.split(table), tmp_path, database_url)
        assert len(lines) > 1, table
        assert [line for line in lines if len(line) > 80] == []
        whole = _on_a_terminal(shlex.split(table), tmp_path, database_url, columns=2_000)
        cells = {part for line in whole for part in re.split(" {2,}", line)}
        rows = takewhile(lambda line: not line.startswith("("), lines)  # then what had no room
        for part in (part for line in rows for part in re.split(" {2,}", line)):
            assert part in cells or part.endswith("…"), (table, part)


def _on_a_terminal(words: list[str], cwd: Path, database_url: str, columns: int = 80) -> list[str]:
    ours, theirs = pty.openpty()
    environment = {"LEDGER_DATABASE_URL": database_url, "COLUMNS": str(columns)}
    with subprocess.Popen(
        [sys.executable, "-m", "ledger", *words],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ):
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
        os.close(ours)
    return written.decode().replace("\r\n", "\n").rstrip().split("\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other side was closed
        return b""


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _text_of(page: str) -> str:
    parser = _Texts()
    parser.feed(page)
    return "".join(parser.texts)
