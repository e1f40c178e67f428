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

from starlette.concurrency import run_in_threadpool

from ledger.kernel.text import plain
from ledger.web import rights
from ledger.web.actions import access, commands, deeds
from ledger.web.actions import approvals as kept
from ledger.web.actions.action import (
    Action,
    ActionArgument,
    ActionPreview,
    ActionRequest,
    ActionResult,
    ArgumentKind,
)
from ledger.web.actions.approvals import Granted
from ledger.web.answers import NotVisible
from ledger.web.api.parameters import LARGEST_POSITION
from ledger.web.person import Person
from ledger.web.problems import Problem
from ledger.web.viewer import SignedIn

LONGEST_REASON = 500
LONGEST_ARGUMENT = 200
WAITING = "WAITING"
_AMOUNT = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?")


@cache
def actions() -> dict[str, Action]:
    """All there are, by name."""
    return {one.name: one for one in (*commands.actions(), *deeds.actions(), *access.actions())}


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
            "arguments": plain(arguments),
            "effect": "\n".join(foreseen.effect),
            "reason": why,
            "by": viewer.name,
        }
        await run_in_threadpool(kept.ask, viewer.web.database, asked)
        message = f"another person has to approve it within {kept.APPROVAL_MINUTES} minutes"
        return ActionResult(WAITING, command_id, message=message)
    return await action.does(viewer.web, ActionRequest(viewer.person, arguments, why, command_id))


# --- approvals --------------------------------------------------------------------------


def approvals(viewer: SignedIn) -> list[dict[str, Any]]:
    """What waits and what was decided, the newest first: all for who may approve, else one's
    own."""
    viewer.require("read")
    rows = kept.newest(viewer.web.database)
    return [one for one in rows if viewer.may("approve") or one["requested_by"] == viewer.name]


async def decide(viewer: SignedIn, approval_id: UUID, *, approved: bool) -> ActionResult:
    """Another person's word, on what waits for it or on what was approved and never done. Raises
    Problem."""
    viewer.require("approve")
    database = viewer.web.database

    def word() -> tuple[Granted | None, bool]:
        found = kept.decide(database, approval_id, by=viewer.name, approved=approved)
        if found is not None:
            return found, False
        return kept.attempt(database, approval_id, by=viewer.name), True

    granted, begun_before = await run_in_threadpool(word)
    if granted is None:
        raise Problem(
            "CONFLICT",
            f"{approval_id} does not wait for you: it is decided, its time is over, or you asked "
            "for it yourself",
        )
    if begun_before:
        result = await _finished(viewer, approval_id, granted, approved=approved)
    elif approved:
        result = await _done(viewer, approval_id, granted)
    else:
        return ActionResult("REJECTED", approval_id, message=f"refused by {viewer.name}")
    await run_in_threadpool(kept.keep, database, approval_id, document(result))
    return result


async def _finished(
    viewer: SignedIn, approval_id: UUID, granted: Granted, *, approved: bool
) -> ActionResult:
    """What came of it after all; else it is done now, or left."""
    decided = await viewer.web.read_as(
        viewer.person, lambda reading: kept.outcome(reading, approval_id)
    )
    if decided is not None:
        return commands.result_of(decided, approval_id)
    if not approved:
        return ActionResult(kept.LEFT, approval_id, message=f"left undone by {viewer.name}")
    return await _done(viewer, approval_id, granted)


async def _done(viewer: SignedIn, approval_id: UUID, granted: Granted) -> ActionResult:
    """Does it for who asked, if they still may. Raises Problem."""
    action = _action(viewer, granted.action)
    user = viewer.web.users.find(granted.requested_by)
    asker = viewer.person if user is None else Person(
        user.name, user.role, viewer.person.key, user.user_id
    )  # fmt: skip
    if user is not None and not rights.may(asker, granted.action):
        raise Problem(
            "FORBIDDEN", f"{granted.requested_by}, who asked for it, may not do it any more"
        )
    person = Person(granted.requested_by, asker.role, viewer.person.key, asker.user_id)
    request = ActionRequest(
        person,
        read(action, granted.arguments),
        granted.reason,
        approval_id,
        approved_by=granted.decided_by,
    )
    return await action.does(viewer.web, request)


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
