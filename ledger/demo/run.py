"""One demo from beginning to end, in the calling process; everything else is its children.

    1  a ledger in a temporary directory: servers, schema, command service, projections
    2  desk, exchange and strategies, each a process that knows the NATS server's URL alone
    3  when they have ended: the read models catch up, and are folded again for comparison
    4  a witness has kept the heads of the seals meanwhile: the log is verified against them
    5  the books of the services, the log and the read models are held against each other

It waits by looking at what it waits for: children that end, positions that are reached. Whatever
interrupts it (the caller raises from a signal handler), the children are stopped on the way out.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import msgspec
import psycopg
from uuid_utils.compat import uuid7

from ledger.demo import plan, proofs, read_models, report, wild, witness
from ledger.demo.progress import StepProgress
from ledger.demo.sender import Tally
from ledger.demo.service import source_of
from ledger.demo.temporary import Running, temporary_ledger
from ledger.eventstore import reader
from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
from ledger.operate import processes
from ledger.operate.database import connect
from ledger.operate.settings import Settings

SECONDS_PER_COMMAND = 0.02
"""After so much time per planned command, and `LEAST_SECONDS`, the demo is stuck: fifty commands
per second are a tenth of what a slow machine does."""
LEAST_SECONDS = 120.0
LOOK_SECONDS = 0.1
"""Pause between two looks at the children."""
STOP_TIMEOUT_SECONDS = 5.0
"""For a child that is stopped: it has nothing to save."""
LINES_TOLD = 3
"""Last lines of a log that an error shows."""


class ServiceFailed(LedgerError):
    """A service of the demo ended early, or not at all."""


class _Child(NamedTuple):
    name: str
    process: "Popen[bytes]"
    log: Path
    books: Path


def run(
    settings: Settings,
    commands: int,
    progress: StepProgress,
    keep: Callable[[Running, dict[str, Any]], None] = lambda *_: None,
) -> dict[str, Any]:
    """Runs the demo; its report. The ledger works on until `keep`, which gets it, too, returns.
    Raises ServiceFailed, ReadModelsBehind, HeadsMissing, NotReady."""
    begun, started = time.monotonic(), datetime.now(UTC)
    progress.step("starting PostgreSQL, NATS, the command service and the projections")
    with (
        wild.listening() as webhook,
        temporary_ledger(settings, channel=webhook.address) as ledger,
    ):
        with (
            witness.witness(ledger) as heads,
            connect(ledger.database_url, "demo") as connection,
        ):
            tallies = _trade(ledger, connection, commands, progress)
            progress.step("letting a strategy go wild")
            story, stopped = wild.go_wild(ledger, connection, webhook)
            progress.step("waiting for the read models")
            read_models.wait_until_caught_up(connection, reader.head(connection))
            progress.step("folding the log again, to compare")
            verification = read_models.verify(ledger.database_url)
            progress.step("verifying the log against the heads that a witness kept")
            unaltered = witness.prove(ledger, heads, reader.head(connection))
            proven = proofs.prove(connection, tallies, verification, started)
            seconds = time.monotonic() - begun
            result = report.gather(
                connection, tallies, [*proven, unaltered, stopped], started, seconds
            )
            result["wild"] = story
        keep(ledger, result)
        progress.step("stopping everything")
    result["seconds"] = round(time.monotonic() - begun, 1)
    return result


def _trade(
    ledger: Running, connection: psycopg.Connection[Any], commands: int, progress: StepProgress
) -> list[Tally]:
    """The services at work; their books."""
    run_name = uuid7().hex
    names = ("exchange", "desk", *plan.STRATEGIES)
    sources = [source_of(name, run_name) for name in names]
    planned = plan.planned_orders(commands)
    deadline = time.monotonic() + LEAST_SECONDS + commands * SECONDS_PER_COMMAND
    with _children(ledger, names, run_name, commands) as children:
        while any(child.process.poll() is None for child in children):
            _check(children, deadline)
            progress.traded(planned, *_how_far(connection, sources))
            time.sleep(LOOK_SECONDS)
        _check(children, deadline)
        progress.traded(planned, *_how_far(connection, sources))
        return [
            msgspec.json.decode(child.books.read_bytes(), type=known(Tally)) for child in children
        ]


@contextmanager
def _children(
    ledger: Running, names: Sequence[str], run_name: str, commands: int
) -> Iterator[list[_Child]]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LEDGER_")}
    environment["LEDGER_NATS_URL"] = ledger.nats_url  # and nothing of the database
    children: list[_Child] = []
    try:
        for name in names:
            module = f"ledger.demo.{name if name in ('exchange', 'desk') else 'strategy'}"
            log, books = (ledger.directory / f"{name}{end}" for end in (".log", ".json"))
            arguments = ["-m", module, name, "--run", run_name, "--commands", str(commands)]
            with log.open("ab") as output:
                process = processes.start(
                    [sys.executable, *arguments, "--books", books],
                    environment=environment,
                    output=output,
                )
            children.append(_Child(name, process, log, books))
        yield children
    finally:
        for child in children:
            processes.stop(child.process, timeout=STOP_TIMEOUT_SECONDS)


def _check(children: Sequence[_Child], deadline: float) -> None:
    for child in children:
        code = child.process.poll()
        if code not in (None, 0) or (code is None and time.monotonic() > deadline):
            lines = child.log.read_text(errors="replace").strip().splitlines()[-LINES_TOLD:]
            what = "does not end" if code is None else f"ended with exit code {code}"
            raise ServiceFailed(
                f"the demo's {child.name} {what}: {' | '.join(lines) or 'it said nothing'}. "
                f"All logs are in {child.log.parent}."
            )


def _how_far(connection: psycopg.Connection[Any], sources: Sequence[str]) -> tuple[int, int, int]:
    """Orders submitted, commands decided, events in the log."""
    orders, decided = connection.execute(
        """SELECT count(*) FILTER (WHERE command_type = 'SubmitOrder'), count(*)
           FROM command_inbox WHERE source = ANY(%s)""",
        (list(sources),),
    ).fetchone() or (0, 0)
    return orders, decided, reader.head(connection)
