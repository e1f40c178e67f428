"""Measures against `empyrical-reloaded`, on series of its own tests and on random ones.

`pip install empyrical-reloaded` brings it; without it these are skipped, and say so. A thousand
random series: LEDGER_TEST_SERIES=1000.
"""

import math
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.kernel.money import ZERO
from projections.measures import drawdown, ratios, returns, tail
from projections.measures.measure import Measure
from projections.measures.moments import moments
from projections.measures.tail import TailMethod
from tests.measures.test_published import BEGAN, DAY

empyrical: Any = pytest.importorskip(
    "empyrical", reason="empyrical-reloaded is not installed: pip install empyrical-reloaded"
)
numpy: Any = pytest.importorskip("numpy")

SERIES = int(os.environ.get("LEDGER_TEST_SERIES", "50"))
RELATIVE = 1e-9
SMALLEST = 1e-12
"""Below this, what floats give is their rounding."""
PER_YEAR = Decimal(252)

RUIN = "more than all was lost: that does not compound"

KNOWN = {
    "mixed": (0.01, 0.10, -0.04, 0.02, 0.03, 0.02, 0.01, -0.10),
    "positive": (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08),
    "negative": (-0.06, -0.07, -0.01, -0.09, -0.02, -0.06, -0.08, -0.05),
    "flat": (0.01,) * 9,
    "zero": (0.0,) * 9,
    "one": (0.01,),
    "some zero": (0.0, 0.02, 0.0, -0.01, 0.0),
    "ruin": (0.1, -1.5, 0.2),
}


def largest_fall(series: Sequence[Decimal]) -> Decimal:
    level = Decimal(1)
    curve = drawdown.Drawdown.begin(level, BEGAN)
    for number, each in enumerate(series, 1):
        level *= 1 + each
        curve.add(level, BEGAN + number * DAY)
    share = curve.largest_share
    assert share is not None
    return share


def annual(series: Sequence[Decimal]) -> Measure:
    return returns.annual(returns.compounded(series), len(series), per_year=PER_YEAR)


MEASURES: dict[str, tuple[Callable[[Sequence[Decimal]], Measure], Callable[[Any], float]]] = {
    "volatility": (
        lambda s: ratios.volatility(moments(s), per_year=PER_YEAR),
        lambda a: empyrical.annual_volatility(a),
    ),
    "sharpe": (
        lambda s: ratios.sharpe(moments(s), per_year=PER_YEAR),
        lambda a: empyrical.sharpe_ratio(a),
    ),
    "sortino": (
        lambda s: ratios.sortino(moments(s), per_year=PER_YEAR),
        lambda a: empyrical.sortino_ratio(a),
    ),
    "annual return": (annual, lambda a: empyrical.annual_return(a)),
    "drawdown": (
        lambda s: Measure(-largest_fall(s), "", len(s)),
        lambda a: empyrical.max_drawdown(a),
    ),
    "calmar": (
        lambda s: ratios.calmar(annual(s), largest_fall(s)),
        lambda a: empyrical.calmar_ratio(a),
    ),
    "omega": (ratios.omega, lambda a: empyrical.omega_ratio(a)),
    "tail": (ratios.tail, lambda a: empyrical.tail_ratio(a)),
    "stability": (ratios.stability, lambda a: empyrical.stability_of_timeseries(a)),
    "value at risk": (
        lambda s: tail.value_at_risk(s, method=TailMethod.HISTORICAL),
        lambda a: empyrical.value_at_risk(a),
    ),
    "shortfall": (
        lambda s: tail.expected_shortfall(s, method=TailMethod.HISTORICAL),
        lambda a: empyrical.conditional_value_at_risk(a),
    ),
}
TWO_SERIES: dict[
    str,
    tuple[Callable[[Sequence[Decimal], Sequence[Decimal]], Measure], Callable[[Any, Any], float]],
] = {
    "beta": (ratios.beta, lambda a, b: empyrical.beta(a, b)),
    "alpha": (
        lambda s, b: ratios.alpha(s, b, per_year=PER_YEAR),
        lambda a, b: empyrical.alpha(a, b),
    ),
}


def agree(name: str, ours: Measure, theirs: float, swing: float) -> None:
    """The same number; or none of ours where theirs is none, infinite, or the noise of floats over
    something that is exactly zero."""
    if ours.reason == RUIN:
        return  # theirs is a power of a negative number, which is one only by the length's chance
    if ours.value is None:
        noise = abs(theirs) > 1e9 or swing < SMALLEST
        assert not math.isfinite(theirs) or theirs == 0 or noise, (name, ours.reason, theirs)
        return
    value = float(ours.value)
    if abs(value) < SMALLEST and abs(theirs) < SMALLEST:
        return
    assert theirs == pytest.approx(value, rel=RELATIVE, abs=SMALLEST), name


def compare(series: Sequence[Decimal], benchmark: Sequence[Decimal] | None = None) -> None:
    floats = numpy.array([float(each) for each in series])
    swing = float(max(series) - min(series))
    with numpy.errstate(all="ignore"):
        for name, (ours, theirs) in MEASURES.items():
            agree(name, ours(series), float(theirs(floats)), swing)
        if benchmark is not None:
            others = numpy.array([float(each) for each in benchmark])
            moved = min(swing, float(max(benchmark) - min(benchmark)))
            for name, (of_both, of_theirs) in TWO_SERIES.items():
                agree(name, of_both(series, benchmark), float(of_theirs(floats, others)), moved)


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_measures_are_empyricals_on_its_own_series(name: str) -> None:
    series = [Decimal(str(each)) for each in KNOWN[name]]
    compare(series, list(reversed(series)))


RETURNS = st.decimals(min_value=Decimal("-0.3"), max_value=Decimal("0.5"), places=4)


@given(
    pairs=st.lists(st.tuples(RETURNS, RETURNS), min_size=1, max_size=120),
)
@settings(max_examples=SERIES, deadline=None)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_measures_are_empyricals_on_any_series(pairs: list[tuple[Decimal, Decimal]]) -> None:
    series, benchmark = (list(each) for each in zip(*pairs, strict=True))
    compare(series, benchmark)


def test_the_series_of_the_comparison_has_a_measure_of_each_kind() -> None:
    series = [Decimal(str(each)) for each in KNOWN["mixed"]]
    assert all(ours(series).value not in (None, ZERO) for ours, _ in MEASURES.values())
