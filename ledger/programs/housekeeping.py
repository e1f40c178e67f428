"""Forgets what is too old: messages that nobody could read, and outcomes that nobody can ask for
again, these where the settings say so. `retention_log` keeps how much was forgotten, and when.

A command that is sent again when its outcome is forgotten would be decided again. So an outcome is
kept longer than the stream keeps the command, which could be delivered again from there: a
retention that is not longer than that of the stream, as it *is*, is refused in the log, and nothing
is forgotten. Senders must not send a command again after that time; that is why the default is to
forget nothing. FAILED outcomes stay: they are an operator's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

import nats.errors
import nats.js.errors
import psycopg
import structlog
from nats.aio.client import Client

from ledger.bus import connection as bus
from ledger.operate.database import connect
from ledger.operate.settings import Settings

INTERVAL_SECONDS = 3_600.0
"""Between two times of forgetting. Each looks through the whole inbox, which has no index by time:
one would cost every command something, and this costs seconds an hour."""
ROWS_AT_ONCE = 2_000
"""Outcomes forgotten in one transaction: some tens of milliseconds, for which commands wait, as the
journal of records has one order."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def old_records_forgotten(
    connection: Client, database_url: str, settings: Settings
) -> AsyncIterator[None]:
    """Inside the block what is older than the settings keep it is forgotten, now and each hour."""
    task = asyncio.create_task(_forget_for_ever(connection, database_url, settings))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _forget_for_ever(connection: Client, database_url: str, settings: Settings) -> None:
    while True:
        days = settings.unreadable_retention_days
        try:
            forgotten = await asyncio.to_thread(forget_unreadable, database_url, days)
            if forgotten:
                _log.info("unreadable_messages_forgotten", messages=forgotten, older_than_days=days)
        except psycopg.Error as error:
            _log.warning("unreadable_messages_not_forgotten", reason=str(error).strip())
        if settings.inbox_retention_days is not None:
            await _forget_outcomes(connection, database_url, settings.inbox_retention_days)
        await asyncio.sleep(INTERVAL_SECONDS)


async def _forget_outcomes(connection: Client, database_url: str, days: float) -> None:
    try:
        kept = await _days_in_stream(connection)
        if kept is not None and kept < days:
            forgotten = await asyncio.to_thread(forget, database_url, days)
            _log.info("outcomes_forgotten", outcomes=forgotten, older_than_days=days)
        else:
            _log.error(
                "outcomes_not_forgotten",
                reason=f"{bus.COMMANDS_STREAM} keeps commands "
                + ("for ever" if kept is None else f"for {kept:g} days")
                + f", and the inbox their outcomes for {days:g}: set "
                "LEDGER_INBOX_RETENTION_DAYS above that, or shorten the stream's max_age",
            )
    except (psycopg.Error, nats.errors.Error) as error:
        _log.warning("outcomes_not_forgotten", reason=str(error).strip())


async def _days_in_stream(connection: Client) -> float | None:
    """How long commands are kept; None for ever."""
    jetstream = connection.jetstream(timeout=bus.JETSTREAM_TIMEOUT_SECONDS)
    with contextlib.suppress(nats.js.errors.NotFoundError):
        max_age = (await jetstream.stream_info(bus.COMMANDS_STREAM)).config.max_age
        return max_age / bus.SECONDS_PER_DAY if max_age else None
    return 0.0  # there is none, so nothing can come from it


def forget(database_url: str, days: float) -> int:
    """Takes away the outcomes that are older; how many."""
    return _forget(
        database_url, "SELECT public.forget_outcomes(make_interval(secs => %s), %s)", days
    )


def forget_unreadable(database_url: str, days: float) -> int:
    """Takes away the messages that nobody could read and that are older; how many."""
    statement = "SELECT public.forget_unreadable_messages(make_interval(secs => %s), %s)"
    return _forget(database_url, statement, days)


def _forget(database_url: str, statement: LiteralString, days: float) -> int:
    forgotten = 0
    with connect(database_url, "housekeeping") as connection:
        while True:
            row = connection.execute(
                statement, (days * bus.SECONDS_PER_DAY, ROWS_AT_ONCE)
            ).fetchone()
            assert row is not None
            (at_once,) = row
            forgotten += int(at_once)
            if at_once < ROWS_AT_ONCE:
                return forgotten
