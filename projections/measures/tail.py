"""Value at risk and expected shortfall: the loss that is exceeded in one of so many periods, and
the mean of the losses then.

Both are returns: a loss is negative, as in the series itself. (A limit on losses compares with the
number turned round.) Three methods, never mixed:

    HISTORICAL       the quantile of the returns that there were, linear between the two nearest
    GAUSSIAN         as if returns were normal, of their mean and deviation (over n)
    CORNISH_FISHER   the normal quantile corrected for skew and kurtosis (Favre and Galeano, 2002);
                     the mean beyond it by the Edgeworth expansion of Boudt, Peterson and Croux
                     (2008). Called "modified" in R's PerformanceAnalytics
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from ledger.kernel.money import ZERO
from projections.measures.measure import Measure, arithmetic, quantile, undefined
from projections.measures.moments import Moments, moments

_NORMAL = {
    Decimal("0.05"): Decimal("-1.64485362695147271486384890799163213608319577"),
    Decimal("0.01"): Decimal("-2.32634787404084110088560616334691172337119088"),
}
"""The quantiles of the normal distribution at the shares that are asked for."""
_ROOT_OF_TWO_PI = Decimal("2.50662827463100050241576528481104525300698674")


class TailMethod(StrEnum):
    HISTORICAL = "HISTORICAL"
    GAUSSIAN = "GAUSSIAN"
    CORNISH_FISHER = "CORNISH_FISHER"


def value_at_risk(
    returns: Sequence[Decimal], *, share: Decimal = Decimal("0.05"), method: TailMethod
) -> Measure:
    """The return that one in 1 / `share` periods is worse than."""
    said = f"value at risk, {method.lower()}, {share}"
    if not returns:
        return undefined(said, 0, "there are no returns")
    with arithmetic():
        if method is TailMethod.HISTORICAL:
            return Measure(quantile(sorted(returns), share), said, len(returns))
        found = moments(returns)
        deviation = found.population_deviation
        assert deviation is not None, "there are returns"
        at = _NORMAL[share]
        if method is TailMethod.CORNISH_FISHER:
            corrected = _corrected(found, at)
            if corrected is None:
                return undefined(said, len(returns), "the returns do not differ")
            at = corrected
        return Measure(found.mean + at * deviation, said, len(returns))


def expected_shortfall(
    returns: Sequence[Decimal], *, share: Decimal = Decimal("0.05"), method: TailMethod
) -> Measure:
    """The mean of the returns that are worse than the value at risk."""
    said = f"expected shortfall, {method.lower()}, {share}"
    if not returns:
        return undefined(said, 0, "there are no returns")
    with arithmetic():
        if method is TailMethod.HISTORICAL:
            worst = sorted(returns)[: int((len(returns) - 1) * share) + 1]
            return Measure(sum(worst, ZERO) / len(worst), said, len(returns))
        found = moments(returns)
        deviation = found.population_deviation
        assert deviation is not None, "there are returns"
        if method is TailMethod.GAUSSIAN:
            beyond = -_density(_NORMAL[share]) / share
            return Measure(found.mean + beyond * deviation, said, len(returns))
        at = _corrected(found, _NORMAL[share])
        if at is None:
            return undefined(said, len(returns), "the returns do not differ")
        beyond = min(_edgeworth_mean(found, at, share), at)
        return Measure(found.mean + beyond * deviation, said, len(returns))


def _corrected(found: Moments, z: Decimal) -> Decimal | None:
    skew, kurtosis = found.skew, found.excess_kurtosis
    if skew is None or kurtosis is None:
        return None
    return (
        z
        + (z**2 - 1) * skew / 6
        + (z**3 - 3 * z) * kurtosis / 24
        - (2 * z**3 - 5 * z) * skew**2 / 36
    )


def _edgeworth_mean(found: Moments, h: Decimal, share: Decimal) -> Decimal:
    """The mean of a standardised return below `h`. It is never taken to be above `h` itself, which
    the expansion would say of very fat tails (as R's operational estimate)."""
    skew, kurtosis = found.skew, found.excess_kurtosis
    assert skew is not None
    assert kurtosis is not None
    correction = (
        1
        + h**3 * skew / 6
        + (h**6 - 9 * h**4 + 9 * h**2 + 3) * skew**2 / 72
        + (h**4 - 2 * h**2 - 1) * kurtosis / 24
    )
    return -_density(h) * correction / share


def _density(z: Decimal) -> Decimal:
    return (-(z**2) / 2).exp() / _ROOT_OF_TWO_PI
