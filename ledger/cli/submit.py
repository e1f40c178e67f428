"""ledgerctl submit: commands as JSON lines in, outcomes as JSON lines out, in the same order.

    line ──▶ CloudEvent (what it lacks is filled in) ──▶ LedgerClient.send ──▶ queue ──▶ stdout

Many commands are on their way at once; the queue keeps the order of the lines. A line that cannot
be sent at all is answered here, in its place, as the ledger would answer it.
"""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient
    from ledger.client.submission import Sent
    from ledger.kernel.command import Outcome
    from ledger.operate.settings import Settings

SOURCE = "ledgerctl"
"""The sending service, where a line names none."""
MAX_SHOWN = 80
"""Characters of a faulty line that its outcome shows."""
READ_BYTES = 65_536
"""What is read of a pipe at once, if it has that much."""


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(submit)


def submit(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="FILE|-", help="Commands, one JSON object per line."),
    ],
    _json: Annotated[bool, typer.Option("--json", help="Outcomes are JSON lines anyway.")] = True,
) -> None:
    """Send commands; print one outcome per line, in order.

    A line is a CloudEvent, or just {"type": …, "data": …}. Exit 0 when each command got its
    outcome, accepted or rejected; 1 when one could not be submitted, failed, or has none yet.
    """
    from ledger.operate.logging import configure
    from ledger.operate.servers import find_nats
    from ledger.operate.settings import load

    settings = load()
    configure("submit", "ERROR")  # what goes wrong is in the outcomes
    complete = asyncio.run(_submit(file, find_nats(settings), settings))
    raise typer.Exit(0 if complete else 1)


async def _submit(source: BinaryIO, nats_url: str, settings: "Settings") -> bool:
    """Whether each command got an outcome of its own."""
    from ledger.bus.security import BusSecurity
    from ledger.client.client import MAX_IN_FLIGHT, LedgerClient
    from ledger.kernel.command import ACCEPTED, REJECTED

    complete = True
    on_their_way: asyncio.Queue[Sent | Outcome | None] = asyncio.Queue(MAX_IN_FLIGHT)
    client = await LedgerClient.connect(
        nats_url,
        source=SOURCE,
        ask_after=settings.outcome_timeout_seconds,
        security=BusSecurity.of(settings),
    )
    async with client:
        sending = asyncio.create_task(_send_all(source, client, settings, on_their_way))
        with _progress() as advance:
            while (command := await on_their_way.get()) is not None:
                outcome = await _outcome_of(command)
                complete &= outcome.status in (ACCEPTED, REJECTED)
                terminal.say_written(outcome.to_json() + b"\n", flush=on_their_way.empty())
                advance()
        await sending
    sys.stdout.flush()
    return complete


async def _send_all(
    source: BinaryIO,
    client: "LedgerClient",
    settings: "Settings",
    on_their_way: "asyncio.Queue[Sent | Outcome | None]",
) -> None:
    number = 0
    try:
        async for line in _lines(source):
            number += 1
            if line.strip():
                await on_their_way.put(
                    await _sent(line, number, client, settings.outcome_deadline_seconds)
                )
    finally:
        await on_their_way.put(None)


async def _sent(
    line: bytes, number: int, client: "LedgerClient", deadline: float
) -> "Sent | Outcome":
    from ledger.client.client import CommandNotSendable
    from ledger.kernel import strict_json

    try:
        message = strict_json.loads(line)
    except strict_json.Ambiguous as error:
        named = error.value.get("id") if isinstance(error.value, dict) else None
        return _invalid(None if "id" in error.keys else named, f"line {number}: {error}")
    except strict_json.InvalidJson as error:
        shown = line.strip()[:MAX_SHOWN].decode(errors="replace")
        return _invalid(None, f"line {number} is not JSON: {error}: {shown}")
    if not isinstance(message, dict):
        return _invalid(None, f"line {number} is a JSON {type(message).__name__}, not an object")
    try:
        return await client.send_envelope(message, timeout=deadline)
    except CommandNotSendable as error:
        return _invalid(message.get("id"), f"line {number}: {error}")


async def _outcome_of(command: "Sent | Outcome") -> "Outcome":
    from ledger.client.client import LedgerUnavailable, OutcomeTimeout
    from ledger.kernel.command import UNKNOWN, Outcome
    from ledger.kernel.rejection import Undecided

    if isinstance(command, Outcome):
        return command
    try:
        return await command
    except LedgerUnavailable as error:
        code, message = Undecided.LEDGER_UNAVAILABLE.value, str(error)
    except OutcomeTimeout as error:
        code, message = Undecided.OUTCOME_TIMEOUT.value, str(error)
    return Outcome(command_id=command.command_id, status=UNKNOWN, code=code, message=message)


def _invalid(command_id: object, message: str) -> "Outcome":
    from uuid import UUID

    from ledger.kernel.command import REJECTED, Outcome
    from ledger.kernel.rejection import GeneralRejection

    try:
        read_id = UUID(str(command_id))
    except ValueError:
        read_id = None
    code = GeneralRejection.INVALID_COMMAND.value
    return Outcome(command_id=read_id, status=REJECTED, code=code, message=message)


async def _lines(source: BinaryIO) -> AsyncIterator[bytes]:
    """The lines, each as soon as it is there: outcomes must not wait for the end of a pipe."""
    mode = os.fstat(source.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or source.isatty()):
        for line in source:
            yield line
        return
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
    rest = b""
    while chunk := await reader.read(READ_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest


@contextmanager
def _progress() -> Iterator[Callable[[], None]]:
    """Counts outcomes on a terminal, unless it shows the outcomes themselves."""
    if not terminal.is_terminal(sys.stderr) or terminal.is_terminal(sys.stdout):
        yield lambda: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    rate = TextColumn("{task.completed} outcomes, {task.fields[rate]:.0f}/s")
    console = terminal.progress_console()
    with Progress(SpinnerColumn(), rate, TimeElapsedColumn(), console=console) as progress:
        task_id = progress.add_task("submit", total=None, rate=0.0)

        def advance() -> None:
            task = progress.tasks[0]
            progress.update(task_id, advance=1, rate=task.completed / (task.elapsed or 1))

        yield advance
