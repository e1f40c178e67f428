"""The numbers that NATS has: how many commands wait and since when, how much room streams have, and
how far those are who follow the events.

    stalled    nothing was acknowledged since this long, although something waits: the time since
               the last acknowledgement, or since the oldest arrived, whichever is shorter
    window     of the events that LEDGER_EVENTS still keeps, how many a follower has before it

Times are the server's own, so that no clock of ours matters.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import nats.errors
import nats.js.errors

from ledger.bus import connection as bus
from ledger.bus import followers
from ledger.bus.command_stream import COMMANDS_CONSUMER, partition_name, request
from ledger.bus.connection import COMMANDS_STREAM, Connection
from ledger.bus.event_stream import newest_position
from ledger.bus.events import EVENTS_STREAM
from ledger.bus.seal_stream import SEALS_STREAM, newest_kept, seals_of
from ledger.bus.security import BusSecurity
from ledger.kernel.errors import LedgerError
from ledger.vitals.measure import Sample

TIMEOUT_SECONDS = 2.0
"""A server that does not answer by then is told as away."""
MOST_FOLLOWERS = 200
"""Followers that are told by name: each is a series of its own."""

_NO_COMMANDS = "ledger.nothing"
"""A subject that the stream of commands does not take."""
_PURGE_FAILED = 10051
"""The server's code for messages that it could not remove."""

Told = dict[str, Any]
NotThere = nats.js.errors.NotFoundError


async def ask(url: str, security: BusSecurity, *, as_program: bool) -> list[Sample]:
    """With what only programs of the ledger may ask, where the server has users. Raises
    nats.errors.Error, OSError, TimeoutError when the server does not answer in time."""
    connection = await bus.connect_once(url, "vitals", security=security, timeout=TIMEOUT_SECONDS)
    try:
        return await of_connection(connection, as_program=as_program)
    finally:
        await connection.close()


async def of_connection(connection: Connection, *, as_program: bool) -> list[Sample]:
    """The numbers, asked on a connection that is there."""
    samples = await _commands(connection)
    if samples and as_program:
        samples.append(Sample("bus_stores", "", float(await stores(connection))))
    samples += await _stream(connection, EVENTS_STREAM)
    samples += await _published(connection)
    samples += await _followers(connection)
    samples += await _heads(connection)
    return samples


async def _stream(connection: Connection, name: str) -> list[Sample]:
    try:
        told = await request(connection, f"STREAM.INFO.{name}", {})
    except NotThere:
        return []
    return list(_room(name, told["config"].get("max_bytes") or 0, told["state"]))


def _room(name: str, limit: int, state: Mapping[str, Any]) -> Iterator[Sample]:
    yield Sample("stream_bytes", name, state["bytes"])
    yield Sample("stream_messages", name, state["messages"])
    if limit > 0:
        yield Sample("stream_room_used_ratio", name, state["bytes"] / limit)


async def _published(connection: Connection) -> list[Sample]:
    try:
        newest = await newest_position(connection.jetstream(timeout=TIMEOUT_SECONDS))
    except NotThere:
        return []
    return [Sample("published_position", "", newest)]


# --- commands ---------------------------------------------------------------------------


async def _commands(connection: Connection) -> list[Sample]:
    samples = await _stream(connection, COMMANDS_STREAM)
    if not samples:
        return []
    used = [one.value for one in samples if one.name == "stream_room_used_ratio"]
    samples += [Sample("commands_room_used_ratio", "", one) for one in used]
    oldest = stalled = 0.0
    for name, told in (await _of_partitions(connection)).items():
        pending, in_work = told["num_pending"], told["num_ack_pending"]
        samples.append(Sample("commands_waiting", name, pending))
        samples.append(Sample("commands_in_work", name, in_work))
        if pending or in_work:
            waits, idle = await _waiting(connection, told)
            oldest, stalled = max(oldest, waits), max(stalled, idle)
    samples.append(Sample("commands_oldest_seconds", "", oldest))
    samples.append(Sample("commands_stalled_seconds", "", stalled))
    return samples


async def stalled_seconds(connection: Connection) -> float:
    """How long nothing was decided although commands wait."""
    found = await _commands(connection)
    return next((one.value for one in found if one.name == "commands_stalled_seconds"), 0.0)


async def stores(connection: Connection) -> bool:
    """Whether the stream of commands can be written to. A stream whose write has failed, for want
    of space, takes nothing more, also when there is space again, until the server is started anew.
    It says so when it is to remove messages, also where there are none of the kind."""
    try:
        await request(connection, f"STREAM.PURGE.{COMMANDS_STREAM}", {"filter": _NO_COMMANDS})
    except nats.js.errors.APIError as error:
        return error.err_code != _PURGE_FAILED
    return True


async def _of_partitions(connection: Connection) -> dict[str, Told]:
    """What the server tells of each partition's consumer; of several, the one that is furthest."""
    found: dict[str, Told] = {}
    for told in await _consumers(connection, COMMANDS_STREAM):
        name = partition_name(told["name"])
        if not name.startswith(COMMANDS_CONSUMER):
            continue
        before = found.get(name)
        if before is None or _floor(told) >= _floor(before):
            found[name] = told
    return found


async def _consumers(connection: Connection, stream: str) -> list[Told]:
    found: list[Told] = []
    while True:
        page = await request(connection, f"CONSUMER.LIST.{stream}", {"offset": len(found)})
        found += page["consumers"] or []
        if not page["consumers"] or len(found) >= page["total"]:
            return found


def _floor(told: Told) -> int:
    return int(told["ack_floor"]["stream_seq"])


async def _waiting(connection: Connection, told: Told) -> tuple[float, float]:
    """Age of the oldest undecided command of a partition, and how long nothing was decided."""
    asked = {
        "seq": _floor(told) + 1,
        "next_by_subj": told["config"].get("filter_subject") or ">",
    }
    try:
        message = await request(connection, f"STREAM.MSG.GET.{COMMANDS_STREAM}", asked)
    except NotThere:  # it was decided meanwhile
        return 0.0, 0.0
    now = _moment(told.get("ts")) or datetime.now(UTC)
    arrived = _moment(message["message"]["time"]) or now
    acted = _moment(told["ack_floor"].get("last_active")) or arrived
    age = max((now - arrived).total_seconds(), 0.0)
    return age, min(age, max((now - acted).total_seconds(), 0.0))


def _moment(text: str | None) -> datetime | None:
    """A time as the server writes it, with up to nine digits behind the point."""
    if not text:
        return None
    whole, _, rest = text.rstrip("Z").partition(".")
    digits = rest[:6].ljust(6, "0") if rest else "000000"
    return datetime.fromisoformat(f"{whole}.{digits}+00:00")


# --- those who follow -------------------------------------------------------------------


async def _followers(connection: Connection) -> list[Sample]:
    try:
        head = await newest_position(connection.jetstream(timeout=TIMEOUT_SECONDS))
        rows = await followers.rows(connection, head)
        window = await _window(connection)
    except (NotThere, LedgerError):  # nobody publishes yet, or a record is of another version
        return []
    samples: list[Sample] = []
    for row in rows[:MOST_FOLLOWERS]:
        if row.behind is None:
            continue
        name = f"{row.user}.{row.name}"
        samples.append(Sample("follower_lag_events", name, row.behind))
        if window is not None:
            used = min(row.behind / window, 1.0)
            samples.append(Sample("follower_window_used_ratio", name, used))
    return samples


async def _window(connection: Connection) -> int | None:
    """How many events the stream keeps, if it has begun to drop the oldest."""
    told = await request(connection, f"STREAM.INFO.{EVENTS_STREAM}", {})
    kept = int(told["state"]["messages"])
    return kept if kept and int(told["state"]["first_seq"]) > 1 else None


# --- heads ------------------------------------------------------------------------------


async def _heads(connection: Connection) -> list[Sample]:
    jetstream = seals_of(connection)
    try:
        stream = await jetstream.stream_info(SEALS_STREAM)
        newest = await newest_kept(jetstream)
    except NotThere:
        return []
    state = {"bytes": stream.state.bytes, "messages": stream.state.messages}
    samples = list(_room(SEALS_STREAM, stream.config.max_bytes or 0, state))
    if newest is not None and newest.time is not None:
        age = (datetime.now(UTC) - newest.time).total_seconds()
        samples.append(Sample("seal_head_age_seconds", "", max(age, 0.0)))
    return samples
