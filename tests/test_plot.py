"""Curves in a terminal."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ledger.operate.plot import curve

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def points(*values: int) -> list[tuple[datetime, Decimal]]:
    return [(BEGAN + timedelta(days=day), Decimal(value)) for day, value in enumerate(values)]


def test_a_curve_has_its_highest_its_lowest_and_its_times() -> None:
    lines = curve(points(10, 30, 20), 60, rows=4)
    assert lines[0].startswith("30 ┤")
    assert lines[3].startswith("10 ┤")
    assert "2026-01-01 00:00" in lines[-1]
    assert "2026-01-03 00:00" in lines[-1]
    assert all(len(line) <= 60 for line in lines)


def test_a_spike_of_one_point_among_many_is_seen() -> None:
    flat = points(*([5] * 4000))
    flat[1234] = (flat[1234][0], Decimal(50))
    assert set(curve(flat, 40)[0]) - set("50 ┤\N{BRAILLE PATTERN BLANK}")


@pytest.mark.parametrize("values", [(7,), (0, 0, 0), (-3, -3)])
def test_what_does_not_move_is_a_line(values: tuple[int, ...]) -> None:
    assert len(curve(points(*values), 60)) == 13
