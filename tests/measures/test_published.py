"""Measures against figures that others have published."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from projections.measures import drawdown, ratios, returns, tail
from projections.measures.measure import Measure
from projections.measures.moments import moments
from projections.measures.returns import Flow, SubPeriod
from projections.measures.tail import TailMethod
from projections.measures.trades import tally

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

CONVERTIBLE_ARBITRAGE = [
    Decimal(number) / 10_000
    for number in (
        119, 123, 78, 86, 156, 212, 193, 134, 122, 100, 0, 68, 145, 146, 144, 126, 56, -6, 60,
        -319, -196, -214, 269, 113, 219, 82, 136, 243, 166, 102, 101, 48, 96, 45, 124, 140, 227,
        267, 243, 223, 149, 179, 93, 162, 141, 52, -81, -2, 344, 182, 162, 157, 33, 12, 91, 142,
        78, 117, 80, -94, 148, -49, 53, 96, 33, 4, -159, 50, 146, 104, 251, 157, 283, 133, 89,
        150, 136, -58, -72, -87, 171, 146, 92, 54, 119, 17, 61, 20, -128, -106, 13, 40, -17, -44,
        81, 56, -96, -58, -140, -316,
    )
]  # fmt: skip
"""EDHEC's index of hedge funds, convertible arbitrage: the first hundred months, in basis points.
The figures below are those of R's PerformanceAnalytics for it."""


def known(measure: Measure) -> Decimal:
    assert measure.value is not None, measure.reason
    return measure.value


@pytest.mark.parametrize(
    ("method", "at_risk", "shortfall"),
    [
        (TailMethod.GAUSSIAN, "-0.012133", "-0.017133"),
        (TailMethod.CORNISH_FISHER, "-0.014674", None),
        (TailMethod.HISTORICAL, "-0.014095", "-0.024080"),
    ],
)
def test_tail_risk_is_that_of_performance_analytics(
    method: TailMethod, at_risk: str, shortfall: str | None
) -> None:
    found = tail.value_at_risk(CONVERTIBLE_ARBITRAGE, method=method)
    assert round(known(found), 6) == Decimal(at_risk)
    beyond = tail.expected_shortfall(CONVERTIBLE_ARBITRAGE, method=method)
    assert known(beyond) < known(found)
    if shortfall is not None:
        assert round(known(beyond), 6) == Decimal(shortfall)


def test_sharpe_is_that_of_empyricals_own_series_at_either_length_of_the_year() -> None:
    series = [Decimal(each) / 100 for each in (1, 10, -4, 2, 3, 2, 1, -10)]
    weekdays = known(ratios.sharpe(moments(series), per_year=Decimal(252)))
    assert round(weekdays, 13) == Decimal("1.7238613961707")
    always = ratios.sharpe(moments(series), per_year=Decimal(365))
    assert round(known(always) / weekdays, 15) == round((Decimal(365) / Decimal(252)).sqrt(), 15)
    assert (always.points, always.annualised_by) == (8, Decimal(365))


def test_all_returns_count_for_the_downside_not_only_the_bad_ones() -> None:
    series = [Decimal(each) for each in ("-0.10", "0.02", "0.01", "0.03")]
    assert known(ratios.sortino(moments(series), per_year=Decimal(1))) == Decimal("-0.2")


@pytest.mark.parametrize(
    ("curve", "share"),
    [(("1", "0.9", "0.75"), "0.25"), (("100", "-20", "-50"), "1.5"), (("1", "2", "3"), "0")],
)
def test_drawdown_is_of_the_peak_the_start_included(curve: tuple[str, ...], share: str) -> None:
    found = drawdown.Drawdown.begin(Decimal(curve[0]), BEGAN)
    for number, value in enumerate(curve[1:], 1):
        found.add(Decimal(value), BEGAN + number * DAY)
    assert found.largest_share == Decimal(share)


def test_a_fall_is_told_with_its_start_its_trough_and_its_end() -> None:
    values = (100, 120, 90, 80, 110, 130, 125)
    curve = [(BEGAN + number * DAY, Decimal(value)) for number, value in enumerate(values)]
    first, going_on = drawdown.falls(curve)
    assert (first.began, first.trough_at, first.recovered) == tuple(
        BEGAN + number * DAY for number in (1, 3, 5)
    )
    assert (first.amount, first.days(now=BEGAN)) == (Decimal(40), Decimal(4))
    assert going_on.recovered is None
    assert going_on.days(now=BEGAN + 8 * DAY) == Decimal(3)


def test_a_deposit_is_not_profit() -> None:
    """1000 became 1050; 1000 more were paid in, and all became 2100."""
    found = returns.time_weighted(
        [SubPeriod(Decimal(1000), Decimal(1050)), SubPeriod(Decimal(2050), Decimal(2100))]
    )
    assert round(known(found) * 100, 8) == Decimal("7.56097561")
    assert found.points == 2


def test_what_begins_with_nothing_has_no_return() -> None:
    found = returns.time_weighted([SubPeriod(Decimal(0), Decimal(10))])
    assert (found.value, found.reason) == (
        None,
        "sub-period 1 began with nothing: there is no base",
    )


def test_the_owners_return_is_the_rate_that_makes_all_flows_even() -> None:
    """The example in the documentation of the XIRR function of spreadsheets: 37.34 %."""
    flows = [
        Flow(datetime(2008, 1, 1, tzinfo=UTC), Decimal(-10_000)),
        Flow(datetime(2008, 3, 1, tzinfo=UTC), Decimal(2_750)),
        Flow(datetime(2008, 10, 30, tzinfo=UTC), Decimal(4_250)),
        Flow(datetime(2009, 2, 15, tzinfo=UTC), Decimal(3_250)),
        Flow(datetime(2009, 4, 1, tzinfo=UTC), Decimal(2_750)),
    ]
    assert round(known(returns.money_weighted(flows)), 9) == Decimal("0.373362534")


def test_who_lost_nearly_all_has_a_rate_and_who_took_nothing_out_has_none() -> None:
    year = [Flow(BEGAN, Decimal(-100)), Flow(BEGAN + 365 * DAY, Decimal(1))]
    assert round(known(returns.money_weighted(year)), 12) == Decimal("-0.99")
    only_in = returns.money_weighted([Flow(BEGAN, Decimal(-100))])
    assert only_in.value is None


def test_profit_factor_is_net_of_fees_and_undefined_without_a_loss() -> None:
    fee = Decimal("1.5")
    found = tally(gross - fee for gross in (Decimal(10), Decimal(-10), Decimal(1)))
    assert round(known(found.profit_factor), 20) == round(Decimal("8.5") / Decimal(12), 20)
    assert (found.won, found.lost, found.longest_won, found.longest_lost) == (1, 2, 1, 2)
    without_a_loss = tally([Decimal(1), Decimal(2)]).profit_factor
    assert (without_a_loss.value, without_a_loss.reason) == (None, "nothing was lost")
