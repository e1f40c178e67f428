"""Recovering the log after the database was restored to an earlier moment.

    look     what does the bus have that the database does not: commands that were acknowledged,
             events that were published, followers that have handled them, heads of seals
    begin    `log.recovered`: another incarnation of the log, behind the last position in common
    rewind   the consumers of the commands go back to before the first command that is lost
    decide   a worker decides again, in the order of the stream, so before anything newer: ours, or
             a command service that waited for it
    clear    the events that were lost are compared with what has come of their commands, written to
             a file, and taken out of LEDGER_EVENTS; the publisher goes on by itself

Where it has come to is read from the bus and the log each time, never from a note of its own. So it
may end at any moment, by kill -9 as well, and be run again: it does what is left.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import nats.js.errors
import orjson
import psycopg
import structlog
from uuid_utils.compat import uuid7

from ledger.audit.prove.seals import Seal, from_document
from ledger.bus import followers, stream_range
from ledger.bus.command_stream import Acknowledged, acknowledged, request, rewind_consumers
from ledger.bus.connection import COMMANDS_STREAM, JETSTREAM_TIMEOUT_SECONDS, Connection
from ledger.bus.delivery import sequence
from ledger.bus.event_stream import NotOurStream
from ledger.bus.events import EVENTS_STREAM, MESSAGE_ID, POSITION, told_incarnation
from ledger.bus.seal_stream import newest_kept, seals_of, set_aside
from ledger.bus.wire import Message
from ledger.eventstore import incarnations, reader, store
from ledger.eventstore.codec import encode
from ledger.eventstore.connection import OneConnection
from ledger.eventstore.reader import where_streams_are
from ledger.eventstore.store import NewEvent
from ledger.kernel.errors import LedgerError
from ledger.kernel.incarnation import next_id
from ledger.nouns.log.events import STREAM_ID, STREAM_TYPE, LogRecovered
from ledger.operate.settings import Settings
from ledger.programs.commands import CommandWorker
from ledger.programs.whole_log import Lost, ask, lost_commands

LOOK_SECONDS = 0.2
"""Pause between two looks at how far the worker is."""
FIRST_LOOK_BACK = 1_000
"""Messages of LEDGER_EVENTS that are looked at first for one that the log has."""
REMOVED_AT_ONCE = 200
"""Messages that the server is asked to remove before one answer is there."""

_log = structlog.get_logger(__name__)

_LOG = f"'{STREAM_ID}'::uuid"
_OF_LOG = f"stream_id = {_LOG} AND {where_streams_are(f'ARRAY[{_LOG}]')}"
_RECOVERED = f"""
    SELECT id, (event_data->>'commands_up_to')::bigint FROM public.event_store
    WHERE {_OF_LOG} ORDER BY event_version DESC LIMIT 1"""
_SEAL = "SELECT hash FROM public.event_seals WHERE number = %s"
_NEWEST_SEAL = "SELECT coalesce(max(number), 0) FROM public.event_seals"
_EXPLAINED = f"""
    SELECT FROM public.event_store
    WHERE {_OF_LOG} AND (event_data->>'seals')::bigint < %s AND recorded_at > %s LIMIT 1"""
_VERSION = f"SELECT count(*) FROM public.event_store WHERE {_OF_LOG}"
_IN_LOG = """
    SELECT count(*) FROM public.event_store AS e
    JOIN unnest(%(positions)s::bigint[], %(ids)s::uuid[]) AS told (position, id)
        USING (position, id)
    WHERE e.position = ANY(%(positions)s)"""  # twice: so that only partitions with them are read
_OUTCOMES = """
    SELECT command_id, status FROM public.command_inbox WHERE command_id = ANY(%s)"""
_EVENTS_OF = """
    SELECT e.position, e.event_type, e.stream_id, e.event_data::text
    FROM public.command_inbox AS i
    CROSS JOIN jsonb_array_elements(i.outcome->'events') AS told
    JOIN public.event_store AS e ON e.position = (told->>'position')::bigint
    WHERE i.command_id = %s ORDER BY e.position"""


class Overtaken(LedgerError):
    """Somebody else changed the log meanwhile."""


class LostEvent(NamedTuple):
    """A published event that the log does not have."""

    sequence: int
    position: int
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


class TooFar(NamedTuple):
    """A follower that has handled events that the log does not have."""

    user: str
    name: str
    place: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. `common` is the last position that the log and the bus have in common,
    `up_to` the last message of LEDGER_COMMANDS: that far commands are decided before it is over."""

    head: int
    common: int
    incarnation: UUID | None
    lost_commands: tuple[Lost, ...]
    lost_events: tuple[LostEvent, ...]
    lost_head: Seal | None
    """The newest head in LEDGER_SEALS, where no seal is that one any more and the log does not say
    why."""
    too_far: tuple[TooFar, ...]
    begun: bool
    """The incarnation of this recovery is there already."""
    up_to: int
    undecided: bool
    """Commands that were acknowledged once are being decided again."""

    @property
    def needed(self) -> bool:
        lost = self.lost_commands or self.lost_events or self.lost_head
        return bool(lost or self.undecided)


class Again(NamedTuple):
    """A lost event, and what has come of its command: the position of the event that is the same in
    all but its place, or None with the reason."""

    lost: LostEvent
    position: int | None
    why: str | None


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `differing` are the lost events that did not come again as they were."""

    incarnation: UUID | None
    after: int
    head: int
    decided_again: int
    lost_events: int
    differing: tuple[Again, ...]
    lost_file: Path | None
    too_far: tuple[TooFar, ...]


class Recovery:
    """Of one database and one bus."""

    def __init__(self, database_url: str, nats_url: str, settings: Settings) -> None:
        self._database_url = database_url
        self._nats_url = nats_url
        self._settings = settings
        self._database = OneConnection(database_url, "recover")

    def close(self) -> None:
        self._database.close()

    # --- look -----------------------------------------------------------------------------

    async def plan(self, connection: Connection) -> Plan:
        """Raises NotOurStream, nats.errors.Error, NotReadable, psycopg.Error."""
        head = await ask(self._database, reader.head)
        lineage = await ask(self._database, incarnations.lineage)
        before, up_to = await ask(self._database, _newest_recovery)
        done = await _acknowledged(connection)
        limit = self._settings.command_payload_limit_bytes
        lost = await lost_commands(connection, self._database, done, 1, limit)
        # Up to here the log is what it was, for all that it knows itself.
        whole = lineage[-1].after if before is not None else head
        events = await self._lost_events(connection, whole)
        lost_head = await self._lost_head(connection)
        common = min([head, *(event.position - 1 for event in events[:1])])
        of_ours = any(_is_of(event, lineage.newest) for event in events)
        # (Of a log of which nothing is left, all are.)
        of_ours = of_ours or not lineage
        begun = before is not None and not of_ours and lost_head is None and done.any <= up_to
        if begun:
            common = lineage[-1].after
        undecided = begun and not lost and not await _all_decided(connection, up_to)
        needed = bool(lost or events or lost_head or undecided)
        return Plan(
            head=head,
            common=common,
            incarnation=lineage.newest or _incarnation_of(events),
            lost_commands=tuple(lost),
            lost_events=tuple(events),
            lost_head=lost_head,
            too_far=tuple(
                await _too_far(connection, common, lineage.newest if begun else None)
                if needed
                else ()
            ),
            begun=begun,
            up_to=up_to if begun else await _last_command(connection),
            undecided=undecided,
        )

    async def _lost_events(self, connection: Connection, whole: int) -> list[LostEvent]:
        """The last events of the stream, as far as the log does not have them; oldest first."""
        jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
        try:
            state = (await jetstream.stream_info(EVENTS_STREAM)).state
        except nats.js.errors.NotFoundError:
            return []
        look_back = FIRST_LOOK_BACK
        while True:
            first = max(state.last_seq - look_back + 1, state.first_seq)
            events = [
                event
                async for messages in stream_range.messages(
                    connection, EVENTS_STREAM, first, state.last_seq
                )
                for event in _published(messages)
            ]
            known = await ask(self._database, partial(_in_log, events))
            if known or first <= state.first_seq:
                break
            look_back *= 10
        if events and not known and events[0].position <= whole:
            raise NotOurStream(
                f"{EVENTS_STREAM} has no event that this log has: it is another ledger's. Point "
                "LEDGER_NATS_URL to this ledger's server."
            )
        return events[known:]

    async def _lost_head(self, connection: Connection) -> Seal | None:
        try:
            kept = await newest_kept(seals_of(connection))
        except nats.js.errors.NotFoundError:
            return None
        if kept is None:
            return None
        return await ask(self._database, partial(_unexplained, from_document(kept.body)))

    async def set_heads_aside(self, connection: Connection, path: Path) -> int:
        """Keeps the heads in LEDGER_SEALS in a file and removes the stream, where the newest is one
        that a restore took away; how many, 0 where it is one of the seals."""
        jetstream = seals_of(connection)
        try:
            kept = await newest_kept(jetstream)
        except nats.js.errors.NotFoundError:
            return 0
        if kept is None or await ask(self._database, partial(_has_seal, from_document(kept.body))):
            return 0
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            return await set_aside(jetstream, file)

    # --- act ------------------------------------------------------------------------------

    async def run(
        self,
        connection: Connection,
        plan: Plan,
        *,
        by: str,
        reason: str,
        lost_file: Path,
        tell: Callable[[str], None],
    ) -> Recovered:
        """Does what is left to be done. Raises Overtaken, and errors of both servers."""
        incarnation = plan.incarnation
        if not plan.begun:
            incarnation = await ask(self._database, partial(begin, plan, by, reason))
            tell(f"begun: incarnation {incarnation}, behind position {plan.common}")
        await self._rewind(connection, plan)
        tell(f"deciding commands again up to message {plan.up_to} of {COMMANDS_STREAM}")
        async with _worker(self._database_url, self._nats_url, self._settings):
            while not await _all_decided(connection, plan.up_to):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)
        again = await ask(self._database, lambda opened: _compared(opened, plan.lost_events))
        if plan.lost_events:
            _write(lost_file, again)
            tell(f"the {len(again)} events that were lost are in {lost_file}")
            await _remove(connection, [event.sequence for event in plan.lost_events])
        return Recovered(
            incarnation=incarnation,
            after=plan.common,
            head=await ask(self._database, reader.head),
            decided_again=len(plan.lost_commands),
            lost_events=len(again),
            differing=tuple(one for one in again if one.position is None),
            lost_file=lost_file if plan.lost_events else None,
            too_far=plan.too_far,
        )

    async def _rewind(self, connection: Connection, plan: Plan) -> None:
        """What is lost is before all consumers again."""
        jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
        if plan.lost_commands:
            first = plan.lost_commands[0].sequence
            await rewind_consumers(jetstream, self._settings, first)
            _log.info("commands_rewound", to=first)


def _newest_recovery(connection: psycopg.Connection[Any]) -> tuple[UUID | None, int]:
    """The id of the newest `log.recovered`, and up to which message it has commands decided."""
    row = connection.execute(_RECOVERED).fetchone()
    return (None, 0) if row is None else (row[0], row[1])


def _has_seal(head: Seal, connection: psycopg.Connection[Any]) -> bool:
    return connection.execute(_SEAL, [head.number]).fetchone() == (head.hash,)


def _unexplained(head: Seal, connection: psycopg.Connection[Any]) -> Seal | None:
    """The head, unless it is one of the seals, or the log says that a restore took it away."""
    if _has_seal(head, connection):
        return None
    told = connection.execute(
        _EXPLAINED, [head.number, datetime.fromisoformat(head.sealed_at)]
    ).fetchone()
    return None if told is not None else head


def _in_log(events: Sequence[LostEvent], connection: psycopg.Connection[Any]) -> int:
    """How many of these the log has: the first ones, as what is lost is an end."""
    ids = [UUID(event.content["id"]) for event in events]
    positions = [event.position for event in events]
    row = connection.execute(_IN_LOG, {"positions": positions, "ids": ids}).fetchone()
    assert row is not None
    return int(row[0])


def _published(messages: Sequence[Message]) -> list[LostEvent]:
    """What the publisher has sent; what is somebody else's is left where it is."""
    return [
        LostEvent(sequence(one), int(position), one.data)
        for one in messages
        if (position := one.header(POSITION.encode())) and one.header(MESSAGE_ID.encode())
    ]


def _incarnation_of(events: Sequence[LostEvent]) -> UUID | None:
    """What the bus says that a log of which nothing is left was."""
    return max((told_incarnation(event.content) for event in events), default=None)


def _is_of(event: LostEvent, newest: UUID | None) -> bool:
    """Whether the event was made in this incarnation, so after it had begun."""
    return newest is not None and told_incarnation(event.content) >= newest


async def _acknowledged(connection: Connection) -> Acknowledged:
    try:
        return await acknowledged(connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS))
    except nats.js.errors.NotFoundError:
        return Acknowledged((0,))


async def _last_command(connection: Connection) -> int:
    """What was published may be ahead of what was acknowledged: so all that there is."""
    jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
    try:
        return int((await jetstream.stream_info(COMMANDS_STREAM)).state.last_seq)
    except nats.js.errors.NotFoundError:
        return 0


async def _all_decided(connection: Connection, up_to: int) -> bool:
    """Whether every partition has acknowledged what it has of the messages up to there."""
    jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
    done = await _acknowledged(connection)
    if done.all >= up_to:
        return True
    last = (await jetstream.stream_info(COMMANDS_STREAM)).state.last_seq
    async for messages in stream_range.messages(
        connection, COMMANDS_STREAM, done.all + 1, min(up_to, last)
    ):
        if not all(done.has(one.subject, sequence(one)) for one in messages):
            return False
    return True


async def _too_far(connection: Connection, common: int, begun: UUID | None) -> list[TooFar]:
    """The names under which events were handled that the log does not have: behind the position in
    common, unless they are of the incarnation that has begun since."""
    try:
        rows = await followers.rows(connection, 0)
    except nats.js.errors.NotFoundError:
        return []
    return [
        TooFar(row.user, row.name, row.place)
        for row in rows
        if row.place is not None
        and row.place > common
        and (begun is None or row.incarnation != begun)
    ]


def begin(plan: Plan, by: str, reason: str, connection: psycopg.Connection[Any]) -> UUID:
    """Appends `log.recovered`; its id. Raises Overtaken, psycopg.Error."""
    with connection.transaction(), connection.cursor() as cursor:
        login = cursor.execute("SELECT session_user").fetchone()
        seals = cursor.execute(_NEWEST_SEAL).fetchone()
        assert login is not None
        assert seals is not None
        begun = LogRecovered(
            previous=plan.incarnation,
            after=plan.common,
            commands_up_to=plan.up_to,
            seals=seals[0],
            actor=by,
            reason=reason,
        )
        appended = store.begin_append(cursor, 1)
        if incarnations.lineage(connection).newest not in (None, plan.incarnation):
            raise Overtaken("the log was recovered by somebody else meanwhile: run it again")
        version = cursor.execute(_VERSION).fetchone()
        assert version is not None
        event = NewEvent(
            id=next_id(uuid7(), _before(plan)),
            stream_id=STREAM_ID,
            stream_type=STREAM_TYPE,
            event_type=begun.type,
            event_version=version[0] + 1,
            data=encode(begun),
            metadata=orjson.dumps({"source": "operator", "login": login[0]}).decode(),
            correlation_id=None,
            causation_id=None,
            user_id=None,
            occurred_at=appended.recorded_at,
        )
        store.copy_events(cursor, [event], appended)
    return event.id


def _before(plan: Plan) -> list[UUID]:
    """The incarnations that are known, by the log or by the bus."""
    told = {told_incarnation(event.content) for event in plan.lost_events}
    return [*told, *([plan.incarnation] if plan.incarnation else [])]


@asynccontextmanager
async def _worker(database_url: str, nats_url: str, settings: Settings) -> AsyncIterator[None]:
    """Inside the block commands are decided, unless a command service does."""
    worker = CommandWorker(database_url, nats_url, settings)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


# --- what was lost ------------------------------------------------------------------------


def _compared(connection: psycopg.Connection[Any], lost: Sequence[LostEvent]) -> list[Again]:
    """Each lost event with the one of the same command, stream and content that there is now."""
    of_commands: dict[UUID, list[LostEvent]] = {}
    found: list[Again] = []
    for event in lost:
        if "commandid" in event.content:
            of_commands.setdefault(UUID(event.content["commandid"]), []).append(event)
        else:
            found.append(Again(event, None, "no command made it: an operator did"))
    outcomes: dict[UUID, str] = dict(connection.execute(_OUTCOMES, [list(of_commands)]).fetchall())
    for command_id, events in of_commands.items():
        rows = connection.execute(_EVENTS_OF, [command_id]).fetchall()
        made = [(row[0], (row[1], row[2], orjson.loads(row[3]))) for row in rows]
        for event in events:
            content = event.content
            wanted = (content["type"], UUID(content["streamid"]), content["data"])
            same = next((one for one in made if one[1] == wanted), None)
            if same is not None:
                made.remove(same)
                found.append(Again(event, same[0], None))
            elif command_id in outcomes:
                why = f"its command was decided otherwise: {outcomes[command_id]}"
                found.append(Again(event, None, why))
            else:
                found.append(Again(event, None, "the bus does not keep its command any more"))
    return sorted(found, key=lambda one: one.lost.position)


def _write(path: Path, again: Sequence[Again]) -> None:
    """One JSON object a line, for nobody else's eyes. Written anew each time."""
    lines = (
        orjson.dumps({"event": one.lost.content, "again_at": one.position, "why": one.why})
        for one in again
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


async def _remove(connection: Connection, sequences: Sequence[int]) -> None:
    """Takes messages out of LEDGER_EVENTS, the last one last: while it is there, no publisher goes
    on, and whoever runs this again finds what is left."""

    async def remove(number: int) -> None:
        try:
            await request(
                connection,
                f"STREAM.MSG.DELETE.{EVENTS_STREAM}",
                {"seq": number, "no_erase": True},
            )
        except nats.js.errors.APIError as error:
            if error.err_code != _NO_MESSAGE:
                raise

    *others, last = sequences
    for at in range(0, len(others), REMOVED_AT_ONCE):
        await asyncio.gather(*map(remove, others[at : at + REMOVED_AT_ONCE]))
    await remove(last)


_NO_MESSAGE = 10057
"""The server's code for a message that is not there (any more)."""
