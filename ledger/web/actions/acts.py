"""Doing: the four steps, the same for pages and the API.

preview    reads the arguments, refuses who may not, and tells what would happen
act        the same again, then does it, or asks another person
decide     that other person's yes or no; a yes does it
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from psycopg.rows import dict_row
from starlette.concurrency import run_in_threadpool

from ledger.kernel.text import plain
from ledger.web import rights
from ledger.web.actions import commands, deeds
from ledger.web.actions.action import (
    Action,
    ActionArgument,
    ActionPreview,
    ActionRequest,
    ActionResult,
    ArgumentKind,
)
from ledger.web.answers import NotVisible
from ledger.web.api.parameters import LARGEST_POSITION
from ledger.web.person import Person
from ledger.web.problems import Problem
from ledger.web.viewer import SignedIn

APPROVAL_MINUTES = 15
"""After which a request for approval is void: what was previewed may be something else by then."""
LONGEST_REASON = 500
LONGEST_ARGUMENT = 200
WAITING = "WAITING"
_AMOUNT = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?")

_ASK = """
    INSERT INTO public.web_approvals (id, action, arguments, effect, reason, requested_by,
        requested_at, expires_at)
    VALUES (%(id)s, %(action)s, %(arguments)s, %(effect)s, %(reason)s, %(by)s, now(),
        now() + %(minutes)s * interval '1 minute')
    ON CONFLICT (id) DO NOTHING"""
_LIST = """
    SELECT id, action, arguments, effect, reason, requested_by, requested_at, expires_at, decision,
        decided_by, decided_at, result, decision IS NULL AND expires_at > now() AS waits
    FROM public.web_approvals ORDER BY requested_at DESC LIMIT 200"""
_DECIDE = """
    UPDATE public.web_approvals
    SET decision = %(decision)s, decided_by = %(by)s, decided_at = now()
    WHERE id = %(id)s AND decision IS NULL AND expires_at > now() AND requested_by <> %(by)s
    RETURNING action, arguments, reason, requested_by"""
_RESULT = "UPDATE public.web_approvals SET result = %(result)s WHERE id = %(id)s"


@cache
def actions() -> dict[str, Action]:
    """All there are, by name."""
    return {one.name: one for one in (*commands.actions(), *deeds.actions())}


def offered(viewer: SignedIn) -> list[Action]:
    """Those that this person may."""
    return [one for one in actions().values() if viewer.may(one.name)]


async def preview(
    viewer: SignedIn, name: str, given: Mapping[str, object]
) -> tuple[ActionPreview, dict[str, Any]]:
    """What would happen, and the arguments as they were read. Raises Problem, NotVisible."""
    action = _action(viewer, name)
    arguments = read(action, given)
    found = await viewer.web.read_as(
        viewer.person, lambda reading: action.foresees(reading, arguments)
    )
    return found, arguments


async def act(
    viewer: SignedIn,
    name: str,
    given: Mapping[str, object],
    *,
    reason: str,
    command_id: UUID,
    confirm: str | None = None,
) -> ActionResult:
    """Does it, or asks another person to approve it. Raises Problem, NotVisible."""
    action = _action(viewer, name)
    why = _reason(reason)
    foreseen, arguments = await preview(viewer, name, given)
    if foreseen.confirm is not None and confirm != foreseen.confirm:
        raise Problem(
            "INVALID_REQUEST", f"type {foreseen.confirm!r} to confirm: it cannot be taken back"
        )
    if foreseen.needs_approval:
        asked = {
            "id": command_id,
            "action": name,
            "arguments": orjson.dumps(plain(arguments)).decode(),
            "effect": "\n".join(foreseen.effect),
            "reason": why,
            "by": viewer.name,
            "minutes": APPROVAL_MINUTES,
        }
        await run_in_threadpool(_ask, viewer, asked)
        message = f"another person has to approve it within {APPROVAL_MINUTES} minutes"
        return ActionResult(WAITING, command_id, message=message)
    return await action.does(viewer.web, ActionRequest(viewer.person, arguments, why, command_id))


# --- approvals --------------------------------------------------------------------------


def approvals(viewer: SignedIn) -> list[dict[str, Any]]:
    """What waits and what was decided, the newest first: all for who may approve, else one's
    own."""
    viewer.require("read")
    with (
        viewer.web.database.keeping() as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        rows = cursor.execute(_LIST).fetchall()
    return [one for one in rows if viewer.may("approve") or one["requested_by"] == viewer.name]


async def decide(viewer: SignedIn, approval_id: UUID, *, approved: bool) -> ActionResult:
    """Another person's word. Raises Problem."""
    viewer.require("approve")
    row = await run_in_threadpool(_decided, viewer, approval_id, approved)
    if row is None:
        raise Problem(
            "CONFLICT",
            f"{approval_id} does not wait for you: it is decided, its time is over, or you asked "
            "for it yourself",
        )
    name, arguments, reason, requested_by = row
    if not approved:
        return ActionResult("REJECTED", approval_id, message=f"refused by {viewer.name}")
    action = _action(viewer, name)
    user = viewer.web.users.find(requested_by)
    asker = viewer.person if user is None else Person(
        user.name, user.role, viewer.person.key, user.user_id
    )  # fmt: skip
    if user is not None and not rights.may(asker, name):
        raise Problem("FORBIDDEN", f"{requested_by}, who asked for it, may not do it any more")
    person = Person(requested_by, asker.role, viewer.person.key, asker.user_id)
    request = ActionRequest(
        person, read(action, arguments), reason, approval_id, approved_by=viewer.name
    )
    result = await action.does(viewer.web, request)
    await run_in_threadpool(_keep, viewer, approval_id, result)
    return result


def _ask(viewer: SignedIn, asked: Mapping[str, Any]) -> None:
    with viewer.web.database.keeping() as connection:
        connection.execute(_ASK, asked)


def _decided(viewer: SignedIn, approval_id: UUID, approved: bool) -> tuple[Any, ...] | None:
    decision = "APPROVED" if approved else "REJECTED"
    with viewer.web.database.keeping() as connection:
        given = {"id": approval_id, "decision": decision, "by": viewer.name}
        return connection.execute(_DECIDE, given).fetchone()


def _keep(viewer: SignedIn, approval_id: UUID, result: ActionResult) -> None:
    told = orjson.dumps(document(result), default=str).decode()
    with viewer.web.database.keeping() as connection:
        connection.execute(_RESULT, {"id": approval_id, "result": told})


def document(result: ActionResult) -> dict[str, Any]:
    """The result, for JSON."""
    return {
        "status": result.status,
        "command_id": result.command_id,
        "position": result.position,
        "message": result.message,
        "details": dict(result.details),
    }


# --- what is given ----------------------------------------------------------------------


def _action(viewer: SignedIn, name: str) -> Action:
    action = actions().get(name)
    if action is None:
        raise NotVisible(f"there is no action {name[:60]!r}")
    viewer.require(name)
    return action


def read(action: Action, given: Mapping[str, object]) -> dict[str, Any]:
    """The arguments in their types. Raises Problem."""
    known = {one.name: one for one in action.arguments}
    for name in given:
        if name not in known:
            there_are = ", ".join(known)
            raise Problem(
                "INVALID_REQUEST",
                f"{action.name} has no argument {name[:60]!r}; there are: {there_are}",
            )
    found: dict[str, Any] = {}
    for name, one in known.items():
        value = given.get(name)
        if value is None or value == "":
            if one.required:
                raise Problem("INVALID_REQUEST", f"{name} is missing: {one.label}")
            continue
        found[name] = _value(one, str(value))
    return found


def _value(one: ActionArgument, text: str) -> Any:
    if len(text) > LONGEST_ARGUMENT or not text.isprintable():
        raise Problem("INVALID_REQUEST", f"{one.name} must be one line of printable text")
    if one.kind is ArgumentKind.ID:
        try:
            return UUID(text)
        except ValueError:
            raise Problem("INVALID_REQUEST", f"{one.name} must be a UUID") from None
    if one.kind is ArgumentKind.CHOICE and text not in one.choices:
        raise Problem("INVALID_REQUEST", f"{one.name} is one of {', '.join(one.choices)}")
    if one.kind is ArgumentKind.AMOUNT and not _AMOUNT.fullmatch(text):
        raise Problem("INVALID_REQUEST", f"{one.name} must be a decimal number like -12.50")
    if one.kind is ArgumentKind.POSITION:
        if not (text.isascii() and text.isdecimal() and int(text) <= LARGEST_POSITION):
            raise Problem("INVALID_REQUEST", f"{one.name} must be a position of the log")
        return int(text)
    return text


def _reason(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_REASON or not text.isprintable():
        raise Problem(
            "INVALID_REQUEST",
            f"say why, in one line of at most {LONGEST_REASON} characters: it is kept",
        )
    return text.strip()
