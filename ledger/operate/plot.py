"""A curve in a terminal, by braille patterns: two dots across and four down in a character.

Each place across shows the highest and the lowest that it stands for, so that no spike is lost.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from ledger.kernel.money import shown

ROWS = 12
LEAST_COLUMNS, MOST_COLUMNS = 20, 160
_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""By row and column in a character."""
PLACES = Decimal("0.01")


def curve(points: Sequence[tuple[datetime, Decimal]], width: int, rows: int = ROWS) -> list[str]:
    """Lines of at most `width` characters: the curve with its highest, lowest and times."""
    low, high = min(value for _, value in points), max(value for _, value in points)
    labels = [shown(value.quantize(PLACES)) for value in (high, low)]
    margin = max(map(len, labels))
    columns = min(max(width - margin - 2, LEAST_COLUMNS), MOST_COLUMNS)
    cells = _cells(points, low, high, columns, rows)
    lines = []
    for number, row in enumerate(cells):
        label = {0: labels[0], rows - 1: labels[1]}.get(number, "")
        lines.append(f"{label:>{margin}} ┤{''.join(map(chr, row)).rstrip(chr(_BLANK))}")
    first, last = (f"{points[at][0]:%Y-%m-%d %H:%M}" for at in (0, -1))
    lines.append(f"{'':>{margin}}  {first}{last:>{max(columns - len(first), len(last) + 1)}}")
    return lines


def _cells(
    points: Sequence[tuple[datetime, Decimal]], low: Decimal, high: Decimal, columns: int, rows: int
) -> list[list[int]]:
    cells = [[_BLANK] * columns for _ in range(rows)]
    begin = points[0][0]
    whole = (points[-1][0] - begin).total_seconds() or 1.0
    spread = float(high - low) or 1.0
    across, down = columns * 2 - 1, rows * 4 - 1
    before: tuple[int, int] | None = None
    for at, value in points:
        x = round((at - begin).total_seconds() / whole * across)
        y = round(float(high - value) / spread * down)
        for between_x, between_y in _between(before, (x, y)):
            cells[between_y // 4][between_x // 2] |= _DOTS[between_y % 4][between_x % 2]
        before = (x, y)
    return cells


def _between(start: tuple[int, int] | None, end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots of a straight line."""
    if start is None:
        return [end]
    (x0, y0), (x1, y1) = start, end
    steps = max(abs(x1 - x0), abs(y1 - y0), 1)
    return [
        (round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps))
        for step in range(steps + 1)
    ]
