"""What was made, against what it swung, fell or depended on.

`per_year` is how many periods of the series make a year: 365 of daily returns where markets never
close, 252 where they trade on weekdays. Rates (`free`, `least`) are per period of the series.
"""

from collections.abc import Sequence
from decimal import Decimal

from ledger.kernel.money import ZERO
from projections.measures.measure import Measure, arithmetic, quantile, undefined
from projections.measures.moments import Moments, moments

_TOP, _BOTTOM = Decimal("0.95"), Decimal("0.05")
_TOO_FEW = "it takes two returns at least"


def volatility(of: Moments, *, per_year: Decimal) -> Measure:
    """How much returns swing, per year."""
    method = "standard deviation over n-1, by the root of periods per year"
    deviation = of.deviation
    if deviation is None:
        return undefined(method, of.count, _TOO_FEW)
    with arithmetic():
        return Measure(deviation * per_year.sqrt(), method, of.count, annualised_by=per_year)


def sharpe(of: Moments, *, per_year: Decimal, free: Decimal = ZERO) -> Measure:
    """What was made above a rate without risk, for each unit of swing (Sharpe, 1994)."""
    method = "mean less the free rate, over the deviation (n-1), by the root of periods per year"
    deviation = of.deviation
    if deviation is None:
        return undefined(method, of.count, _TOO_FEW)
    if deviation == 0:
        return undefined(method, of.count, "the returns do not differ")
    with arithmetic():
        value = (of.mean - free) / deviation * per_year.sqrt()
        return Measure(value, method, of.count, annualised_by=per_year)


def sortino(of: Moments, *, per_year: Decimal, least: Decimal = ZERO) -> Measure:
    """As `sharpe`, but only what falls short counts as risk. `of` was added to with the same
    `least`."""
    method = "mean less the least wanted, over the downside deviation of all returns, by the root"
    downside = of.downside_deviation
    if of.count < 2 or downside is None:
        return undefined(method, of.count, _TOO_FEW)
    if downside == 0:
        return undefined(method, of.count, "nothing fell short")
    with arithmetic():
        value = (of.mean - least) / downside * per_year.sqrt()
        return Measure(value, method, of.count, annualised_by=per_year)


def calmar(annual_return: Measure, largest_fall: Decimal | None) -> Measure:
    """What is made in a year for each unit of the largest fall."""
    method = "yearly return over the largest drawdown"
    points = annual_return.points
    if annual_return.value is None:
        return undefined(method, points, annual_return.reason or "there is no yearly return")
    if not largest_fall:
        return undefined(method, points, "the curve never fell")
    with arithmetic():
        value = annual_return.value / largest_fall
        return Measure(value, method, points, annualised_by=annual_return.annualised_by)


def omega(returns: Sequence[Decimal], *, least: Decimal = ZERO) -> Measure:
    """What exceeded the least wanted over what fell short of it."""
    method = "sum above the least wanted over sum below"
    if len(returns) < 2:
        return undefined(method, len(returns), _TOO_FEW)
    with arithmetic():
        above = sum((each - least for each in returns if each > least), ZERO)
        below = sum((least - each for each in returns if each < least), ZERO)
        if below == 0:
            return undefined(method, len(returns), "nothing fell short")
        return Measure(above / below, method, len(returns))


def tail(returns: Sequence[Decimal]) -> Measure:
    """How large good extremes are against bad ones."""
    method = "95 % quantile over 5 % quantile, without signs"
    if not returns:
        return undefined(method, 0, "there are no returns")
    ordered = sorted(returns)
    with arithmetic():
        bottom = abs(quantile(ordered, _BOTTOM))
        if bottom == 0:
            return undefined(method, len(returns), "the lower quantile is zero")
        return Measure(abs(quantile(ordered, _TOP)) / bottom, method, len(returns))


def stability(returns: Sequence[Decimal]) -> Measure:
    """How near to a straight line the logarithm of the curve runs (R squared)."""
    method = "R squared of the logarithm of the curve over its periods"
    if len(returns) < 2:
        return undefined(method, len(returns), _TOO_FEW)
    with arithmetic():
        if any(each <= -1 for each in returns):
            return undefined(method, len(returns), "a curve that lost all has no logarithm")
        curve, level = [], ZERO
        for each in returns:
            level += (1 + each).ln()
            curve.append(level)
        places = [Decimal(place) for place in range(len(curve))]
        slope = covariance(places, curve)
        spread = covariance(curve, curve)
        if spread == 0:
            return undefined(method, len(returns), "the curve does not move")
        return Measure(slope**2 / (covariance(places, places) * spread), method, len(returns))


def beta(returns: Sequence[Decimal], benchmark: Sequence[Decimal]) -> Measure:
    """How much of the benchmark's movement the returns take part in."""
    method = "covariance with the benchmark over its variance"
    if len(returns) < 2:
        return undefined(method, len(returns), _TOO_FEW)
    with arithmetic():
        spread = covariance(benchmark, benchmark)
        if spread == 0:
            return undefined(method, len(returns), "the benchmark does not move")
        return Measure(covariance(returns, benchmark) / spread, method, len(returns))


def alpha(
    returns: Sequence[Decimal],
    benchmark: Sequence[Decimal],
    *,
    per_year: Decimal,
    free: Decimal = ZERO,
) -> Measure:
    """What was made beyond what the part in the benchmark explains, per year (Jensen, 1968)."""
    method = "mean of what beta leaves, compounded to a year"
    dependence = beta(returns, benchmark)
    if dependence.value is None:
        return undefined(method, len(returns), dependence.reason or "there is no beta")
    with arithmetic():
        pairs = zip(returns, benchmark, strict=True)
        left = [each - free - dependence.value * (other - free) for each, other in pairs]
        mean = sum(left, ZERO) / len(left)
        if mean < -1:
            return undefined(method, len(returns), "a loss of more than all does not compound")
        value = (1 + mean) ** per_year - 1
        return Measure(value, method, len(returns), annualised_by=per_year)


def correlation(one: Sequence[Decimal], other: Sequence[Decimal]) -> Measure:
    """How far two series move together, from -1 to 1 (Pearson)."""
    method = "correlation of the returns (Pearson)"
    if len(one) < 2:
        return undefined(method, len(one), _TOO_FEW)
    with arithmetic():
        spread = moments(one).second * moments(other).second
        if spread == 0:
            return undefined(method, len(one), "one of the series does not move")
        return Measure(covariance(one, other) / spread.sqrt(), method, len(one))


def covariance(one: Sequence[Decimal], other: Sequence[Decimal]) -> Decimal:
    """The sum of products of what differs from the means (not yet divided by a count)."""
    of_one = sum(one, ZERO) / len(one)
    of_other = sum(other, ZERO) / len(other)
    return sum(((a - of_one) * (b - of_other) for a, b in zip(one, other, strict=True)), ZERO)
