"""What is held at one moment, taken together."""

from decimal import Decimal

from projections.measures import holdings

HELD = {"BTC": Decimal(600), "ETH": Decimal(-300), "SOL": Decimal(100)}


def test_exposure_counts_what_is_short_too() -> None:
    assert holdings.gross_exposure(HELD) == 1000
    assert holdings.net_exposure(HELD) == 400
    assert holdings.leverage(HELD, Decimal(500)).value == 2
    assert holdings.leverage(HELD, Decimal(0)).reason == "there is no equity"


def test_concentration_is_the_sum_of_squared_shares() -> None:
    assert holdings.concentration(HELD).value == Decimal("0.46")
    assert holdings.largest_share(HELD).value == Decimal("0.6")
    assert holdings.concentration({}).value is None


def test_the_largest_correlation_is_of_two_that_moved() -> None:
    returns = {
        "BTC": [Decimal("0.1"), Decimal("-0.1"), Decimal("0.2")],
        "ETH": [Decimal("0.2"), Decimal("-0.2"), Decimal("0.4")],
        "USDT": [Decimal(0), Decimal(0), Decimal(0)],
    }
    found = holdings.largest_correlation(returns)
    assert found.value is not None
    assert abs(found.value - 1) < Decimal(1).scaleb(-25)
    assert holdings.largest_correlation({"BTC": returns["BTC"]}).value is None


def test_the_risk_score_names_the_measure_that_it_comes_from() -> None:
    parts = {
        "drawdown": (Decimal("0.1"), Decimal("0.2")),
        "leverage": (Decimal(4), Decimal(5)),
        "without": (Decimal(1), Decimal(0)),
    }
    score, worst = holdings.risk_score(parts)
    assert (score.value, worst) == (Decimal(80), "leverage")
    over, _ = holdings.risk_score({"drawdown": (Decimal("0.5"), Decimal("0.2"))})
    assert over.value == 100
