"""What the demo's services have in common: a connection for talking to each other, a client of
the ledger, and their books, written to a file at the end."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
import orjson
import structlog
from nats.aio.client import Client

from ledger.bus.connection import connect
from ledger.bus.security import BusSecurity
from ledger.client.client import (
    RECONNECT_WAIT_SECONDS,
    LedgerClient,
    LedgerUnavailable,
    OutcomeTimeout,
)
from ledger.demo import simulated_time
from ledger.demo.sender import ServiceSender
from ledger.kernel.command import Outcome
from ledger.kernel.errors import LedgerError
from ledger.operate.logging import configure

ANSWER_TIMEOUT_SECONDS = 60.0
"""How long one service waits for another: as long as the other may wait for the ledger."""
RESPONDER_TIMEOUT_SECONDS = 60.0
"""How long a service waits for another one to start."""
RESPONDER_PAUSE_SECONDS = 0.05
"""Pause between two questions to a service that has not started."""

_log = structlog.get_logger(__name__)


class DemoFailed(LedgerError):
    """A service of the demo cannot do its work, or got an answer that it should not have got."""


class ServiceMissing(DemoFailed):
    """Another service of the demo does not answer."""


class UnexpectedOutcome(DemoFailed):
    """The ledger judged a command otherwise than the demo meant it."""


def check(outcome: Outcome, what: str, *codes: str | None) -> None:
    """Whether the outcome has one of these codes; None is that of an accepted command."""
    if outcome.code not in codes:
        raise UnexpectedOutcome(
            f"{what}: {outcome.code or outcome.status} instead of "
            f"{' or '.join(code or 'ACCEPTED' for code in codes)}: {outcome.message}"
        )


@dataclass(frozen=True)
class Service:
    """One service of one run of the demo. Subjects and sources carry the run's name, so that two
    demos on one server do not meet."""

    name: str
    run: str
    commands: int
    bus: Client
    sender: ServiceSender

    def subject(self, of: str, what: str) -> str:
        return f"demo.{of}.{self.run}.{what}"

    async def ask(self, of: str, what: str, question: dict[str, Any]) -> dict[str, Any]:
        """The answer of another service, which may still be starting. Raises ServiceMissing."""
        subject = self.subject(of, what)
        deadline = asyncio.get_running_loop().time() + RESPONDER_TIMEOUT_SECONDS
        while True:
            try:
                answer = await self.bus.request(
                    subject, orjson.dumps(question), timeout=ANSWER_TIMEOUT_SECONDS
                )
            except nats.errors.NoRespondersError:
                if asyncio.get_running_loop().time() > deadline:
                    raise ServiceMissing(f"nobody answers on {subject}") from None
                await asyncio.sleep(RESPONDER_PAUSE_SECONDS)
            except nats.errors.TimeoutError:
                raise ServiceMissing(
                    f"no answer on {subject} in {ANSWER_TIMEOUT_SECONDS:.0f} s"
                ) from None
            else:
                result: dict[str, Any] = orjson.loads(answer.data)
                return result


def source_of(name: str, run: str) -> str:
    """The `source` of a service's commands."""
    return f"demo-{name}-{run}"


def main(work: Callable[[Service], Awaitable[None]]) -> None:
    """Runs a service to its end. Its exit code is 1 when it cannot do its work."""
    parser = argparse.ArgumentParser(description="A service of `ledgerctl demo`, which starts it.")
    parser.add_argument("name")
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--commands", type=int, required=True, help="size of the run")
    parser.add_argument("--books", type=Path, required=True, help="file for the service's books")
    given = parser.parse_args()
    configure(f"demo {given.name}", "WARNING")
    try:
        asyncio.run(_run(work, given.name, given.run, given.commands, given.books))
    except* (LedgerUnavailable, OutcomeTimeout, DemoFailed) as errors:
        _log.error("demo_service_failed", error=str(_first(errors)))
        sys.exit(1)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(
    work: Callable[[Service], Awaitable[None]], name: str, run: str, commands: int, books: Path
) -> None:
    url = os.environ["LEDGER_NATS_URL"]
    source = source_of(name, run)
    async with await LedgerClient.connect(url, source=source) as client:
        sender = ServiceSender(client, source, lambda: simulated_time.now(run))
        bus = await connect(url, source, security=BusSecurity(), retry_wait=RECONNECT_WAIT_SECONDS)
        try:
            await work(Service(name, run, commands, bus, sender))
        finally:
            await bus.close()
    unfinished = books.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.encode(sender.tally))
    unfinished.replace(books)
