"""Acting, as pages: preview, reason, the name typed for what cannot be taken back, result.

    GET  /act/halt?scope=ACCOUNT&reference=…     what it is told, and what it would do as things are
    POST /act/halt                               does it, or asks another person
    GET  /approvals                              what waits for another person

Forms, so that it works where no script does. The id of the deed is made with the preview: sending
the form twice is one deed. What a role may not do is not offered, and is refused.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from uuid_utils.compat import uuid7

from ledger.web.actions import acts
from ledger.web.actions.action import Action, ActionPreview, ActionResult
from ledger.web.answers import LogStanding, NotVisible
from ledger.web.pages.frame import show
from ledger.web.problems import Problem
from ledger.web.viewer import CSRF_FIELD, PageViewer, SignedIn

OWN_FIELDS = (CSRF_FIELD, "reason", "confirm", "command_id")

router = APIRouter()


@router.get("/act/{name}")
async def preview(request: Request, viewer: PageViewer, name: str) -> HTMLResponse:
    """What it would do; where it is not told enough yet, the form that asks. Raises Problem,
    NotVisible."""
    action = _action(viewer, name)
    given = {key: value for key, value in request.query_params.items() if value}
    return await _form(request, viewer, action, given)


@router.post("/act/{name}")
async def act(request: Request, viewer: PageViewer, name: str) -> HTMLResponse:
    """Does it. Raises Problem, NotVisible."""
    action = _action(viewer, name)
    form = await request.form()
    given = {key: value for key in form if key not in OWN_FIELDS and (value := _text(form, key))}
    try:
        result = await acts.act(
            viewer,
            name,
            given,
            reason=_text(form, "reason"),
            command_id=UUID(_text(form, "command_id")),
            confirm=_text(form, "confirm") or None,
        )
    except Problem as problem:
        return await _form(request, viewer, action, given, problem)
    except ValueError:
        raise Problem("INVALID_REQUEST", "the form has no id of the deed: open it again") from None
    return await _result(request, viewer, action.title, result)


@router.get("/approvals")
def approvals(request: Request, viewer: PageViewer) -> HTMLResponse:
    """What waits for another person, and what was decided."""
    with viewer.reading() as reading:
        standing = reading.standing()
    values = {"approvals": acts.approvals(viewer), "titles": _titles()}
    return show(request, viewer, "approvals.html", values, standing=standing)


@router.post("/approvals/{approval_id}")
async def decide(request: Request, viewer: PageViewer, approval_id: UUID) -> HTMLResponse:
    """Another person's word. Raises Problem."""
    form = await request.form()
    approved = _text(form, "decision") == "APPROVED"
    result = await acts.decide(viewer, approval_id, approved=approved)
    return await _result(request, viewer, "Approval", result)


async def _form(
    request: Request,
    viewer: SignedIn,
    action: Action,
    given: Mapping[str, str],
    refused: Problem | None = None,
) -> HTMLResponse:
    found: ActionPreview | None = None
    missing = [one for one in action.arguments if one.required and not given.get(one.name)]
    problem = refused
    if not missing:
        try:
            found, _ = await acts.preview(viewer, action.name, given)
        except Problem as error:
            if error.code != "INVALID_REQUEST":
                raise
            problem = problem or error
    values = {
        "action": action,
        "given": given,
        "found": found,
        "problem": problem,
        "command_id": uuid7(),
        "open_arguments": [one for one in action.arguments if found is None],
    }
    standing = await run_in_threadpool(_standing, viewer)
    status = problem.status if problem is not None else 200
    return show(request, viewer, "act.html", values, standing=standing, status=status)


async def _result(
    request: Request, viewer: SignedIn, title: str, result: ActionResult
) -> HTMLResponse:
    standing = await run_in_threadpool(_standing, viewer)
    values = {"title": title, "result": result}
    return show(request, viewer, "acted.html", values, standing=standing)


def _standing(viewer: SignedIn) -> LogStanding:
    with viewer.reading() as reading:
        return reading.standing()


def _action(viewer: SignedIn, name: str) -> Action:
    """Raises Problem, NotVisible."""
    action = acts.actions().get(name)
    if action is None:
        raise NotVisible(f"there is no action {name[:60]!r}")
    viewer.require(name)
    return action


def _titles() -> dict[str, str]:
    return {name: one.title for name, one in acts.actions().items()}


def _text(form: FormData, name: str) -> str:
    value: Any = form.get(name)
    return value if isinstance(value, str) else ""
