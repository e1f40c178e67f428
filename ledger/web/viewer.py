"""Who asks, as a page or an endpoint gets them: `viewer: Viewer` in its arguments.

    a token    `Authorization: Bearer …`: a program, within its scopes
    a session  the cookie of somebody who signed in; what changes anything must also come from a
               page of ours (Origin) and carry what only such a page knows (`csrf`, X-CSRF-Token)

Without either the request is refused: a program with 401, a person is led to the sign-in page.
"""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from ledger.web import rights
from ledger.web.answers import Reading
from ledger.web.application import Web
from ledger.web.person import Person, Role, Scope
from ledger.web.problems import NOT_SIGNED_IN, Problem
from ledger.web.settings import WebSettings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Those that change nothing."""
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"


class SignedIn:
    """Whoever asks, with what they may see and do."""

    def __init__(self, web: Web, person: Person) -> None:
        self.web = web
        self.person = person

    @property
    def name(self) -> str:
        return self.person.name

    @property
    def role(self) -> Role:
        return self.person.role

    @property
    def user_id(self) -> UUID | None:
        """Whose rows are seen; None for those who see all."""
        return self.person.user_id

    @property
    def csrf(self) -> str:
        """What a form carries."""
        return self.person.csrf or ""

    def may(self, action: str) -> bool:
        """Whether an action is offered, and taken."""
        return rights.may(self.person, action)

    def require(self, action: str) -> None:
        """Raises Problem."""
        if not self.may(action):
            raise Problem(
                "FORBIDDEN",
                f"a {self.role} may not {action.replace('_', ' ')}"
                if self.person.scopes == frozenset(Scope)
                else f"this token of a {self.role} may not {action.replace('_', ' ')}",
            )

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A transaction of one snapshot, with this person's rights, that changes nothing."""
        with self.web.database.reading(self.person) as connection:
            yield Reading(connection, self.person, most_rows=self.web.settings.web_rows_limit)


async def signed_in(request: Request) -> SignedIn:
    """Raises Problem, TooManyRequests."""
    web: Web = request.app.state.web
    person = await _person(web, request)
    if person is None:
        raise Problem("NOT_SIGNED_IN", NOT_SIGNED_IN)
    request.state.person = person.name
    web.rate.take(person.key)
    return SignedIn(web, person)


Viewer = Annotated[SignedIn, Depends(signed_in)]
"""In the arguments of a page or an endpoint."""
PageViewer = Viewer


async def _person(web: Web, request: Request) -> Person | None:
    given = request.headers.get("authorization")
    if given is not None:
        kind, _, text = given.partition(" ")
        person = web.person_of_token(text.strip()) if kind.lower() == "bearer" else None
        if person is not None and web.token_uses.is_due(person.key):
            await run_in_threadpool(web.token_uses.write, person.key.removeprefix("token "))
        return person
    session = request.cookies.get(cookie_name(web.settings))
    if session is None:
        return None
    person = await run_in_threadpool(web.sessions.person, session)
    if person is not None and request.method not in SAFE_METHODS:
        check_origin(web.settings, request)
        await _check_csrf(person, request)
    return person


def cookie_name(settings: WebSettings) -> str:
    """With TLS a name that browsers let only this host set, and only by TLS."""
    return "__Host-ledger" if settings.secure else "ledger"


def check_origin(settings: WebSettings, request: Request) -> None:
    """That the request comes from a page of ours. Raises Problem."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    ours = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if settings.web_url is not None:
        ours = settings.web_url
    if origin is None and site in (None, "same-origin"):
        return  # no browser that is of today, and the form's secret is asked for as well
    if origin != ours or site not in (None, "same-origin"):
        raise Problem("FORBIDDEN", "the request comes from a page of another site")


async def _check_csrf(person: Person, request: Request) -> None:
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        field = (await request.form()).get(CSRF_FIELD)
        given = field if isinstance(field, str) else None
    if given is None or not hmac.compare_digest(given.encode(), (person.csrf or "").encode()):
        raise Problem(
            "FORBIDDEN",
            f"the form lacks what shows that it is of this session ({CSRF_FIELD}, or the header "
            f"{CSRF_HEADER}): open its page again",
        )
