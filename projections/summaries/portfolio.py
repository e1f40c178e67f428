"""`portfolio`: what all accounts of a user are together, in each environment, in USD.

as of             now, or the newest snapshots that are not after `at`
risk score        weighted by equity: a risk of much is more than one of little
active orders     of now, with what is left of them at their price; of the past they are null
named, not left out   accounts whose newest snapshot is older than FRESH_MINUTES before the
                  newest of all (`stale_accounts`), or that have none though they hold something,
                  and those whose currency has no rate to USD (`unvalued_accounts`)
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from projections.engine.projection import Row, Table
from projections.questions.question import Filter, Question, ascending, exactly

FRESH_MINUTES = 5


class UserPortfolio(Row):
    user_id: UUID
    environment: str
    at: datetime | None
    as_of: datetime | None
    equity_usd: Decimal
    total_balance_usd: Decimal
    available_balance_usd: Decimal
    unrealized_pnl_usd: Decimal
    position_count: int
    active_orders: int | None
    pending_order_value_usd: Decimal | None
    unpriced_orders: int | None
    risk_score: Decimal | None
    connected_accounts: int
    stale_accounts: list[str]
    unvalued_accounts: list[str]


USER_PORTFOLIO = Table("portfolio", UserPortfolio, key=("user_id", "environment"))

_MADE = f"""
    WITH asked AS MATERIALIZED ( -- a plain value: an index finds it, through a barrier as well
        SELECT coalesce(%(at)s::timestamptz, 'infinity') AS until
    ), own AS (
        SELECT account.user_id, account.environment, account.account_id, account.base_currency,
               newest.*, pending.*,
               EXISTS (SELECT FROM public.balances AS held
                       WHERE held.account_id = account.account_id AND held.total <> 0) AS holds
        FROM asked CROSS JOIN public.accounts AS account
        LEFT JOIN LATERAL (
            SELECT "time", equity, usd_rate, total_balance_usd, available_balance_usd,
                   unrealized_pnl_usd, position_count, risk_score
            FROM public.portfolio_snapshots AS one
            WHERE one.account_id = account.account_id
              AND one."time" <= asked.until
            ORDER BY one."time" DESC LIMIT 1
        ) AS newest ON true
        CROSS JOIN LATERAL (
            SELECT count(*) AS orders,
                   sum(leaves_quantity * coalesce(price, stop_price))
                       FILTER (WHERE listed.quote_asset = account.base_currency) AS value,
                   count(*) FILTER (WHERE coalesce(price, stop_price) IS NULL
                       OR listed.quote_asset IS DISTINCT FROM account.base_currency) AS unpriced
            FROM public.orders AS one
            LEFT JOIN public.symbols AS listed ON listed.instrument = one.instrument
            WHERE one.account_id = account.account_id
              AND one.status IN ('PENDING', 'NEW', 'PARTIALLY_FILLED')
        ) AS pending
        WHERE account.status <> 'CLOSED'
          AND (%(user_id)s::uuid IS NULL OR account.user_id = %(user_id)s::uuid)
    ), dated AS (
        SELECT *, max("time") OVER (PARTITION BY user_id, environment) AS newest_time FROM own
    )
    SELECT user_id, environment, %(at)s::timestamptz AS at, max("time") AS as_of,
           coalesce(sum(equity * usd_rate), 0) AS equity_usd,
           coalesce(sum(total_balance_usd), 0) AS total_balance_usd,
           coalesce(sum(available_balance_usd), 0) AS available_balance_usd,
           coalesce(sum(unrealized_pnl_usd), 0) AS unrealized_pnl_usd,
           coalesce(sum(position_count), 0)::int AS position_count,
           CASE WHEN %(at)s::timestamptz IS NULL THEN sum(orders)::int END AS active_orders,
           CASE WHEN %(at)s::timestamptz IS NULL
               THEN coalesce(sum(value * usd_rate), 0) END AS pending_order_value_usd,
           CASE WHEN %(at)s::timestamptz IS NULL THEN sum(unpriced)::int END AS unpriced_orders,
           round(sum(risk_score * equity * usd_rate) FILTER (WHERE equity > 0)
               / nullif(sum(equity * usd_rate)
                   FILTER (WHERE equity > 0 AND risk_score IS NOT NULL), 0), 18) AS risk_score,
           count(*)::int AS connected_accounts,
           coalesce(jsonb_agg(account_id ORDER BY account_id) FILTER (
               WHERE "time" < newest_time - interval '{FRESH_MINUTES} minutes'
                  OR ("time" IS NULL AND holds)), '[]') AS stale_accounts,
           coalesce(jsonb_agg(account_id ORDER BY account_id) FILTER (
               WHERE "time" IS NOT NULL AND usd_rate IS NULL), '[]') AS unvalued_accounts
    FROM dated GROUP BY user_id, environment"""

QUESTIONS = (
    Question(
        name="portfolio",
        table=USER_PORTFOLIO,
        read_model="portfolio_snapshots",
        about="What all accounts of a user are together, in USD, in each environment.",
        paths=(ascending("user_id", "environment"),),
        filters=(exactly("environment"), Filter("at", "at")),
        argument="user_id",
        shown=(
            *("environment", "as_of", "equity_usd", "unrealized_pnl_usd", "position_count"),
            *("active_orders", "risk_score", "connected_accounts"),
        ),
        made_by=_MADE,
        within=("user_id", "at"),
    ),
)
