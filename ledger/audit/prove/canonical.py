"""What of an event is hashed: every column of it, in one form that anybody can make again.

The canonical form of an event is the RFC 8785 (JCS) text of one JSON object with the columns of
event_store as keys:

    position, event_version         integers
    id, the other ids               UUIDs in lower case, null where the column is NULL
    stream_type, event_type         strings
    occurred_at, recorded_at        RFC 3339 in UTC with as many digits as are needed:
                                    2026-11-21T10:00:00Z, 2026-11-21T10:00:00.25Z
    event_data, metadata            the JSON objects themselves

JSON numbers are floating point to RFC 8785, jsonb's are exact. So that no two contents have one
form, an object that holds a number other than an integer below 2^53 enters as a string, the text
that PostgreSQL prints for it; so does one nested deeper than DEEPEST. (The ledger writes amounts as
strings: its own events have no such number.) What is no object enters as an array of its text.

It is made from the texts that PostgreSQL prints, never from Python objects in between, so that
nothing that a column can hold is lost on the way or cannot be expressed.
"""

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NoReturn

import orjson
import rfc8785

COLUMNS = (
    "position",
    "id",
    "stream_id",
    "stream_type",
    "event_type",
    "event_version",
    "event_data",
    "metadata",
    "correlation_id",
    "causation_id",
    "user_id",
    "occurred_at",
    "recorded_at",
)
"""Every column of event_store, in the order of `Row`."""

Row = Sequence[str | None]
"""An event as PostgreSQL prints its columns, times in ISO style and UTC."""

LARGEST_INTEGER = 2**53 - 1
"""The largest that every reader of JSON keeps exactly (RFC 8785, RFC 7493)."""
DEEPEST = 100
"""Nesting that every JSON library takes; events of the ledger have three levels."""

_MAYBE_INEXACT = re.compile(r"[ \[]-?(?:\d+\.|\d{16})").search


def jcs(value: Any) -> bytes:
    """The RFC 8785 text of a value without floats.

    orjson writes the same bytes as the library made for it, several times as fast, as long as it
    sorts keys alike: it goes by code points and RFC 8785 by UTF-16 units, which differ only
    beyond the basic plane. (A test holds the two together.)
    """
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if text.isascii() or _in_basic_plane(text.decode()):
        return text
    return rfc8785.dumps(value)


def canonical(row: Row) -> bytes:
    """The canonical form of an event."""
    return jcs(values(row))


def leaf_hash(row: Row) -> bytes:
    """The event's leaf in the Merkle tree of its block (RFC 6962)."""
    return sha256(b"\x00" + jcs(values(row))).digest()


def values(row: Row) -> dict[str, Any]:
    """The event as the object whose text is the canonical form."""
    position, id_, stream_id, stream_type, event_type, version, data, metadata, *others = row
    correlation_id, causation_id, user_id, occurred_at, recorded_at = others
    return {
        "causation_id": causation_id,
        "correlation_id": correlation_id,
        "event_data": _json(data),
        "event_type": event_type,
        "event_version": _integer(version),
        "id": id_,
        "metadata": _json(metadata),
        "occurred_at": _time(occurred_at),
        "position": _integer(position),
        "recorded_at": _time(recorded_at),
        "stream_id": stream_id,
        "stream_type": stream_type,
        "user_id": user_id,
    }


def _in_basic_plane(text: str) -> bool:
    return len(text.encode("utf-16-le")) == 2 * len(text)


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)


def _time(text: str | None) -> str | None:
    if text is None or not text.endswith("+00"):  # before Christ, or infinity
        return text
    return text[:-3].replace(" ", "T") + "Z"


def _json(text: str | None) -> Any:
    if text is None:
        return None
    if not text.startswith("{"):
        return [text]
    if len(text) > 2 * DEEPEST and text.count("{") + text.count("[") > DEEPEST < _depth(text):
        return text
    if _MAYBE_INEXACT(text) and not _exact(text):
        return text
    return orjson.loads(text)


def _exact(text: str) -> bool:
    try:
        json.loads(text, parse_float=_refuse, parse_int=_small)
    except _InexactNumber:
        return False
    return True


class _InexactNumber(Exception):
    """A number that not every reader of JSON keeps."""


def _refuse(text: str) -> NoReturn:
    raise _InexactNumber(text)


def _small(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > LARGEST_INTEGER:
        raise _InexactNumber(text)
    return int(text)


def _depth(text: str) -> int:
    deepest = depth = 0
    for bracket in re.sub(r'"(?:[^"\\]|\\.)*"|[^][{}]', "", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
