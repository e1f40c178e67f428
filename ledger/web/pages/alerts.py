"""Alerts: what is active, who sees to it, and what became of those before."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.web.pages.frame import show
from ledger.web.viewer import PageViewer

VIEWS = {"active": "ACTIVE", "acknowledged": "ACKNOWLEDGED", "resolved": "RESOLVED", "all": None}
PAGE_ROWS = 100

router = APIRouter()


@router.get("/alerts")
def alerts(
    request: Request, viewer: PageViewer, view: str = "active", after: str | None = None
) -> HTMLResponse:
    """Raises InvalidQuestion."""
    view = view if view in VIEWS else "active"
    asked = {} if VIEWS[view] is None else {"status": VIEWS[view]}
    with viewer.reading() as reading:
        standing = reading.standing()
        answer = reading.ask("alerts", asked, limit=PAGE_ROWS, after=after)
    values = {"alerts": answer.rows, "next": answer.next, "views": VIEWS, "view": view}
    return show(request, viewer, "alerts.html", values, standing=standing)
