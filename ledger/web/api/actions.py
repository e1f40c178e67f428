"""Actions: what a person may do, previewed, done, approved by another (`ledger/web/actions`)."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Header
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from ledger.web import json_body
from ledger.web.actions import acts
from ledger.web.actions.action import ActionPreview
from ledger.web.api.parameters import Id, OnlyKnown, refusals
from ledger.web.viewer import Viewer

router = APIRouter(tags=["actions"], dependencies=[OnlyKnown])
_FOUND: dict[str, Any] = {
    "response_class": Response,
    "responses": refusals("NOT_FOUND", "CONFLICT", "TOO_LARGE"),
}


class Previewed(BaseModel):
    """What an action is told."""

    model_config = ConfigDict(extra="forbid")

    arguments: dict[str, str | int | None] = {}


class Acted(Previewed):
    """And why; `confirm` where the preview asks for it."""

    reason: str
    confirm: str | None = None


class ApprovalWord(BaseModel):
    """Another person's word."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["APPROVED", "REJECTED"]


@router.get("/actions", **_FOUND)
def actions(viewer: Viewer) -> Response:
    """What you may do, and what each is told."""
    rows = [
        {
            "name": one.name,
            "title": one.title,
            "about": one.about,
            "arguments": [
                {
                    "name": argument.name,
                    "label": argument.label,
                    "kind": argument.kind,
                    "choices": argument.choices,
                    "required": argument.required,
                }
                for argument in one.arguments
            ],
        }
        for one in acts.offered(viewer)
    ]
    return json_body.response({"rows": rows})


@router.post("/actions/{name}/preview", **_FOUND)
async def preview(viewer: Viewer, name: Id, body: Annotated[Previewed, Body()]) -> Response:
    """What would happen, as things are now. Nothing does."""
    found, _ = await acts.preview(viewer, name, body.arguments)
    return json_body.response(foreseen(found))


@router.post("/actions/{name}", **_FOUND)
async def act(
    viewer: Viewer,
    name: Id,
    body: Annotated[Acted, Body()],
    idempotency_key: Annotated[UUID, Header(description="Of the deed: new for each.")],
) -> Response:
    """Does it, or asks another person to approve it (status WAITING)."""
    result = await acts.act(
        viewer,
        name,
        body.arguments,
        reason=body.reason,
        command_id=idempotency_key,
        confirm=body.confirm,
    )
    waits = result.status in (acts.WAITING, "UNKNOWN")
    return json_body.response(acts.document(result), status=202 if waits else 200)


@router.get("/approvals", **_FOUND)
def approvals(viewer: Viewer) -> Response:
    """What waits for another person, and what was decided."""
    return json_body.response({"rows": acts.approvals(viewer)})


@router.post("/approvals/{id}", **_FOUND)
async def decide(viewer: Viewer, id: UUID, body: Annotated[ApprovalWord, Body()]) -> Response:  # noqa: A002
    """Another person's word: an approval does it."""
    result = await acts.decide(viewer, id, approved=body.decision == "APPROVED")
    return json_body.response(acts.document(result))


def foreseen(found: ActionPreview) -> dict[str, Any]:
    """A preview, for JSON."""
    return {
        "effect": list(found.effect),
        "sends": [dict(one) for one in found.sends],
        "confirm": found.confirm,
        "needs_approval": found.needs_approval,
    }
