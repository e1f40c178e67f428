"""Whether a program does its work, asked of the program itself and not of its process.

    answered   one that answers requests answers ours
    decided    one that takes commands answers, is not stalled, and commands can be sent
    followed   those that follow the log have an owner whose lease runs, which is not stalled and
               says no error; or a person has paused them

Stalled: something waits, and nothing was done for STALLED_SECONDS. So one that hangs is not ready,
and one that is idle, or has much to do, is. Programs share their work: one that stands by is ready
when another works.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import nats.errors
import psycopg

from ledger.bus import connection as bus
from ledger.programs.registry import Places
from ledger.vitals import bus as bus_vitals
from ledger.vitals import database
from ledger.vitals.measure import STALLED_SECONDS

TIMEOUT_SECONDS = 2
"""A program that works answers in milliseconds."""

Question = Callable[[bus.Connection], Awaitable[bool]]


def answered(places: Places, subject: str, question: bytes) -> bool:
    """Whether somebody answers on the bus."""
    return asyncio.run(_asked(places, lambda opened: _answers(opened, subject, question)))


def decided(places: Places, subject: str, question: bytes) -> bool:
    """Whether somebody answers on the bus, no command waits that nobody decides, and the bus takes
    further ones."""

    async def works(opened: bus.Connection) -> bool:
        return (
            await _answers(opened, subject, question)
            and await bus_vitals.stalled_seconds(opened) <= STALLED_SECONDS
            and await bus_vitals.stores(opened)
        )

    return asyncio.run(_asked(places, works))


async def _answers(connection: bus.Connection, subject: str, question: bytes) -> bool:
    await connection.request(subject, question, timeout=TIMEOUT_SECONDS)
    return True


async def _asked(places: Places, question: Question) -> bool:
    try:
        connection = await bus.connect_once(
            places.nats_url, "readiness", security=places.security, timeout=TIMEOUT_SECONDS
        )
    except (nats.errors.Error, OSError):
        return False
    try:
        return await question(connection)
    except (nats.errors.Error, TimeoutError):
        return False
    finally:
        await connection.close()


def followed(places: Places, names: Collection[str], *, patience_seconds: float = 0.0) -> bool:
    """Whether all of these, which have their places in the log, are at work or were paused; with
    so many seconds in which they do nothing on purpose."""
    try:
        samples = database.ask(places.database_url)
    except psycopg.Error:
        return False
    told = {(one.name.removeprefix("projection_"), one.label): one.value for one in samples}
    longest = STALLED_SECONDS + patience_seconds
    return all(
        told.get(("paused", name))
        or (
            told.get(("owned", name))
            and not told[("failing", name)]
            and told[("stalled_seconds", name)] <= longest
        )
        for name in names
    )
