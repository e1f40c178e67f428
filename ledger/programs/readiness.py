"""Whether a program does its work, asked of the program itself and not of its process.

    answered   one that answers requests answers ours
    followed   one that follows the log has an owner at work, or a person has paused it

Programs share their work: one that stands by is ready when another works.
"""

import asyncio
from collections.abc import Collection

import nats.errors
import psycopg

from ledger.bus import connection as bus
from ledger.operate.database import connect
from ledger.programs.registry import Places

TIMEOUT_SECONDS = 2
"""A program that works answers in milliseconds."""

_FOLLOWED = """
    SELECT count(*) FROM public.event_projections
    WHERE projection_name = ANY (%s)
        AND (status = 'PAUSED' OR status = 'RUNNING' AND owner IS NOT NULL)"""


def answered(places: Places, subject: str, question: bytes) -> bool:
    """Whether somebody answers on the bus."""
    return asyncio.run(_answered(places, subject, question))


async def _answered(places: Places, subject: str, question: bytes) -> bool:
    try:
        connection = await bus.connect_once(
            places.nats_url, "readiness", security=places.security, timeout=TIMEOUT_SECONDS
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


def followed(places: Places, names: Collection[str]) -> bool:
    """Whether all of these, which have their places in the log, are at work or were paused."""
    try:
        with connect(places.database_url, "readiness", timeout=TIMEOUT_SECONDS) as connection:
            found = connection.execute(_FOLLOWED, [list(names)]).fetchone()
    except psycopg.Error:
        return False
    return found == (len(names),)
