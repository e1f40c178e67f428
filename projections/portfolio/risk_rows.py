"""`risk_metrics`: what an account, a user or an environment risks, each hour.

Value at risk and expected shortfall are losses in `currency`, not negative; shares are fractions.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from projections.engine.projection import Recorded, Row, Table
from projections.measures.holdings import gross_exposure, net_exposure
from projections.measures.measure import Measure
from projections.portfolio import performance, risk_measures
from projections.portfolio.performance_rows import MeasuredSeries, SeriesScope
from projections.portfolio.risk_measures import Held


class RiskMetrics(Row):
    time: datetime
    series: str
    scope: SeriesScope
    account_id: UUID | None
    user_id: UUID | None
    environment: str
    currency: str
    usd_rate: Decimal | None
    equity: Decimal
    total_exposure: Decimal
    net_exposure: Decimal
    leverage_ratio: Decimal | None
    var_95: Decimal | None
    var_99: Decimal | None
    cvar_95: Decimal | None
    var_95_parametric: Decimal | None
    var_99_parametric: Decimal | None
    cvar_95_parametric: Decimal | None
    var_95_cornish_fisher: Decimal | None
    var_99_cornish_fisher: Decimal | None
    cvar_95_cornish_fisher: Decimal | None
    volatility: Decimal | None
    sharpe_ratio: Decimal | None
    max_drawdown: Decimal
    max_drawdown_percent: Decimal | None
    benchmark: str | None
    correlation_benchmark: Decimal | None
    correlation_risk: Decimal | None
    correlations: dict[str, Decimal]
    concentration_risk: Decimal | None
    diversification_score: Decimal | None
    margin_ratio: Decimal | None
    position_count: int
    largest_position_percent: Decimal | None
    risk_score: Decimal | None
    risk_score_parts: dict[str, Decimal]
    return_count: int
    annualised_by: int
    calculation_method: str
    null_reasons: dict[str, str]
    updated_at: datetime
    last_position: int


RISK = Table(
    "risk_metrics",
    RiskMetrics,
    key=("series", "time", "last_position"),
    insert_only=True,
    series=True,
)


def row_of(
    recorded: Recorded,
    series: MeasuredSeries,
    held: Held,
    found: Mapping[str, Measure],
    correlations: Mapping[tuple[str, str], Measure],
    *,
    returns: int,
) -> RiskMetrics:
    terms = series.terms
    score, parts = risk_measures.score(found, held)
    found = {**found, "risk_score": score}
    state = series.state
    kept = {name: measure.kept for name, measure in found.items()}
    return RiskMetrics(
        time=state.seen.time,
        series=series.series,
        scope=series.scope,
        account_id=series.account_id,
        user_id=series.user_id,
        environment=series.environment,
        currency=series.currency,
        usd_rate=series.usd_rate,
        equity=held.equity,
        total_exposure=gross_exposure(held.values),
        net_exposure=net_exposure(held.values),
        max_drawdown=state.highest_profit.value - state.profit,
        benchmark=terms.benchmark,
        correlations={
            f"{one} {other}": kept_value
            for (one, other), measure in correlations.items()
            if (kept_value := measure.kept) is not None
        },
        position_count=len(held.values),
        risk_score_parts=parts,
        return_count=returns,
        annualised_by=int(terms.periods_per_year),
        calculation_method=risk_measures.METHOD,
        null_reasons=performance.reasons(found),
        updated_at=recorded.recorded_at,
        last_position=recorded.position,
        **kept,
    )
