"""Whether a service does its work, asked of the service itself and not of its process.

`python -m ledger.operate.readiness commands|projections|seals|publisher|queries` exits 0 if it
does: the health check of containers. Over HTTP each service says the same at /ready
(ledger/operate/http.py).

Services share their work: one that stands by is ready when another works.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import LiteralString
from uuid import uuid4

import nats.errors
import psycopg

from ledger.bus import connection as bus
from ledger.bus.connection import OUTCOMES_SUBJECT, POSITION_OF_SUBJECT
from ledger.bus.security import BusSecurity
from ledger.operate.servers import find_nats
from ledger.operate.settings import Settings, load

TIMEOUT_SECONDS = 2
"""A service that works answers in milliseconds."""


async def commands(nats_url: str, security: BusSecurity) -> bool:
    """Whether a command service answers: it is asked for a command that nobody ever sent."""
    return await _answers(nats_url, security, OUTCOMES_SUBJECT, str(uuid4()).encode())


async def queries(nats_url: str, security: BusSecurity) -> bool:
    """Whether a query service answers: it is asked how far everything is."""
    return await _answers(nats_url, security, POSITION_OF_SUBJECT, b"")


async def _answers(nats_url: str, security: BusSecurity, subject: str, question: bytes) -> bool:
    try:
        connection = await bus.connect_once(
            nats_url, "readiness", security=security, timeout=TIMEOUT_SECONDS
        )
    except (nats.errors.Error, OSError):
        return False
    try:
        await connection.request(subject, question, timeout=TIMEOUT_SECONDS)
    except (nats.errors.Error, TimeoutError):
        return False
    finally:
        await connection.close()
    return True


def projections(database_url: str) -> bool:
    """Whether every read model has a worker, or was paused by a person."""
    return _holds(
        database_url,  # other subscriptions have no tables of a generation
        "EXISTS (SELECT FROM pg_namespace WHERE nspname = projection_name || '_' || generation)",
    )


def seals(database_url: str) -> bool:
    """Whether there is a sealer at work, or a person has paused it."""
    return _holds(database_url, "projection_name = 'seals'")


def publisher(database_url: str) -> bool:
    """Whether there is a publisher at work, or a person has paused it."""
    return _holds(database_url, "projection_name = 'publisher'")


def _holds(database_url: str, which: LiteralString) -> bool:
    statement = f"""SELECT count(*) > 0 AND bool_and(
                       status = 'PAUSED' OR status = 'RUNNING' AND owner IS NOT NULL)
                   FROM event_projections WHERE {which}"""
    try:
        with psycopg.connect(
            database_url, autocommit=True, connect_timeout=TIMEOUT_SECONDS
        ) as connection:
            return connection.execute(statement).fetchone() == (True,)
    except psycopg.Error:
        return False


def check_of(
    service: str, settings: Settings, database_url: str, nats_url: str = ""
) -> Callable[[], bool]:
    """What tells whether the service is ready; a service that is not ours is when it runs."""
    security = BusSecurity.of(settings)
    checks: dict[str, Callable[[], bool]] = {
        "commands": lambda: asyncio.run(commands(nats_url, security)),
        "projections": lambda: projections(database_url),
        "seals": lambda: seals(database_url),
        "publisher": lambda: publisher(database_url),
        "queries": lambda: asyncio.run(queries(nats_url or find_nats(settings), security)),
    }
    return checks.get(service, lambda: True)


def main() -> None:
    """Exit code 0 if the service named on the command line is ready, 1 if it is not or cannot be
    asked."""
    from ledger.cli.errors import explain
    from ledger.operate import terminal

    try:
        ready = _asked(sys.argv[1:], load())
    except Exception as error:  # noqa: BLE001 - whatever it is, a health check's log has a line
        terminal.say(f"error: {explain(error)}", error=True)
        sys.exit(1)
    sys.exit(0 if ready else 1)


def _asked(arguments: list[str], settings: Settings) -> bool:
    from ledger.operate.servers import find_database, find_nats

    match arguments:
        case ["commands" | "queries" as service]:
            return check_of(service, settings, "", find_nats(settings))()
        case ["projections" | "seals" | "publisher" as service]:
            return check_of(service, settings, find_database(settings))()
    sys.exit(
        "usage: python -m ledger.operate.readiness commands|projections|seals|publisher|queries"
    )


if __name__ == "__main__":
    main()
