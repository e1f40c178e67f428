"""`performance_metrics`: a row for each period of an account, a strategy, a user, an environment.

`series` names whose it is; `time` is when the period began. A row of a period under way is brought
up to date when a shorter one ends (a day's with the hour, longer ones with the day), and with every
snapshot that somebody asks for; when its own period is over it is `is_closed` and changes no more.
`performance_history` keeps such rows as they were told: a few a day, beside thousands of snapshots.
Money is in `currency`: the account's own, or USD where accounts are added up. All rates are
fractions: 0.25 is 25 %.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from ledger.kernel.money import ZERO
from projections.engine.projection import Recorded, Row, Table
from projections.measures.drawdown import Underwater
from projections.measures.measure import Measure
from projections.measures.trades import TradeTally
from projections.portfolio import performance
from projections.portfolio.performance import (
    CurveEnd,
    DailyReturn,
    MeasuringTerms,
    PerformanceState,
    PeriodSums,
)
from projections.portfolio.periods import PeriodType


class SeriesScope(StrEnum):
    """Of whom a series tells."""

    ACCOUNT = "ACCOUNT"
    STRATEGY = "STRATEGY"
    USER = "USER"
    ENVIRONMENT = "ENVIRONMENT"


class Member(msgspec.Struct):
    """An account that is added up in USD. `totals` are its realised profit, commissions and funding
    in its own currency, as they were last seen. Without a rate to USD it has no equity here."""

    equity: Decimal | None
    unrealized_pnl: Decimal
    totals: tuple[Decimal, Decimal, Decimal]
    values: dict[str, Decimal]
    initial_margin: Decimal
    maintenance_margin: Decimal


class PairCorrelation(msgspec.Struct, frozen=True, array_like=True):
    """Of the prices of two holdings; with a reason there is none."""

    one: str
    other: str
    value: Decimal | None
    days: int
    reason: str | None


class MeasuredSeries(Row):
    """What a series is of, how far it is, and what of it changes with the day alone."""

    series: str
    scope: SeriesScope
    account_id: UUID | None
    strategy_id: str | None
    user_id: UUID | None
    environment: str
    currency: str
    usd_rate: Decimal | None
    state: PerformanceState
    terms: MeasuringTerms
    benchmark_close: Decimal | None
    var_95_share: Decimal | None
    correlations: list[PairCorrelation]
    members: dict[UUID, Member]
    totals: tuple[Decimal, Decimal, Decimal]
    """Realised profit, commissions and funding: of the members, in USD; of a strategy."""
    flows: Decimal
    """Of a strategy, so far."""
    is_shown: bool
    """It has rows."""


class SeriesReturns(Row):
    """The returns of its last days."""

    series: str
    returns: list[DailyReturn]


class PerformanceMetrics(Row):
    time: datetime
    series: str
    scope: SeriesScope
    account_id: UUID | None
    strategy_id: str | None
    user_id: UUID | None
    environment: str
    period_type: PeriodType
    period_end: datetime
    currency: str
    usd_rate: Decimal | None
    total_trades: int
    winning_trades: int
    losing_trades: int
    total_volume: Decimal
    total_pnl: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    commission: Decimal
    funding: Decimal
    other_pnl: Decimal
    gross_profit: Decimal
    gross_loss: Decimal
    net_profit: Decimal
    external_flows: Decimal
    time_weighted_return: Decimal | None
    annual_return: Decimal | None
    money_weighted_return: Decimal | None
    win_rate: Decimal | None
    profit_factor: Decimal | None
    sharpe_ratio: Decimal | None
    sortino_ratio: Decimal | None
    calmar_ratio: Decimal | None
    max_consecutive_wins: int
    max_consecutive_losses: int
    max_drawdown: Decimal
    max_drawdown_percent: Decimal | None
    current_drawdown: Decimal
    current_drawdown_percent: Decimal | None
    drawdown_began_at: datetime | None
    drawdown_trough_at: datetime | None
    drawdown_recovered_at: datetime | None
    underwater_days: Decimal
    recovery_factor: Decimal | None
    var_95: Decimal | None
    volatility: Decimal | None
    benchmark: str | None
    beta: Decimal | None
    alpha: Decimal | None
    allocated_balance: Decimal
    closing_balance: Decimal
    peak_balance: Decimal
    valley_balance: Decimal
    data_points_count: int
    return_count: int
    annualised_by: int
    risk_free_rate: Decimal
    calculation_method: str
    null_reasons: dict[str, str]
    is_closed: bool
    through: datetime
    updated_at: datetime
    last_position: int


PERFORMANCE = Table(
    "performance_metrics", PerformanceMetrics, key=("series", "period_type", "time")
)
HISTORY = Table(
    "performance_history",
    PerformanceMetrics,
    key=("series", "period_type", "time", "last_position"),
    insert_only=True,
    series=True,
)
SERIES = Table("performance_series", MeasuredSeries, key=("series",), private=True, resident=True)
RETURNS = Table("performance_returns", SeriesReturns, key=("series",), private=True, resident=True)


def row_of(
    recorded: Recorded,
    series: MeasuredSeries,
    sums: PeriodSums,
    reached: CurveEnd,
    returns: Sequence[DailyReturn],
    *,
    is_closed: bool,
) -> PerformanceMetrics:
    """What a period says, as far as it has come."""
    found = performance.figures(reached, sums, returns, series.terms)
    values = {
        **_whose(series, sums),
        **_trades(sums.trades),
        **_made(sums, reached),
        **_fall(sums, reached),
        **{name: measure.kept for name, measure in found.items()},
        "total_volume": sums.volume,
        "external_flows": sums.flows,
        "allocated_balance": sums.allocated,
        "closing_balance": reached.seen.equity,
        "peak_balance": sums.peak,
        "valley_balance": sums.valley,
        "data_points_count": sums.points,
        "return_count": sums.days,
        "calculation_method": performance.METHOD,
        "null_reasons": performance.reasons(found),
        "is_closed": is_closed,
        "through": reached.seen.time,
        "updated_at": recorded.recorded_at,
        "last_position": recorded.position,
    }
    return PerformanceMetrics(**values)


def _whose(series: MeasuredSeries, sums: PeriodSums) -> dict[str, Any]:
    return {
        "time": sums.start,
        "series": series.series,
        "scope": series.scope,
        "account_id": series.account_id,
        "strategy_id": series.strategy_id,
        "user_id": series.user_id,
        "environment": series.environment,
        "period_type": sums.kind,
        "period_end": sums.end,
        "currency": series.currency,
        "usd_rate": series.usd_rate,
        "benchmark": series.terms.benchmark,
        "annualised_by": int(series.terms.periods_per_year),
        "risk_free_rate": series.terms.risk_free_rate,
    }


def _trades(trades: TradeTally) -> dict[str, Any]:
    return {
        "total_trades": trades.count,
        "winning_trades": trades.won,
        "losing_trades": trades.lost,
        "gross_profit": trades.gross_profit,
        "gross_loss": trades.gross_loss,
        "net_profit": trades.net_profit,
        "max_consecutive_wins": trades.longest_won,
        "max_consecutive_losses": trades.longest_lost,
    }


def _fall(sums: PeriodSums, reached: CurveEnd) -> dict[str, Any]:
    fell = sums.deepest
    return {
        "max_drawdown": sums.largest_fall,
        "current_drawdown": reached.highest_profit - reached.profit,
        "drawdown_began_at": None if fell is None else fell.began,
        "drawdown_trough_at": None if fell is None else fell.trough_at,
        "drawdown_recovered_at": None if fell is None else fell.recovered,
        "underwater_days": _underwater(fell, reached.seen.time),
    }


def _made(sums: PeriodSums, reached: CurveEnd) -> dict[str, Any]:
    """What was made of what; `other_pnl` is the rest: what balances gained that are no position (a
    currency, an airdrop)."""
    now, opened = reached.seen, sums.opened
    total = now.equity - opened.equity - sums.flows
    realized = now.realized_pnl - opened.realized_pnl
    commission = now.commission - opened.commission
    funding = now.funding - opened.funding
    unrealized = now.unrealized_pnl - opened.unrealized_pnl
    return {
        "total_pnl": total,
        "realized_pnl": realized,
        "unrealized_pnl": unrealized,
        "commission": commission,
        "funding": funding,
        "other_pnl": total - realized - unrealized + commission - funding,
    }


def _underwater(fell: Underwater | None, now: datetime) -> Decimal:
    days = ZERO if fell is None else fell.days(now)
    return Measure(days, "", 0).kept or ZERO
