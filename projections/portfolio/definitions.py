"""What each measure is: the sentence that stands beside it in a report and in docs/portfolio.md."""

from collections.abc import Mapping
from typing import NamedTuple


class Definition(NamedTuple):
    """`unit`: money (of the row's currency), share (a fraction, shown in percent), ratio, count,
    days, per year (a fraction)."""

    title: str
    unit: str
    says: str


PERFORMANCE: Mapping[str, Definition] = {
    "total_pnl": Definition(
        "Profit", "money", "Change of equity less what was paid in and taken out."
    ),
    "realized_pnl": Definition(
        "Realised", "money", "What closing positions has won or lost, before costs."
    ),
    "unrealized_pnl": Definition(
        "Unrealised", "money", "By how much open positions are worth more than at the beginning."
    ),
    "commission": Definition("Commission", "money", "What was paid for trades."),
    "funding": Definition(
        "Funding", "money", "What holding brought (below zero: cost): funding, interest, dividends."
    ),
    "other_pnl": Definition(
        "Other", "money", "The rest: what balances gained that are no position, like a currency."
    ),
    "external_flows": Definition(
        "Paid in, less taken out", "money", "Each at its value when it happened; no profit."
    ),
    "time_weighted_return": Definition(
        "Return (time-weighted)",
        "share",
        "Revalued at every flow and linked: what a unit made that was there all the time.",
    ),
    "annual_return": Definition(
        "Return per year", "share", "The daily returns compounded, to a year of annualised_by days."
    ),
    "money_weighted_return": Definition(
        "Return (money-weighted)",
        "share",
        "XIRR: the yearly rate at which all flows and the end are worth nothing now.",
    ),
    "volatility": Definition(
        "Volatility", "share", "Deviation of the daily returns (over n − 1) × √annualised_by."
    ),
    "sharpe_ratio": Definition(
        "Sharpe", "ratio", "(Mean daily return − free rate) / deviation × √annualised_by."
    ),
    "sortino_ratio": Definition(
        "Sortino",
        "ratio",
        "The same over the downside deviation of all days, √mean(min(return − free rate, 0)²).",
    ),
    "calmar_ratio": Definition(
        "Calmar", "ratio", "Return per year over the largest drawdown's share."
    ),
    "max_drawdown": Definition(
        "Largest drawdown", "money", "The deepest fall of profit below its highest so far."
    ),
    "max_drawdown_percent": Definition(
        "Largest drawdown",
        "share",
        "The deepest fall of the curve without flows below its highest so far, of that highest.",
    ),
    "current_drawdown": Definition(
        "Drawdown now", "money", "How far profit is below its highest so far."
    ),
    "current_drawdown_percent": Definition(
        "Drawdown now", "share", "How far the curve without flows is below its highest so far."
    ),
    "underwater_days": Definition(
        "Under water", "days", "From the deepest fall's beginning to its end, or until now."
    ),
    "recovery_factor": Definition(
        "Recovery factor", "ratio", "Net profit of round trips over the largest drawdown in money."
    ),
    "total_trades": Definition(
        "Round trips", "count", "Positions that were closed, from flat to flat."
    ),
    "winning_trades": Definition("Won", "count", "Those whose net profit is above zero."),
    "losing_trades": Definition("Lost", "count", "Those whose net profit is below zero."),
    "win_rate": Definition("Win rate", "share", "Won round trips over all."),
    "gross_profit": Definition("Gross profit", "money", "Sum of what round trips won, net."),
    "gross_loss": Definition("Gross loss", "money", "Sum of what they lost, net, without sign."),
    "net_profit": Definition("Net of round trips", "money", "Gross profit less gross loss."),
    "profit_factor": Definition(
        "Profit factor", "ratio", "Gross profit over gross loss; null where nothing was lost."
    ),
    "max_consecutive_wins": Definition("Longest run won", "count", "Round trips in a row."),
    "max_consecutive_losses": Definition("Longest run lost", "count", "Round trips in a row."),
    "total_volume": Definition("Volume", "money", "Price × quantity of all trades."),
    "var_95": Definition(
        "Value at risk, 95 %",
        "money",
        "What one day in twenty loses more than: the 5 % quantile of up to a year of daily "
        "returns (type 7) × equity.",
    ),
    "beta": Definition("Beta", "ratio", "Covariance of the daily returns with the benchmark's."),
    "alpha": Definition(
        "Alpha", "share", "Mean of what beta leaves of the daily returns, compounded to a year."
    ),
    "allocated_balance": Definition("Equity at the beginning", "money", "With which it began."),
    "closing_balance": Definition("Equity", "money", "At the last snapshot that was seen."),
    "peak_balance": Definition("Highest equity", "money", "Flows included."),
    "valley_balance": Definition("Lowest equity", "money", "Flows included."),
}

RISK: Mapping[str, Definition] = {
    "total_exposure": Definition(
        "Gross exposure", "money", "All that prices move, long and short added up."
    ),
    "net_exposure": Definition("Net exposure", "money", "Long less short."),
    "leverage_ratio": Definition("Leverage", "ratio", "Gross exposure over equity."),
    "var_95": PERFORMANCE["var_95"],
    "var_99": Definition(
        "Value at risk, 99 %",
        "money",
        "The same at the 1 % quantile, of 100 daily returns or more.",
    ),
    "cvar_95": Definition(
        "Expected shortfall, 95 %", "money", "Mean loss of the days beyond the value at risk."
    ),
    "var_95_parametric": Definition(
        "Value at risk, 95 %, normal", "money", "Mean − 1.645 deviations (over n) of the returns."
    ),
    "var_99_parametric": Definition(
        "Value at risk, 99 %, normal", "money", "Mean − 2.326 deviations (over n) of the returns."
    ),
    "cvar_95_parametric": Definition(
        "Expected shortfall, 95 %, normal", "money", "Mean beyond it, if returns were normal."
    ),
    "var_95_cornish_fisher": Definition(
        "Value at risk, 95 %, Cornish-Fisher",
        "money",
        "The normal quantile corrected for skew and kurtosis (Favre and Galeano, 2002).",
    ),
    "var_99_cornish_fisher": Definition(
        "Value at risk, 99 %, Cornish-Fisher", "money", "The same at 1 %."
    ),
    "cvar_95_cornish_fisher": Definition(
        "Expected shortfall, 95 %, Cornish-Fisher",
        "money",
        "Mean beyond it by the Edgeworth expansion (Boudt, Peterson and Croux, 2008).",
    ),
    "volatility": PERFORMANCE["volatility"],
    "sharpe_ratio": PERFORMANCE["sharpe_ratio"],
    "max_drawdown": Definition(
        "Drawdown now", "money", "How far profit is below its highest so far."
    ),
    "max_drawdown_percent": PERFORMANCE["current_drawdown_percent"],
    "correlation_benchmark": Definition(
        "Correlation with the benchmark", "ratio", "Of the daily returns (Pearson)."
    ),
    "correlation_risk": Definition(
        "Largest correlation",
        "ratio",
        "Of any two holdings by the daily returns of their prices, of 30 common days or more.",
    ),
    "concentration_risk": Definition(
        "Concentration", "ratio", "Sum of squared shares of gross exposure (Herfindahl, Hirschman)."
    ),
    "diversification_score": Definition("Diversification", "ratio", "1 − concentration."),
    "margin_ratio": Definition(
        "Margin ratio", "ratio", "Maintenance margin over equity: at 1 the venue closes."
    ),
    "largest_position_percent": Definition("Largest holding", "share", "Of gross exposure."),
    "risk_score": Definition(
        "Risk score",
        "count",
        "0 to 100: the worst of leverage / 10, drawdown / 20 %, value at risk / 10 % of equity, "
        "largest correlation / 0.8, largest holding / all, margin ratio / 1.",
    ),
}
