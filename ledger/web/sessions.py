"""Who is signed in: a random id in a cookie, its digest in the database.

A session is over when its time is, when nobody used it for a while, when somebody ends it, and when
its user is taken out of the users file or is changed there. Each request asks, so all of these hold
at once, and for every server that shares the database.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import LiteralString

from psycopg.rows import class_row

from ledger.kernel.errors import LedgerError
from ledger.kernel.text import visible
from ledger.web.database import WebDatabase
from ledger.web.person import Person, Role
from ledger.web.settings import WebSettings
from ledger.web.users import UsersFile

LONGEST_AGENT = 200
"""Characters kept of what a browser calls itself."""
KEPT_DAYS = 90
"""After which a session that is over is forgotten: a quarter of a year, as for messages that nobody
could read, is time enough to look at who was there."""

_BEGIN = """
    INSERT INTO public.web_sessions (digest, name, method, created_at, last_seen_at, expires_at,
        address, agent)
    VALUES (%(digest)s, %(name)s, %(method)s, now(), now(), now() + %(hours)s * interval '1 hour',
        %(address)s, %(agent)s)"""
_FORGET = """
    DELETE FROM public.web_sessions WHERE created_at < now() - %(days)s * interval '1 day'
        AND expires_at < now()"""
_FIND: LiteralString = """
    SELECT name, method, created_at, last_seen_at, expires_at, address, agent,
        encode(substring(digest FROM 1 FOR 8), 'hex') AS id,
        last_seen_at < now() - interval '1 minute' AS seen_long_ago
    FROM public.web_sessions
    WHERE ended_at IS NULL AND expires_at > now()
        AND last_seen_at > now() - %(idle)s * interval '1 minute'"""
_SEEN = "UPDATE public.web_sessions SET last_seen_at = now() WHERE digest = %s"
_END: LiteralString = """
    UPDATE public.web_sessions SET ended_at = now(), ended_by = %(by)s
    WHERE ended_at IS NULL AND expires_at > now()"""


class NoSession(LedgerError, LookupError):
    """There is no such session, or it is over."""


class SignInMethod(StrEnum):
    """How somebody proved who they are."""

    PASSWORD = "PASSWORD"
    OIDC = "OIDC"
    FIRST_TOKEN = "FIRST_TOKEN"


@dataclass(frozen=True)
class WebSession:
    """A session that is not over. `id` names it and opens nothing."""

    name: str
    method: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str
    agent: str
    id: str
    seen_long_ago: bool


class Sessions:
    """Those of one database."""

    def __init__(self, database: WebDatabase, users: UsersFile, settings: WebSettings) -> None:
        self._database = database
        self._users = users
        self._hours = settings.web_session_hours
        self._idle = settings.web_session_idle_minutes

    def begin(self, name: str, method: SignInMethod, *, address: str, agent: str) -> str:
        """The id of a new session, which is told to nobody but its browser."""
        session = secrets.token_urlsafe(32)
        with self._database.keeping() as connection:
            connection.execute(_FORGET, {"days": KEPT_DAYS})
            given = {"digest": _digest(session), "name": name, "method": method.value}
            given |= {"address": address, "agent": visible(agent)[:LONGEST_AGENT]}
            connection.execute(_BEGIN, {**given, "hours": self._hours})
        return session

    def person(self, session: str) -> Person | None:
        """Whose session it is; None if it is over."""
        digest = _digest(session)
        with self._database.keeping() as connection:
            with connection.cursor(row_factory=class_row(WebSession)) as cursor:
                cursor.execute(
                    f"{_FIND} AND digest = %(digest)s",
                    {"idle": self._idle, "digest": digest},
                )
                found = cursor.fetchone()
            if found is not None and found.seen_long_ago:
                connection.execute(_SEEN, [digest])
        return None if found is None else self._person(found, csrf_of(session))

    def all(self) -> list[WebSession]:
        """Those that are not over, the newest first."""
        with (
            self._database.keeping() as connection,
            connection.cursor(row_factory=class_row(WebSession)) as cursor,
        ):
            cursor.execute(f"{_FIND} ORDER BY created_at DESC", {"idle": self._idle})
            return cursor.fetchall()

    def end(self, session: str, *, by: str) -> None:
        """Ends the session of a browser. Raises NoSession."""
        self._end("digest = %(which)s", _digest(session), by)

    def end_named(self, session_id: str, *, by: str) -> None:
        """Ends a session by its name. Raises NoSession."""
        self._end("encode(substring(digest FROM 1 FOR 8), 'hex') = %(which)s", session_id, by)

    def end_all_of(self, name: str, *, by: str) -> None:
        """Ends all that somebody has. Raises NoSession."""
        self._end("name = %(which)s", name, by)

    def _end(self, condition: LiteralString, which: bytes | str, by: str) -> None:
        with self._database.keeping() as connection:
            ended = connection.execute(f"{_END} AND {condition}", {"which": which, "by": by})
            if not ended.rowcount:
                raise NoSession("there is no such session, or it is over already")

    def _person(self, session: WebSession, csrf: str) -> Person | None:
        key = f"session {session.id}"
        if session.method == SignInMethod.FIRST_TOKEN:
            return Person(session.name, Role.ADMIN, key, csrf=csrf)
        user = self._users.find(session.name)
        if user is None or (user.changed_at or session.created_at) > session.created_at:
            return None
        return Person(user.name, user.role, key, user.user_id, csrf=csrf)


def csrf_of(session: str) -> str:
    """What the session's forms carry: who cannot read its pages cannot know it."""
    return hmac.new(session.encode(), b"form", hashlib.sha256).hexdigest()


def _digest(session: str) -> bytes:
    return hashlib.sha256(session.encode()).digest()
