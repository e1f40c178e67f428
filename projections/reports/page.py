"""The tear sheet as a page that needs nothing else: no script, no font, no picture from elsewhere.

Numbers are of one width, aligned at their point, with a minus that is one; what there is not is a
dash, with the reason where one points at it. It prints on one sheet.
"""

from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ledger.kernel.time import time_text
from projections.reports import charts
from projections.reports.tear_sheet import Figure, TearSheet

HEADLINE = (
    *("time_weighted_return", "total_pnl", "max_drawdown_percent", "sharpe_ratio"),
    *("volatility", "money_weighted_return"),
)
RETURN = (
    *("opening_equity", "external_flows", "total_pnl", "closing_balance", "annual_return"),
    *("sortino_ratio", "calmar_ratio"),
)
MADE_OF = ("realized_pnl", "unrealized_pnl", "commission", "funding", "other_pnl")
TRADES = (
    *("total_trades", "win_rate", "profit_factor", "gross_profit", "gross_loss"),
    *("max_consecutive_wins", "max_consecutive_losses", "total_volume"),
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MOST_LINES = 5
"""Of instruments and strategies: what is left is in the CSV."""


def page(sheet: TearSheet) -> str:
    """The whole page."""
    curve, equity, below = sheet.curve, sheet.equity, sheet.below
    span = charts.span_of(curve)
    flows = [(at, amount) for at, amount in sheet.flows if span.begin <= at <= span.end]
    drawings = {
        "growth": charts.line(
            curve, span, height=150, label="Growth of 100, flows taken out", base=Decimal(100)
        ),
        "below": charts.depth(below, span, height=76, label="Below its highest so far"),
        "equity": charts.line(
            equity, span, height=96, label="Equity with flows", ticks=flows, dates=True
        ),
    }
    text: str = _template().render(
        sheet=sheet,
        figures={
            name: sheet.figures(*names)
            for name, names in (
                ("headline", HEADLINE),
                ("return", RETURN),
                ("made_of", MADE_OF),
                ("trades", TRADES),
            )
        },
        charts={name: Markup(drawing) for name, drawing in drawings.items()},
        months=MONTHS,
        deepest=_deepest(sheet),
        lines=MOST_LINES,
        strongest=_strongest(sheet),
        definitions=definitions(sheet),
    )
    return text


@cache
def _template() -> Any:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "shown": shown,
        "money": money,
        "percent": percent,
        "day": day,
        "time": time_text,
        "ratio": ratio,
    }
    text = files("projections.reports").joinpath("tear_sheet.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _deepest(sheet: TearSheet) -> str:
    """What the drawing of falls shows, and what it is too coarse to show."""
    at, share = max(sheet.below, key=lambda one: one[1])
    if not share:
        return "by the ends of days it never was"
    whole = sheet.measures["max_drawdown_percent"].value
    return (
        f"deepest by the ends of days −{percent(share)} on {day(at)}; "
        f"of all snapshots −{percent(whole)}"
    )


def _strongest(sheet: TearSheet) -> Decimal:
    """What the darkest month stands for, the same for gains and losses."""
    known = [one for _, months, _ in sheet.by_month for one in months if one is not None]
    return max((abs(one) for one in known), default=Decimal(0)) or Decimal(1)


def definitions(sheet: TearSheet) -> list[Figure]:
    """Of all that is on the page, once each."""
    named = dict.fromkeys((*HEADLINE, *RETURN, *MADE_OF, *TRADES))
    known = {one.name: one for one in sheet.figures(*named)}
    return [*known.values(), *(one for one in sheet.risk_figures if one.name not in known)]


# --- numbers ------------------------------------------------------------------------------


def shown(one: Figure) -> str:
    """A figure in its unit; a dash where there is none."""
    if one.value is None:
        return "–"
    if one.unit == "money":
        return money(one.value)
    if one.unit == "share":
        return percent(one.value)
    if one.unit == "count":
        return f"{one.value:,.0f}"
    return ratio(one.value)


def money(value: Decimal) -> str:
    return _minus(f"{value:z,.2f}")


def percent(value: Decimal | None) -> str:
    return "–" if value is None else _minus(f"{value * 100:z,.2f} %")


def ratio(value: Decimal | None) -> str:
    return "–" if value is None else _minus(f"{value:z,.2f}")


def day(time: datetime | None) -> str:
    return "not yet" if time is None else f"{time:%Y-%m-%d}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
