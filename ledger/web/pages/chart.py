"""An instrument's prices as candles, with own fills at their price and what works there.

Candles are made of the prices that were recorded (no venue is asked): open, highest, lowest and
last of each stretch of time. A fill that lies outside of its candle is marked, as one of the two is
wrong. The numbers of the drawing are rounded by the browser; those of the tables are exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from ledger.kernel import money, read_side
from ledger.web.answers import Reading
from ledger.web.pages import tables
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.files import csv_file
from ledger.web.pages.frame import look_of, show, url
from ledger.web.viewer import PageViewer

INTERVALS = {"5m": 300, "1h": 3_600, "4h": 14_400, "1d": 86_400}
MOST_PAGES = 12
ROWS_AT_ONCE = 500
"""So at most 6,000 prices make the candles of a page."""
FILL_COLUMNS = (
    *("fill_timestamp", "side", "quantity", "price", "commission", "commission_asset"),
    *("late", "voided", "order_id"),
)
SHOWN_FILLS = 100

router = APIRouter()


@dataclass
class Candle:
    """What prices did in a stretch of time."""

    begin: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def take(self, price: Decimal) -> None:
        """A later price of the same stretch."""
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price


@router.get("/chart")
def chart(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    instrument: str | None = None,
    interval: str = "4h",
    known_at: str | None = None,
) -> HTMLResponse:
    """Raises NotVisible, InvalidMoment."""
    known_at = known_at or None
    interval = interval if interval in INTERVALS else "4h"
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        offered = sorted({row["instrument"] for row in reading.ask("prices", {}, limit=500).rows})
        chosen = instrument or _traded(reading, accounts.account_id) or (offered or [None])[0]
        fills = None
        if chosen is not None and accounts.account_id is not None:
            asked = {"account_id": accounts.account_id, "instrument": chosen}
            answer = reading.ask("fills", asked, known_at=known_at, limit=SHOWN_FILLS)
            zone = look_of(request).zone
            fills = tables.table(
                read_side.question("fills"),
                answer,
                zone=zone,
                known_at=known_at,
                columns=FILL_COLUMNS,
            )
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    values = {
        "accounts": accounts,
        "instruments": offered if chosen in offered or chosen is None else [chosen, *offered],
        "instrument": chosen,
        "interval": interval,
        "intervals": INTERVALS,
        "fills": fills,
        "data": url(
            "/chart/data",
            account_id=accounts.account_id,
            instrument=chosen,
            interval=interval,
            known_at=known_at,
        ),
    }
    return show(request, viewer, "chart.html", values, standing=standing)


@router.get("/chart/data")
def data(
    viewer: PageViewer,
    instrument: str,
    account_id: UUID | None = None,
    interval: str = "4h",
    known_at: str | None = None,
    format: str = "json",  # noqa: A002
) -> Response:
    """What is drawn; the candles as CSV with exact numbers. Raises NotVisible, InvalidMoment."""
    seconds = INTERVALS.get(interval, INTERVALS["4h"])
    with viewer.reading() as reading:
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
        until = standing.known_at_time
        prices = _prices(reading, instrument, until)
        fills: Sequence[Any] = ()
        lines: list[dict[str, Any]] = []
        if account_id is not None:
            asked = {"account_id": account_id, "instrument": instrument}
            answer = reading.ask("fills", asked, known_at=known_at or None, limit=ROWS_AT_ONCE)
            fills = [row for row in answer.rows if not row["voided"]]
            lines = _lines(reading, asked, known_at or None)
    candles = _candles(prices, seconds)
    if format == "csv":
        columns = ("time", "open", "high", "low", "close")
        rows = [
            (datetime.fromtimestamp(one.begin, UTC), one.open, one.high, one.low, one.close)
            for one in candles
        ]
        return csv_file(f"candles-{instrument}-{interval}", columns, rows, standing)
    return JSONResponse(
        {
            "candles": [_of_candle(one) for one in candles],
            "fills": _marks(fills, candles, seconds),
            "lines": lines,
        }
    )


def _traded(reading: Reading, account_id: UUID | None) -> str | None:
    """The instrument that was traded last."""
    if account_id is None:
        return None
    rows = reading.ask("fills", {"account_id": account_id}, limit=1).rows
    return str(rows[0]["instrument"]) if rows else None


def _prices(reading: Reading, instrument: str, until: datetime | None) -> list[tuple[int, Decimal]]:
    """Time and price, oldest first, of the kind that there is most of."""
    found: list[Mapping[str, Any]] = []
    asked: dict[str, Any] = {"instrument": instrument}
    if until is not None:
        asked["to_time"] = until
    after = None
    for _ in range(MOST_PAGES):
        page = reading.ask("price_history", asked, limit=ROWS_AT_ONCE, after=after)
        found += page.rows
        after = page.next
        if after is None:
            break
    kinds = [str(row["kind"]) for row in found]
    usual = max(set(kinds), key=kinds.count, default=None)
    return [
        (int(row["time"].timestamp()), row["price"])
        for row in reversed(found)
        if str(row["kind"]) == usual
    ]


def _candles(prices: Sequence[tuple[int, Decimal]], seconds: int) -> list[Candle]:
    found: list[Candle] = []
    for time, price in prices:
        begin = time - time % seconds
        if found and found[-1].begin == begin:
            found[-1].take(price)
        else:
            first = found[-1].close if found else price
            found.append(Candle(begin, first, max(first, price), min(first, price), price))
    return found


def _of_candle(one: Candle) -> dict[str, Any]:
    return {
        "time": one.begin,
        "open": float(one.open),
        "high": float(one.high),
        "low": float(one.low),
        "close": float(one.close),
    }


def _marks(fills: Sequence[Any], candles: Sequence[Candle], seconds: int) -> list[dict[str, Any]]:
    """Fills by candle and side: one mark for several, with their number."""
    by_begin = {one.begin: one for one in candles}
    groups: dict[tuple[int, str], list[Any]] = {}
    for row in fills:
        time = int(row["fill_timestamp"].timestamp())
        groups.setdefault((time - time % seconds, str(row["side"])), []).append(row)
    marks = []
    for (begin, side), rows in sorted(groups.items()):
        candle = by_begin.get(begin)
        prices = [row["price"] for row in rows]
        outside = candle is not None and not all(
            candle.low <= price <= candle.high for price in prices
        )
        marks.append(
            {
                "time": begin,
                "side": side,
                "price": float(prices[0]),
                "count": len(rows),
                "late": any(row["late"] for row in rows),
                "outside": outside,
                "order": f"/orders/{rows[0]['order_id']}",
                "text": "; ".join(
                    f"{money.plain(row['quantity'])} @ {money.plain(row['price'])}"
                    for row in rows[:5]
                ),
            }
        )
    return marks


def _lines(
    reading: Reading, asked: Mapping[str, Any], known_at: str | None
) -> list[dict[str, Any]]:
    """Average entries of open positions, and prices of working orders."""
    found = []
    for row in reading.ask("positions", {**asked, "status": "OPEN"}, known_at=known_at).rows:
        if row["average_entry_price"] is not None:
            name = f"average entry, {row['sub_account']}"
            found.append(
                {"label": name, "price": float(row["average_entry_price"]), "kind": "entry"}
            )
    for row in reading.ask("orders", {**asked, "status": "OPEN"}, known_at=known_at).rows:
        price = row["price"] or row["stop_price"]
        if price is not None:
            found.append(
                {
                    "label": f"{str(row['side']).lower()} order",
                    "price": float(price),
                    "kind": "order",
                }
            )
    return found
