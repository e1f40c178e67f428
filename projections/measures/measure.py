"""A measure, and the arithmetic of all of them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)

import msgspec

DIGITS = 50
"""Of every step: more than two hundred million steps can take away from the places kept."""
PLACES = 18
"""Kept of a measure in a row, rounded half to even, as of average prices."""

_CONTEXT = Context(
    prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_QUANTUM = Decimal(1).scaleb(-PLACES)
_MICROSECONDS_OF_A_DAY = 86_400_000_000


class Measure(msgspec.Struct, frozen=True):
    """A number with its method and the points that it rests on; without a number, with the reason.
    `annualised_by` is how many periods of the series make a year, where that matters."""

    value: Decimal | None
    method: str
    points: int
    reason: str | None = None
    annualised_by: Decimal | None = None

    @property
    def kept(self) -> Decimal | None:
        """The number as a row has it."""
        return None if self.value is None else self.value.quantize(_QUANTUM, context=_CONTEXT)


def arithmetic() -> AbstractContextManager[Context]:
    """The context in which measures are computed: rounded, and loud about what is undefined."""
    return localcontext(_CONTEXT)


def undefined(method: str, points: int, reason: str) -> Measure:
    return Measure(None, method, points, reason)


def quantile(ordered: Sequence[Decimal], share: Decimal) -> Decimal:
    """The quantile of values in ascending order, linear between the two nearest (type 7 of Hyndman
    and Fan, 1996: what R and NumPy do unasked). There must be one value at least."""
    place = share * (len(ordered) - 1)
    below = int(place)
    if below + 1 == len(ordered):
        return ordered[below]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


def days_between(earlier: datetime, later: datetime) -> Decimal:
    """To the microsecond."""
    return Decimal((later - earlier) // datetime.resolution) / _MICROSECONDS_OF_A_DAY
