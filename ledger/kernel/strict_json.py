"""JSON that can be understood in one way only.

Readers differ in which of two equal keys of an object they take: orjson and most others the last,
some the first. What one of them checks, another would not carry out, so such JSON is refused.

orjson does not tell. That no key stands twice is seen without reading the text again, in a
microsecond: each key is followed by `":`, where no space stands before the colon, so as many `":`
in the text as keys in the value means that none was dropped. Only where there are more of them (in
a string, or because a key stands twice) or a space before a colon, a slower reader tells.
"""

import json
from collections.abc import Iterable
from typing import Any

import orjson

from ledger.kernel.errors import LedgerError


class InvalidJson(LedgerError, ValueError):
    """The text is not JSON, or can be understood in two ways."""


class Ambiguous(InvalidJson):
    """It is JSON, and not all readers would read the same. `value` is what one of them reads,
    `keys` are those that stand twice in an object."""

    def __init__(self, message: str, value: Any, keys: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.value = value
        self.keys = keys


def loads(text: bytes | str) -> Any:
    """What the text says. Raises InvalidJson."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(str(error)) from error
    written = text.encode() if isinstance(text, str) else text
    if written.count(b'":') != _keys(value) or _has_spaced_colon(written):
        _read_again(written, value)
    return value


def _has_spaced_colon(text: bytes) -> bool:
    return (  # that there is no such space at all is seen the fastest
        (0x20 in text and b" :" in text)
        or (0x0A in text and b"\n:" in text)
        or (0x09 in text and b"\t:" in text)
        or (0x0D in text and b"\r:" in text)
    )


def _keys(value: Any) -> int:
    """How many keys all objects in the value have."""
    if value.__class__ is not dict and value.__class__ is not list:
        return 0
    count, pending = 0, [value]
    for one in pending:  # grows while it is read: nesting may be deeper than Python's stack
        parts: Iterable[Any] = one
        if one.__class__ is dict:
            count += len(one)
            parts = one.values()
        pending.extend([part for part in parts if part.__class__ is dict or part.__class__ is list])
    return count


def _read_again(text: bytes, value: Any) -> None:
    twice: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            (twice if name in seen else seen).add(name)

    try:
        json.loads(text.decode(), object_pairs_hook=note, parse_int=len, parse_float=len)
    except RecursionError:
        raise Ambiguous("it is nested too deeply", value) from None
    if twice:
        name = min(twice)
        raise Ambiguous(
            f"the key {name[:80]!r} stands twice in one object: say it once",
            value,
            frozenset(twice),
        )
