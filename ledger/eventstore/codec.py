"""Events as the store holds them: a stable type name, a payload in JSON, a schema version.

`encode` and `decode` are the only way between event objects and stored payloads. Amounts
are plain decimal strings. A payload of an older schema passes the upcasters of its type, one
version at a time, before it becomes an object; they stand beside the events of each noun.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import orjson

from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.known_types import known
from ledger.kernel.money import plain
from ledger.nouns import EVENTS, UPCASTERS

_JSON_NATIVE = (Decimal, UUID)
_ENCODER = msgspec.json.Encoder()


class UnknownEventType(LedgerError, LookupError):
    """The store holds an event type that this version of the code does not know."""


class UndecodableEvent(LedgerError, ValueError):
    """A stored payload does not have the shape that its type and schema version demand."""


_DECODERS: dict[str, msgspec.json.Decoder[Event]] = {}
"""Made when a type is first read: who imports the client does not wait for events he never gets."""


def _json_default(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"{type(value).__name__} has no place in an event payload")


def encode(event: Event) -> bytes:
    """The payload as JSON bytes.

    The fast encoder writes a Decimal as Python does, which is plain but for amounts below a
    millionth or with a power of ten: those have an exponent, `E-` or `E+`, and are written anew.
    """
    payload = _ENCODER.encode(event)
    if b"E-" not in payload and b"E+" not in payload:
        return payload
    builtins = msgspec.to_builtins(event, builtin_types=_JSON_NATIVE)
    return orjson.dumps(builtins, default=_json_default)


def decode(event_type: str, payload: bytes | str, schema: int = 1) -> Event:
    """The event of a stored payload.

    Raises UnknownEventType, or UndecodableEvent when the payload does not fit.
    """
    decoder = _DECODERS.get(event_type) or _decoder(event_type)
    current = EVENTS[event_type].schema
    try:
        if schema == current:
            return decoder.decode(payload)
        return msgspec.convert(_upcast(event_type, payload, schema, current), decoder.type)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise UndecodableEvent(f"{event_type} (schema {schema}): {error}") from error


def _decoder(event_type: str) -> msgspec.json.Decoder[Event]:
    event = EVENTS.get(event_type)
    if event is None:
        raise UnknownEventType(
            f"event type {event_type!r} is unknown: was it written by a newer version?"
        )
    _DECODERS[event_type] = decoder = msgspec.json.Decoder(known(event))
    return decoder


def _upcast(event_type: str, payload: bytes | str, schema: int, current: int) -> dict[str, Any]:
    if schema > current:
        raise ValueError(f"schema {schema} is newer than {current}, the newest known here")
    data: dict[str, Any] = orjson.loads(payload)
    for version in range(schema, current):
        data = UPCASTERS[event_type, version](data)
    return data
