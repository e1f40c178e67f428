"""Commands: `POST /api/v1/commands`, and what became of them.

The key of a request (`Idempotency-Key`) is the command's id: sent again, it has the same outcome
and no second effect; with other content it is refused. Who may send what is told by role and class
(rights.py); about which accounts, by row-level security, and by the ledger itself (`userid`).
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Header
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from ledger.bus.permission_errors import NotPermitted
from ledger.kernel.command import UNKNOWN, Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.nouns import COMMAND_DATA, FAMILY_OF_COMMAND
from ledger.web import json_body
from ledger.web.api.parameters import OnlyKnown, refusals
from ledger.web.person import OF_ONE_USER
from ledger.web.problems import Problem
from ledger.web.rights import OF_CLASS
from ledger.web.viewer import SignedIn, Viewer

router = APIRouter(tags=["commands"], dependencies=[OnlyKnown])

_OUTCOME = """
    SELECT outcome::text, user_id, subject FROM public.command_inbox WHERE command_id = %s"""


class SentCommand(BaseModel):
    """A command: its type, its account unless it is of none, and its data as
    docs/schemas/commands describe it."""

    model_config = ConfigDict(extra="forbid")

    type: str
    account_id: UUID | None = None
    data: dict[str, Any] = {}
    correlation_id: UUID | None = None
    causation_id: UUID | None = None


@router.post(
    "/commands",
    response_class=Response,
    responses={
        200: {"description": "Decided: the outcome, ACCEPTED or REJECTED"},
        202: {"description": "Received, and not decided yet: Location tells where to ask"},
        **refusals("NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "TOO_LARGE"),
    },
)
async def send(
    viewer: Viewer,
    command: Annotated[SentCommand, Body()],
    idempotency_key: Annotated[UUID, Header(description="The command's id: new for each.")],
) -> Response:
    """Sends a command, and answers with its outcome if there is one within two seconds."""
    await run_in_threadpool(_check, viewer, command)
    web = viewer.web
    try:
        outcome = await web.commands.send(
            viewer.person,
            command.type,
            command.data,
            account_id=command.account_id,
            command_id=idempotency_key,
            wait_seconds=web.settings.web_command_wait_seconds,
            correlation_id=command.correlation_id,
            causation_id=command.causation_id,
        )
    except NotPermitted as error:
        raise Problem("FORBIDDEN", f"the bus does not let this server send it: {error}") from error
    return answer_of(outcome)


@router.get("/commands/{command_id}", response_class=Response, responses=refusals("NOT_FOUND"))
def outcome(viewer: Viewer, command_id: UUID) -> Response:
    """What became of a command; 404 while nothing is decided."""
    viewer.require("read")
    with viewer.reading() as reading:
        with reading.any_row() as connection:
            found = connection.execute(_OUTCOME, [command_id]).fetchone()
        if found is not None and not reading.is_own(found[1], found[2]):
            found = None
    if found is None:
        raise Problem("NOT_FOUND", f"no outcome of {command_id} is recorded, or not for you")
    return answer_of(Outcome.from_json(found[0]))


def answer_of(found: Outcome) -> Response:
    """The outcome as an answer. Raises Problem."""
    if found.code == GeneralRejection.COMMAND_ID_REUSED:
        raise Problem("IDEMPOTENCY_KEY_REUSED", found.message or "another command has this id")
    body = {
        "command_id": found.command_id,
        "status": found.status,
        "code": found.code,
        "message": found.message,
        "position": found.position,
        "events": [
            {
                "id": one.id,
                "type": one.type,
                "stream_id": one.stream_id,
                "version": one.version,
                "position": one.position,
            }
            for one in found.events
        ],
        "replayed": found.replayed,
    }
    headers = {"Location": f"/api/v1/commands/{found.command_id}"}
    if found.position is not None:
        headers["Ledger-Position"] = str(found.position)
    return json_body.response(body, status=202 if found.status == UNKNOWN else 200, headers=headers)


def _check(viewer: SignedIn, command: SentCommand) -> None:
    """Whether this person may send this command. Raises Problem, NotVisible."""
    model = COMMAND_DATA.get(command.type)
    if model is None:
        raise Problem(
            "INVALID_REQUEST",
            f"there is no command {command.type[:60]!r}; there are: {', '.join(COMMAND_DATA)}",
        )
    viewer.require(OF_CLASS[model.command_class])
    family = FAMILY_OF_COMMAND[command.type]
    about = command.account_id or _account_in(command.data)
    if family is not None:
        if viewer.role in OF_ONE_USER:
            raise Problem("FORBIDDEN", f"{command.type} is about {family}, which are nobody's own")
    elif about is None:
        raise Problem("INVALID_REQUEST", f"{command.type} is about an account: give account_id")
    elif viewer.role in OF_ONE_USER:
        with viewer.reading() as reading, reading.of_account(about):
            pass
    if command.data.get("actor", viewer.name) != viewer.name:
        raise Problem("INVALID_REQUEST", f"the actor is who sends it, {viewer.name}")


def _account_in(data: dict[str, Any]) -> UUID | None:
    try:
        return UUID(str(data["account_id"])) if "account_id" in data else None
    except ValueError:
        raise Problem("INVALID_REQUEST", "data.account_id must be a UUID") from None
