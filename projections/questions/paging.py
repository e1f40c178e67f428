"""The place in an answer where the next page begins: the last row's values of the path's columns.

It is a token to whoever asks. What comes back may be anything, so every value of it is read as its
column's type, and only ever becomes a parameter.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from ledger.kernel.known_types import known
from ledger.kernel.read_side import InvalidQuestion
from ledger.kernel.text import plain
from projections.questions.question import Path, Question

LONGEST_TOKEN = 2_000
"""Longer than any token of ours: ids, times and names of sub-accounts."""


def token(question: Question[Any], path: Path, row: Mapping[str, Any]) -> str:
    """The place behind a row."""
    values = [plain(row[column]) for column in path.order]
    place = orjson.dumps([question.name, path.by, values])
    return base64.urlsafe_b64encode(place).rstrip(b"=").decode()


def place(question: Question[Any], path: Path, text: object) -> tuple[Any, ...]:
    """The values that a token has for the path's columns. Raises InvalidQuestion."""
    try:
        if not isinstance(text, str) or len(text) > LONGEST_TOKEN:
            raise InvalidQuestion("after must be the `next` of an earlier answer")
        name, by, values = orjson.loads(_decoded(text))
        if (name, by) != (question.name, path.by) or len(values) != len(path.order):
            raise InvalidQuestion("after is the `next` of another question's answer")
        return tuple(
            msgspec.convert(value, known(question.types[column]))
            for column, value in zip(path.order, values, strict=True)
        )
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        if isinstance(error, InvalidQuestion):
            raise
        raise InvalidQuestion("after must be the `next` of an earlier answer") from error


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
