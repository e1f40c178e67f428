"""Home: what an account is worth, what it holds and what works for it, each number with its why."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.kernel import read_side
from ledger.kernel.money import ZERO, exact
from ledger.web.answers import Reading
from ledger.web.pages import tables
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.frame import look_of, show, url
from ledger.web.viewer import PageViewer

POSITION_COLUMNS = (
    "instrument",
    "quantity",
    "average_entry_price",
    "mark_price",
    "unrealized_pnl",
    "net_pnl",
)
ORDER_COLUMNS = ("order_id", "instrument", "side", "quantity", "price", "filled_quantity", "status")
FILL_COLUMNS = ("fill_timestamp", "instrument", "side", "quantity", "price")
SHOWN_ROWS = 8
MOST_POSITIONS = 500
CURVE_POINTS = 400

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

    return {
        "more_orders": orders.more,
        "tiles": _sums(positions.rows, account_id, known_at),
        "positions": table("positions", positions, POSITION_COLUMNS),
        "orders": table("orders", orders, ORDER_COLUMNS),
        "fills": table("fills", fills, FILL_COLUMNS),
        "balances": table(
            "balances", balances, ("asset", "sub_account", "total", "available", "locked")
        ),
    }


def _sums(positions: Any, account_id: UUID, known_at: str | None) -> list[dict[str, Any]]:
    """Of open positions, in each asset that they settle in; none is added to another."""
    found: dict[str, dict[str, Decimal]] = {}
    priced: dict[str, int] = {}
    with exact():
        for row in positions:
            of = found.setdefault(
                row["settlement_asset"], {"unrealized_pnl": ZERO, "net_pnl": ZERO}
            )
            of["net_pnl"] += row["net_pnl"]
            if row["unrealized_pnl"] is not None:
                of["unrealized_pnl"] += row["unrealized_pnl"]
                priced[row["settlement_asset"]] = priced.get(row["settlement_asset"], 0) + 1
    count = {
        asset: sum(1 for row in positions if row["settlement_asset"] == asset) for asset in found
    }
    return [
        {
            "name": f"{name} P&L of open positions",
            "value": sums[part],
            "unit": asset,
            "note": f"{priced.get(asset, 0)} of {count[asset]} priced" if part == "unrealized_pnl"
            else "realised − fees + funding",
            "why": url("/why/positions", account_id=account_id, asset=asset, part=part,
                       known_at=known_at),
        }
        for asset, sums in sorted(found.items())
        for part, name in (("unrealized_pnl", "Unrealised"), ("net_pnl", "Net"))
    ]  # fmt: skip
