"""What administrators do with who is let in: end a session, revoke a token. Both hold at once, for
every server, and are kept where the session and the token are, with who did it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from starlette.concurrency import run_in_threadpool

from ledger.web.actions.action import (
    Action,
    ActionArgument,
    ActionPreview,
    ActionRequest,
    ActionResult,
)
from ledger.web.actions.deeds import DONE

if TYPE_CHECKING:
    from ledger.web.answers import Reading
    from ledger.web.application import Web

_SESSION = """
    SELECT name, address, last_seen_at FROM public.web_sessions
    WHERE encode(substring(digest FROM 1 FOR 8), 'hex') = %s AND ended_at IS NULL"""

_log = structlog.get_logger(__name__)


def _end_foreseen(reading: "Reading", given: Mapping[str, Any]) -> ActionPreview:
    row = reading.connection.execute(_SESSION, [given["session_id"]]).fetchone()
    if row is None:
        return ActionPreview(["It is over already, or there is none of this name."])
    seen = f"{row[2].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return ActionPreview(
        [
            f"{row[0]}, from {row[1]}, last seen {seen}, is signed out at the next request.",
            "Who knows the password can sign in again: to keep somebody out, take the user away.",
        ]
    )


async def _end(web: "Web", request: ActionRequest) -> ActionResult:
    """Raises NoSession."""
    session = request.arguments["session_id"]
    await run_in_threadpool(web.sessions.end_named, session, by=request.person.name)
    return _done(request, "session_ended", session)


def _revoke_foreseen(_: "Reading", given: Mapping[str, Any]) -> ActionPreview:
    return ActionPreview(
        [
            f"Requests with token {given['token_id']} are refused from now on.",
            "It cannot be made good again: whoever needs one gets another.",
        ],
        confirm=given["token_id"],
    )


async def _revoke(web: "Web", request: ActionRequest) -> ActionResult:
    """Raises UnknownToken."""
    token = request.arguments["token_id"]
    await run_in_threadpool(web.tokens.revoke, token, by=request.person.name)
    return _done(request, "token_revoked", token)


def _done(request: ActionRequest, what: str, which: str) -> ActionResult:
    _log.info(what, which=which, by=request.person.name, reason=request.reasons)
    details = {what: which, "at": datetime.now(UTC)}
    return ActionResult(DONE, request.command_id, details=details)


def actions() -> Iterator[Action]:
    """All of this file."""
    yield Action(
        "end_session",
        "End a session",
        "Signs somebody out.",
        (ActionArgument("session_id", "Session"),),
        _end_foreseen,
        _end,
    )
    yield Action(
        "revoke_token",
        "Revoke a token",
        "Ends a token for programs.",
        (ActionArgument("token_id", "Token"),),
        _revoke_foreseen,
        _revoke,
    )
