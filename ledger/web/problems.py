"""What went wrong, as RFC 9457 has it for programs, and as a page for people.

    {"type": "/api/v1/problems/INVALID_REQUEST", "title": …, "status": 400, "code": …,
     "detail": a sentence with the remedy, "reasons": […], "request_id": …}

Every code is in PROBLEMS, which the document and its test are made from. What nobody foresaw is
INTERNAL_ERROR: the log has it under the request id, the answer says nothing of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from psycopg import errors
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from ledger.audit.ask.explain import NoBalance
from ledger.audit.ask.explain_position import NoPosition
from ledger.audit.ask.statement import UnknownAccount
from ledger.audit.ask.trace import UnknownId
from ledger.audit.prove.proofs import CannotProve
from ledger.bus.envelope import CommandNotSendable
from ledger.client.submission import LedgerUnavailable, OutcomeTimeout
from ledger.eventstore.moments import InvalidMoment
from ledger.kernel.errors import LedgerError
from ledger.kernel.read_side import InvalidQuestion, ReadModelBehind, UnknownQuestion
from ledger.kernel.text import visible
from ledger.operate.servers import NotRunning
from ledger.web.answers import InvalidCursor, NotVisible
from ledger.web.limits import TooManyRequests
from ledger.web.sessions import NoSession
from ledger.web.tokens import UnknownToken

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1
"""After which it is worth trying again where a server is away."""

_log = structlog.get_logger(__name__)


class ProblemKind(NamedTuple):
    """What a code means, whatever the request was."""

    status: int
    title: str


PROBLEMS: dict[str, ProblemKind] = {
    "INVALID_REQUEST": ProblemKind(400, "The request is not one that can be answered"),
    "NOT_SIGNED_IN": ProblemKind(401, "Nobody is signed in, or no longer"),
    "FORBIDDEN": ProblemKind(403, "Your role or your token may not do this"),
    "NOT_FOUND": ProblemKind(404, "There is no such thing, or not for you"),
    "METHOD_NOT_ALLOWED": ProblemKind(405, "This is not asked in this way"),
    "CONFLICT": ProblemKind(409, "It has been decided otherwise already"),
    "NOT_PROVABLE": ProblemKind(409, "There is no proof of the event, or not yet"),
    "IDEMPOTENCY_KEY_REUSED": ProblemKind(409, "The key was used for another command"),
    "TOO_LARGE": ProblemKind(413, "The request is too large"),
    "WRONG_HOST": ProblemKind(421, "This server has another name"),
    "TOO_MANY_REQUESTS": ProblemKind(429, "There are too many requests"),
    "INTERNAL_ERROR": ProblemKind(500, "A mistake of the server"),
    "NOT_REACHED": ProblemKind(503, "The position is not reached yet"),
    "UNAVAILABLE": ProblemKind(503, "A server that is needed is away or busy"),
    "TOO_SLOW": ProblemKind(503, "The answer takes too long"),
}
"""Every code there is."""


class Problem(LedgerError):
    """Answers a request with this."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        reasons: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
        self.reasons, self.headers = list(reasons), dict(headers or {})

    @property
    def status(self) -> int:
        return PROBLEMS[self.code].status


def retry_after(seconds: float = RETRY_SECONDS) -> dict[str, str]:
    return {"Retry-After": str(max(int(seconds + 0.999), 1))}


NOT_SIGNED_IN = "sign in, or send a token as `Authorization: Bearer …`"
_Told = tuple[tuple[type[Exception], ...], str, str | None, bool]
_KNOWN: tuple[_Told, ...] = (
    ((CannotProve,), "NOT_PROVABLE", None, True),
    (
        (
            *(NotVisible, NoSession, UnknownToken, UnknownQuestion, UnknownId, UnknownAccount),
            *(NoBalance, NoPosition),
        ),
        "NOT_FOUND",
        None,
        False,
    ),
    (
        (InvalidQuestion, InvalidCursor, InvalidMoment, CommandNotSendable),
        "INVALID_REQUEST",
        None,
        False,
    ),
    ((ReadModelBehind,), "NOT_REACHED", None, True),
    (
        (errors.QueryCanceled,),
        "TOO_SLOW",
        "the answer takes too long: ask for less, or at the terminal",
        False,
    ),
    (
        (errors.DataError,),
        "INVALID_REQUEST",
        "a value cannot be stored or compared: correct it",
        False,
    ),
    (
        (PoolTimeout, psycopg.OperationalError),
        "UNAVAILABLE",
        "the database does not answer: ask again in a moment",
        True,
    ),
    ((LedgerUnavailable, OutcomeTimeout, NotRunning), "UNAVAILABLE", None, True),
)
"""Errors, their code, what is said of them if not their own words, and whether to try again."""


def of(error: Exception) -> Problem:
    """The error as a problem."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, TooManyRequests):
        return Problem("TOO_MANY_REQUESTS", str(error), headers=retry_after(error.seconds))
    for kinds, code, detail, again in _KNOWN:
        if isinstance(error, kinds):
            return Problem(code, detail or str(error), headers=retry_after() if again else {})
    return Problem(
        "INTERNAL_ERROR",
        "nothing is known to be wrong with the request: tell an operator the request id, under "
        "which the log says what it was",
    )


def _of_http(error: HTTPException) -> Problem:
    for code, kind in PROBLEMS.items():
        if kind.status == error.status_code:
            headers = dict(error.headers or {})
            return Problem(code, f"{kind.title}: {visible(str(error.detail))}", headers=headers)
    return Problem("INVALID_REQUEST", visible(str(error.detail)))


def _of_validation(error: RequestValidationError) -> Problem:
    reasons = [
        {"where": "/".join(str(part) for part in one["loc"]), "reason": str(one["msg"])}
        for one in error.errors()
    ]
    first = reasons[0] if reasons else {"where": "request", "reason": "is wrong"}
    detail = f"{first['where']}: {first['reason']}"
    return Problem("INVALID_REQUEST", visible(detail), reasons=reasons)


def install(app: FastAPI) -> None:
    """What is foreseen is answered here; the rest by the guard, which comes here as well."""
    for kind in (HTTPException, RequestValidationError, LedgerError, psycopg.Error):
        app.add_exception_handler(kind, answer)


async def answer(request: Request, error: Exception) -> Response:
    """The problem as a program or a person wants it."""
    problem = of(error)
    request_id = getattr(request.state, "request_id", "")
    if problem.code == "INTERNAL_ERROR":
        _log.error("request_failed", request_id=request_id, exc_info=error)
    if not wants_page(request):
        return Response(
            body(problem, request_id),
            problem.status,
            headers=problem.headers | authenticate(problem),
            media_type=MEDIA_TYPE,
        )
    if problem.code == "NOT_SIGNED_IN" and request.method == "GET":
        from urllib.parse import quote

        query = f"?{request.url.query}" if request.url.query else ""
        wanted = quote(f"{request.url.path}{query}", safe="")
        return RedirectResponse(f"/sign-in?next={wanted}", 303)
    from ledger.web.page import error_page

    return error_page(request, problem, request_id)


def wants_page(request: Request) -> bool:
    """Whether a person asks, by a browser."""
    if request.url.path.startswith(("/api/", "/static/")):
        return False
    return "text/html" in request.headers.get("accept", "")


def authenticate(problem: Problem) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if problem.code == "NOT_SIGNED_IN" else {}


def body(problem: Problem, request_id: str) -> bytes:
    return orjson.dumps(
        {
            "type": f"/api/v1/problems/{problem.code}",
            "title": PROBLEMS[problem.code].title,
            "status": problem.status,
            "code": problem.code,
            "detail": visible(problem.detail),
            "reasons": problem.reasons,
            "request_id": request_id,
        }
    )
