"""How an account did: what it was worth, its drawdown, and each day and month of it.

The curve is money; deposits and withdrawals are ticks on its axis and no result. Returns are
time-weighted: each stretch's profit by what it began with, chained, so flows make none.

Of a past moment the curve is that of the snapshots that were told by then. Days and measures are
restated when something late is told, and what they were before is kept nowhere: there they are not
shown.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from markupsafe import Markup

from ledger.kernel import read_side
from ledger.web.answers import Reading
from ledger.web.pages import shown, tables, why_worth
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.files import csv_file
from ledger.web.pages.frame import look_of, show, url
from ledger.web.pages.why_links import why_link
from ledger.web.viewer import PageViewer

RANGES = {"1d": 1, "1w": 7, "1m": 31, "1y": 366, "all": 36_500}
FINE_DAYS = 1
"""Up to so many days each snapshot is drawn; then the hours."""
HOURS_DAYS = 62
"""Up to so many days the hours are drawn; then the days."""
MOST_PAGES, ROWS_AT_ONCE = 12, 500
PLACES = Decimal(1).scaleb(-12)
SPAN_COLUMNS = (
    *("time", "profit", "equity", "external_flows", "realized_pnl", "commission", "funding"),
    *("min_equity", "max_equity"),
)
PERIODS = ("DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY")
MEASURES = {
    "time_weighted_return": ("Return, time-weighted, %", "percent"),
    "money_weighted_return": ("Return, money-weighted, %", "percent"),
    "total_pnl": ("Profit", "money"),
    "commission": ("Fees", "money"),
    "funding": ("Funding", "money"),
    "max_drawdown_percent": ("Deepest drawdown, %", "percent"),
    "volatility": ("Volatility, a year, %", "percent"),
    "sharpe_ratio": ("Sharpe ratio", "ratio"),
    "sortino_ratio": ("Sortino ratio", "ratio"),
    "calmar_ratio": ("Calmar ratio", "ratio"),
    "var_95": ("Value at risk, 95 %", "money"),
    "total_trades": ("Round trips", "count"),
    "win_rate": ("Won, %", "percent"),
    "profit_factor": ("Profit factor", "ratio"),
    "return_count": ("Returns it rests on", "count"),
}
"""By column: what it is called, and how it is shown."""

router = APIRouter()


class CurvePoint(NamedTuple):
    """A moment of the curve; `growth` is 1 at the beginning of the range."""

    time: float
    equity: Decimal
    growth: Decimal
    flow: Decimal


class DeepestFall(NamedTuple):
    """The deepest fall from a peak, with when."""

    depth: Decimal
    peak_time: float
    time: float


@router.get("/performance")
def performance(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    range: str = "1m",  # noqa: A002
    known_at: str | None = None,
) -> HTMLResponse:
    """Raises NotVisible, InvalidMoment."""
    known_at = known_at or None
    days = RANGES.get(range, RANGES["1m"])
    zone = look_of(request).zone
    values: dict[str, Any] = {"range": range if range in RANGES else "1m", "ranges": RANGES}
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
        values |= {"accounts": accounts, "newest": None}
        if accounts.account_id is not None:
            values |= _of_account(reading, accounts.account_id, days, zone, known_at)
    return show(request, viewer, "performance.html", values, standing=standing)


def _of_account(
    reading: Reading, account_id: UUID, days: int, zone: Any, known_at: str | None
) -> dict[str, Any]:
    newest = why_worth.newest(reading, account_id, known_at)
    if newest is None:
        return {}
    points = _points(reading, account_id, newest, days, known_at)
    return {
        "newest": newest,
        "result": points[-1].growth - 1 if points else None,
        "profit": sum((one.equity for one in points[-1:]), Decimal(0))
        - sum((one.equity for one in points[:1]), Decimal(0))
        - sum((one.flow for one in points[1:]), Decimal(0)),
        "drawdown": deepest(points),
        "points": len(points),
        "begins": points[0].time if points else None,
        "data": url("/performance/data", account_id=account_id, days=days, known_at=known_at),
        "why_equity": why_worth.link(newest, "equity", known_at),
        **(_restated(reading, account_id, zone) if known_at is None else {}),
    }  # fmt: skip


def _restated(reading: Reading, account_id: UUID, zone: Any) -> dict[str, Any]:
    """What is told of now only."""
    daily = reading.ask("portfolio_daily", {"account_id": account_id}, limit=ROWS_AT_ONCE)
    question = read_side.question("portfolio_daily")
    return {
        "daily": tables.table(question, daily, zone=zone, columns=SPAN_COLUMNS),
        "months": months(daily.rows),
        "measured": _measured(reading, account_id),
    }


class MeasuredPeriods(NamedTuple):
    """Measures by period: the newest of each kind, and a line for each measure."""

    rows: Sequence[Mapping[str, Any]]
    lines: Sequence[tuple[str, Sequence[Markup]]]


def _measured(reading: Reading, account_id: UUID) -> MeasuredPeriods:
    """A measure that there is not says why on hover."""
    found: list[Mapping[str, Any]] = []
    for period in PERIODS:
        asked = {"account_id": account_id, "scope": "ACCOUNT", "period_type": period}
        found += reading.ask("performance", asked, limit=1).rows
    lines = [
        (label, [_measure(name, kind, row) for row in found])
        for name, (label, kind) in MEASURES.items()
    ]
    return MeasuredPeriods(found, lines)


def _measure(name: str, kind: str, row: Mapping[str, Any]) -> Markup:
    value = row[name]
    if value is None:
        reason = (row["null_reasons"] or {}).get(name, "not measured")
        return shown.number(None, missing=str(reason))
    why = why_link("performance", name, row)
    if kind == "percent":
        return shown.percent(value, signed=name.endswith("return"), why=why)
    if kind == "count":
        return shown.number(value, 0, why=why)
    return shown.number(value, 2, signed=name == "total_pnl", why=why)


@router.get("/performance/data")
def data(
    viewer: PageViewer,
    account_id: UUID,
    days: int = 31,
    of: str = "equity",
    known_at: str | None = None,
    format: str = "json",  # noqa: A002
) -> Response:
    """What is drawn; as CSV with exact numbers. Raises NotVisible, InvalidMoment."""
    with viewer.reading() as reading:
        newest = why_worth.newest(reading, account_id, known_at)
        points = [] if newest is None else _points(reading, account_id, newest, days, known_at)
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    if format == "csv":
        columns = ("time", "equity", "flow", "growth", "drawdown")
        told = zip(points, fall(points), strict=True)
        rows = [
            (datetime.fromtimestamp(one.time, UTC), one.equity, one.flow, one.growth, depth)
            for one, depth in told
        ]
        return csv_file(f"equity-{account_id}", columns, rows, standing)
    times = [one.time for one in points]
    if of == "drawdown":
        curves = [{"label": "Drawdown, %", "values": [float(one * 100) for one in fall(points)]}]
    else:
        curves = [{"label": "Equity", "values": [float(one.equity) for one in points]}]
    flows = [one.time for one in points[1:] if one.flow]
    return JSONResponse({"times": times, "curves": curves, "flows": flows})


def _points(
    reading: Reading,
    account_id: UUID,
    newest: Mapping[str, Any],
    days: int,
    known_at: str | None,
) -> list[CurvePoint]:
    """At most MOST_PAGES of them, the newest."""
    since = newest["time"] - timedelta(days=min(days, 36_000))
    fine = days <= FINE_DAYS or known_at is not None
    name = "snapshots" if fine else "portfolio_hourly" if days <= HOURS_DAYS else "portfolio_daily"
    rows: list[Mapping[str, Any]] = []
    after = None
    for _ in range(MOST_PAGES):
        asked = {"account_id": account_id, "from_time": since}
        page = reading.ask(name, asked, known_at=known_at, limit=ROWS_AT_ONCE, after=after)
        rows += page.rows
        after = page.next
        if after is None:
            break
    rows.reverse()
    return _of_snapshots(rows) if fine else _of_spans(rows)


def _of_snapshots(rows: Sequence[Mapping[str, Any]]) -> list[CurvePoint]:
    points: list[CurvePoint] = []
    for at, row in enumerate(rows):
        before = rows[at - 1] if at else row
        flow = row["external_flows"] - before["external_flows"]
        won = row["equity"] - before["equity"] - flow
        points.append(_next(points, row["time"], row["equity"], before["equity"], won, flow))
    return points


def _of_spans(rows: Sequence[Mapping[str, Any]]) -> list[CurvePoint]:
    points: list[CurvePoint] = []
    for row in rows:
        begin, flow = row["opening_equity"], row["external_flows"]
        points.append(_next(points, row["last_time"], row["equity"], begin, row["profit"], flow))
    return points


def _next(
    points: Sequence[CurvePoint],
    time: Any,
    equity: Decimal,
    begin: Decimal,
    won: Decimal,
    flow: Decimal,
) -> CurvePoint:
    """The next point. What begins with nothing has no return of its own."""
    index = points[-1].growth if points else Decimal(1)
    with localcontext() as context:
        context.prec = 40
        if points and begin > 0:
            index = (index * (1 + won / begin)).quantize(PLACES)
    return CurvePoint(time.timestamp(), equity, index, flow)


def fall(points: Sequence[CurvePoint]) -> list[Decimal]:
    """How far below its peak the index is, at each point; 0 at a peak."""
    found, peak = [], Decimal(0)
    for one in points:
        peak = max(peak, one.growth)
        found.append((one.growth / peak - 1).quantize(PLACES) if peak else Decimal(0))
    return found


def deepest(points: Sequence[CurvePoint]) -> DeepestFall | None:
    """The deepest fall of the range."""
    falls = fall(points)
    if not falls or not min(falls):
        return None
    at = falls.index(min(falls))
    peak = max(points[: at + 1], key=lambda one: one.growth)
    return DeepestFall(falls[at], peak.time, points[at].time)


class MonthCell(NamedTuple):
    """The return of a month, None where there was none, and how deep its tone is."""

    result: Decimal | None
    tone: str


def months(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, list[MonthCell], Decimal]]:
    """Year by year: its twelve months and the whole, chained from the days."""
    chained: dict[tuple[int, int], Decimal] = {}
    for row in rows:
        key = (row["time"].year, row["time"].month)
        won = chained.get(key, Decimal(1))
        begin = row["opening_equity"] or row["external_flows"]  # the first day begins with nothing
        if begin > 0:
            won *= 1 + row["profit"] / begin
        chained[key] = won.quantize(PLACES)
    most = max((abs(one - 1) for one in chained.values()), default=Decimal(0))
    found = []
    for year in sorted({year for year, _ in chained}, reverse=True):
        cells, whole = [], Decimal(1)
        for month in range(1, 13):
            one = chained.get((year, month))
            whole *= one or 1
            cells.append(MonthCell(None if one is None else one - 1, _tone(one, most)))
        found.append((year, cells, whole - 1))
    return found


def _tone(index: Decimal | None, most: Decimal) -> str:
    """One of three steps either way, symmetric about nothing."""
    if index is None:
        return "missing"
    if not most or index == 1:
        return ""
    step = min(int(abs(index - 1) / most * 3) + 1, 3)
    return f"h{step}{'u' if index > 1 else 'd'}"
