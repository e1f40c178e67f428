"""An event as it leaves the ledger: a CloudEvent 1.0 on a subject that says what and whose it is.

    ledger.events.<stream type>.<event>.<account id>       ledger.events.order.filled.1111…
    ledger.events.<stream type>.<event>.<family>           nouns of no account: instruments …

The data is always of the newest schema of its type, whatever the store has: what goes out fits the
published contract. The headers repeat what a reader of the stream needs without opening the body:
`Nats-Msg-Id` (the event's id) and `Ledger-Position`; and `Ledger-Lineage` once the log was restored
to an earlier moment, when a position alone does not say which event is meant
(`ledger/kernel/incarnation.py`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec
import orjson

from ledger.bus.connection import is_subject_token
from ledger.eventstore.codec import UndecodableEvent, UnknownEventType, decode, encode
from ledger.kernel.command import SPECVERSION
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.incarnation import UNKNOWN, Lineage
from ledger.kernel.time import time_text
from ledger.nouns import EVENTS, FAMILIES, NOUN_OF_STREAM
from ledger.nouns.accounts.noun import NOUN as ACCOUNTS

if TYPE_CHECKING:
    from ledger.eventstore.reader import RecordedEvent

EVENTS_STREAM = "LEDGER_EVENTS"
EVENTS_PREFIX = "ledger.events"
SOURCE = "trading-ledger"
"""`source` of every event: with the id it makes a CloudEvent unique."""
MESSAGE_ID = "Nats-Msg-Id"
POSITION = "Ledger-Position"
LINEAGE = "Ledger-Lineage"
"""Header: the incarnations of the log, oldest first, where there is more than one."""
NOBODY = "none"
"""Last token of an event that names no account: one of an application of its own on the store."""
SCHEMA_PREFIX = "urn:trading-ledger:event"


class UnreadableEvent(LedgerError, ValueError):
    """A message that is no event of this ledger."""


class UnknownEvent(Event, frozen=True, kw_only=True):
    """The data of an event that this version of the code does not know, as it was published."""

    type: ClassVar[str] = "unknown"
    data_schema: str
    payload: dict[str, Any]


class LedgerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a service receives it. `data` is the domain event: OrderFilled and the like;
    UnknownEvent for who asked for what cannot be decoded as well."""

    position: int
    id: UUID
    type: str
    stream_type: str
    stream_id: UUID
    version: int
    account_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    command_id: UUID | None
    correlation_id: UUID | None
    causation_id: UUID | None
    user_id: UUID | None
    incarnation: UUID | None = None
    """Of the log: keep it with the position. None where a version before published the event."""
    data: Event


class Published(NamedTuple):
    """An event ready to be sent."""

    subject: str
    body: bytes
    headers: dict[str, str]


def published(
    event: "RecordedEvent", prefix: str = EVENTS_PREFIX, lineage: Lineage = UNKNOWN
) -> Published:
    """The message for an event of a log with this lineage, on a subject that begins with the
    prefix."""
    data, schema = _newest(event)
    token = _account_token(event, data)
    body = {
        "specversion": SPECVERSION,
        "id": str(event.id),
        "source": SOURCE,
        "type": event.event_type,
        "subject": token,
        "time": time_text(event.occurred_at),
        "datacontenttype": "application/json",
        "dataschema": schema_name(event.event_type, schema),
        "position": event.position,
        "streamtype": event.stream_type,
        "streamid": str(event.stream_id),
        "streamversion": event.event_version,
        "recordedtime": time_text(event.recorded_at),
    }
    metadata = orjson.loads(event.metadata)
    ids = {
        "commandid": metadata.get("command_id"),
        "correlationid": event.correlation_id,
        "causationid": event.causation_id,
        "userid": event.user_id,
        "traceparent": metadata.get("traceparent"),
        "incarnation": lineage.at(event.position),
    }
    body |= {name: str(value) for name, value in ids.items() if value is not None}
    body["data"] = orjson.Fragment(data)
    kind = event.event_type.removeprefix(f"{event.stream_type}.")
    subject = f"{prefix}.{_token(event.stream_type)}.{_token(kind)}.{token}"
    headers = {MESSAGE_ID: str(event.id), POSITION: str(event.position)}
    if len(lineage) > 1:
        headers[LINEAGE] = lineage.text
    return Published(subject, orjson.dumps(body), headers)


def told_incarnation(content: Mapping[str, Any]) -> UUID:
    """Of which life of the log a published event is. Where it does not say so, because a version
    before published it, its own id stands for it: ids of events and of incarnations rise alike, so
    it is later than the incarnation that it was made in and before the next."""
    return UUID(content.get("incarnation") or content["id"])


def received(body: bytes, *, decoded: bool = True) -> LedgerEvent:
    """The event of a message; with its data as it is, where that is not to be `decoded`. Raises
    UnreadableEvent."""
    try:
        message: dict[str, Any] = orjson.loads(body)
        token = message["subject"]
        return LedgerEvent(
            position=message["position"],
            id=UUID(message["id"]),
            type=message["type"],
            stream_type=message["streamtype"],
            stream_id=UUID(message["streamid"]),
            version=message["streamversion"],
            account_id=None if token in (*FAMILIES, NOBODY) else UUID(token),
            occurred_at=datetime.fromisoformat(message["time"]),
            recorded_at=datetime.fromisoformat(message["recordedtime"]),
            command_id=_uuid(message, "commandid"),
            correlation_id=_uuid(message, "correlationid"),
            causation_id=_uuid(message, "causationid"),
            user_id=_uuid(message, "userid"),
            incarnation=_uuid(message, "incarnation"),
            data=_decoded(message) if decoded else _as_it_is(message),
        )
    except (ValueError, KeyError, TypeError, AttributeError, UnknownEventType) as error:
        raise UnreadableEvent(
            f"this is no event that this version of the code knows ({error}): {body[:120]!r}. "
            "Update the trading-ledger package of this service to the ledger's version."
        ) from error


def _decoded(message: dict[str, Any]) -> Event:
    _, _, schema = message["dataschema"].rpartition(":")
    return decode(message["type"], orjson.dumps(message["data"]), int(schema))


def _as_it_is(message: dict[str, Any]) -> UnknownEvent:
    return UnknownEvent(data_schema=message["dataschema"], payload=message["data"])


def schema_name(event_type: str, schema: int) -> str:
    """`dataschema` of an event, and the `$id` of its JSON Schema."""
    return f"{SCHEMA_PREFIX}:{event_type}:{schema}"


def _newest(event: "RecordedEvent") -> tuple[bytes, int]:
    """The payload and its schema version. What this code does not know goes out as it is."""
    known = EVENTS.get(event.event_type)
    if known is None or event.schema == known.schema:
        return event.data.encode(), event.schema
    try:
        return encode(event.decoded()), known.schema
    except UndecodableEvent:
        return event.data.encode(), event.schema


def _account_token(event: "RecordedEvent", data: bytes) -> str:
    noun = NOUN_OF_STREAM.get(event.stream_type)
    if noun is ACCOUNTS:
        return str(event.stream_id)
    if noun is not None and noun.family is not None:
        return noun.family
    named = orjson.loads(data).get("account_id")
    try:
        return str(UUID(named))
    except (ValueError, TypeError, AttributeError):
        return NOBODY


def _token(text: str) -> str:
    """The text as one token of a subject. The ledger's own names are that already."""
    token = "".join("_" if sign in " .*>" else sign for sign in text)
    return token if is_subject_token(token) else "_"


def _uuid(message: dict[str, Any], name: str) -> UUID | None:
    return UUID(message[name]) if name in message else None
