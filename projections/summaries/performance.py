"""`performance` and `risk`: the rows of performance_metrics and risk_metrics. `equity`: what an
account was worth at the end of each hour or day, with what came from outside and what was made:
the same rows, so that the two never differ. (`portfolio_daily` tells the same of the days of UTC,
and is brought up to date with each snapshot.)"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from projections.engine.projection import Row, Table
from projections.portfolio.performance_rows import PERFORMANCE
from projections.portfolio.periods import PeriodType
from projections.portfolio.risk_rows import RISK
from projections.questions.question import Past, Question, between, exactly, newest_first


class Grain(StrEnum):
    """How long a row's span is. (Each snapshot by itself is told by `snapshots`.)"""

    HOUR = "HOUR"
    DAY = "DAY"


class Equity(Row):
    time: datetime
    grain: Grain
    account_id: UUID
    user_id: UUID
    environment: str
    currency: str
    opening_equity: Decimal
    equity: Decimal
    highest_equity: Decimal
    lowest_equity: Decimal
    external_flows: Decimal
    profit: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    commission: Decimal
    funding: Decimal
    usd_rate: Decimal | None
    snapshot_count: int
    last_time: datetime
    last_position: int


EQUITY = Table("equity", Equity, key=("account_id", "grain", "time"))

_SPAN = """
    SELECT "time", '{grain}' AS grain, account_id, user_id, environment, currency,
           closing_balance - total_pnl - external_flows AS opening_equity,
           closing_balance AS equity, peak_balance AS highest_equity,
           valley_balance AS lowest_equity, external_flows, total_pnl AS profit, realized_pnl,
           unrealized_pnl, commission, funding, usd_rate, data_points_count AS snapshot_count,
           through AS last_time, last_position
    FROM public.performance_metrics
    WHERE scope = 'ACCOUNT' AND period_type = '{period}' AND data_points_count > 0
      AND '{grain}' = ANY (coalesce(%(grain)s::text[], ARRAY['DAY']))"""


def _as_known(function: str) -> Past:
    return Past(f"projections.past.performance:{function}", begins_with="rows", by_time=False)


QUESTIONS = (
    Question(
        name="performance",
        table=PERFORMANCE,
        read_model="portfolio_snapshots",
        about="How well accounts, strategies, users do in each hour, day … year; newest first.",
        paths=(
            newest_first("account_id", "time", "period_type", "series"),
            newest_first("user_id", "time", "period_type", "series"),
            newest_first("strategy_id", "time", "period_type", "series"),
            newest_first("environment", "time", "period_type", "series"),
        ),
        filters=(
            exactly("scope"),
            exactly("period_type"),
            exactly("is_closed"),
            *between("time"),
        ),
        shown=(
            *("time", "period_type", "total_pnl", "time_weighted_return"),
            *("max_drawdown_percent", "sharpe_ratio", "total_trades"),
        ),
        past=_as_known("performance_at"),
    ),
    Question(
        name="risk",
        table=RISK,
        read_model="portfolio_snapshots",
        about="What accounts, users and environments risk, by the hour; newest first.",
        paths=(
            newest_first("account_id", "time", "series", "last_position"),
            newest_first("user_id", "time", "series", "last_position"),
            newest_first("environment", "time", "series", "last_position"),
        ),
        filters=(exactly("scope"), *between("time")),
        shown=(
            *("time", "total_exposure", "leverage_ratio", "var_95", "cvar_95"),
            *("max_drawdown_percent", "margin_ratio", "risk_score"),
        ),
        past=_as_known("risk_at"),
    ),
    Question(
        name="equity",
        table=EQUITY,
        read_model="portfolio_snapshots",
        about="What accounts were worth at the end of each day, or hour; newest first.",
        paths=(
            newest_first("account_id", "time", "grain"),
            newest_first("user_id", "time", "account_id", "grain"),
        ),
        filters=(exactly("grain"), *between("time")),
        shown=("time", "equity", "external_flows", "profit", "unrealized_pnl", "currency"),
        made_by=" UNION ALL ".join(
            _SPAN.format(grain=grain, period=period)
            for grain, period in ((Grain.DAY, PeriodType.DAILY), (Grain.HOUR, PeriodType.HOURLY))
        ),
        within=("grain",),
        drawn=("time", "equity"),
        past=_as_known("equity_at"),
    ),
)
