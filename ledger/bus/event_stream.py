"""LEDGER_EVENTS: the events of the last days, in position order, for services to follow.

The stream is a window on the event store, never the truth: its oldest events go when they are too
old or too many (discard old), and it can be filled again from the store. Like LEDGER_COMMANDS it
is made once and then the operator's: what `nats stream edit` changed stays.

The publisher's place is in the stream itself: the last message says which position it has. So a
publisher that crashed between publishing and noting its progress repeats nothing, however long ago
that was, and a server that lost its last messages gets them again.
"""

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import nats.js.errors
import orjson
import psycopg
import structlog
from nats.js import JetStreamContext, api

from ledger.bus.command_stream import request
from ledger.bus.connection import SECONDS_PER_DAY, Connection
from ledger.bus.events import EVENTS_PREFIX, EVENTS_STREAM, MESSAGE_ID, POSITION
from ledger.eventstore import reader
from ledger.kernel.errors import LedgerError
from ledger.kernel.incarnation import Lineage

if TYPE_CHECKING:
    from ledger.operate.settings import Settings

ALL_EVENTS = f"{EVENTS_PREFIX}.>"
DUPLICATE_WINDOW_SECONDS = 120.0
"""How long the server remembers message ids. Only a second line: each batch says which message it
follows, and the server refuses it if that is not the last one."""
LINEAGE_OF_STREAM = "ledger-lineage"
"""In the metadata of the stream: the incarnations of the log."""
_NO_ROOM = 10047
"""The server's code for a stream larger than the storage that is left."""

_log = structlog.get_logger(__name__)


class NotOurStream(LedgerError):
    """LEDGER_EVENTS has events that this event store does not have."""


class NoRoomForEvents(LedgerError):
    """The server has less storage than the stream may take."""


async def tell_lineage(connection: Connection, lineage: Lineage) -> None:
    """Writes the incarnations of the log into the stream's metadata. All else stays as it is, also
    what this version of the NATS library does not know."""
    found = await request(connection, f"STREAM.INFO.{EVENTS_STREAM}", {})
    config: dict[str, Any] = found["config"]
    metadata = config.get("metadata") or {}
    if lineage.newest is None or metadata.get(LINEAGE_OF_STREAM) == lineage.text:
        return
    ours = {name: value for name, value in metadata.items() if not name.startswith("_nats.")}
    config["metadata"] = ours | {LINEAGE_OF_STREAM: lineage.text}
    await request(connection, f"STREAM.UPDATE.{EVENTS_STREAM}", config)


class Last(NamedTuple):
    """Where the stream ends: its last sequence number, and the position to go on after."""

    sequence: int
    position: int


async def ensure_events_stream(jetstream: JetStreamContext, settings: "Settings") -> None:
    """Makes the stream if there is none. Raises NoRoomForEvents."""
    try:
        await jetstream.stream_info(EVENTS_STREAM)
        return
    except nats.js.errors.NotFoundError:
        pass
    try:
        await jetstream.add_stream(
            api.StreamConfig(
                name=EVENTS_STREAM,
                description="Events of the ledger in position order, as CloudEvents",
                subjects=[ALL_EVENTS],
                retention=api.RetentionPolicy.LIMITS,
                storage=api.StorageType.FILE,
                discard=api.DiscardPolicy.OLD,
                max_age=settings.event_retention_days * SECONDS_PER_DAY,
                max_bytes=settings.event_retention_bytes,
                max_msg_size=settings.bus_message_limit_bytes,
                duplicate_window=min(
                    DUPLICATE_WINDOW_SECONDS, settings.event_retention_days * SECONDS_PER_DAY
                ),
                allow_direct=True,
                allow_atomic=True,
            )
        )
    except nats.js.errors.APIError as error:
        if error.err_code != _NO_ROOM:
            raise
        raise NoRoomForEvents(
            f"the NATS server has no room for {EVENTS_STREAM} with "
            f"{settings.event_retention_bytes} bytes: {error.description}. Give it more storage "
            "(jetstream.max_file_store), or set LEDGER_EVENT_RETENTION_BYTES lower."
        ) from error
    _log.info("stream_created", stream=EVENTS_STREAM)


async def last_published(jetstream: JetStreamContext) -> tuple[int, int | None, str | None]:
    """The stream's last sequence number, and the position and event id of its last message; None
    where it has no message, or one that the publisher did not send."""
    state = (await jetstream.stream_info(EVENTS_STREAM)).state
    try:
        message = await jetstream.get_last_msg(EVENTS_STREAM, ALL_EVENTS)
    except nats.js.errors.NotFoundError:
        return state.last_seq, None, None
    headers = message.headers or {}
    position = headers.get(POSITION, "")
    sequence = max(state.last_seq, message.seq or 0)
    if not position.isdecimal():
        _log.warning("foreign_message_in_stream", stream=EVENTS_STREAM, sequence=message.seq)
        return sequence, None, None
    return sequence, int(position), headers.get(MESSAGE_ID) or _id_of(message.data)


def _id_of(body: bytes | None) -> str | None:
    """Of an event that was sent without a message id."""
    try:
        return str(orjson.loads(body or b"")["id"])
    except (ValueError, KeyError, TypeError):
        return None


def position_to_go_on_after(
    connection: psycopg.Connection[Any],
    *,
    sequence: int,
    position: int | None,
    event_id: str | None,
    noted: int,
    retention_days: float,
) -> int:
    """Where the publisher goes on: after the stream's last event.

    A stream that never had a message gets what it would still keep; of one whose messages were
    all removed, only the publisher's own note (`noted`) tells. Raises NotOurStream.
    """
    if position is not None:
        row = connection.execute(
            "SELECT id FROM event_store WHERE position = %s", [position]
        ).fetchone()
        if row is None or event_id is None or UUID(event_id) != row[0]:
            raise NotOurStream(
                f"{EVENTS_STREAM} ends with event {event_id} at position {position}, which this "
                "event store does not have there: the stream is another ledger's, or the database "
                "was restored to an earlier moment. Nothing is published. Point LEDGER_NATS_URL "
                "to this ledger's server; after a restore run `ledgerctl recover` "
                "(docs/runbooks/restore.md)."
            )
        return position
    if sequence > 0:
        return noted
    return _last_before_retention(connection, retention_days)


def _last_before_retention(connection: psycopg.Connection[Any], days: float) -> int:
    """The last position that is older than the retention, by halving: recorded_at never decreases
    with position, and has no index."""
    low, high = 0, reader.head(connection)
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(
            """SELECT recorded_at < clock_timestamp() - make_interval(secs => %s)
               FROM event_store WHERE position = %s""",
            [days * SECONDS_PER_DAY, middle],
        ).fetchone()
        if row is not None and row[0]:
            low = middle
        else:
            high = middle - 1
    return low


async def newest_position(jetstream: JetStreamContext) -> int:
    """The position of the stream's last event; 0 while it has none."""
    return (await last_published(jetstream))[1] or 0
