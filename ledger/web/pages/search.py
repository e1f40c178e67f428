"""One box: an id of anything, a position, or what a venue or a client calls an order.

Each find says what it is, and the page says what was searched, so that nothing found means
something.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ledger.audit.ask.trace import UnknownId, trace
from ledger.kernel.read_side import InvalidQuestion
from ledger.web.answers import Reading
from ledger.web.database import elevated
from ledger.web.pages.accounts_of import MOST_OFFERED
from ledger.web.pages.frame import show
from ledger.web.viewer import PageViewer

MOST_FOUND = 50
SEARCHED = (
    "events, commands, streams and correlations by id",
    "orders by what venue and client call them",
)

router = APIRouter()


class Found(NamedTuple):
    """What a text was found to be, and where it is shown."""

    what: str
    label: str
    href: str


@router.get("/search")
def search(request: Request, viewer: PageViewer, q: str = "") -> Response:
    """Raises Problem."""
    viewer.require("read_log")
    wanted = q.strip()
    with viewer.reading() as reading:
        standing = reading.standing()
        found = list(_found(reading, wanted)) if wanted else []
    if len(found) == 1:
        return RedirectResponse(found[0].href, 303)
    values = {"wanted": wanted, "found": found, "searched": SEARCHED}
    answer: HTMLResponse = show(request, viewer, "search.html", values, standing=standing)
    return answer


def _found(reading: Reading, wanted: str) -> Iterator[Found]:
    if wanted.replace(",", "").isdigit():
        position = wanted.replace(",", "")
        yield Found("position of the log", position, f"/log?after={int(position) - 1}&order=oldest")
    try:
        which = UUID(wanted)
    except ValueError:
        yield from _by_name(reading, wanted)
        return
    order = reading.ask("order", {"order_id": which}, limit=1).rows
    if order:
        yield Found("order", str(which), f"/orders/{which}")
        return
    account = reading.ask("accounts", {"account_id": which}, limit=1).rows
    if account:
        yield Found("account", str(account[0]["account_name"]), f"/positions?account_id={which}")
        return
    with elevated(reading.connection):
        try:
            told = trace(reading.connection, which)
        except UnknownId:
            return
    if told.asked == "event":
        yield Found("event", str(which), f"/events/{which}")
    else:
        yield Found(told.asked, str(which), f"/story/{which}")


def _by_name(reading: Reading, wanted: str) -> Iterator[Found]:
    """Orders by a venue's or a client's id."""
    for account in reading.ask("accounts", {}, limit=MOST_OFFERED).rows:
        for name in ("venue_order_id", "client_order_id"):
            asked = {"account_id": account["account_id"], name: wanted}
            for row in _rows(reading, "orders", asked):
                label = f"{row['instrument']} {row['side']}"
                yield Found(name.replace("_", " "), label, f"/orders/{row['order_id']}")


def _rows(reading: Reading, question: str, asked: dict[str, Any]) -> Any:
    try:
        return reading.ask(question, asked, limit=MOST_FOUND).rows
    except InvalidQuestion:
        return ()
