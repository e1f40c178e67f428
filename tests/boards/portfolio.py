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
_SERIES = "series = '${account}' AND period_type = 'HOURLY'"


def _value(title: str, about: str, unit: str, asks: str, red: float | None, falling: bool) -> Panel:
    return Panel(
        title, about, "README.md", unit, (Query(asks),),
        kind="stat", red=red, falling=falling, sql=True,
    )  # fmt: skip


def _curve(title: str, about: str, unit: str, columns: str, of: str) -> Panel:
    asks = f"SELECT time AS time, {columns} FROM {of} AND $__timeFilter(time) ORDER BY time"
    return Panel(title, about, "README.md", unit, (Query(asks),), sql=True)


def _rows(title: str, about: str, asks: str) -> Panel:
    return Panel(title, about, "README.md", "none", (Query(asks),), kind="table", sql=True)


PORTFOLIO = Board(
    uid="ledger-portfolio",
    title="Portfolio",
    about="One account: what it is worth, what it lost from its peak, what is open and at risk.",
    topics=(),
    console="/performance",
    variables=(_ACCOUNT,),
    verdict=(
        _value(
            "Equity", "In the account's base currency, at its last snapshot.", "none",
            f"SELECT equity {_NEWEST}", 0, True,
        ),
        _value(
            "Available", "Not held by open orders or positions.", "none",
            f"SELECT available_balance {_NEWEST}", 0, True,
        ),
        _value(
            "Below its peak", "Of the time-weighted index: a deposit hides nothing.", "percentunit",
            f"SELECT current_drawdown_percent FROM performance_metrics WHERE {_SERIES} "
            "ORDER BY time DESC LIMIT 1", 0.1, False,
        ),
        _value(
            "Holdings with a price", "Share of what is held; what has none is in no sum.",
            "percentunit",
            f"SELECT priced::numeric / nullif(priceable, 0) AS priced {_NEWEST}", 1, True,
        ),
    ),
    panels=(
        _curve(
            "Equity", "At each snapshot, beside what is available.", "none",
            "equity, available_balance", f"portfolio_snapshots WHERE {_OF}",
        ),
        _curve(
            "Drawdown", "Of the time-weighted index, at the end of each hour.", "percentunit",
            "-current_drawdown_percent AS drawdown", f"performance_metrics WHERE {_SERIES}",
        ),
        _curve(
            "Exposure", "Of all positions: long and short added up, and set off.", "none",
            "gross_exposure, net_exposure", f"portfolio_snapshots WHERE {_OF}",
        ),
        _curve(
            "Value at risk", "Of a day, of a hundred days of returns; nothing before there are.",
            "none", "var_95, var_99, cvar_95", "risk_metrics WHERE series = '${account}'",
        ),
        Panel(
            "Strategies", "Equity of each sub-account.", "README.md", "none",
            (Query(
                "SELECT time AS time, strategy_id AS metric, equity FROM strategy_equity "
                f"WHERE {_OF} AND $__timeFilter(time) ORDER BY time"
            ),), sql=True,
        ),
        _rows(
            "Positions", "What is open, with what it made so far.",
            "SELECT instrument, side, quantity, average_entry_price, mark_price, unrealized_pnl, "
            "realized_pnl, commission, funding, settlement_asset, mark_time FROM positions "
            f"WHERE {_OF} AND quantity <> 0 ORDER BY instrument LIMIT 100",
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
        _rows(
            "Flows", "Fees, funding, interest and what else came or went.",
            "SELECT kind, asset, sum(amount) AS amount, count(*) AS flows FROM cash_flows "
            f"WHERE {_OF} AND $__timeFilter(occurred_at) GROUP BY 1, 2 ORDER BY 1, 2",
        ),
    ),
)  # fmt: skip
