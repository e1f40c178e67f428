"""The calendar: what an account, or one of its strategies, made on each day of a month.

Days are those that the account is measured by, in its own time zone, as `performance` tells them: a
number is of what was known when the day was over, and is not written over. A day about which
something was recorded after its end has a mark, and leads to the page that says what changed.
"""

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.kernel import read_side
from ledger.kernel.money import ZERO, exact
from ledger.kernel.read_side import InvalidQuestion
from ledger.web.answers import Reading
from ledger.web.pages import tables
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.frame import look_of, show
from ledger.web.pages.why_links import why_link
from ledger.web.viewer import PageViewer

MOST_ROWS = 500
"""Of a page of an answer; the days of a month are read to the end."""
SHOWN_TRADES = 100
HALF_A_DAY = timedelta(hours=12)
"""A row's day is the one that its middle lies in, whatever the account's time zone is."""
FILL_COLUMNS = (
    *("fill_timestamp", "instrument", "side", "quantity", "price", "commission"),
    *("commission_asset", "late", "voided", "order_id"),
)
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STEPS = 3
"""Tones either way, symmetric about nothing."""

router = APIRouter()
Row = Mapping[str, Any]


@dataclass
class CalendarDay:
    """A day of the grid. `profit` is None where nothing was measured; `causes` say why its number
    would be another one today."""

    date: date
    in_month: bool
    row: Row | None = None
    tone: str = ""
    why: str | None = None
    causes: list[str] = field(default_factory=list)

    @property
    def profit(self) -> Decimal | None:
        return None if self.row is None else self.row["total_pnl"]


class CalendarWeek(NamedTuple):
    """A row of the grid, and what its days of the month add up to."""

    days: Sequence[CalendarDay]
    profit: Decimal | None
    trades: int


@router.get("/calendar")
def month_of(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    month: str | None = None,
    strategy: str | None = None,
    day: str | None = None,
) -> HTMLResponse:
    """Raises NotVisible, InvalidQuestion."""
    values: dict[str, Any] = {"weekdays": WEEKDAYS, "trades": None, "day": None}
    values |= {"strategies": [], "weeks": [], "currency": "", "strategy": strategy or ""}
    with viewer.reading() as reading:
        accounts = values["accounts"] = choose(reading, account_id)
        standing = reading.standing()
        first = _month(month) if month else _newest(reading, accounts.account_id)
        values |= {"month": first, "before": _step(first, -1), "after": _step(first, 1)}
        if accounts.chosen is not None:
            rows = _rows(reading, accounts.chosen["account_id"], first)
            values["strategies"] = sorted({row["strategy_id"] for row in rows} - {None})
            days = _days(first, [row for row in rows if row["strategy_id"] == (strategy or None)])
            _mark(reading, accounts.chosen, days)
            values["weeks"] = weeks(days)
            values["currency"] = next((row["currency"] for row in rows), "")
            chosen = next((one for one in days if one.date.isoformat() == day), None)
            values["day"] = chosen
            if chosen is not None and chosen.row is not None:
                asked = {
                    "account_id": accounts.account_id,
                    "from_time": chosen.row["time"],
                    "to_time": chosen.row["period_end"],
                }
                answer = reading.ask("fills", asked, limit=SHOWN_TRADES)
                values["trades"] = tables.table(
                    read_side.question("fills"),
                    answer,
                    zone=look_of(request).zone,
                    columns=FILL_COLUMNS,
                )
    values["total"] = _sum([one.profit for one in values["weeks"]])
    values["count"] = sum(one.trades for one in values["weeks"])
    return show(request, viewer, "calendar.html", values, standing=standing)


def _month(text: str) -> date:
    """Raises InvalidQuestion."""
    try:
        return date.fromisoformat(f"{text[:7]}-01")
    except ValueError:
        raise InvalidQuestion(f"{text[:60]!r} is no month: write it like 2026-08") from None


def _newest(reading: Reading, account_id: UUID | None) -> date:
    """The month of the last day that was measured; else this one."""
    rows: Sequence[Row] = ()
    if account_id is not None:
        asked = {"account_id": account_id, "scope": "ACCOUNT", "period_type": "DAILY"}
        rows = reading.ask("performance", asked, limit=1).rows
    moment = rows[0]["time"] + HALF_A_DAY if rows else datetime.now(UTC)
    return moment.astimezone(UTC).date().replace(day=1)


def _step(first: date, months: int) -> str:
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return f"{year:04}-{month + 1:02}"


def _rows(reading: Reading, account_id: UUID, first: date) -> list[Row]:
    """Of the account and of its strategies, each day of the grid."""
    begin = datetime(first.year, first.month, 1, tzinfo=UTC) - timedelta(days=8)
    asked: dict[str, Any] = {
        "account_id": account_id,
        "period_type": "DAILY",
        "from_time": begin,
        "to_time": begin + timedelta(days=48),
    }
    rows = _all(reading, "performance", asked)
    return [row for row in rows if str(row["scope"]) in ("ACCOUNT", "STRATEGY")]


def _all(reading: Reading, question: str, asked: Mapping[str, Any]) -> list[Row]:
    """All rows of an answer."""
    rows: list[Row] = []
    after = None
    while True:
        page = reading.ask(question, asked, limit=MOST_ROWS, after=after)
        rows += page.rows
        after = page.next
        if after is None:
            return rows


def _days(first: date, rows: Sequence[Row]) -> list[CalendarDay]:
    """All days of the weeks that the month has a part in."""
    by_date = {(row["time"] + HALF_A_DAY).astimezone(UTC).date(): row for row in rows}
    grid = calendar.Calendar().itermonthdates(first.year, first.month)
    days = [CalendarDay(one, one.month == first.month, by_date.get(one)) for one in grid]
    most = max((abs(one.profit) for one in days if one.profit is not None), default=ZERO)
    for one in days:
        one.tone = _tone(one.profit, most)
        if one.row is not None:
            one.why = why_link("performance", "total_pnl", one.row)
    return days


def _tone(profit: Decimal | None, most: Decimal) -> str:
    if profit is None:
        return "missing"
    if not profit:
        return ""
    step = min(int(abs(profit) / most * STEPS) + 1, STEPS)
    return f"h{step}{'u' if profit > 0 else 'd'}"


def _mark(reading: Reading, account: Row, days: Sequence[CalendarDay]) -> None:
    """Says of days what was recorded about them after their end."""
    measured = [one for one in days if one.row is not None]
    if not measured:
        return
    begin = min(one.row["time"] for one in measured if one.row is not None)
    end = max(one.row["period_end"] for one in measured if one.row is not None)
    of = {"account_id": account["account_id"], "from_time": begin, "to_time": end}
    late = [(row["occurred_at"], row["position"]) for row in _all(reading, "late_movements", of)]
    voided = [
        (row["fill_timestamp"], row["voided_at"])
        for row in _all(reading, "fills", {**of, "voided": True})
    ]
    now = datetime.now(UTC)
    for one in measured:
        assert one.row is not None
        since, until = one.row["time"], one.row["period_end"]
        of_day = [position for at, position in late if since <= at < until]
        if of_day and until < now:
            ended = reading.position_of(until.isoformat())
            count = sum(position > ended for position in of_day)
            one.causes += [f"{count} recorded late"] if count else []
        taken = sum(since <= at < until <= (back or at) for at, back in voided)
        one.causes += [f"{taken} taken back later"] if taken else []


def weeks(days: Sequence[CalendarDay]) -> list[CalendarWeek]:
    """The days by weeks, Monday first. Sums are of the days of the month."""
    found = []
    for at in range(0, len(days), 7):
        week = days[at : at + 7]
        own = [one for one in week if one.in_month]
        trades = sum(one.row["total_trades"] for one in own if one.row is not None)
        found.append(CalendarWeek(week, _sum([one.profit for one in own]), trades))
    return found


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [one for one in amounts if one is not None]
    if not known:
        return None
    with exact():
        return sum(known, ZERO)
