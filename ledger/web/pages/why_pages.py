"""Why: an explanation as a page, in the drawer of another page, or as JSON for scripts."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from ledger.kernel import money
from ledger.kernel.time import time_text
from ledger.web.answers import Reading
from ledger.web.pages import why, why_worth
from ledger.web.pages.frame import show, url
from ledger.web.pages.why import Arithmetic, Term, Why
from ledger.web.viewer import PageViewer, SignedIn

router = APIRouter(prefix="/why")


@router.get("/balance")
def of_balance(
    request: Request,
    viewer: PageViewer,
    account_id: UUID,
    asset: str,
    sub_account: str | None = None,
    part: str = "total",
    reason: str | None = None,
    known_at: str | None = None,
) -> Response:
    """Raises NotVisible, NoBalance."""
    explain = partial(
        why.of_balance,
        account_id=account_id,
        asset=asset,
        sub_account=sub_account,
        part=part,
        reason=reason,
    )
    return _told_at(request, viewer, known_at, explain)


@router.get("/position")
def of_position(
    request: Request,
    viewer: PageViewer,
    account_id: UUID,
    position_id: UUID,
    part: str = "net_pnl",
    known_at: str | None = None,
) -> Response:
    """Raises NotVisible, NoPosition."""
    explain = partial(why.of_position, account_id=account_id, position_id=position_id, part=part)
    return _told_at(request, viewer, known_at, explain)


@router.get("/positions")
def of_positions(
    request: Request,
    viewer: PageViewer,
    account_id: UUID,
    asset: str,
    part: str = "net_pnl",
    known_at: str | None = None,
) -> Response:
    """Raises NotVisible."""
    explain = partial(why.of_positions, account_id=account_id, asset=asset, part=part)
    return _told_at(request, viewer, known_at, explain)


@router.get("/order")
def of_order(
    request: Request,
    viewer: PageViewer,
    order_id: UUID,
    part: str = "filled_quantity",
    known_at: str | None = None,
) -> Response:
    """Raises NotVisible."""
    explain = partial(why.of_order, order_id=order_id, part=part)
    return _told_at(request, viewer, known_at, explain)


@router.get("/worth")
def of_worth(
    request: Request,
    viewer: PageViewer,
    account_id: UUID,
    time: datetime,
    at: int,
    part: str = "equity",
    known_at: str | None = None,
) -> Response:
    """Raises NotVisible."""

    def explain(reading: Reading) -> Why:
        return why_worth.of_worth(
            reading, account_id=account_id, time=time, at=at, part=part, known_at=known_at or None
        )

    return _told(request, viewer, explain)


@router.get("/row/{question}")
def of_row(
    request: Request,
    viewer: PageViewer,
    question: str,
    column: str,
    at: Annotated[int, Query(ge=1)],
) -> Response:
    """What a row says that nothing is reckoned for: the event that wrote it last."""

    def explain(reading: Reading) -> Why:
        event = why.event_at(reading, at)
        told = Term(
            event.event_type,
            None,
            href=None,
            event_id=event.id,
            position=event.position,
            time=event.occurred_at,
        )
        return Why(
            f"{column.replace('_', ' ')} of {question.replace('_', ' ')}",
            None,
            "",
            "as the event tells that last changed this row",
            Arithmetic.TOLD,
            [told],
            position=at,
        )

    return _told(request, viewer, explain)


def _told_at(
    request: Request, viewer: SignedIn, known_at: str | None, explain: Callable[..., Why]
) -> Response:
    """What is explained as of what was known at a position."""

    def explained(reading: Reading) -> Why:
        return explain(reading, known_at=_position(reading, known_at))

    return _told(request, viewer, explained)


def _told(request: Request, viewer: SignedIn, explain: Callable[[Reading], Why]) -> Response:
    with viewer.reading() as reading:
        found = explain(reading)
        if request.query_params.get("format") == "json":
            return JSONResponse(as_json(found))
        standing = reading.standing(_position(reading, request.query_params.get("known_at")))
    drawer = request.headers.get("hx-request") == "true"
    template = "why_drawer.html" if drawer else "why.html"
    return show(request, viewer, template, {"why": found, "url": url}, standing=standing)


def _position(reading: Reading, known_at: str | None) -> int | None:
    return reading.position_of(known_at) if known_at else None


def as_json(found: Why) -> dict[str, Any]:
    """The explanation, with amounts as text."""
    return {
        "title": found.title,
        "value": _text(found.value),
        "unit": found.unit,
        "formula": found.formula,
        "arithmetic": found.arithmetic.value,
        "reckoned": _text(found.reckoned),
        "holds": found.holds,
        "position": found.position,
        "terms": [
            {
                "label": one.label,
                "value": _text(one.value),
                "unit": one.unit,
                "why": one.href,
                "event_id": None if one.event_id is None else str(one.event_id),
                "position": one.position,
                "time": None if one.time is None else time_text(one.time),
                "note": one.note,
            }
            for one in found.terms
        ],
    }


def _text(value: Any) -> str | None:
    return None if value is None else money.plain(value)
