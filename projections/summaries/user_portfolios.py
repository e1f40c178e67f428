"""`user_portfolios`: what users hold where: an asset of a sub-account of an account that is not
closed. `is_active`: of a strategy, whether it is assigned; `main` always is.

`user_statistics`: how much a user has of accounts, strategies, sub-accounts and transactions, in
each environment.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from projections.engine.projection import Row, Table
from projections.questions.question import Question, ascending, exactly


class UserHolding(Row):
    user_id: UUID
    account_id: UUID
    account_name: str
    exchange: str
    environment: str
    account_type: str
    status: str
    sub_account: str
    is_active: bool
    sub_account_count: int
    asset: str
    total: Decimal
    available: Decimal
    locked: Decimal
    created_at: datetime


class UserStatistics(Row):
    user_id: UUID
    environment: str
    accounts: int
    active_accounts: int
    strategies: int
    active_strategies: int
    sub_accounts: int
    transactions: int
    first_transaction_at: datetime | None
    last_transaction_at: datetime | None


USER_HOLDINGS = Table(
    "user_portfolios", UserHolding, key=("user_id", "account_id", "sub_account", "asset")
)
USER_STATISTICS = Table("user_statistics", UserStatistics, key=("user_id", "environment"))

_HOLDINGS = """
    SELECT account.user_id, account.account_id, account.account_name, account.exchange,
           account.environment, account.account_type, account.status,
           held.sub_account,
           held.sub_account = 'main' OR coalesce(assigned.is_active, false) AS is_active,
           (SELECT count(DISTINCT other.sub_account) FROM public.balances AS other
            WHERE other.account_id = account.account_id)::int AS sub_account_count,
           held.asset, held.total, held.available, held.locked, account.created_at
    FROM public.accounts AS account
    JOIN public.balances AS held USING (account_id)
    LEFT JOIN public.user_strategy_assignments AS assigned
           ON assigned.account_id = account.account_id
          AND assigned.strategy_id = held.sub_account
    WHERE account.status <> 'CLOSED' AND (held.total <> 0 OR held.locked <> 0)"""

_STATISTICS = """
    SELECT user_id, environment, count(*)::int AS accounts,
           count(*) FILTER (WHERE status = 'ACTIVE')::int AS active_accounts,
           sum(of_account.strategies)::int AS strategies,
           sum(of_account.active_strategies)::int AS active_strategies,
           sum(of_account.sub_accounts)::int AS sub_accounts,
           sum(of_account.transactions)::bigint AS transactions,
           min(of_account.first_at) AS first_transaction_at,
           max(of_account.last_at) AS last_transaction_at
    FROM public.accounts AS account CROSS JOIN LATERAL (
        SELECT (SELECT count(*) FROM public.user_strategy_assignments AS one
                WHERE one.account_id = account.account_id) AS strategies,
               (SELECT count(*) FROM public.user_strategy_assignments AS one
                WHERE one.account_id = account.account_id AND one.is_active)
                   AS active_strategies,
               (SELECT count(DISTINCT sub_account) FROM public.balances AS one
                WHERE one.account_id = account.account_id) AS sub_accounts,
               (SELECT count(*) FROM public.transactions AS one
                WHERE one.account_id = account.account_id AND strpos(sub_account, ':') = 0
                  AND sub_account <> 'external') AS transactions,
               (SELECT min("timestamp") FROM public.transactions AS one
                WHERE one.account_id = account.account_id) AS first_at,
               (SELECT max("timestamp") FROM public.transactions AS one
                WHERE one.account_id = account.account_id) AS last_at
    ) AS of_account
    WHERE %(user_id)s::uuid IS NULL OR user_id = %(user_id)s::uuid
    GROUP BY user_id, environment"""

QUESTIONS = (
    Question(
        name="user_portfolios",
        table=USER_HOLDINGS,
        read_model="balances",
        about="What users hold where: each asset of each sub-account of accounts not closed.",
        paths=(
            ascending("account_id", "sub_account", "asset"),
            ascending("user_id", "account_id", "sub_account", "asset"),
        ),
        filters=(
            exactly("asset"),
            exactly("environment"),
            exactly("sub_account"),
            exactly("is_active"),
        ),
        shown=(
            *("account_name", "environment", "sub_account", "is_active", "asset", "total"),
            "available",
        ),
        made_by=_HOLDINGS,
    ),
    Question(
        name="user_statistics",
        table=USER_STATISTICS,
        read_model="transactions",
        about="How much a user has of accounts, strategies, sub-accounts and transactions.",
        paths=(ascending("user_id", "environment"),),
        filters=(exactly("environment"),),
        argument="user_id",
        shown=(
            *("environment", "accounts", "active_accounts", "strategies", "sub_accounts"),
            *("transactions", "first_transaction_at", "last_transaction_at"),
        ),
        made_by=_STATISTICS,
        within=("user_id",),
    ),
)
