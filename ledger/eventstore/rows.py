"""Rows as COPY … WITH (FORMAT binary) takes them.

    file     HEADER, row after row, TRAILER
    row      the number of fields, then each field
    field    its length in bytes, then its value; the length -1 and nothing for NULL

Binary, because an id is 16 bytes here and a text of 36 characters otherwise: writing and reading
such texts was the larger part of an append, on both sides. The formats of the values are those of
PostgreSQL's wire protocol, the same since version 8.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

import psycopg

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_JSONB_VERSION = 1
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL's time begins."""
_UUID_LENGTH = (16).to_bytes(4)
_LENGTH = Struct("!i")
_JSONB_HEAD = Struct("!iB")
_TIME = Struct("!iq")

MAX_REMEMBERED_NAMES = 1_000
"""Encoded names that are kept: of types and kinds, which are few."""


def copy_rows(cursor: psycopg.Cursor[Any], statement: str, rows: Sequence[bytes]) -> None:
    """Runs a COPY … FROM STDIN WITH (FORMAT binary) with the rows."""
    with cursor.copy(statement) as copy:
        copy.write(b"".join((_HEADER, *rows, _TRAILER)))


def uuid_field(value: UUID | None) -> bytes:
    # As `value.bytes`, which is a call of Python's and half of what an id costs here.
    return _NULL if value is None else _UUID_LENGTH + value.int.to_bytes(16)


def text_field(value: str | None) -> bytes:
    return _NULL if value is None else bytes_field(value.encode())


@lru_cache(MAX_REMEMBERED_NAMES)
def name_field(value: str) -> bytes:
    """A text that comes again and again."""
    return text_field(value)


def bytes_field(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def jsonb_field(text: bytes) -> bytes:
    return _JSONB_HEAD.pack(len(text) + 1, _JSONB_VERSION) + text


def time_field(value: datetime) -> bytes:
    since = value - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    return _TIME.pack(8, seconds * 1_000_000 + since.microseconds)
