"""`strategy_analytics`: how strategies did between two times, and how they rank.

Of all accounts together, by whole days that are over; money in USD at the day's rate. Without times
these are the 30 days up to the newest that is over.

    win rate       won trades over all: weighted by trades
    sharpe         of the strategy's daily returns: what all accounts made, over what all had at the
                   day's beginning; by the root of 365. Null below two days, or if none differs
    drawdown       the deepest of any account
    total_aum      what all accounts had at the beginning of the last day
    ranks          by sharpe, mean daily profit and total_aum: null comes last, equals share one;
                   the composite score is 100 × (1/rank + 1/rank + 1/rank)
"""

from datetime import datetime
from decimal import Decimal

from projections.engine.projection import Row, Table
from projections.questions.question import Filter, Question, exactly, newest_first

DAYS = 30


class StrategyAnalytics(Row):
    strategy_id: str
    environment: str
    from_time: datetime
    to_time: datetime
    is_active: bool
    active_users: int
    accounts: int
    days: int
    total_trades: int
    winning_trades: int
    losing_trades: int
    win_rate: Decimal | None
    total_pnl_usd: Decimal
    average_daily_pnl_usd: Decimal
    gross_profit_usd: Decimal
    gross_loss_usd: Decimal
    profit_factor: Decimal | None
    sharpe_ratio: Decimal | None
    max_drawdown_percent: Decimal | None
    total_volume_usd: Decimal
    total_aum_usd: Decimal
    sharpe_rank: int
    pnl_rank: int
    aum_rank: int
    performance_quintile: int
    composite_score: Decimal


STRATEGY_ANALYTICS = Table(
    "strategy_analytics", StrategyAnalytics, key=("environment", "strategy_id")
)

_MADE = f"""
    WITH rows AS (
        SELECT * FROM public.performance_metrics
        WHERE scope = 'STRATEGY' AND period_type = 'DAILY' AND is_closed
    ), span AS (
        SELECT coalesce(%(from_time)s::timestamptz,
                   coalesce(%(to_time)s::timestamptz, max(period_end)) - interval '{DAYS} days')
                   AS since,
               coalesce(%(to_time)s::timestamptz, max(period_end)) AS until
        FROM rows
    ), told AS (
        SELECT rows.*, span.since, span.until, max("time") OVER (
                   PARTITION BY strategy_id, environment) AS last_day
        FROM rows, span WHERE "time" >= span.since AND period_end <= span.until
    ), days AS (
        SELECT strategy_id, environment, "time" AS day,
               sum(total_pnl * usd_rate) AS pnl,
               sum(allocated_balance * usd_rate) AS allocated
        FROM told GROUP BY strategy_id, environment, "time"
    ), returns AS (
        SELECT strategy_id, environment, count(*)::int AS days, avg(pnl) AS average_pnl,
               avg(pnl / allocated) FILTER (WHERE allocated > 0) AS mean,
               stddev_samp(pnl / allocated) FILTER (WHERE allocated > 0) AS deviation
        FROM days GROUP BY strategy_id, environment
    ), summed AS (
        SELECT strategy_id, environment, since AS from_time, until AS to_time,
               count(DISTINCT user_id)::int AS active_users,
               count(DISTINCT account_id)::int AS accounts,
               sum(total_trades)::int AS total_trades,
               sum(winning_trades)::int AS winning_trades,
               sum(losing_trades)::int AS losing_trades,
               coalesce(sum(total_pnl * usd_rate), 0) AS total_pnl_usd,
               coalesce(sum(gross_profit * usd_rate), 0) AS gross_profit_usd,
               coalesce(sum(gross_loss * usd_rate), 0) AS gross_loss_usd,
               coalesce(sum(total_volume * usd_rate), 0) AS total_volume_usd,
               max(max_drawdown_percent) AS max_drawdown_percent,
               coalesce(sum(allocated_balance * usd_rate) FILTER (WHERE "time" = last_day), 0)
                   AS total_aum_usd
        FROM told GROUP BY strategy_id, environment, since, until
    ), measured AS (
        SELECT summed.*, returns.days, coalesce(returns.average_pnl, 0) AS average_daily_pnl_usd,
               EXISTS (SELECT FROM public.user_strategy_assignments AS assigned
                       WHERE assigned.strategy_id = summed.strategy_id AND assigned.is_active)
                   AS is_active,
               round(returns.mean / nullif(returns.deviation, 0) * sqrt(365::numeric), 18)
                   AS sharpe_ratio
        FROM summed JOIN returns USING (strategy_id, environment)
    ), ranked AS (
        SELECT *,
               rank() OVER (PARTITION BY environment ORDER BY sharpe_ratio DESC NULLS LAST)::int
                   AS sharpe_rank,
               rank() OVER (PARTITION BY environment ORDER BY average_daily_pnl_usd DESC)::int
                   AS pnl_rank,
               rank() OVER (PARTITION BY environment ORDER BY total_aum_usd DESC)::int AS aum_rank,
               ntile(5) OVER (PARTITION BY environment
                              ORDER BY sharpe_ratio DESC NULLS LAST, strategy_id)
                   AS performance_quintile
        FROM measured
    )
    SELECT strategy_id, environment, from_time, to_time, is_active, active_users, accounts, days,
           total_trades, winning_trades, losing_trades,
           round(winning_trades::numeric / nullif(total_trades, 0), 18) AS win_rate,
           total_pnl_usd, round(average_daily_pnl_usd, 18) AS average_daily_pnl_usd,
           gross_profit_usd, gross_loss_usd,
           round(gross_profit_usd / nullif(gross_loss_usd, 0), 18) AS profit_factor,
           sharpe_ratio, max_drawdown_percent, total_volume_usd, total_aum_usd,
           sharpe_rank, pnl_rank, aum_rank, performance_quintile,
           round(100 * (1.0 / sharpe_rank + 1.0 / pnl_rank + 1.0 / aum_rank), 2)
               AS composite_score
    FROM ranked"""

QUESTIONS = (
    Question(
        name="strategy_analytics",
        table=STRATEGY_ANALYTICS,
        read_model="portfolio_snapshots",
        about="How strategies did between two times (30 days), and how they rank; best first.",
        paths=(
            newest_first("strategy_id", "composite_score", "environment", "strategy_id"),
            newest_first(None, "composite_score", "environment", "strategy_id"),
        ),
        filters=(
            exactly("environment"),
            exactly("is_active"),
            Filter("from_time", "from_time"),
            Filter("to_time", "to_time"),
        ),
        argument="strategy_id",
        shown=(
            *("strategy_id", "total_trades", "win_rate", "total_pnl_usd", "sharpe_ratio"),
            *("max_drawdown_percent", "total_aum_usd", "composite_score"),
        ),
        made_by=_MADE,
        within=("from_time", "to_time"),
    ),
)
