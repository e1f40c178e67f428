"""What was made in a period, with what was paid in and taken out told from it.

growth               of one sub-period, between two flows: a factor on what it began with
time_weighted        sub-periods linked: what a unit made that was there from the beginning to
                     the end. The standard for judging a strategy (GIPS): whoever decides on the
                     flows is another
annual               the same return, as a constant one, per year
money_weighted       the rate at which all flows and the end are worth nothing now (XIRR): what
                     the owner's money made
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ledger.kernel.money import ZERO
from projections.measures.measure import Measure, arithmetic, days_between, undefined

_ONE = Decimal(1)
DAYS_OF_A_YEAR = Decimal(365)
"""Of the money-weighted return, whatever the year: the usage of spreadsheets."""
_HIGHEST_RATE = Decimal(10) ** 12
"""No rate is looked for above: such a series lasts hours, and has no yearly rate worth a name."""
_STEPS = 20
"""Of Newton's method, which takes six or seven where it gets anywhere."""
_RATE_DIGITS = Decimal(1).scaleb(-30)
"""How near the rate is found: well below the places kept."""


class SubPeriod(NamedTuple):
    """Between two flows: what it began with, the flow at its beginning included, and its end."""

    began_with: Decimal
    ended_with: Decimal


class Flow(NamedTuple):
    """What the owner paid in (negative) or took out (positive); the last one is what is there."""

    at: datetime
    amount: Decimal


def growth(period: SubPeriod) -> Decimal | None:
    """The factor; None where there was nothing to grow."""
    if period.began_with <= 0:
        return None
    with arithmetic():
        return period.ended_with / period.began_with


def time_weighted(periods: Iterable[SubPeriod]) -> Measure:
    """The return over all sub-periods, as a fraction (0.05 is 5 %)."""
    method = "time-weighted, revalued at every flow, linked geometrically"
    factor, points = _ONE, 0
    with arithmetic():
        for period in periods:
            points += 1
            grown = growth(period)
            if grown is None:
                reason = f"sub-period {points} began with nothing: there is no base"
                return undefined(method, points, reason)
            factor *= grown
        if not points:
            return undefined(method, 0, "no period has ended")
        return Measure(factor - 1, method, points)


def compounded(returns: Iterable[Decimal]) -> Decimal:
    """What returns of periods, one after the other, make together."""
    factor = _ONE
    with arithmetic():
        for each in returns:
            factor *= 1 + each
        return factor - 1


def annual(total: Decimal, periods: int, *, per_year: Decimal) -> Measure:
    """The return per year that makes `total` over that many periods when compounded."""
    method = "compounded, per year"
    if not periods:
        return undefined(method, 0, "no period has ended")
    with arithmetic():
        left = 1 + total
        if left < 0:
            return undefined(method, periods, "more than all was lost: that does not compound")
        value = -_ONE if left == 0 else left ** (per_year / periods) - 1
        return Measure(value, method, periods, annualised_by=per_year)


def money_weighted(flows: Sequence[Flow]) -> Measure:
    """The yearly rate by which all flows together are worth nothing at the first one's time."""
    method = "money-weighted (XIRR), days over 365"
    if not any(flow.amount < 0 for flow in flows) or not any(flow.amount > 0 for flow in flows):
        reason = "it takes something paid in and something taken out or left"
        return undefined(method, len(flows), reason)
    first = min(flow.at for flow in flows)
    with arithmetic():
        dated = [(days_between(first, flow.at) / DAYS_OF_A_YEAR, flow.amount) for flow in flows]
        low, high = _bracket(dated)
        if high is None:
            reason = f"no rate between -100 % and {_HIGHEST_RATE:f} makes the flows even"
            return undefined(method, len(flows), reason)
        return Measure(_root(dated, low, high), method, len(flows))


def _root(dated: Sequence[tuple[Decimal, Decimal]], low: Decimal, high: Decimal) -> Decimal:
    """The rate between two where the worth changes its sign: by Newton's method from the middle, if
    it ends where the sign does change; else by halving."""
    if low == high:
        return low
    rate = (low + high) / 2
    for _ in range(_STEPS):
        worth, slope = _worth_and_slope(dated, rate)
        step = worth / slope if slope else high - low
        rate -= step
        if not low <= rate <= high:
            break
        near = _RATE_DIGITS * (1 + abs(rate))
        if abs(step) <= near:
            below, above = _worth(dated, rate - near), _worth(dated, rate + near)
            if below * above <= 0:
                return rate
            break
    at_high = _worth(dated, high) > 0
    while high - low > _RATE_DIGITS * (1 + abs(high)):
        middle = (low + high) / 2
        if (_worth(dated, middle) > 0) == at_high:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _bracket(dated: Sequence[tuple[Decimal, Decimal]]) -> tuple[Decimal, Decimal | None]:
    """Two rates between which the worth changes its sign: near zero first, on either side."""
    at_zero = _worth(dated, ZERO)
    if at_zero == 0:
        return ZERO, ZERO
    lower, higher = ZERO, ZERO
    for power in range(1, 61):  # down to nearly all lost
        further = -1 + Decimal(2) ** -power
        if _worth(dated, further) * at_zero <= 0:
            return further, lower
        lower = further
        further = Decimal(2) ** (power - 2)
        if further <= _HIGHEST_RATE:
            if _worth(dated, further) * at_zero <= 0:
                return higher, further
            higher = further
    return ZERO, None


def _worth_and_slope(
    dated: Sequence[tuple[Decimal, Decimal]], rate: Decimal
) -> tuple[Decimal, Decimal]:
    grown = (1 + rate).ln()
    worth = slope = ZERO
    for years, amount in dated:
        now = amount * (-years * grown).exp()
        worth += now
        slope -= years * now
    return worth, slope / (1 + rate)


def _worth(dated: Sequence[tuple[Decimal, Decimal]], rate: Decimal) -> Decimal:
    grown = (1 + rate).ln()
    return sum((amount * (-years * grown).exp() for years, amount in dated), ZERO)
