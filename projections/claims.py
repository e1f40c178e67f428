"""What must hold of the read models whatever was recorded, each claim with the query that would
find its faults.

The demo asks them of what it has done, by the entry point "ledger.claims".
"""

from typing import NamedTuple


class ReadModelClaim(NamedTuple):
    """A claim about things that there are, by the query that gives (how many, how many faults)."""

    claim: str
    of: str
    query: str


CLAIMS = (
    ReadModelClaim(
        "double entry: per asset, all credits = all debits",
        "assets",
        """SELECT count(*), count(*) FILTER (WHERE difference <> 0)
           FROM (SELECT sum(CASE direction WHEN 'CREDIT' THEN amount ELSE -amount END)
                        AS difference
                 FROM public.transactions GROUP BY asset) AS assets""",
    ),
    ReadModelClaim(
        "per account and asset, balances + contra balances = 0",
        "accounts' assets",
        """SELECT count(*), count(*) FILTER (WHERE total <> 0)
           FROM (SELECT sum(total) AS total
                 FROM (SELECT account_id, asset, total FROM public.balances
                       UNION ALL
                       SELECT account_id, asset, total FROM public.contra_balances) AS books
                 GROUP BY account_id, asset) AS assets""",
    ),
    ReadModelClaim(
        "each balance = the sum of its transactions",
        "balances",
        """WITH moved AS (
               SELECT account_id, sub_account, asset,
                      sum(CASE direction WHEN 'CREDIT' THEN amount ELSE -amount END) AS total
               FROM public.transactions GROUP BY 1, 2, 3)
           SELECT count(*), count(*) FILTER (WHERE b.total <> coalesce(moved.total, 0))
           FROM public.balances b LEFT JOIN moved USING (account_id, sub_account, asset)""",
    ),
    ReadModelClaim(
        "available + locked = total",
        "balances",
        "SELECT count(*), count(*) FILTER (WHERE available + locked <> total) FROM public.balances",
    ),
    ReadModelClaim(
        "nothing is locked where neither an order nor a position is open",
        "balances",
        """WITH held AS (
               SELECT account_id, sub_account,
                      CASE WHEN kind <> 'SPOT' THEN settlement_asset
                           WHEN side = 'BUY' THEN quote_asset ELSE base_asset END AS asset
               FROM public.orders JOIN public.symbols USING (instrument)
               WHERE status IN ('PENDING', 'NEW', 'PARTIALLY_FILLED')
               UNION
               SELECT account_id, sub_account, settlement_asset FROM public.positions
               WHERE status = 'OPEN')
           SELECT count(*), count(*) FILTER (WHERE locked <> 0 AND held.account_id IS NULL)
           FROM public.balances LEFT JOIN held USING (account_id, sub_account, asset)""",
    ),
    ReadModelClaim(
        "quantity = filled - overfill + cancelled + open",
        "orders",
        """SELECT count(*), count(*) FILTER (WHERE quantity <> filled_quantity
                   - overfill_quantity + cancelled_quantity + leaves_quantity)
           FROM public.orders""",
    ),
    ReadModelClaim(
        "filled = the sum of the trades that were not taken back",
        "orders",
        """WITH traded AS (
               SELECT order_id, sum(quantity) AS quantity FROM public.order_fills
               WHERE NOT voided GROUP BY 1)
           SELECT count(*), count(*) FILTER (
               WHERE filled_quantity <> coalesce(traded.quantity, 0))
           FROM public.orders LEFT JOIN traded USING (order_id)""",
    ),
)


def claims() -> tuple[ReadModelClaim, ...]:
    """All of them."""
    return CLAIMS
