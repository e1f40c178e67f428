"""What each measure is: the sentence that stands beside it in a report and in docs/portfolio.md."""

from collections.abc import Mapping
from typing import NamedTuple


class MeasureDefinition(NamedTuple):
    """`unit`: money (of the row's currency), share (a fraction, shown in percent), ratio, count,
    days, per year (a fraction)."""

    title: str
    unit: str
    says: str


PERFORMANCE: dict[str, MeasureDefinition] = {
    "total_pnl": MeasureDefinition(
        "Profit", "money", "Change of equity less what was paid in and taken out."
    ),
    "realized_pnl": MeasureDefinition(
        "Realised", "money", "What closing positions has won or lost, before costs."
    ),
    "unrealized_pnl": MeasureDefinition(
        "Unrealised", "money", "By how much open positions are worth more than at the beginning."
    ),
    "commission": MeasureDefinition("Commission", "money", "What was paid for trades."),
    "funding": MeasureDefinition(
        "Funding", "money", "What holding brought (below zero: cost): funding, interest, dividends."
    ),
    "other_pnl": MeasureDefinition(
        "Other", "money", "The rest: what balances gained that are no position, like a currency."
    ),
    "external_flows": MeasureDefinition(
        "Paid in, less taken out", "money", "Each at its value when it happened; no profit."
    ),
    "time_weighted_return": MeasureDefinition(
        "Time-weighted return",
        "share",
        "Revalued at every flow and linked: what a unit made that was there all the time.",
    ),
    "annual_return": MeasureDefinition(
        "Return per year", "share", "The daily returns compounded, to a year of annualised_by days."
    ),
    "money_weighted_return": MeasureDefinition(
        "Money-weighted return",
        "share",
        "XIRR: the yearly rate at which all flows and the end are worth nothing now.",
    ),
    "volatility": MeasureDefinition(
        "Volatility", "share", "Deviation of the daily returns (over n − 1) × √annualised_by."
    ),
    "sharpe_ratio": MeasureDefinition(
        "Sharpe", "ratio", "(Mean daily return − free rate) / deviation × √annualised_by."
    ),
    "sortino_ratio": MeasureDefinition(
        "Sortino",
        "ratio",
        "The same over the downside deviation of all days, √mean(min(return − free rate, 0)²).",
    ),
    "calmar_ratio": MeasureDefinition(
        "Calmar", "ratio", "Return per year over the largest drawdown's share."
    ),
    "max_drawdown": MeasureDefinition(
        "Largest drawdown", "money", "The deepest fall of profit below its highest so far."
    ),
    "max_drawdown_percent": MeasureDefinition(
        "Largest drawdown",
        "share",
        "The deepest fall of the curve without flows below its highest so far, of that highest.",
    ),
    "current_drawdown": MeasureDefinition(
        "Drawdown now", "money", "How far profit is below its highest so far."
    ),
    "current_drawdown_percent": MeasureDefinition(
        "Drawdown now", "share", "How far the curve without flows is below its highest so far."
    ),
    "underwater_days": MeasureDefinition(
        "Under water", "days", "From the deepest fall's beginning to its end, or until now."
    ),
    "recovery_factor": MeasureDefinition(
        "Recovery factor", "ratio", "Net profit of round trips over the largest drawdown in money."
    ),
    "total_trades": MeasureDefinition(
        "Round trips", "count", "Positions that were closed, from flat to flat."
    ),
    "winning_trades": MeasureDefinition("Won", "count", "Those whose net profit is above zero."),
    "losing_trades": MeasureDefinition("Lost", "count", "Those whose net profit is below zero."),
    "win_rate": MeasureDefinition("Win rate", "share", "Won round trips over all."),
    "gross_profit": MeasureDefinition("Gross profit", "money", "Sum of what round trips won, net."),
    "gross_loss": MeasureDefinition(
        "Gross loss", "money", "Sum of what they lost, net, without sign."
    ),
    "net_profit": MeasureDefinition("Net of round trips", "money", "Gross profit less gross loss."),
    "profit_factor": MeasureDefinition(
        "Profit factor", "ratio", "Gross profit over gross loss; null where nothing was lost."
    ),
    "max_consecutive_wins": MeasureDefinition("Longest run won", "count", "Round trips in a row."),
    "max_consecutive_losses": MeasureDefinition(
        "Longest run lost", "count", "Round trips in a row."
    ),
    "total_volume": MeasureDefinition("Volume", "money", "Price × quantity of all trades."),
    "var_95": MeasureDefinition(
        "Value at risk, 95 %",
        "money",
        "What one day in twenty loses more than: the 5 % quantile of up to a year of daily "
        "returns (type 7) × equity.",
    ),
    "beta": MeasureDefinition(
        "Beta", "ratio", "Covariance of the daily returns with the benchmark's."
    ),
    "alpha": MeasureDefinition(
        "Alpha", "share", "Mean of what beta leaves of the daily returns, compounded to a year."
    ),
    "allocated_balance": MeasureDefinition(
        "Equity at the beginning", "money", "With which it began, or what was first paid in."
    ),
    "closing_balance": MeasureDefinition("Equity", "money", "At the last snapshot that was seen."),
    "peak_balance": MeasureDefinition("Highest equity", "money", "Flows included."),
    "valley_balance": MeasureDefinition("Lowest equity", "money", "Flows included."),
}

TEAR_SHEET: Mapping[str, MeasureDefinition] = PERFORMANCE | {
    "opening_equity": MeasureDefinition(
        "Equity at the beginning", "money", "Before anything of that time."
    ),
}
"""Of a time that somebody chose."""

RISK: Mapping[str, MeasureDefinition] = {
    "total_exposure": MeasureDefinition(
        "Gross exposure", "money", "All that prices move, long and short added up."
    ),
    "net_exposure": MeasureDefinition("Net exposure", "money", "Long less short."),
    "leverage_ratio": MeasureDefinition("Leverage", "ratio", "Gross exposure over equity."),
    "var_95": PERFORMANCE["var_95"],
    "var_99": MeasureDefinition(
        "Value at risk, 99 %",
        "money",
        "The same at the 1 % quantile, of 100 daily returns or more.",
    ),
    "cvar_95": MeasureDefinition(
        "Expected shortfall, 95 %", "money", "Mean loss of the days beyond the value at risk."
    ),
    "var_95_parametric": MeasureDefinition(
        "Value at risk, 95 %, normal", "money", "Mean − 1.645 deviations (over n) of the returns."
    ),
    "var_99_parametric": MeasureDefinition(
        "Value at risk, 99 %, normal", "money", "Mean − 2.326 deviations (over n) of the returns."
    ),
    "cvar_95_parametric": MeasureDefinition(
        "Expected shortfall, 95 %, normal", "money", "Mean beyond it, if returns were normal."
    ),
    "var_95_cornish_fisher": MeasureDefinition(
        "Value at risk, 95 %, Cornish-Fisher",
        "money",
        "The normal quantile corrected for skew and kurtosis (Favre and Galeano, 2002).",
    ),
    "var_99_cornish_fisher": MeasureDefinition(
        "Value at risk, 99 %, Cornish-Fisher", "money", "The same at 1 %."
    ),
    "cvar_95_cornish_fisher": MeasureDefinition(
        "Expected shortfall, 95 %, Cornish-Fisher",
        "money",
        "Mean beyond it by the Edgeworth expansion (Boudt, Peterson and Croux, 2008).",
    ),
    "volatility": PERFORMANCE["volatility"],
    "sharpe_ratio": PERFORMANCE["sharpe_ratio"],
    "max_drawdown": MeasureDefinition(
        "Drawdown now", "money", "How far profit is below its highest so far."
    ),
    "max_drawdown_percent": PERFORMANCE["current_drawdown_percent"],
    "correlation_benchmark": MeasureDefinition(
        "Correlation with the benchmark", "ratio", "Of the daily returns (Pearson)."
    ),
    "correlation_risk": MeasureDefinition(
        "Largest correlation",
        "ratio",
        "Of any two holdings by the daily returns of their prices, of 30 common days or more.",
    ),
    "concentration_risk": MeasureDefinition(
        "Concentration", "ratio", "Sum of squared shares of gross exposure (Herfindahl, Hirschman)."
    ),
    "diversification_score": MeasureDefinition("Diversification", "ratio", "1 − concentration."),
    "margin_ratio": MeasureDefinition(
        "Margin ratio", "ratio", "Maintenance margin over equity: at 1 the venue closes."
    ),
    "largest_position_percent": MeasureDefinition("Largest holding", "share", "Of gross exposure."),
    "risk_score": MeasureDefinition(
        "Risk score",
        "count",
        "0 to 100: the worst of leverage / 10, drawdown / 20 %, value at risk / 10 % of equity, "
        "largest correlation / 0.8, largest holding / twice the equity, margin ratio / 1.",
    ),
}
