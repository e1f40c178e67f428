"""Room in LEDGER_COMMANDS: what is decided goes before its time when the room for what waits runs
out, of the whole stream or of one sender.

    look      every LOOK_SECONDS, and when a worker begins
    forget    the oldest of what is decided, until the stream is half full; of a sender that used
              half of its share on a subject, all that is decided there
    alarm     when that does not help, because what waits fills it: new commands will be refused

What is forgotten here cannot be decided again after the database was restored to an earlier moment;
its outcomes and events are in the database. Nothing that is not acknowledged is ever touched.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import nats.errors
import structlog
from nats.js import api

from ledger.bus.command_stream import acknowledged, request
from ledger.bus.connection import COMMANDS_STREAM, JETSTREAM_TIMEOUT_SECONDS, Connection
from ledger.vitals.condition import FILLING

LOOK_SECONDS = 15.0
"""Between two looks. At the most that a worker decides, far less than the other half of a share
comes in this time."""
HALF = 0.5
"""What decided commands may use of a share, and what is left of the stream when it was filling."""
SUBJECTS_AT_ONCE = 100_000
"""Subjects that the server tells in one answer."""

_log = structlog.get_logger(__name__)


class Room(NamedTuple):
    """What the stream uses of its room, and up to which message all is decided."""

    used: float
    decided: int
    state: api.StreamState
    config: api.StreamConfig


@asynccontextmanager
async def room_made(connection: Connection) -> AsyncIterator[None]:
    """Inside the block, the stream of commands has room as long as commands are decided."""
    task = asyncio.create_task(_look_for_ever(connection))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _look_for_ever(connection: Connection) -> None:
    while True:
        try:
            await make_room(connection)
        except nats.errors.Error as error:  # also: there is no stream yet
            _log.debug("commands_not_looked_at", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)


async def make_room(connection: Connection) -> float:
    """Makes room if it is needed; the share of it that is used. Raises nats.errors.Error."""
    room = await _room(connection)
    await _of_senders(connection, room)
    if room.used >= FILLING:
        left = room.state.last_seq + 1 - room.state.first_seq
        wanted = room.state.first_seq + int(left * (1 - HALF / room.used))
        forgotten = await _forget(connection, seq=min(wanted, room.decided + 1))
        _log.warning("commands_forgotten_early", commands=forgotten, used=round(room.used, 3))
        room = await _room(connection)
    if room.used >= FILLING:
        _log.error(
            "commands_fill_their_stream",
            used=round(room.used, 3),
            waiting=room.state.last_seq - room.decided,
            remedy="commands will be refused: check that `ledgerctl serve commands` decides, or "
            f"give more room with `nats stream edit {COMMANDS_STREAM} --max-bytes`",
        )
    return room.used


async def _room(connection: Connection) -> Room:
    jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
    info = await jetstream.stream_info(COMMANDS_STREAM)
    limit = info.config.max_bytes or 0
    used = info.state.bytes / limit if limit > 0 else 0.0
    decided = (await acknowledged(jetstream)).all
    return Room(used, decided, info.state, info.config)


async def _of_senders(connection: Connection, room: Room) -> None:
    """A sender that has used half of its share on a subject keeps there what waits."""
    share = room.config.max_msgs_per_subject
    if share <= 0 or room.state.messages < share * HALF:
        return
    offset = 0
    while subjects := await _subjects(connection, offset):
        for subject, commands in subjects.items():
            if commands >= share * HALF:
                forgotten = await _forget(connection, seq=room.decided + 1, filter=subject)
                _log.warning("commands_forgotten_early", commands=forgotten, subject=subject)
        offset += len(subjects)
        if len(subjects) < SUBJECTS_AT_ONCE:
            return


async def _subjects(connection: Connection, offset: int) -> dict[str, int]:
    """How many commands there are under each subject."""
    asked = {"subjects_filter": ">", "offset": offset}
    told = await request(connection, f"STREAM.INFO.{COMMANDS_STREAM}", asked)
    found: dict[str, int] = told["state"].get("subjects") or {}
    return found


async def _forget(connection: Connection, **which: Any) -> int:
    told = await request(connection, f"STREAM.PURGE.{COMMANDS_STREAM}", which)
    return int(told["purged"])
