"""Who asks, who is signed in, and what can go wrong."""

from fastapi import APIRouter
from fastapi.responses import Response

from ledger.web import json_body, rights
from ledger.web.api.parameters import Id, OnlyKnown, refusals
from ledger.web.problems import PROBLEMS, Problem
from ledger.web.viewer import Viewer

router = APIRouter(tags=["session"], dependencies=[OnlyKnown])


@router.get("/me", response_class=Response, responses=refusals())
def me(viewer: Viewer) -> Response:
    """Who asks, and what they may do."""
    person = viewer.person
    return json_body.response(
        {
            "name": person.name,
            "role": person.role,
            "user_id": person.user_id,
            "scopes": sorted(person.scopes),
            "may": [action for action in rights.RIGHTS if viewer.may(action)],
        }
    )


@router.get("/sessions", response_class=Response, responses=refusals())
def sessions(viewer: Viewer) -> Response:
    """Who is signed in: all, for who may end them; else one's own."""
    found = viewer.web.sessions.all()
    shown = [one for one in found if viewer.may("end_session") or one.name == viewer.name]
    return json_body.response(
        {
            "rows": [
                {
                    "id": one.id,
                    "name": one.name,
                    "method": one.method,
                    "created_at": one.created_at,
                    "last_seen_at": one.last_seen_at,
                    "expires_at": one.expires_at,
                    "address": one.address,
                    "agent": one.agent,
                }
                for one in shown
            ]
        }
    )


@router.delete("/sessions/{id}", response_class=Response, responses=refusals("NOT_FOUND"))
def end_session(viewer: Viewer, id: Id) -> Response:  # noqa: A002
    """Ends a session: one's own, or any for who may."""
    own = [one.id for one in viewer.web.sessions.all() if one.name == viewer.name]
    viewer.require("end_own_session" if id in own else "end_session")
    viewer.web.sessions.end_named(id, by=viewer.name)
    return json_body.response({"id": id, "ended": True})


@router.get("/problems", response_class=Response)
def problems() -> Response:
    """Every code that a refusal may have."""
    rows = [{"code": code, **kind._asdict()} for code, kind in PROBLEMS.items()]
    return json_body.response({"rows": rows})


@router.get("/problems/{code}", response_class=Response, responses=refusals("NOT_FOUND"))
def problem(code: Id) -> Response:
    """What a code means."""
    kind = PROBLEMS.get(code)
    if kind is None:
        raise Problem("NOT_FOUND", f"there is no problem {code}")
    return json_body.response({"code": code, **kind._asdict()})
