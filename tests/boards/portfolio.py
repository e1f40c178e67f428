"""Portfolio: equity, drawdown, exposure of an account, as the read models have it."""

from typing import Any

from tests.boards.board import READ_MODELS, Board, Panel, Query

_ACCOUNT: dict[str, Any] = {
    "current": {},
    "datasource": READ_MODELS,
    "label": "Account",
    "name": "account",
    "query": "SELECT name AS __text, account_id AS __value FROM accounts ORDER BY name",
    "refresh": 1,
    "type": "query",
}
_OF = "account_id::text = '${account}'"
_NEWEST = f"FROM portfolio_snapshots WHERE {_OF} ORDER BY time DESC LIMIT 1"
_IN_TIME = f"FROM portfolio_snapshots WHERE {_OF} AND $__timeFilter(time)"


def _curve(
    title: str, about: str, value: str, unit: str = "none", red: float | None = None
) -> Panel:
    asks = f"SELECT time AS time, {value} {_IN_TIME} ORDER BY time"
    return Panel(title, about, "README.md", unit, (Query(asks),), sql=True, red=red)


PORTFOLIO = Board(
    uid="ledger-portfolio",
    title="Portfolio",
    about="One account: what it is worth, what it lost from its peak, what is open.",
    topics=(),
    console="/portfolio",
    variables=(_ACCOUNT,),
    verdict=(
        Panel(
            "Balance", "In the account's base currency, at its last snapshot.", "README.md", "none",
            (Query(f"SELECT total_balance {_NEWEST}"),), kind="stat", sql=True,
        ),
        Panel(
            "Available", "Not held by open orders or positions.", "README.md", "none",
            (Query(f"SELECT available_balance {_NEWEST}"),), kind="stat", red=0, falling=True,
            sql=True,
        ),
        Panel(
            "Below its peak", "Of the balance, in the time shown.", "README.md", "percentunit",
            (Query(
                "SELECT 1 - last_value(total_balance) OVER everything / "
                "nullif(max(total_balance) OVER everything, 0) AS drawdown "
                f"{_IN_TIME} WINDOW everything AS (ORDER BY time ROWS BETWEEN UNBOUNDED PRECEDING "
                "AND UNBOUNDED FOLLOWING) LIMIT 1"
            ),), kind="stat", red=0.1, sql=True,
        ),
        Panel(
            "Open positions", "Of instruments.", "README.md", "none",
            (Query(f"SELECT count(*) AS open FROM positions WHERE {_OF} AND quantity <> 0"),),
            kind="stat", sql=True,
        ),
    ),
    panels=(
        _curve("Equity", "Balance at each snapshot.", "total_balance, available_balance"),
        _curve(
            "Drawdown", "From the highest balance in the time shown.",
            "total_balance / nullif(max(total_balance) OVER (ORDER BY time), 0) - 1 AS drawdown",
            "percentunit",
        ),
        Panel(
            "Exposure", "Quantity times mark, of open positions, by instrument.", "README.md",
            "none",
            (Query(
                "SELECT instrument, sum(quantity * mark_price)::float8 AS exposure FROM positions "
                f"WHERE {_OF} AND quantity <> 0 AND mark_price IS NOT NULL "
                "GROUP BY 1 ORDER BY 2 DESC"
            ),), kind="bargauge", sql=True,
        ),
        Panel(
            "Positions", "What is open, with what it made so far.", "README.md", "none",
            (Query(
                "SELECT instrument, side, quantity, average_entry_price, mark_price, "
                "unrealized_pnl, realized_pnl, commission, funding, settlement_asset, mark_time "
                "FROM positions "
                f"WHERE {_OF} AND quantity <> 0 ORDER BY instrument LIMIT 100"
            ),), kind="table", sql=True,
        ),
        Panel(
            "Made by round trips", "Net of fees and funding, by the day they were closed.",
            "README.md", "none",
            (Query(
                "SELECT date_trunc('day', closed_at) AS time, settlement_asset AS metric, "
                f"sum(net_pnl)::float8 AS net FROM round_trips WHERE {_OF} AND "
                "$__timeFilter(closed_at) GROUP BY 1, 2 ORDER BY 1"
            ),), sql=True,
        ),
        Panel(
            "Flows", "Fees, funding, interest and what else came or went.", "README.md", "none",
            (Query(
                "SELECT kind, asset, sum(amount) AS amount, count(*) AS flows FROM cash_flows "
                f"WHERE {_OF} AND $__timeFilter(occurred_at) GROUP BY 1, 2 ORDER BY 1, 2"
            ),), kind="table", sql=True,
        ),
    ),
)  # fmt: skip
