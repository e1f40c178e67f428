"""What an account, a user or an environment risks at a moment: measures of what is held now, and of
the daily returns that there were.

    value at risk, expected shortfall   of one day, as a loss in money that is not negative: by what
                                        there was (historical), as if returns were normal, and
                                        corrected for skew and kurtosis (Cornish-Fisher). Each has
                                        a column of its own; a limit compares with the first
    volatility, correlation             of the same returns; with a benchmark, and the largest of
                                        any two holdings by the prices of their days
    exposure, concentration             of positions and of balances that a price moves, now
    risk score                          0 to 100: the worst of the measures against its limit, with
                                        every part that it was found among

Back to a year of daily returns is looked; a quantile takes as many returns as have one so bad.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import NamedTuple

from ledger.kernel.money import ZERO
from projections.measures import holdings, ratios, tail
from projections.measures.measure import Measure, arithmetic, undefined
from projections.measures.moments import moments
from projections.measures.tail import TailMethod
from projections.portfolio.performance import DailyReturn, MeasuringTerms, as_loss

METHOD = "DAILY_RETURNS,OF_EQUITY"
FIVE, ONE_IN_HUNDRED = Decimal("0.05"), Decimal("0.01")
LEAST_COMMON_DAYS = 30
"""Days that two prices must have in common before their correlation says anything."""

SCORED_AGAINST: Mapping[str, Decimal] = {
    "leverage": Decimal(10),
    "drawdown": Decimal("0.2"),
    "var_95": Decimal("0.1"),
    "correlation": Decimal("0.8"),
    "largest_holding": Decimal(2),
    "margin_ratio": Decimal(1),
}
"""What a risk score of 100 is: the highest leverage, the deepest fall, a day's value at risk as a
share of equity, the largest correlation of two holdings; twice the equity in one holding; all
equity kept as margin."""

_TAILS = (
    ("", TailMethod.HISTORICAL),
    ("_parametric", TailMethod.GAUSSIAN),
    ("_cornish_fisher", TailMethod.CORNISH_FISHER),
)


class Held(NamedTuple):
    """What is held at a moment, in one currency. `values` are by holding (an instrument, or an
    asset), signed; what is the currency itself is none, for no price moves it."""

    equity: Decimal
    values: Mapping[str, Decimal]
    maintenance_margin: Decimal = ZERO
    initial_margin: Decimal = ZERO


class PriceReturn(NamedTuple):
    """Of a holding's price over a day."""

    day: datetime
    value: Decimal


def figures(
    held: Held,
    series: Sequence[DailyReturn],
    terms: MeasuringTerms,
    *,
    drawdown: Decimal | None,
    correlations: Mapping[tuple[str, str], Measure],
) -> dict[str, Measure]:
    """All measures. `drawdown` is how far below its highest the curve is; `correlations` are those
    of the pairs that are held (`pairs`)."""
    values = [one.value for one in series]
    spread = moments(values, least=terms.free)
    paired = [(one.value, one.benchmark) for one in series if one.benchmark is not None]
    found: dict[str, Measure] = {}
    for name, method in _TAILS:
        for title, share in (("var_95", FIVE), ("var_99", ONE_IN_HUNDRED)):
            at_risk = tail.value_at_risk(values, share=share, method=method)
            found[title + name] = as_loss(at_risk, held.equity, share)
        beyond = tail.expected_shortfall(values, share=FIVE, method=method)
        found["cvar_95" + name] = as_loss(beyond, held.equity, FIVE)
    found["volatility"] = ratios.volatility(spread, per_year=terms.periods_per_year)
    found["sharpe_ratio"] = ratios.sharpe(spread, per_year=terms.periods_per_year, free=terms.free)
    found["correlation_benchmark"] = (
        undefined("correlation of the returns (Pearson)", 0, "the account names no benchmark")
        if terms.benchmark is None
        else ratios.correlation([one for one, _ in paired], [other for _, other in paired])
    )
    found["correlation_risk"] = _largest(correlations)
    found["leverage_ratio"] = holdings.leverage(held.values, held.equity)
    found["concentration_risk"] = concentration = holdings.concentration(held.values)
    found["diversification_score"] = _rest_of(concentration)
    found["largest_position_percent"] = holdings.largest_share(held.values)
    found["margin_ratio"] = margin_ratio(held)
    found["max_drawdown_percent"] = (
        undefined("how far below the highest so far", len(values), "there is no curve")
        if drawdown is None
        else Measure(drawdown, "how far below the highest so far", len(values))
    )
    return found


def margin_ratio(held: Held) -> Measure:
    """How much of equity the venue wants to see: at 1 it liquidates."""
    method = "maintenance margin over equity"
    if not held.maintenance_margin:
        return Measure(ZERO, method, 1)
    if held.equity <= 0:
        return undefined(method, 1, "there is no equity")
    with arithmetic():
        return Measure(held.maintenance_margin / held.equity, method, 1)


def score(found: Mapping[str, Measure], held: Held) -> tuple[Measure, dict[str, Decimal]]:
    """The risk score, and how much of its limit each part uses, in percent."""
    return score_of(
        {
            "leverage": found["leverage_ratio"].value,
            "drawdown": found["max_drawdown_percent"].value,
            "var_95": _of_equity(found["var_95"].value, held.equity),
            "correlation": found["correlation_risk"].value,
            "largest_holding": largest_of_equity(held),
            "margin_ratio": found["margin_ratio"].value,
        }
    )


def largest_of_equity(held: Held) -> Decimal | None:
    """The largest holding, for each unit of equity."""
    return _of_equity(max(map(abs, held.values.values()), default=ZERO), held.equity)


def score_of(parts: Mapping[str, Decimal | None]) -> tuple[Measure, dict[str, Decimal]]:
    """The same of the parts themselves; what is not known takes no part."""
    known = {
        name: (max(value, ZERO), SCORED_AGAINST[name])
        for name, value in parts.items()
        if value is not None
    }
    total, _ = holdings.risk_score(known)
    used: dict[str, Decimal] = {}
    with arithmetic():
        for name, (value, limit) in known.items():
            used[name] = round(min(value / limit, Decimal(1)) * 100, 4)
    return total, used


def pairs(
    prices: Mapping[str, Sequence[PriceReturn]],
) -> dict[tuple[str, str], Measure]:
    """The correlation of the prices of any two holdings over the days that both have."""
    found: dict[tuple[str, str], Measure] = {}
    for one, other in combinations(sorted(prices), 2):
        theirs = {each.day: each.value for each in prices[other]}
        common = [each for each in prices[one] if each.day in theirs]
        measured = ratios.correlation(
            [each.value for each in common], [theirs[each.day] for each in common]
        )
        if len(common) < LEAST_COMMON_DAYS:
            reason = f"{len(common)} days in common, and it takes {LEAST_COMMON_DAYS}"
            measured = undefined(measured.method, len(common), reason)
        found[one, other] = measured
    return found


def _largest(correlations: Mapping[tuple[str, str], Measure]) -> Measure:
    method = "largest pairwise correlation of daily price returns (Pearson)"
    known = [(one.value, one.points) for one in correlations.values() if one.value is not None]
    if not known:
        reason = (
            f"no two holdings have {LEAST_COMMON_DAYS} days of prices in common"
            if correlations
            else "it takes two holdings"
        )
        return undefined(method, 0, reason)
    value, points = max(known)
    return Measure(value, method, points)


def _rest_of(concentration: Measure) -> Measure:
    method = f"1 less the {concentration.method}"
    if concentration.value is None:
        return undefined(method, concentration.points, concentration.reason or "nothing is held")
    return Measure(1 - concentration.value, method, concentration.points)


def _of_equity(amount: Decimal | None, equity: Decimal) -> Decimal | None:
    if amount is None or equity <= 0:
        return None
    with arithmetic():
        return amount / equity
