"""The HTTP API, under /api/v1: a file for each kind of what can be asked or done.

questions   the read models, an endpoint for each question that is registered
audit       the log: events, traces, explanations, statements, proofs
actions     what people do: previewed, with a reason, approved where two are needed
commands    what is to be decided, and what became of it
stream      events as they are recorded (SSE)
session     who asks, sessions, what can go wrong
"""

from functools import cache

from fastapi import APIRouter

from ledger.web.api import actions, audit, commands, questions, session, stream

PREFIX = "/api/v1"


@cache
def router() -> APIRouter:
    """All of it; the questions last, because their names are the read side's. Made once: a hundred
    endpoints take their time."""
    found = APIRouter(prefix=PREFIX)
    for part in (session, audit, commands, actions, stream):
        found.include_router(part.router)
    found.include_router(questions.router(_taken(found)))
    return found


def _taken(router: APIRouter) -> set[str]:
    return {
        route.path.removeprefix(PREFIX).split("/")[1]
        for route in router.routes
        if hasattr(route, "path")
    }
