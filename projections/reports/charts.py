"""Curves over time as SVG, for a page that nothing is loaded into: drawn by their points, as many
as there are places across, with the highest and the lowest of each."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape
from typing import NamedTuple

from ledger.kernel.money import ZERO

Points = Sequence[tuple[datetime, Decimal]]

WIDTH, LEFT, RIGHT = 940, 62, 62
"""Of a chart, and of its margins: labels of the axis; of the last value."""
TICKS = 4


class Span(NamedTuple):
    """What is drawn of time, the same in every chart of a page."""

    begin: datetime
    end: datetime

    def place(self, at: datetime) -> float:
        whole = (self.end - self.begin).total_seconds() or 1.0
        share = (at - self.begin).total_seconds() / whole
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def span_of(points: Points) -> Span:
    return Span(points[0][0], points[-1][0])


def line(
    points: Points,
    span: Span,
    *,
    height: int,
    label: str,
    unit: str = "",
    base: Decimal | None = None,
    ticks: Points = (),
    dates: bool = False,
) -> str:
    """A curve; `base` is a level that is drawn through, `ticks` are marks on the axis of time."""
    values = [value for _, value in points] + ([base] if base is not None else [])
    low, high = _room(min(values), max(values))
    drawn = _Drawn(span, height, low, high)
    path = " ".join(f"{x:.1f},{drawn.y(value):.1f}" for x, value in thinned(points, span))
    last_at, last = points[-1]
    parts = [
        _grid(drawn, unit),
        "" if base is None else _level(drawn, base),
        _flows(drawn, ticks),
        f'<polyline class="curve" points="{path}"/>',
        f'<circle class="dot" cx="{span.place(last_at):.1f}" cy="{drawn.y(last):.1f}" r="2.5"/>',
        _text(WIDTH - RIGHT + 7, drawn.y(last) + 4, f"{_number(last)}{unit}", "value"),
        _dates(drawn) if dates else "",
    ]
    return _svg(parts, height + (18 if dates else 0), label)


def depth(points: Points, span: Span, *, height: int, label: str) -> str:
    """How far below its highest a curve was: 0 at the top, filled; the deepest is marked."""
    deepest_at, deepest = max(points, key=lambda one: one[1])
    drawn = _Drawn(span, height, -max(deepest * Decimal("1.12"), Decimal("0.01")), ZERO)
    path = " ".join(f"{x:.1f},{drawn.y(-value):.1f}" for x, value in thinned(points, span))
    first, last = span.place(points[0][0]), span.place(points[-1][0])
    x = span.place(deepest_at)
    parts = [
        _grid(drawn, " %", Decimal(100)),
        f'<polygon class="fall" points="{first:.1f},{drawn.y(ZERO):.1f} {path} '
        f'{last:.1f},{drawn.y(ZERO):.1f}"/>',
        f'<polyline class="edge" points="{path}"/>',
        f'<circle class="edge-dot" cx="{x:.1f}" cy="{drawn.y(-deepest):.1f}" r="2.5"/>'
        if deepest
        else "",
        _dates(drawn),
    ]
    return _svg(parts, height + 18, label)


def thinned(points: Points, span: Span) -> list[tuple[float, Decimal]]:
    """At most the highest and the lowest of each place across, in their order."""
    if len(points) <= WIDTH:
        return [(span.place(at), value) for at, value in points]
    places: dict[int, list[tuple[float, Decimal]]] = {}
    for at, value in points:
        x = span.place(at)
        places.setdefault(int(x), []).append((x, value))
    found = []
    for here in places.values():
        extremes = {min(here, key=lambda one: one[1]), max(here, key=lambda one: one[1])}
        found += sorted(extremes)
    return found


# --- parts ----------------------------------------------------------------------------------


class _Drawn(NamedTuple):
    span: Span
    height: int
    low: Decimal
    high: Decimal

    def y(self, value: Decimal) -> float:
        share = float((value - self.low) / (self.high - self.low))
        return 6 + (1 - share) * (self.height - 12)


def _room(low: Decimal, high: Decimal) -> tuple[Decimal, Decimal]:
    wide = (high - low) or abs(high) / 10 or Decimal(1)
    return low - wide / 20, high + wide / 20


def _grid(drawn: _Drawn, unit: str, factor: Decimal = Decimal(1)) -> str:
    return "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        + _text(LEFT - 8, y + 4, f"{_number(value * factor)}{unit}", "axis", "end")
        for value in round_values(drawn.low, drawn.high)
        for y in (drawn.y(value),)
    )


def round_values(low: Decimal, high: Decimal) -> list[Decimal]:
    """Four to six round numbers between two."""
    rough = float(high - low) / TICKS
    power = Decimal(10) ** math.floor(math.log10(rough))
    step = next(
        power * factor for factor in (1, 2, Decimal("2.5"), 5, 10) if power * factor >= rough * 0.99
    )
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]


def _level(drawn: _Drawn, value: Decimal) -> str:
    y = drawn.y(value)
    return f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _flows(drawn: _Drawn, ticks: Points) -> str:
    """Up for what came in, down for what left, at the foot."""
    foot = drawn.height - 4
    return "".join(
        f'<path class="{"came" if amount > 0 else "left"}" d="M{x - 4:.1f} {y0} L{x + 4:.1f} {y0} '
        f'L{x:.1f} {y1} Z"><title>{at:%Y-%m-%d} {_number(amount)}</title></path>'
        for at, amount in ticks
        for x in (drawn.span.place(at),)
        for y0, y1 in ((foot, foot - 7) if amount > 0 else (foot - 7, foot),)
    )


def _dates(drawn: _Drawn) -> str:
    begin, end = drawn.span
    y = drawn.height + 13
    days = max((end - begin).days, 1)
    form = "%Y-%m-%d" if days > 2 else "%m-%d %H:%M"
    count = min(5, days) if days > 2 else 3
    whole = end - begin
    found = []
    for number in range(count + 1):
        at = begin + timedelta(seconds=whole.total_seconds() * number / count)
        anchor = "start" if number == 0 else "end" if number == count else "middle"
        found.append(_text(drawn.span.place(at), y, format(at, form), "axis", anchor))
    return "".join(found)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _svg(parts: Sequence[str], height: int, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )


def _number(value: Decimal) -> str:
    size = abs(value)
    places = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 or not size else 4
    text = f"{value:,.{places}f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text
