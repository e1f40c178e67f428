r"""Text that others wrote, made safe for where it is shown: the one place that escapes.

A reason, a trade id or the name of a source may hold anything: escape sequences that command a
terminal, line breaks that make rows of their own, marks that turn the reading direction round,
characters that nobody sees, formulas that a spreadsheet carries out.

    visible     a terminal's line, a cell of a table: \x1b, \u202e, \U000e0041 in their places
    csv_cell    a cell of CSV: `visible`, and ' before what a spreadsheet would take for a formula
    html        a piece of HTML: `visible`, and &lt; for <
    quoted      a text inside of a line of ours: bare if it is one word, else in quotes
    json_text   JSON that is written already: \u202e for the character, which JSON reads as the same
    plain       a value of a row as JSON has it, or all that are in a list or an object
    json_of     a value as such JSON

Each is unambiguous: two different texts are never shown as one. `original` undoes `visible`.
"""

import html as _html
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, overload
from uuid import UUID

import orjson

from ledger.kernel import money
from ledger.kernel.time import time_text

_IGNORABLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
)
"""Takes no room, though Unicode calls it a letter or a mark."""
_SEEN = re.compile(f"[{_IGNORABLE}]")
_ESCAPE = r"x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}"
_ESCAPED = re.compile(rf"\\(?:(\\)|({_ESCAPE}))")
_READS_AS_ESCAPE = re.compile(rf"\\|{_ESCAPE}")
_WORD = re.compile(r"[\w.:/@+-]+")
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20'")
"""What makes a spreadsheet reckon, in either width. The apostrophe, which tells it not to, is among
them, so that `'=1` and `=1` stay two texts. Tabs and line breaks, which some spreadsheets skip to
find a formula, are written out before."""


def visible(text: str) -> str:
    """The text on one line, with everything that has no picture of its own written out. A backslash
    that could be read as one of ours is doubled; all others stay."""
    if is_plain(text) and "\\" not in text:
        return text
    return "".join(
        _written_out(character)
        if not is_plain(character)
        else "\\\\"
        if character == "\\" and _is_mistakable(text, place + 1)
        else character
        for place, character in enumerate(text)
    )


def original(shown: str) -> str:
    """The text that `visible` made this of."""
    return _ESCAPED.sub(lambda found: found[1] or chr(int(found[2][1:], 16)), shown)


def quoted(text: str) -> str:
    """The text so that it is seen where in a line of ours it begins and ends. Escape the line."""
    return text if _WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def csv_cell(text: str) -> str:
    """The text as a cell that no spreadsheet carries out. Numbers are not given to it."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) else shown


def html(text: str) -> str:
    """The text as a piece of HTML, quotes included."""
    return _html.escape(visible(text))


@overload
def json_text(written: bytes) -> bytes: ...
@overload
def json_text(written: str) -> str: ...
def json_text(written: bytes | str) -> bytes | str:
    """JSON that means the same and has nothing in its strings that commands a terminal. Line breaks
    are those between its parts: inside a string JSON never has one."""
    if isinstance(written, bytes):
        if written.isascii() and b"\x7f" not in written:
            return written
        return json_text(written.decode("utf-8", "surrogatepass")).encode()
    if is_plain(written):
        return written
    return "".join(
        character if character == "\n" or is_plain(character) else _in_json(character)
        for character in written
    )


def plain(value: object) -> Any:
    """A value of a row as JSON has it: amounts as plain decimal strings, times as ISO 8601 in UTC,
    ids as text."""
    if isinstance(value, Decimal):
        return money.shown(value)
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def json_of(value: object, *, pretty: bool = False) -> bytes:
    """The value as JSON; what JSON does not know as its text."""
    try:
        written = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 if pretty else 0)
    except orjson.JSONEncodeError:  # a path with bytes that are no UTF-8, a very large number
        written = json.dumps(value, default=str, indent=2 if pretty else None).encode()
    return json_text(written)


def is_plain(text: str) -> bool:
    """Whether all of the text is seen as it is."""
    return text.isprintable() and (text.isascii() or not _SEEN.search(text))


def _is_mistakable(text: str, place: int) -> bool:
    """Whether a backslash before this place would begin an escape, as things are shown."""
    following = text[place : place + 1]
    return bool(following) and (
        not is_plain(following) or _READS_AS_ESCAPE.match(text, place) is not None
    )


def _written_out(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _in_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
