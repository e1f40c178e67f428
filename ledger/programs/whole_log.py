"""Whether the database still has what the bus says was done: before a worker begins, and again
whenever the database may be another one.

    commands   those that were acknowledged last must be in the inbox
    events     the one that was published last must be in the log

A database that was restored to an earlier moment, or a standby that took over and was behind, lacks
some of it. Whoever would go on then takes new commands before those that are lost, and gives their
events positions that others had. So nothing is decided until an operator has recovered the log
(`recovery.py`).

That a database is another one is seen by when it was started: it is looked for on each new
connection that commits, before the first commit.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import nats.js.errors
import orjson
import psycopg

from ledger.bus import command_subjects, event_stream, stream_range
from ledger.bus.command_stream import Acknowledged, acknowledged
from ledger.bus.connection import COMMANDS_STREAM, JETSTREAM_TIMEOUT_SECONDS, Connection
from ledger.bus.delivery import sequence
from ledger.bus.events import EVENTS_STREAM, POSITION, told_incarnation
from ledger.bus.wire import Message
from ledger.eventstore import incarnations, reader
from ledger.eventstore.connection import OneConnection
from ledger.kernel.errors import LedgerError
from ledger.programs.partition_leases import LeaseLost
from ledger.write.parser import parse

LOOKED_AT = 500
"""Acknowledged commands that are looked for at a start: what is missing are the last ones, unless
all of them were sent before."""
REMEDY = (
    "The database was restored to an earlier moment, or a standby took over that was behind. "
    "Nothing is decided until the log is recovered: ledgerctl recover (docs/runbooks/restore.md)"
)

Result = TypeVar("Result")

_KNOWN = """
    SELECT command_id FROM public.command_inbox WHERE command_id = ANY(%(ids)s)
    UNION SELECT command_id FROM public.failed_commands WHERE command_id = ANY(%(ids)s)"""
_IDENTITY = """
    SELECT pg_catalog.pg_postmaster_start_time(), oid FROM pg_catalog.pg_database
    WHERE datname = pg_catalog.current_database()"""
_EVENT_AT = "SELECT id FROM public.event_store WHERE position = %s"


class LogBehind(LedgerError):
    """The database lacks what the bus says was done."""


class DatabaseChanged(LeaseLost):
    """The database was started anew, or is another one: it is to be looked at before commits."""


class DatabaseIdentity(NamedTuple):
    """Tells a database from any other, and from itself after a restart."""

    started_at: datetime
    oid: int


class Lost(NamedTuple):
    """An acknowledged command that the database does not have."""

    sequence: int
    command_id: UUID


def identity(connection: psycopg.Connection[Any]) -> DatabaseIdentity:
    row = connection.execute(_IDENTITY.encode()).fetchone()
    assert row is not None
    return DatabaseIdentity(*row)


class SameDatabase:
    """Refuses commits on a database other than the one that was looked at."""

    def __init__(self) -> None:
        self._looked_at: DatabaseIdentity | None = None
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def known(self) -> bool:
        return self._looked_at is not None

    def take(self, found: DatabaseIdentity) -> None:
        """This one was looked at, and is whole."""
        self._looked_at, self._connection = found, None

    def check(self, cursor: psycopg.Cursor[Any]) -> None:
        """Raises DatabaseChanged."""
        if cursor.connection is self._connection:
            return
        if self._looked_at is None or identity(cursor.connection) != self._looked_at:
            self._looked_at = None
            raise DatabaseChanged("the database was started anew, or another one took over")
        self._connection = cursor.connection


async def check_whole(connection: Connection, database: OneConnection, limit: int) -> None:
    """`limit` is the size of the largest command. Raises LogBehind, nats.errors.Error, NotReadable,
    psycopg.Error."""
    jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
    try:
        done = await acknowledged(jetstream)
    except nats.js.errors.NotFoundError:  # nothing was ever sent
        done = Acknowledged((0,))
    lost = await lost_commands(connection, database, done, done.any - LOOKED_AT + 1, limit)
    if lost:
        raise LogBehind(
            f"the bus says that {len(lost)} of the last {LOOKED_AT} acknowledged commands are "
            f"decided which this database does not have (the first is {lost[0].command_id}, "
            f"message {lost[0].sequence} of {COMMANDS_STREAM}). {REMEDY}"
        )
    await _check_published(connection, database)


async def _check_published(connection: Connection, database: OneConnection) -> None:
    jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
    try:
        message = await jetstream.get_last_msg(EVENTS_STREAM, event_stream.ALL_EVENTS)
    except nats.js.errors.NotFoundError:
        return
    if POSITION in (message.headers or {}):
        await ask(database, partial(_check_has, orjson.loads(message.data or b"{}")))


def _check_has(published: dict[str, Any], connection: psycopg.Connection[Any]) -> None:
    """Raises LogBehind unless the log has the event, or knows that it was lost."""
    position, event_id = int(published["position"]), UUID(published["id"])
    if connection.execute(_EVENT_AT, [position]).fetchone() == (event_id,):
        return
    lineage = incarnations.lineage(connection)
    incarnation = told_incarnation(published)
    if lineage.newest != incarnation:
        common = lineage.common_with(incarnation)
        if len(lineage) > 1 and common is not None and common < position:
            return  # it is being recovered
    raise LogBehind(
        f"event {event_id} was published at position {position}, which this database, whose log "
        f"ends at {reader.head(connection)}, does not have there. {REMEDY}"
    )


async def lost_commands(
    connection: Connection, database: OneConnection, done: Acknowledged, first: int, limit: int
) -> list[Lost]:
    """The commands from message `first` on that are acknowledged and that the database does not
    have, oldest first."""
    lost: list[Lost] = []
    async for messages in stream_range.messages(connection, COMMANDS_STREAM, first, done.any):
        told = [
            Lost(sequence(one), command_id)
            for one in messages
            if done.has(one.subject, sequence(one)) and (command_id := _command_id(one, limit))
        ]
        known = await ask(database, partial(_known, [one.command_id for one in told]))
        lost += [one for one in told if one.command_id not in known]
    return lost


def _command_id(message: Message, limit: int) -> UUID | None:
    sent_to = command_subjects.read(message.subject)
    return parse(message.data, sent_to=sent_to, max_bytes=limit).id


async def ask(
    database: OneConnection, question: Callable[[psycopg.Connection[Any]], Result]
) -> Result:
    """The answer, asked in a thread. Raises psycopg.Error."""
    return await asyncio.to_thread(database.run, question)


def _known(ids: Collection[UUID], connection: psycopg.Connection[Any]) -> set[UUID]:
    return {row[0] for row in connection.execute(_KNOWN, {"ids": list(ids)})}
