"""Orders: the blotter, and the story of each."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.kernel import read_side
from ledger.nouns.orders.status import OrderStatus
from ledger.web.pages import tables, timeline, why
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.frame import look_of, show
from ledger.web.viewer import PageViewer

COLUMNS = (
    *("order_id", "status", "instrument", "side", "order_type", "quantity", "price"),
    *("filled_quantity", "avg_fill_price", "created_at"),
)
FILL_COLUMNS = (
    *("fill_timestamp", "trade_id", "side", "quantity", "price", "commission", "commission_asset"),
    *("late", "voided", "event_id"),
)
VIEWS = {
    "working": "OPEN",
    "filled": "FILLED",
    "cancelled": "CANCELLED",
    "rejected": "REJECTED",
    "denied": "DENIED",
    "all": None,
}
PAGE_ROWS = 100
FILL_ROWS = 200

router = APIRouter()


@router.get("/orders")
def orders(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    view: str = "working",
    instrument: str | None = None,
    after: str | None = None,
    known_at: str | None = None,
) -> HTMLResponse:
    """Raises NotVisible, InvalidQuestion, InvalidMoment."""
    known_at = known_at or None
    view = view if view in VIEWS else "working"
    question = read_side.question("orders")
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        table = None
        if accounts.account_id is not None:
            asked = {
                "account_id": accounts.account_id,
                "status": _known_status(question, VIEWS[view]),
                "instrument": instrument or None,
            }
            answer = reading.ask("orders", asked, known_at=known_at, after=after, limit=PAGE_ROWS)
            table = tables.table(
                question, answer, zone=look_of(request).zone, known_at=known_at, columns=COLUMNS
            )
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    values = {
        "accounts": accounts,
        "table": table,
        "views": VIEWS,
        "view": view,
        "instrument": instrument or "",
    }
    return show(request, viewer, "orders.html", values, standing=standing)


def _known_status(question: Any, word: str | None) -> str | None:
    """The word, where the question knows it."""
    status = question.filter_of["status"]
    members = question.types[status.column].__members__
    return word if word is None or word in status.words or word in members else None


@router.get("/orders/{order_id}")
def order(
    request: Request, viewer: PageViewer, order_id: UUID, known_at: str | None = None
) -> HTMLResponse:
    """Raises NotVisible."""
    known_at = known_at or None
    zone = look_of(request).zone
    with viewer.reading() as reading:
        told = why.story(reading, order_id)
        answer = reading.ask("order", {"order_id": order_id}, known_at=known_at, limit=1)
        rows = answer.rows
        fills = reading.ask(
            "fills",
            {"account_id": rows[0]["account_id"], "order_id": order_id},
            limit=FILL_ROWS,
        )
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    steps = [
        step
        for step in told.steps
        if standing.known_at is None or step.position <= standing.known_at
    ]
    question = read_side.question("order")
    facts = [
        (tables.label(name), tables.cell("order", name, rows[0], zone, None, known_at))
        for name in question.table.columns
        if rows[0][name] is not None and name != "order_id"
    ]
    values = {
        "order": rows[0],
        "works": not OrderStatus(rows[0]["status"]).is_terminal,
        "facts": facts,
        "state": tables.state(str(rows[0]["status"])),
        "story": timeline.drawn([timeline.of_step(step) for step in steps], zone),
        "steps": steps,
        "differences": told.differences,
        "fills": tables.table(
            read_side.question("fills"), fills, zone=zone, known_at=known_at, columns=FILL_COLUMNS
        ),
    }
    return show(request, viewer, "order.html", values, standing=standing)
