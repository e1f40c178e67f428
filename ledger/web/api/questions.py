"""The read models: `GET /api/v1/<question>`, made from what the read side declares.

The filters are the question's own, a row is what its published schema says, and a page begins where
`next` of the one before says: so rows that are written meanwhile are neither shown twice nor lost.
"""

import inspect
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from ledger.contract.schemas import row as row_schema
from ledger.kernel import read_side
from ledger.kernel.errors import LedgerError
from ledger.web import json_body
from ledger.web.answers import USUAL_ROWS
from ledger.web.api.parameters import (
    LONGEST_PARAMETER,
    After,
    EffectiveAt,
    Endpoint,
    KnownAt,
    OnlyKnown,
    WaitFor,
    refusals,
)
from ledger.web.problems import Problem
from ledger.web.viewer import SignedIn, Viewer

if TYPE_CHECKING:
    from projections.questions.question import Filter, Question

Limit = Annotated[
    int, Query(ge=1, description=f"Most rows; at most LEDGER_WEB_ROWS_LIMIT, usually {USUAL_ROWS}.")
]


class QuestionNameTaken(LedgerError):
    """A question has the name of an endpoint."""


def router(taken: Collection[str]) -> APIRouter:
    """An endpoint for each question. Raises QuestionNameTaken."""
    found = APIRouter(tags=["questions"])
    for name, question in read_side.questions().items():
        if name in taken:
            raise QuestionNameTaken(f"the question {name} cannot be asked at /api/v1/{name}")
        found.add_api_route(
            f"/{name}",
            _endpoint(question),
            methods=["GET"],
            name=name,
            summary=question.about,
            description=_description(question),
            response_class=Response,
            responses={200: _answered(name), **refusals("NOT_FOUND", "NOT_REACHED", "TOO_SLOW")},
            dependencies=[OnlyKnown],
        )
    return found


def _endpoint(question: "Question[Any]") -> Endpoint:
    async def endpoint(viewer: SignedIn, **given: Any) -> Response:
        viewer.require("read")
        limit, after, position = given.pop("limit"), given.pop("after"), given.pop("wait_for")
        if limit > viewer.web.settings.web_rows_limit:
            most = viewer.web.settings.web_rows_limit
            raise Problem("INVALID_REQUEST", f"limit must be 1 to {most}, not {limit}")
        moment = {name: given.pop(name, None) for name in ("known_at", "effective_at")}
        await viewer.web.wait_for(question.projection, position)
        filters = {name: value for name, value in given.items() if value is not None}
        return await run_in_threadpool(_asked, viewer, question.name, filters, moment, limit, after)

    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        _parameters(question), return_annotation=Response
    )
    return endpoint


def _asked(
    viewer: SignedIn,
    name: str,
    filters: dict[str, Any],
    moment: dict[str, str | None],
    limit: int,
    after: str | None,
) -> Response:
    with viewer.reading() as reading:
        found = reading.ask(name, filters, limit=limit, after=after, **moment)
        standing = reading.standing(found.position)
    answer = {
        "position": found.position,
        "rows": [dict(row) for row in found.rows],
        "more": found.more,
        "next": found.next,
    }
    return json_body.response(answer, standing)


def _parameters(question: "Question[Any]") -> list[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    found = [inspect.Parameter("viewer", keyword, annotation=Viewer)]
    for one in question.filter_of.values():
        kind = _filter_type(question, one)
        found.append(inspect.Parameter(one.name, keyword, annotation=kind, default=None))
    if question.past is not None:
        found.append(inspect.Parameter("known_at", keyword, annotation=KnownAt, default=None))
    if question.past is not None and question.past.by_time:
        at = inspect.Parameter("effective_at", keyword, annotation=EffectiveAt, default=None)
        found.append(at)
    found.append(inspect.Parameter("limit", keyword, annotation=Limit, default=USUAL_ROWS))
    found.append(inspect.Parameter("after", keyword, annotation=After, default=None))
    found.append(inspect.Parameter("wait_for", keyword, annotation=WaitFor, default=None))
    return found


def _filter_type(question: "Question[Any]", one: "Filter") -> Any:
    """How a filter is described. What its value means, the question reads itself."""
    kind = question.types[one.column]
    if kind is bool:
        return Annotated[bool | None, Query()]
    described: dict[str, Any] = {}
    if kind is UUID:
        described["format"] = "uuid"
    elif kind is datetime:
        described["format"] = "date-time"
    elif issubclass(kind, StrEnum):
        described["enum"] = [member.value for member in kind] + list(one.words)
    return Annotated[
        str | None, Query(max_length=LONGEST_PARAMETER, json_schema_extra=described or None)
    ]


def _description(question: "Question[Any]") -> str:
    ways = [f"`{path.by}`" for path in question.paths if path.by is not None]
    named = "" if any(path.by is None for path in question.paths) else " or ".join(ways)
    needs = f"Needs {named}; of a user, all own rows without. " if named else ""
    past = "Can be asked of the past. " if question.past is not None else ""
    return f"{needs}{past}Read model: `{question.projection}`."


def _answered(name: str) -> dict[str, Any]:
    schema = dict(row_schema(name))
    for dialect in ("$schema", "$id"):
        schema.pop(dialect, None)
    answer = {
        "type": "object",
        "required": ["position", "rows", "more", "next"],
        "properties": {
            "position": {"type": "integer", "description": "What the rows are as of."},
            "rows": {"type": "array", "items": schema},
            "more": {"type": "boolean"},
            "next": {"type": ["string", "null"], "description": "To be given as `after`."},
        },
    }
    headers = {
        name: {"schema": {"type": "string"}, "description": says} for name, says in HEADERS.items()
    }
    return {
        "description": "The rows",
        "content": {json_body.MEDIA_TYPE: {"schema": answer}},
        "headers": headers,
    }


HEADERS = {
    "Ledger-Position": "The position that the answer is as of.",
    "Ledger-Known-At": "When that position was recorded.",
    "Ledger-Sealed-To": "The last position that is under a seal.",
}
"""Of every answer."""
