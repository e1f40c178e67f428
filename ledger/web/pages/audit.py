"""What auditors ask: why a balance or a position is what it is, as a tree; and statements."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from ledger.audit.ask.statement import statement as statement_of
from ledger.audit.ask.statement_page import page as statement_page
from ledger.kernel.read_side import InvalidQuestion
from ledger.kernel.time import read_time
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.frame import look_of, show
from ledger.web.viewer import PageViewer

MOST_MOVEMENTS = 2_000
"""On a page; the file has all of them."""
USUAL_DAYS = 30

router = APIRouter()


@router.get("/explain")
def explain(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    known_at: str | None = None,
) -> HTMLResponse:
    """What can be explained of an account: each balance and each position, opened step by step."""
    known_at = known_at or None
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        balances: Sequence[Any] = ()
        positions: Sequence[Any] = ()
        if accounts.account_id is not None:
            asked = {"account_id": accounts.account_id}
            balances = reading.ask("balances", asked, known_at=known_at, limit=500).rows
            positions = reading.ask("positions", asked, known_at=known_at, limit=500).rows
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    values = {"accounts": accounts, "balances": balances, "positions": positions}
    return show(request, viewer, "explain.html", values, standing=standing)


@router.get("/statement")
def statement(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    begin: str | None = None,
    end: str | None = None,
) -> HTMLResponse:
    """Raises NotVisible, InvalidQuestion."""
    until = _time(end) or datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    since = _time(begin) or until - timedelta(days=USUAL_DAYS)
    with viewer.reading() as reading:
        accounts = choose(reading, account_id)
        standing = reading.standing()
        found, movements, more = None, [], 0
        if accounts.account_id is not None:
            with reading.of_account(accounts.account_id) as connection:
                found = statement_of(connection, accounts.account_id, since, until)
                told = found.movements(connection)
                movements = list(islice(told, MOST_MOVEMENTS))
                more = sum(1 for _ in told)
    values = {
        "accounts": accounts,
        "statement": found,
        "movements": movements,
        "more": more,
        "begin": since,
        "end": until,
        "zone": look_of(request).zone,
    }
    return show(request, viewer, "statement.html", values, standing=standing)


@router.get("/statement/file")
def statement_file(viewer: PageViewer, account_id: UUID, begin: str, end: str) -> StreamingResponse:
    """The statement as one page that needs nothing else. Raises NotVisible, InvalidQuestion."""
    since, until = _time(begin), _time(end)
    if since is None or until is None:
        raise InvalidQuestion("begin and end are missing")

    def parts() -> Any:
        with viewer.reading() as reading, reading.of_account(account_id) as connection:
            yield from statement_page(
                connection, statement_of(connection, account_id, since, until)
            )

    with viewer.reading() as reading, reading.of_account(account_id):
        pass
    name = f'attachment; filename="statement-{account_id}.html"'
    return StreamingResponse(parts(), media_type="text/html", headers={"Content-Disposition": name})


def _time(text: str | None) -> datetime | None:
    """Raises InvalidQuestion."""
    if not text or not text.strip():
        return None
    try:
        return read_time(text.strip())
    except ValueError:
        raise InvalidQuestion(
            f"{text[:60]!r} is no time: write it like 2026-08-01T12:00:00Z"
        ) from None
