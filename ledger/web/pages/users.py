"""Users and keys: who may sign in, tokens of programs, who is signed in. What proves anybody is not
here: passwords are hashes in a file, of tokens and sessions there are only names."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.web.actions import acts
from ledger.web.pages.frame import show
from ledger.web.sessions import WebSession
from ledger.web.tokens import ApiToken
from ledger.web.users import WebUser
from ledger.web.viewer import PageViewer

EXPIRES_SOON = timedelta(days=14)
"""Before its end a token is amber: time enough to make another and to hand it over."""

router = APIRouter()


class ShownUser(NamedTuple):
    """A user, with what is open of theirs."""

    user: WebUser
    sessions: int
    tokens: int


class ShownToken(NamedTuple):
    """A token, with how it stands: holds, expires soon, expired, revoked, or without its user."""

    token: ApiToken
    last_used_at: datetime | None
    state: str
    tone: str


@router.get("/users")
def users(request: Request, viewer: PageViewer) -> HTMLResponse:
    """Raises Problem."""
    viewer.require("read_log")
    web = viewer.web
    with viewer.reading() as reading:
        standing = reading.standing()
    sessions, everybody = web.sessions.all(), web.users.all()
    tokens = _tokens(web.tokens.ever(), web.token_uses.all(), {one.name for one in everybody})
    values = {
        "users": [_user(one, sessions, tokens) for one in everybody],
        "tokens": tokens,
        "sessions": sessions,
        "waiting": sum(one["waits"] or one["unfinished"] for one in acts.approvals(viewer)),
        "own_key": viewer.person.key,
    }
    return show(request, viewer, "users.html", values, standing=standing)


def _user(user: WebUser, sessions: Sequence[WebSession], tokens: Sequence[ShownToken]) -> ShownUser:
    own = [one for one in tokens if one.token.name == user.name and one.tone in ("good", "warn")]
    return ShownUser(user, sum(one.name == user.name for one in sessions), len(own))


def _tokens(
    tokens: Sequence[ApiToken], uses: dict[str, datetime], names: set[str]
) -> list[ShownToken]:
    now = datetime.now(UTC)
    return [ShownToken(one, uses.get(one.id), *_state(one, now, names)) for one in reversed(tokens)]


def _state(token: ApiToken, now: datetime, names: set[str]) -> tuple[str, str]:
    if token.revoked_at is not None:
        return f"revoked by {token.revoked_by}", "off"
    if token.expires_at <= now:
        return "expired", "off"
    if token.name not in names:
        return "its user is gone", "off"
    if token.expires_at - now < EXPIRES_SOON:
        return "expires soon", "warn"
    return "holds", "good"
