"""Sends a day of Bitstamp's order book through the ledger, and checks what came of it.

    python -m examples.replay_bitstamp FILE [--limit N] [--json]

    1  read      the file's rows (bitstamp.py says how they read, dirt included)
    2  prepare   list the instrument, open some accounts, deposit enough; orders are dealt to the
                 accounts by their ids
    3  send      what the rows tell, thousands of commands at a time. They are sent in the file's
                 order by one client, and the ledger keeps that order
    4  check     wait for the read models; then compare each order, the orders by status, the money
                 and the locked funds with what was counted from the file alone

The servers of LEDGER_DATABASE_URL and LEDGER_NATS_URL are used, or those of a running `ledgerctl
up`; otherwise a ledger is started in a temporary directory. Exit 0 if every claim holds.
"""

import argparse
import asyncio
import csv
import json
import lzma
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from uuid import UUID, uuid5

import psycopg
from rich.console import Console
from rich.progress import Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from uuid_utils.compat import uuid7

from examples import replay_checks
from examples.bitstamp import (
    INSTRUMENT,
    Message,
    Row,
    Translator,
    UnreadableRow,
    funds_needed,
    read_row,
)
from examples.replay_checks import ACCOUNTS, Replayed
from ledger import LedgerClient, Sent
from ledger.demo.interruption import Interrupted, raise_when_interrupted
from ledger.demo.temporary import temporary_ledger
from ledger.operate.errors import explain
from ledger.operate.logging import configure
from ledger.operate.servers import NotRunning, find_database, find_nats
from ledger.operate.settings import Settings, load

SOURCE = "replay-bitstamp"
MAX_IN_FLIGHT = 4_000
"""Commands on their way: some batches of the command service, so that it never waits for us."""
PATIENCE_SECONDS = 300.0
"""For one outcome. Thousands may be before it, on a machine that does other things as well."""


PROGRAMS = ("commands", "projections")
"""Of the ledger that is started where none runs: nobody here is told of anything."""


class UnreadableFile(ValueError):
    """The file is not one of orders."""


class PreparationFailed(Exception):
    """The ledger would not have an account or instrument that the replay needs."""


class Sending(NamedTuple):
    """What was sent and answered."""

    outcomes: Counter[tuple[str, str | None]]
    seconds: float


def main() -> NoReturn:
    """Entry point: exit 0 if it holds, 1 if not, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="replay_bitstamp", description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, help="orders as CSV, plain or .xz")
    parser.add_argument("--limit", type=int, help="only so many rows from the beginning")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    if given.limit is not None and given.limit < 1:
        parser.error("--limit must be at least 1")
    raise_when_interrupted()
    configure(SOURCE, "ERROR")  # the report tells the rest
    try:
        report = replay(load(), read(given.file, given.limit))
    except Interrupted as interrupted:
        sys.stderr.write("Interrupted.\n")
        sys.exit(interrupted.exit_code)
    except Exception as error:  # noqa: BLE001 - a person gets one line, whatever it is
        sys.stderr.write(f"error: {explained(error)}\n")
        sys.exit(1)
    if given.json:
        print(json.dumps(report))
    else:
        replay_checks.show(report, Console(highlight=False))
    sys.exit(0 if report["holds"] else 1)


def explained(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        return explained(error.exceptions[0])
    ours = isinstance(error, UnreadableRow | UnreadableFile | PreparationFailed)
    return str(error) if ours else explain(error)


def read(file: Path, limit: int | None) -> list[Row]:
    """The file's rows, or so many of them. Raises UnreadableFile, UnreadableRow, OSError."""
    opened = lzma.open if file.suffix == ".xz" else open
    try:
        with opened(file, "rt", encoding="utf-8", newline="") as lines:
            numbered = enumerate(csv.DictReader(lines), 1)
            rows = [read_row(number, line) for number, line in islice(numbered, limit)]
    except (lzma.LZMAError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"{file} cannot be read as CSV or CSV.xz: {error}") from error
    if not rows:
        raise UnreadableFile(f"{file} has no rows: give a file of orders")
    return rows


def replay(settings: Settings, rows: Sequence[Row]) -> dict[str, Any]:
    """Sends the rows, and checks; the report."""
    run = uuid7()
    replayed = Replayed(
        rows=rows,
        accounts=tuple(uuid7() for _ in range(ACCOUNTS)),
        order_ids={row.order: uuid5(run, row.order) for row in rows},
    )
    with temporary_ledger(_found(settings), needed=PROGRAMS) as ledger:
        sending = asyncio.run(_send(ledger.nats_url, replayed))
        with psycopg.connect(ledger.database_url, autocommit=True) as connection:
            return replay_checks.report(
                connection, ledger.database_url, replayed, sending.outcomes, sending.seconds
            )


def _found(settings: Settings) -> Settings:
    """With the URLs of what runs on the data directory. Without any, all stays to be started."""
    try:
        urls = {"database_url": find_database(settings), "nats_url": find_nats(settings)}
    except NotRunning:
        return settings
    return settings.model_copy(update=urls)


# --- sending --------------------------------------------------------------------------


async def _send(nats_url: str, replayed: Replayed) -> Sending:
    connecting = LedgerClient.connect(nats_url, source=SOURCE, max_in_flight=MAX_IN_FLIGHT)
    async with await connecting as client:
        await _prepare(client, replayed)
        translator = Translator()
        messages = [message for row in replayed.rows for message in translator.messages(row)]
        started = time.monotonic()
        outcomes = await _send_all(client, messages, replayed)
        seconds = time.monotonic() - started
        await _take_snapshots(client, replayed, max(message.time for message in messages))
        return Sending(outcomes, seconds)


async def _take_snapshots(client: LedgerClient, replayed: Replayed, at: datetime) -> None:
    """What each account is worth, at the time of the file's last row: a backtest has its own."""
    for account_id in replayed.accounts:
        named = {"time": at.isoformat(), "kind": "MANUAL", "account_id": str(account_id)}
        await _submit(client, "TakeSnapshots", None, **named)


async def _prepare(client: LedgerClient, replayed: Replayed) -> None:
    exchange, _, symbol = INSTRUMENT.partition(":")
    assert symbol
    await _submit(
        client,
        "ListInstrument",
        None,
        "INSTRUMENT_ALREADY_LISTED",  # by an earlier replay
        instrument=INSTRUMENT,
        base_asset="BTC",
        quote_asset="USD",
        tick_size="0.01",
        step_size="0.00000001",
    )
    for number, account_id in enumerate(replayed.accounts, 1):
        await _submit(
            client,
            "OpenAccount",
            account_id,
            account_id=str(account_id),
            user_id=str(uuid7()),
            exchange=exchange,
            name=f"replay {number}",
            account_type="CASH",
            environment="BACKTEST",
            base_currency="USD",
        )
        for asset, amount in zip(("BTC", "USD"), funds_needed(replayed.rows), strict=True):
            if float(amount):
                await _submit(client, "Deposit", account_id, asset=asset, amount=amount)


async def _submit(
    client: LedgerClient,
    command_type: str,
    account_id: UUID | None,
    tolerated: str | None = None,
    /,
    **data: str,
) -> None:
    outcome = await client.submit(command_type, data, account_id=account_id)
    if outcome.code not in {None, tolerated}:
        raise PreparationFailed(f"{command_type} was {outcome.status}: {outcome.message}")


async def _send_all(
    client: LedgerClient, messages: Sequence[Message], replayed: Replayed
) -> Counter[tuple[str, str | None]]:
    """Sends in order, as fast as the ledger takes them; counts the outcomes as they come."""
    outcomes: Counter[tuple[str, str | None]] = Counter()
    waiting: asyncio.Queue[Sent | None] = asyncio.Queue()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), TaskProgressColumn(show_speed=True))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("commands", total=len(messages))

        async def count() -> None:
            while (sent := await waiting.get()) is not None:
                outcome = await sent
                outcomes[outcome.status, outcome.code] += 1
                bar.advance(task)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(count())
            for order, command_type, happened, data in messages:
                sent = await client.send(
                    command_type,
                    data | {"order_id": str(replayed.order_ids[order])},
                    account_id=replayed.account_of(order),
                    time=happened,
                    timeout=PATIENCE_SECONDS,
                )
                waiting.put_nowait(sent)
            waiting.put_nowait(None)
    return outcomes


if __name__ == "__main__":
    main()
