"""Every question of the read side as a page: its filters, its rows, its past.

A read model that is added has its page with it: nothing here knows one by name.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.kernel import read_side
from ledger.web.pages import tables
from ledger.web.pages.accounts_of import choose
from ledger.web.pages.frame import look_of, show
from ledger.web.viewer import PageViewer

RESERVED = ("known_at", "effective_at", "after", "limit", "columns")
PAGE_ROWS = 50

router = APIRouter(prefix="/questions")


@router.get("")
def all_questions(request: Request, viewer: PageViewer) -> HTMLResponse:
    """What may be asked."""
    with viewer.reading() as reading:
        standing = reading.standing()
    values = {"questions": read_side.questions().values()}
    return show(request, viewer, "questions.html", values, standing=standing)


@router.get("/{name}")
def one_question(request: Request, viewer: PageViewer, name: str) -> HTMLResponse:
    """Raises UnknownQuestion, InvalidQuestion, NotVisible."""
    question = read_side.question(name)
    given = {key: value for key, value in request.query_params.items() if value}
    filters: dict[str, Any] = {key: one for key, one in given.items() if key not in RESERVED}
    known_at = given.get("known_at")
    columns = [one for one in given.get("columns", "").split(",") if one in question.table.columns]
    with viewer.reading() as reading:
        reachable = any(path.by is None or path.by in filters for path in question.paths)
        if not reachable and "account_id" in question.filter_of:
            account_id = choose(reading, None).account_id
            filters |= {} if account_id is None else {"account_id": account_id}
        asked = _answerable(question, filters)
        past = known_at if question.past is not None else None
        answer = (
            reading.ask(name, filters, known_at=past, after=given.get("after"), limit=PAGE_ROWS)
            if asked
            else None
        )
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
    view = None
    if answer is not None:
        zone = look_of(request).zone
        view = tables.table(question, answer, zone=zone, known_at=known_at, columns=columns)
    values = {
        "question": question,
        "filters": {key: filters.get(key, "") for key in question.filter_of},
        "choices": _choices(question),
        "table": view,
        "label": tables.label,
        "only_now": known_at is not None and question.past is None,
    }
    return show(request, viewer, "question.html", values, standing=standing)


def _answerable(question: Any, filters: Mapping[str, Any]) -> bool:
    return any(path.by is None or path.by in filters for path in question.paths)


def _choices(question: Any) -> dict[str, list[str]]:
    """The values of filters that have few."""
    found = {}
    for name, one in question.filter_of.items():
        members = getattr(question.types[one.column], "__members__", None)
        if members:
            found[name] = [*one.words, *(str(each) for each in members.values())]
    return found
