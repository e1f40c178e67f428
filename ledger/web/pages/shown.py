"""Values as pages show them: exact in the element, readable on the screen.

    number   <data value="-1234.5678">−1,234.57</data>: what is copied and shown on hover is the
             value, exact and in ASCII. What was told has all its decimals (up to eight); what was
             reckoned has those that people read it by, and never none that would make it zero
    exactly  every digit there is, where the digits are what it is about
    time     <time datetime="…Z">2026-08-01 12:00:00.123</time>, in the zone that was chosen
    short    an id in eight characters, whole on hover and in the clipboard

Zero is 0.00 and nothing is –. Text of others goes through `visible`, so that nothing in it is
unseen or turns the reading direction, and Jinja escapes it like all else.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, localcontext
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from markupsafe import Markup, escape

from ledger.kernel import money
from ledger.kernel.money import ZERO
from ledger.kernel.text import plain, visible
from ledger.kernel.time import read_time

MOST_PLACES = 8
"""Decimals on the screen: a satoshi. All of them are in the clipboard and on hover."""
MONEY_PLACES = 2
SHORT_ID = 8
MINUS, NOTHING = "\u2212", "–"
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Element:
    """Markup with places for text, which is escaped as it is put in. As `Markup.format` does it,
    which takes the pattern apart each time: half of the work of a table."""

    def __init__(self, pattern: str) -> None:
        self._first, *self._others = pattern.split("{}")

    def __call__(self, *texts: object) -> Markup:
        parts = [self._first]
        for text, between in zip(texts, self._others, strict=True):
            parts += (escape(text), between)
        return Markup("".join(parts))


_ABSENT = Element('<span class="nothing" title="{}">n/a</span>')
_NUMBER = Element('<data class="{}" value="{}" title="{}">{}</data>')
_WHY = Element('<a class="why" href="{}">{}</a>')
_TIME = Element('<time datetime="{}" title="{}">{}</time>')
_STAMP = Element('<time datetime="{}">{}</time>')
_ID = Element('<span class="id" title="{}">{}</span>')
_LINKED_ID = Element('<a class="id" href="{}" title="{}">{}</a>')
_PAIR = Element("{} {}")
_TEXT = Element("<bdi>{}</bdi>")


def places_of(values: Iterable[Any], *, reckoned: bool = False) -> int:
    """How many decimals a column of numbers needs, so that their points stand in one line: of what
    was reckoned two from a hundred on, four from one on, by the greatest of the column."""
    numbers = [value for value in values if isinstance(value, Decimal)]
    needed = min(max(map(decimals, numbers), default=0), MOST_PLACES)
    if not reckoned:
        return needed
    greatest = max(map(abs, numbers), default=ZERO)
    readable = MONEY_PLACES if greatest >= 100 else 4 if greatest >= 1 else MOST_PLACES
    return min(needed, readable)


def decimals(value: Decimal) -> int:
    text = money.plain(value)
    return len(text.partition(".")[2].rstrip("0"))


def digits(value: Decimal, places: int | None = None) -> str:
    """`1,234.50`: grouped, with this many decimals, or as many as it needs not to be zero."""
    shown_places = min(decimals(value), MOST_PLACES) if places is None else places
    with localcontext() as context:
        context.prec = 400
        rounded = abs(value).quantize(Decimal(1).scaleb(-shown_places))
        if not rounded and value:
            least = max(shown_places, -value.adjusted() + 1)
            rounded = abs(value).quantize(Decimal(1).scaleb(-least))
    sign = MINUS if value < 0 else ""
    return f"{sign}{rounded:,f}"


def exactly(value: Decimal | None, *, signed: bool = False) -> Markup:
    """Every digit of a number."""
    return number(value, None if value is None else decimals(value), signed=signed)


def number(
    value: Decimal | int | None,
    places: int | None = None,
    *,
    signed: bool = False,
    why: str | None = None,
    missing: str = "not known",
) -> Markup:
    """A number. `signed` shows a + and the tone of gain or loss; `why` leads to what it is made
    of; `missing` is said on hover where there is none."""
    if value is None:
        return _ABSENT(missing)
    exact = Decimal(value)
    text = digits(exact, places)
    kind = "n"
    if signed and exact:
        kind = "n pos" if exact > 0 else "n neg"
        text = f"+{text}" if exact > 0 else text
    whole = money.plain(exact)
    if whole.lstrip("-").strip("0.") == "":
        whole = whole.lstrip("-")
    made = _NUMBER(kind, whole, whole, text)
    if why is None:
        return made
    return _WHY(why, made)


def percent(value: Decimal | None, *, signed: bool = False, why: str | None = None) -> Markup:
    """A ratio of one, in per cent with two decimals."""
    if value is None:
        return number(None)
    with localcontext() as context:
        context.prec = 60
        hundredfold = value * 100
    return number(hundredfold, 2, signed=signed, why=why)


def time(moment: datetime | None, zone: tzinfo = UTC, *, exact: bool = False) -> Markup:
    """A time, to the millisecond, or to the microsecond where they are counted."""
    if moment is None:
        return Markup(f'<span class="nothing">{NOTHING}</span>')
    local = moment.astimezone(zone)
    text = f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond:06}"
    whole = moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    cut = text if exact else text[:-3]
    return _TIME(whole, whole, cut)


def stamp(seconds: float, zone: tzinfo = UTC) -> Markup:
    """A time of a curve, to the minute."""
    moment = datetime.fromtimestamp(seconds, UTC)
    local = moment.astimezone(zone)
    return _STAMP(moment.isoformat(), f"{local:%Y-%m-%d %H:%M}")


def age(seconds: float | timedelta | None) -> str:
    """How long, in the unit that says most: `12 s`, `3 min`, `5 d`."""
    if seconds is None:
        return NOTHING
    count = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    for size, name in UNITS:
        if abs(count) >= size:
            return f"{count / size:.0f} {name}"
    return f"{count * 1_000:.0f} ms" if count > 0 else "0 s"


def short(which: UUID | str | None, href: str | None = None) -> Markup:
    """An id, in short."""
    if which is None:
        return Markup(f'<span class="nothing">{NOTHING}</span>')
    text = visible(str(which))
    cut = text if len(text) <= SHORT_ID + 4 else f"{text[-SHORT_ID:]}"
    if href is None:
        return _ID(text, cut)
    return _LINKED_ID(href, text, cut)


def words(value: Any) -> Markup:
    """Text of others, with what nobody would see written out."""
    if isinstance(value, Enum):
        return escape(str(value.value))
    return escape(visible(str(value)))


def cell(value: Any, zone: tzinfo = UTC) -> Markup:
    """Any value, by its type."""
    if value is None or value in ("", [], {}):
        return Markup(f'<span class="nothing">{NOTHING}</span>')
    if isinstance(value, bool):
        return Markup("yes" if value else '<span class="nothing">no</span>')
    if isinstance(value, Decimal | int):
        return number(value)
    if isinstance(value, datetime):
        return time(value, zone)
    if isinstance(value, UUID):
        return short(value)
    if isinstance(value, dict):
        pairs = [_PAIR(words(name), words(one)) for name, one in value.items()]
        return Markup(", ").join(pairs)
    if isinstance(value, list):
        return Markup(", ").join(words(one) for one in value)
    return _TEXT(words(value))


def as_json(value: Any) -> Markup:
    """A document as JSON has it."""
    return escape(visible(orjson.dumps(plain(value)).decode()))


FILTERS = {
    "number": number,
    "exactly": exactly,
    "percent": percent,
    "moment": time,
    "read_time": read_time,
    "age": age,
    "stamp": stamp,
    "as_json": as_json,
    "short": short,
    "words": words,
    "cell": cell,
}
"""By the names that templates use."""
