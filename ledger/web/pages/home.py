"""Home: what an account is worth, what it holds and what works for it, each number with its why."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.kernel import read_side
from ledger.kernel.money import ZERO, exact
from ledger.nouns.limits.answers import LimitUse, LimitUseAnswer
from ledger.web.answers import Reading
from ledger.web.pages import tables, why_worth
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.frame import look_of, show, url
from ledger.web.viewer import PageViewer

POSITION_COLUMNS = ("instrument", "quantity", "average_entry_price", "mark_price", "unrealized_pnl")
ORDER_COLUMNS = ("order_id", "instrument", "side", "quantity", "price", "status")
FILL_COLUMNS = ("fill_timestamp", "instrument", "side", "quantity", "price")
BALANCE_COLUMNS = ("asset", "sub_account", "total", "locked")
SHOWN_ROWS = 8
MOST_POSITIONS = 500
CURVE_POINTS = 400
USED_LIMITS = 3
"""In the tile, the most used first; all of them are a page of their own."""

router = APIRouter()


@router.get("/")
def home(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    known_at: str | None = None,
) -> HTMLResponse:
    """Raises NotVisible, InvalidMoment."""
    known_at = known_at or None
    zone = look_of(request).zone
    values: dict[str, Any] = {}
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        values["accounts"] = accounts
        if accounts.account_id is not None:
            values |= _of_account(reading, accounts.account_id, known_at, zone)
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    # Reckoned of the state that decides, and so only as it is now.
    used = None
    if accounts.account_id is not None and known_at is None:
        used = viewer.web.limit_use.use(accounts.account_id)
    values["used"] = most_used(used)
    return show(request, viewer, "home.html", values, standing=standing)


def _of_account(
    reading: Reading, account_id: UUID, known_at: str | None, zone: Any
) -> dict[str, Any]:
    asked = {"account_id": account_id}

    def rows(name: str, limit: int, **also: object) -> Any:
        return reading.ask(name, {**asked, **also}, known_at=known_at, limit=limit)

    positions = rows("positions", MOST_POSITIONS, status="OPEN")
    orders = rows("orders", SHOWN_ROWS, status="OPEN")
    fills = rows("fills", SHOWN_ROWS)
    balances = rows("balances", MOST_POSITIONS)

    def table(name: str, answer: Any, columns: tuple[str, ...]) -> tables.TableView:
        question = read_side.question(name)
        made = tables.table(question, answer, zone=zone, known_at=known_at, columns=columns)
        return replace(made, next=None)  # the whole of it has a page of its own

    newest = why_worth.newest(reading, account_id, known_at)
    begin = None if newest is None else why_worth.day_begin(reading, newest, known_at)
    return {
        "worth": newest,
        "day_pnl": None if newest is None or begin is None else why_worth.day_pnl(newest, begin),
        "why_worth": {}
        if newest is None
        else {
            part: why_worth.link(newest, part, known_at)
            for part in ("equity", "day_pnl", "unrealized_pnl", "gross_exposure", "max_drawdown")
        },
        "more_orders": orders.more,
        "alerts": _alerts(reading) if known_at is None else None,
        "tiles": _sums(positions.rows, account_id, known_at),
        "positions": table("positions", positions, POSITION_COLUMNS),
        "orders": table("orders", orders, ORDER_COLUMNS),
        "fills": table("fills", fills, FILL_COLUMNS),
        "balances": table("balances", balances, BALANCE_COLUMNS),
    }


def most_used(use: LimitUseAnswer | None) -> Sequence[LimitUse]:
    """The limits that are used most; those that nothing is measured of without an order are not
    told."""
    measured = [one for one in use.rows if one.percent is not None] if use is not None else []
    return sorted(measured, key=lambda one: one.percent or ZERO, reverse=True)[:USED_LIMITS]


def _alerts(reading: Reading) -> int:
    """Those that are active. Of a past moment they are not told."""
    return len(reading.ask("alerts", {"status": "ACTIVE"}, limit=MOST_POSITIONS).rows)


def _sums(positions: Any, account_id: UUID, known_at: str | None) -> list[dict[str, Any]]:
    """Of open positions, in each asset that they settle in; none is added to another."""
    found: dict[str, list[Decimal | None]] = {}
    for row in positions:
        found.setdefault(row["settlement_asset"], []).append(row["unrealized_pnl"])
    tiles = []
    for asset, results in sorted(found.items()):
        priced = [one for one in results if one is not None]
        asked: dict[str, object] = {"account_id": account_id, "asset": asset}
        asked |= {"part": "unrealized_pnl", "known_at": known_at}
        with exact():
            value = sum(priced, ZERO)
        tiles.append(
            {
                "name": "Unrealised P&L",
                "value": value,
                "unit": asset,
                "note": f"{len(priced)} of {len(results)} positions priced",
                "why": url("/why/positions", **asked),
            }
        )
    return tiles
