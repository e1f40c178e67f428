"""Measures of risk at a moment, by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest

from projections.measures.measure import Measure
from projections.portfolio import risk_measures
from projections.portfolio.performance import DailyReturn, MeasuringTerms
from projections.portfolio.risk_measures import Held, PriceReturn
from tests.measures.test_published import BEGAN, CONVERTIBLE_ARBITRAGE, DAY

TERMS = MeasuringTerms()
HELD = Held(Decimal(1000), {"BTC": Decimal(600), "ETH": Decimal(-200), "SOL": Decimal(200)})


def returns(values: list[Decimal]) -> list[DailyReturn]:
    return [DailyReturn(BEGAN + day * DAY, value) for day, value in enumerate(values)]


def measured(held: Held = HELD, values: list[Decimal] | None = None) -> dict[str, Measure]:
    series = returns(CONVERTIBLE_ARBITRAGE if values is None else values)
    return risk_measures.figures(held, series, TERMS, drawdown=Decimal("0.05"), correlations={})


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("var_95", "0.014095"),
        ("var_95_parametric", "0.012133"),
        ("var_95_cornish_fisher", "0.014674"),
        ("cvar_95", "0.024080"),
        ("cvar_95_parametric", "0.017133"),
    ],
)
def test_what_a_day_may_lose_is_the_published_share_of_equity(name: str, published: str) -> None:
    found = measured()[name]
    assert found.value is not None
    assert round(found.value / 1000, 6) == Decimal(published)
    assert found.points == 100


def test_a_quantile_takes_as_many_returns_as_have_one_so_bad() -> None:
    found = measured(values=CONVERTIBLE_ARBITRAGE[:99])
    assert found["var_95"].value is not None
    assert found["var_99"].reason == "it takes 100 daily returns"


def test_exposure_is_told_as_leverage_concentration_and_its_largest_share() -> None:
    found = measured()
    assert found["leverage_ratio"].value == 1
    assert found["concentration_risk"].value == Decimal("0.44")
    assert found["diversification_score"].value == Decimal("0.56")
    assert found["largest_position_percent"].value == Decimal("0.6")


def test_who_has_no_equity_has_no_leverage_and_who_needs_no_margin_uses_none() -> None:
    ruined = measured(Held(Decimal(-1), {"BTC": Decimal(5)}, maintenance_margin=Decimal(1)))
    for name in ("leverage_ratio", "margin_ratio"):
        assert (ruined[name].value, ruined[name].reason) == (None, "there is no equity")
    assert measured()["margin_ratio"].value == 0


def test_the_score_is_the_worst_part_and_every_part_is_told() -> None:
    held = HELD._replace(maintenance_margin=Decimal(700))
    found = measured(held)
    total, parts = risk_measures.score(found, held)
    assert total.value == 70
    assert parts == {
        "leverage": 10,
        "drawdown": 25,
        "var_95": round(Decimal("14.095"), 4),
        "largest_holding": 30,
        "margin_ratio": 70,
    }


def test_a_score_ends_at_one_hundred() -> None:
    held = HELD._replace(maintenance_margin=Decimal(5000))
    total, parts = risk_measures.score(measured(held), held)
    assert total.value == parts["margin_ratio"] == 100


def prices(values: list[int], late: int = 0) -> list[PriceReturn]:
    return [
        PriceReturn(BEGAN + timedelta(days=day + late), Decimal(value) / 1000)
        for day, value in enumerate(values)
    ]


def test_two_holdings_correlate_over_the_days_that_both_have_and_thirty_at_least() -> None:
    wave = [1, -2, 3, 5, -4] * 8
    found = risk_measures.pairs({"BTC": prices(wave), "ETH": prices([2 * one for one in wave])})
    both = found["BTC", "ETH"]
    assert both.value is not None
    assert round(both.value, 20) == 1
    assert both.points == 40
    apart = risk_measures.pairs({"BTC": prices(wave), "ETH": prices(wave, late=20)})
    assert apart["BTC", "ETH"].reason == "20 days in common, and it takes 30"
    largest = risk_measures.figures(HELD, [], TERMS, drawdown=None, correlations=found)
    assert largest["correlation_risk"].value == both.value
