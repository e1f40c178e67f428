"""Whatever others wrote is shown as text: nothing commands the terminal, and a row is a line."""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator
from html.parser import HTMLParser
from itertools import takewhile
from pathlib import Path
from typing import Any
from unicodedata import category
from urllib.parse import urlsplit

import orjson
import pytest
from typer.main import get_command

from ledger.cli.main import app
from ledger.kernel.text import visible
from ledger.operate.table import cell
from projections.cli import app as projections_app
from projections.questions.commands import app as questions_app
from tests.cli.hostile import ACCOUNT, COMMAND, FAILED, LETTER, ORDER, ROW, TEXT, trade
from tests.cli.running import Finished, run, run_on_terminal
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.programs.services import running_worker

OF = f"--account {ACCOUNT}"
USER = "0190a000-0000-7000-8000-00000000000b"
PERIOD = "--from 2020-01-01 --to 2120-01-01"
TABLES = (
    f"query balances {OF}",
    f"query orders {OF}",
    f"query order {ORDER}",
    f"query fills {OF}",
    f"query transactions {OF}",
    f"query fills {OF} --effective-at 2120-01-01",
    f"query accounts {OF}",
    f"query contra-balances {OF}",
    "query instruments",
    f"query cash-flows {OF}",
    f"query transfers {OF}",
    "query prices",
    "query alerts",
    "query breakers",
    "query limits",
    "query limit-history",
    "query risk-events",
    "query alert-suppressions",
    "query price-history BINANCE:BTCUSDT",
    "audit events",
    "audit commands --status REJECTED",
    f"audit statement {OF} {PERIOD}",
)
"""What has a row to a line below its header, and the same rows as JSON."""
SAY = "--by x --reason y"
COMMANDS = (
    *TABLES,
    *("up --data", "demo --commands", "serve", "migrate", "doctor", "submit lines.jsonl"),
    *("status", "top --seconds 0", "clock status", "snapshots take", "wipe"),
    *("database performance", "database statements", "database indexes"),
    *("database tables", "database maintenance"),
    *(f"query allocations {OF}", f"query checkpoints {OF}", f"query snapshots {OF}"),
    f"query late-movements {OF}",
    *(f"query portfolio-hourly {OF}", f"query portfolio-daily {OF}"),
    *(f"query asset-values {OF}", f"query strategy-equity {OF}"),
    *(f"query positions {OF}", f"query round-trips {OF}", f"query lots {OF}", f"query gains {OF}"),
    *(f"audit trace {COMMAND}", f"audit trace {ORDER}", f"audit explain order {ORDER}"),
    f"audit explain balance {OF} --asset USDT",
    f"audit explain position {OF} --instrument BINANCE:BTCUSDT",
    *(f"audit explain pnl {OF}", f"report gains {OF}", f"report gains {OF} --format csv"),
    f"audit explain equity {OF}",
    *(f"query equity {OF} --plot", f"query performance {OF}", f"query risk {OF}"),
    *(f"query daily-transactions {OF}", f"query user-portfolios {OF}", "query strategy-analytics"),
    *(f"query portfolio {USER}", f"query user-statistics {USER}"),
    f"report performance {OF} --format html -o sheet.html",
    f"audit statement {OF} {PERIOD} --format csv",
    f"audit statement {OF} {PERIOD} --format html",
    *("audit events --format csv", "audit events --format jsonl"),
    *("audit rotate-key new.key --lost --reason y", "bus url"),
    *("audit witness kept --once", "publisher followers", "recover"),
    *("projections generations list", "projections generations settle balances"),
    "projections generations drop balances",
    *("audit seal", "audit verify", "audit verify --export exported", "audit prove nobody"),
    *("audit export --format jsonl exported", "audit check-proof lines.jsonl --head lines.jsonl"),
    "audit proof-page page.html",
    "commands status",
    *("archive create archived --by x", "archive list", "archive verify", "archive restore --by x"),
    *("commands failed list --all", f"commands failed show {FAILED}"),
    f"commands failed retry {FAILED} {SAY}",
    f"commands failed dismiss {FAILED} {SAY}",
    "streams held",
    f"streams repair {ORDER} --at 1 {SAY}",
    *("publisher replay --from 1 --subject replay.x", "schema export schemas"),
    "bus user service --name x --seed lines.jsonl",
    *("web url", "web user add ada --role ADMIN --oidc", "web user list"),
    *("breakers list", f"breakers set DRAWDOWN 0.1 --scope SYSTEM --by x --id {ORDER}"),
    f"breakers resume {ORDER} --subject ACCOUNT:x {SAY}",
    *(f"breakers remove {ORDER} --by x", "query breaker-trips"),
    *("alerts list", "alerts rules", f"alerts ack {ORDER} --by x", "alerts test x"),
    *("alerts suppress x --by x", "alerts unsuppress x --by x", f"alerts resolve {ORDER} --by x"),
    f"query alert-deliveries {ORDER}",
    *("web token create ada --note x", "web token list", "web token revoke 0"),
    *("web user remove ada", "web session list", "web session list --wide"),
    *("web session end 0 --by x", "web session end --user ada --by x"),
    *("limits set MAX_OPEN_ORDERS 1 ORDERS --system", f"limits approve {ORDER}"),
    *(f"limits remove {ORDER}", "limits preset patriot", f"limits show {OF}"),
    f"limits check {OF} --instrument BINANCE:BTCUSDT --side BUY --quantity 1 --market",
    *("limits halt why --system --cancel-all", "limits resume why --system"),
    *("projections status", "projections dead-letters list", "projections verify"),
    f"projections dead-letters show {LETTER}",
    f"projections dead-letters retry {LETTER} {SAY}",
    f"projections dead-letters skip {LETTER} {SAY}",
    *("projections pause balances", "projections resume balances"),
    *("projections rebuild balances", "projections rollback balances"),
)
"""Every command of ledgerctl but those of backups, in the order in which they are run; those that
only read are run before."""
BACKUPS = (
    *("backup create", "backup verify", "backup list", "backup list --json", "backup prune"),
    *("backup receive now", "restore --to yesterday"),
)
"""They do not meet the others, and are run beside them."""
READING = ("query", "audit explain", "audit events", "audit statement", "audit trace", "report")
ONCE = {"backup verify --json"}
"""It starts a server upon the backup, for seconds, as it did for people; what it would tell as JSON
is what `backup list --json` tells behind that."""
AT_ONCE = 4
"""Runs beside each other, where none changes what another one shows: reading, and what is refused
for the word that it is given."""


def leaves(group: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*before, name))
        else:
            yield " ".join((*before, name))


def is_harmless(text: str) -> bool:
    """Without controls, formatting (bidirectional marks among it) and separators of lines."""
    return all(one == "\n" or category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text)


@pytest.fixture(scope="module")
def hostile_url(postgres_url: str) -> Iterator[str]:
    """The ledger that each test gets a copy of."""
    with temporary_database(postgres_url, template=TEMPLATE) as url:
        trade(url)
        yield url


@pytest.fixture
def database_url(postgres_url: str, hostile_url: str) -> Iterator[str]:
    name = urlsplit(hostile_url).path.removeprefix("/")
    with temporary_database(postgres_url, template=name) as url:
        yield url


def test_every_command_is_tried() -> None:
    every = [
        *leaves(get_command(app)),
        *leaves(get_command(projections_app), ("projections",)),
        *leaves(get_command(questions_app), ("query",)),
    ]
    tried = {
        name for name in every for one in (*COMMANDS, *BACKUPS) if f"{one} ".startswith(f"{name} ")
    }
    assert sorted(tried) == sorted(every)


@pytest.mark.parametrize("more", [[], ["--json"], [TEXT]], ids=["for people", "JSON", "echoed"])
async def test_no_command_lets_a_text_of_others_command_the_terminal(
    tmp_path: Path, database_url: str, nats_url: str, more: list[str]
) -> None:
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

    async def is_tried(command: str) -> None:
        words = shlex.split(command)
        runs_on = words[0] in ("up", "demo", "serve")
        if " ".join([*words, *more]) in ONCE:
            return
        finished = await ledgerctl(*words, *([TEXT] if runs_on else more))
        assert is_harmless(finished.stdout), (command, finished.stdout)
        assert is_harmless(finished.stderr), (command, finished.stderr)
        assert "Traceback" not in finished.stderr

    async with running_worker(database_url, nats_url):
        reading = [one for one in COMMANDS if one.startswith(READING)]
        changing = [one for one in COMMANDS if one not in reading]
        await side_by_side(is_tried, reading)
        await asyncio.gather(
            side_by_side(is_tried, BACKUPS, 1),
            side_by_side(is_tried, changing, AT_ONCE if more == [TEXT] else 1),
        )


async def test_a_row_is_a_line_and_says_what_was_written(tmp_path: Path, database_url: str) -> None:

    async def ledgerctl(*arguments: str) -> str:
        finished = await run(*arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
        assert finished.exit_code == 0, finished.stderr
        return finished.stdout

    async def holds_of(table: str) -> None:
        words = shlex.split(table)
        rows = orjson.loads(await ledgerctl(*words, "--json"))
        lines = (await ledgerctl(*words)).splitlines()
        assert len(lines) == 1 + len(rows), table
        assert not any(line.startswith(ROW) for line in lines), table

    await side_by_side(holds_of, TABLES)
    shown = (await ledgerctl("query", "fills", "--account", str(ACCOUNT))).splitlines()
    assert cell(TEXT) in shown[1]
    rows = orjson.loads(await ledgerctl("query", "fills", "--account", str(ACCOUNT), "--json"))
    assert rows[0]["trade_id"] == TEXT
    page = await ledgerctl("audit", "statement", *shlex.split(f"{OF} {PERIOD} --format html"))
    assert _text_of(page).count(visible(TEXT)) >= 3


async def test_a_text_stays_a_text_in_a_spreadsheet_and_a_number_a_number(
    tmp_path: Path, database_url: str
) -> None:
    asked = shlex.split(f"audit statement {OF} {PERIOD} --format csv")
    finished = await run(*asked, cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
    assert "'" + visible(TEXT) in finished.stdout.replace('""', '"')
    assert ",-50," in finished.stdout
    assert not re.search(r'(^|,)"?=', finished.stdout, re.MULTILINE)


async def test_tables_fit_a_terminal_of_eighty_columns(tmp_path: Path, database_url: str) -> None:

    async def fits(table: str) -> None:
        words = shlex.split(table)
        shown = await run_on_terminal(
            *words, cwd=tmp_path, columns=80, LEDGER_DATABASE_URL=database_url
        )
        lines = shown.stdout.splitlines()
        assert len(lines) > 1, table
        assert [line for line in lines if len(line) > 80] == []
        whole = await run(*words, cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
        cells = {part for line in whole.stdout.splitlines() for part in re.split(" {2,}", line)}
        rows = takewhile(lambda line: not line.startswith("("), lines)  # then what had no room
        for part in (part for line in rows for part in re.split(" {2,}", line)):
            assert part in cells or part.endswith("…"), (table, part)
        if table.startswith("query orders"):
            assert "no room here)" in " ".join(lines[-2:]), "it was shown on a terminal"

    await side_by_side(fits, (*TABLES, "projections status", "projections dead-letters list"))


async def side_by_side(
    look: Callable[[str], Awaitable[None]], tables: Iterable[str], most: int = AT_ONCE
) -> None:
    """Looks at each, at most so many at once, begun in their order."""
    room = asyncio.Semaphore(most)

    async def looked(table: str) -> None:
        async with room:
            await look(table)

    await asyncio.gather(*map(looked, tables))


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
