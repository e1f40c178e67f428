"""What is held at one moment, taken together, in one currency; a short one is negative."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations

from ledger.kernel.money import ZERO
from projections.measures.measure import Measure, arithmetic, undefined
from projections.measures.ratios import correlation


def gross_exposure(values: Mapping[str, Decimal]) -> Decimal:
    """All that prices move, long and short added up."""
    return sum((abs(value) for value in values.values()), ZERO)


def net_exposure(values: Mapping[str, Decimal]) -> Decimal:
    """Long less short."""
    return sum(values.values(), ZERO)


def leverage(values: Mapping[str, Decimal], equity: Decimal) -> Measure:
    """Gross exposure for each unit of equity."""
    method = "gross exposure over equity"
    if equity <= 0:
        return undefined(method, len(values), "there is no equity")
    with arithmetic():
        return Measure(gross_exposure(values) / equity, method, len(values))


def concentration(values: Mapping[str, Decimal]) -> Measure:
    """From 1 / n (all alike) to 1 (all in one): Herfindahl and Hirschman's index. What diversifies
    is 1 less this."""
    method = "sum of squared shares of gross exposure (HHI)"
    whole = gross_exposure(values)
    if not whole:
        return undefined(method, len(values), "nothing is held")
    with arithmetic():
        squares = sum(((abs(value) / whole) ** 2 for value in values.values()), ZERO)
        return Measure(squares, method, len(values))


def largest_share(values: Mapping[str, Decimal]) -> Measure:
    """Of the largest holding in gross exposure."""
    method = "largest holding over gross exposure"
    whole = gross_exposure(values)
    if not whole:
        return undefined(method, len(values), "nothing is held")
    with arithmetic():
        return Measure(max(abs(value) for value in values.values()) / whole, method, len(values))


def largest_correlation(returns: Mapping[str, Sequence[Decimal]]) -> Measure:
    """Of any two holdings, by the returns of their prices over the same periods."""
    method = "largest pairwise correlation of returns (Pearson)"
    points = min((len(series) for series in returns.values()), default=0)
    found = [
        measured
        for one, other in combinations(returns.values(), 2)
        if (measured := correlation(one, other).value) is not None
    ]
    if not found:
        return undefined(method, points, "it takes two holdings whose prices moved")
    return Measure(max(found), method, points)


def risk_score(parts: Mapping[str, tuple[Decimal, Decimal]]) -> tuple[Measure, str | None]:
    """From 0 to 100: the worst of measures against their limits, and which one that is. `parts`
    gives each measure its value and its limit, both without sign."""
    method = "worst of each measure over its limit, in percent, at most 100"
    used: dict[str, Decimal] = {}
    with arithmetic():
        for name, (value, limit) in sorted(parts.items()):
            if limit > 0:
                used[name] = min(value / limit, Decimal(1)) * 100
    if not used:
        return undefined(method, 0, "no measure has a limit"), None
    worst = max(used, key=lambda name: used[name])
    return Measure(used[worst], method, len(used)), worst
