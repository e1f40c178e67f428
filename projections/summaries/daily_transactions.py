"""`daily_transactions`: what moved in each sub-account on each day of UTC, and what it held.

average_balance         over the closing balances of the day's movements
time_weighted_balance   over the day's 24 hours: what it held for how long. After the last
                        movement it held that one's closing balance to the day's end
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from projections.engine.projection import Row, Table
from projections.questions.question import Question, between, exactly, newest_first


class DailyTransactions(Row):
    day: datetime
    account_id: UUID
    user_id: UUID | None
    sub_account: str
    asset: str
    transaction_count: int
    total_credits: Decimal
    total_debits: Decimal
    average_balance: Decimal
    time_weighted_balance: Decimal
    highest_balance: Decimal
    lowest_balance: Decimal
    closing_balance: Decimal
    reason_count: int


DAILY_TRANSACTIONS = Table(
    "daily_transactions", DailyTransactions, key=("account_id", "day", "sub_account", "asset")
)

_MADE = """
    WITH moved AS (
        SELECT *, date_trunc('day', "timestamp", 'UTC') AS day,
               CASE direction WHEN 'CREDIT' THEN amount ELSE -amount END AS change,
               lead("timestamp") OVER of_day AS following,
               row_number() OVER of_day AS place,
               row_number() OVER (PARTITION BY account_id, sub_account, asset,
                                  date_trunc('day', "timestamp", 'UTC')
                                  ORDER BY position DESC, line DESC) AS place_from_end
        FROM public.transactions
        WHERE sub_account <> 'external' AND strpos(sub_account, ':') = 0
          AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s::uuid)
          AND (%(user_id)s::uuid IS NULL OR user_id = %(user_id)s::uuid)
          AND (%(from_time)s::timestamptz IS NULL
               OR "timestamp" >= date_trunc('day', %(from_time)s::timestamptz, 'UTC'))
          AND (%(to_time)s::timestamptz IS NULL OR "timestamp" < %(to_time)s::timestamptz)
        WINDOW of_day AS (PARTITION BY account_id, sub_account, asset,
                          date_trunc('day', "timestamp", 'UTC')
                          ORDER BY "timestamp", position, line)
    ), lasting AS (
        SELECT *, CASE WHEN place = 1
                  THEN (closing_balance - change) * extract(epoch FROM "timestamp" - day)
                  ELSE 0 END
                + closing_balance * extract(
                      epoch FROM coalesce(following, day + interval '24 hours') - "timestamp")
                  AS held
        FROM moved
    )
    SELECT day, account_id, user_id, sub_account, asset,
           count(*)::int AS transaction_count,
           coalesce(sum(amount) FILTER (WHERE direction = 'CREDIT'), 0) AS total_credits,
           coalesce(sum(amount) FILTER (WHERE direction = 'DEBIT'), 0) AS total_debits,
           round(avg(closing_balance), 18) AS average_balance,
           round(sum(held) / 86400, 18) AS time_weighted_balance,
           max(closing_balance) AS highest_balance,
           min(closing_balance) AS lowest_balance,
           max(closing_balance) FILTER (WHERE place_from_end = 1) AS closing_balance,
           count(DISTINCT reason)::int AS reason_count
    FROM lasting GROUP BY day, account_id, user_id, sub_account, asset"""

QUESTIONS = (
    Question(
        name="daily_transactions",
        table=DAILY_TRANSACTIONS,
        read_model="transactions",
        about="What moved in a sub-account on each day (UTC), and what it held; newest first.",
        paths=(
            newest_first("account_id", "day", "sub_account", "asset"),
            newest_first("user_id", "day", "account_id", "sub_account", "asset"),
        ),
        filters=(exactly("sub_account"), exactly("asset"), *between("day")),
        shown=(
            *("day", "sub_account", "asset", "transaction_count", "total_credits"),
            *("total_debits", "closing_balance"),
        ),
        made_by=_MADE,
        within=("account_id", "user_id", "from_time", "to_time"),
    ),
)
