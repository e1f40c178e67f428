"""Positions: what is held, at which price, what it made; each opens to its lots and trades."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.kernel import read_side
from ledger.web.pages import tables
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.frame import look_of, show
from ledger.web.viewer import PageViewer

COLUMNS = (
    *("instrument", "quantity", "average_entry_price", "mark_price", "unrealized_pnl"),
    *("realized_pnl", "commission", "funding", "net_pnl", "settlement_asset", "sub_account"),
)
BALANCE_COLUMNS = ("asset", "sub_account", "total", "available", "locked", "updated_at")
LOT_COLUMNS = (
    "acquired_at",
    "quantity",
    "acquired_quantity",
    "cost",
    "cost_asset",
    "method",
    "event_id",
)
FILL_COLUMNS = (
    "fill_timestamp",
    "side",
    "quantity",
    "price",
    "commission",
    "commission_asset",
    "order_id",
)
PAGE_ROWS = 100
DETAIL_ROWS = 20

router = APIRouter()


@router.get("/positions")
def positions(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    status: str = "OPEN",
    instrument: str | None = None,
    open: UUID | None = None,  # noqa: A002
    after: str | None = None,
    known_at: str | None = None,
) -> HTMLResponse:
    """Raises NotVisible, InvalidQuestion, InvalidMoment."""
    known_at = known_at or None
    zone = look_of(request).zone
    values: dict[str, Any] = {"status": status, "instrument": instrument or "", "opened": open}
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        values |= {"accounts": accounts, "positions": None, "balances": None, "detail": None}
        if accounts.account_id is not None:
            asked = {"account_id": accounts.account_id, "instrument": instrument or None}
            asked["status"] = status if status != "ALL" else None
            answer = reading.ask(
                "positions", asked, known_at=known_at, after=after, limit=PAGE_ROWS
            )
            question = read_side.question("positions")
            values["positions"] = tables.table(
                question, answer, zone=zone, known_at=known_at, columns=COLUMNS
            )
            held = reading.ask("balances", {"account_id": accounts.account_id}, known_at=known_at)
            values["balances"] = tables.table(
                read_side.question("balances"),
                held,
                zone=zone,
                known_at=known_at,
                columns=BALANCE_COLUMNS,
            )
            values["detail"] = _detail(
                reading, accounts.account_id, answer.rows, open, zone, known_at
            )
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    return show(request, viewer, "positions.html", values, standing=standing)


def _detail(
    reading: Any, account_id: UUID, rows: Any, opened: UUID | None, zone: Any, known_at: str | None
) -> dict[str, Any] | None:
    """The lots and trades of the position that is opened."""
    row = next((one for one in rows if one["position_id"] == opened), None)
    if row is None:
        return None
    instrument = row["instrument"]
    trades = reading.ask(
        "fills",
        {"account_id": account_id, "instrument": instrument},
        known_at=known_at,
        limit=DETAIL_ROWS,
    )
    lots = reading.ask("lots", {"account_id": account_id, "asset": _asset(row)}, limit=DETAIL_ROWS)
    return {
        "row": row,
        "lots": tables.table(read_side.question("lots"), lots, zone=zone, columns=LOT_COLUMNS),
        "fills": tables.table(
            read_side.question("fills"), trades, zone=zone, known_at=known_at, columns=FILL_COLUMNS
        ),
    }


def _asset(row: Any) -> str:
    """What lots of the position are of: spot holds its base asset, a contract itself."""
    symbol = str(row["instrument"]).partition(":")[2]
    quote = str(row["settlement_asset"])
    return symbol.removesuffix(quote) if symbol.endswith(quote) else symbol
