"""What was sent, and what became of it: decided, refused with every reason, or failed."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from ledger.audit.ask.commands import CommandFilter, find
from ledger.web.pages.frame import show
from ledger.web.viewer import PageViewer

STATUSES = ("ACCEPTED", "REJECTED", "FAILED")
PAGE_ROWS = 100

router = APIRouter()


@router.get("/commands")
def commands(
    request: Request,
    viewer: PageViewer,
    status: str | None = None,
    code: str | None = None,
    command_type: str | None = None,
    sender: str | None = None,
    rows: Annotated[int, Query(ge=1, le=500)] = PAGE_ROWS,
) -> HTMLResponse:
    """Raises Problem."""
    viewer.require("read_log")
    asked = CommandFilter(
        status=status or None,
        code=code or None,
        command_type=command_type or None,
        sender=sender or None,
    )
    with viewer.reading() as reading:
        standing = reading.standing()
        found: list[dict[str, Any]] = list(find(reading.connection, asked, limit=rows + 1))
    values = {
        "commands": found[:rows],
        "more": len(found) > rows,
        "asked": asked,
        "statuses": STATUSES,
        "count": rows,
    }
    return show(request, viewer, "commands.html", values, standing=standing)
