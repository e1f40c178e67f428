"""Signing in and out.

    /sign-in         name and password of the users file
    /sign-in/oidc    by the provider that is set, for those in the users file
    /start           the one-time token that `ledgerctl up` prints, from this machine
    /sign-out        ends the session, here and for whoever has copied its cookie

A wrong password counts against its name and its address; a name that does not exist takes as long
as one that does, and is refused in the same words. Where to go next is a path of ours or nothing.
"""

import contextlib
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from ledger.web import first_token
from ledger.web.application import Web
from ledger.web.limits import TooManyRequests
from ledger.web.oidc import LIFETIME_SECONDS, OidcProvider, OidcRefused, OidcSignIn
from ledger.web.page import page
from ledger.web.sessions import NoSession, SignInMethod
from ledger.web.settings import LOOPBACK, WebSettings
from ledger.web.viewer import Viewer, check_origin, cookie_name

ADDRESS_TIMES = 5
"""How many wrong passwords more come from one address than for one name: an office has one."""
WRONG = "The name or the password is wrong."

router = APIRouter(include_in_schema=False)
_log = structlog.get_logger(__name__)


@router.get("/sign-in")
async def sign_in_page(request: Request, next: str = "/") -> HTMLResponse:  # noqa: A002
    return _page(request, next)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=100)],
    password: Annotated[str, Form(max_length=1_000)],
    next: Annotated[str, Form(max_length=2_000)] = "/",  # noqa: A002
) -> Response:
    """Raises Problem, TooManyRequests."""
    web: Web = request.app.state.web
    check_origin(web.settings, request)
    address = address_of(request)
    try:
        web.attempts.check(f"name {name}")
        web.attempts.check(f"address {address}", times=ADDRESS_TIMES)
    except TooManyRequests:
        _log.warning("sign_in_refused", name=name, address=address, reason="too many attempts")
        raise
    user = await run_in_threadpool(web.users.verified, name, password)
    if user is None:
        web.attempts.failed(f"name {name}")
        web.attempts.failed(f"address {address}")
        _log.warning("sign_in_refused", name=name, address=address, reason="wrong")
        return _page(request, next, failed=WRONG)
    return await run_in_threadpool(begin, request, user.name, SignInMethod.PASSWORD, next)


@router.get("/sign-in/oidc")
async def sign_in_elsewhere(request: Request, next: str = "/") -> Response:  # noqa: A002
    """To the provider."""
    web: Web = request.app.state.web
    if web.settings.web_oidc_issuer is None:
        return _page(request, next, failed="Nobody but this page signs in here.")
    try:
        url, begun = await OidcProvider(web.settings).begin(path_of_ours(next))
    except OidcRefused as error:
        return _page(request, next, failed=f"{error}.")
    response = RedirectResponse(url, 303)
    response.set_cookie(
        _oidc_cookie(web.settings),
        begun.as_cookie(),
        max_age=LIFETIME_SECONDS,
        path="/",
        secure=web.settings.secure,
        httponly=True,
        samesite="lax",
    )
    return response


@router.get("/sign-in/oidc/callback")
async def back_from_elsewhere(request: Request, state: str = "", code: str = "") -> Response:
    """Back from the provider."""
    web: Web = request.app.state.web
    try:
        begun = OidcSignIn.from_cookie(request.cookies.get(_oidc_cookie(web.settings), ""))
        name = await OidcProvider(web.settings).finish(begun, state, code)
    except OidcRefused as error:
        return _page(request, "/", failed=f"{error}.")
    user = web.users.find(name)
    if user is None:
        _log.warning("sign_in_refused", name=name, address=address_of(request), reason="unknown")
        return _page(request, "/", failed=f"{name} may not sign in here: ask an administrator.")
    response = await run_in_threadpool(begin, request, user.name, SignInMethod.OIDC, begun.next)
    response.delete_cookie(_oidc_cookie(web.settings), secure=web.settings.secure, httponly=True)
    return response


def _oidc_cookie(settings: WebSettings) -> str:
    return f"{cookie_name(settings)}-oidc"


@router.get("/start")
def start(request: Request, token: str = "") -> Response:
    """The token of `ledgerctl up`, once, from this machine."""
    web: Web = request.app.state.web
    if address_of(request) in LOOPBACK and first_token.use(web.settings.directory, token):
        return begin(request, first_token.PERSON, SignInMethod.FIRST_TOKEN, "/")
    return _page(
        request,
        "/",
        failed="This link was used already, or is too old. A new one: ledgerctl web url",
    )


@router.post("/sign-out")
def sign_out(request: Request, viewer: Viewer) -> Response:
    """Ends the session."""
    web: Web = request.app.state.web
    session = request.cookies.get(cookie_name(web.settings), "")
    with contextlib.suppress(NoSession):  # that it is over is what was asked for
        web.sessions.end(session, by=viewer.name)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(cookie_name(web.settings), secure=web.settings.secure, httponly=True)
    _log.info("signed_out", name=viewer.name)
    return response


def begin(request: Request, name: str, method: SignInMethod, next_path: str) -> Response:
    """The session of somebody who has proved who they are. One that was there before is over."""
    web: Web = request.app.state.web
    agent = request.headers.get("user-agent", "")
    session = web.sessions.begin(name, method, address=address_of(request), agent=agent)
    _log.info("signed_in", name=name, method=method.value, address=address_of(request))
    response = RedirectResponse(path_of_ours(next_path), 303)
    response.set_cookie(
        cookie_name(web.settings),
        session,
        max_age=int(web.settings.web_session_hours * 3_600),
        path="/",
        secure=web.settings.secure,
        httponly=True,
        samesite="lax",
    )
    return response


def path_of_ours(text: str) -> str:
    """The path, if it is one of this server; else the start."""
    parts = urlsplit(text)
    ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if ours and not parts.scheme and not parts.netloc and "\\" not in text else "/"


def address_of(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _page(request: Request, next_path: str, failed: str = "") -> HTMLResponse:
    web: Web = request.app.state.web
    values = {
        "next": path_of_ours(next_path),
        "failed": failed,
        "oidc": web.settings.web_oidc_issuer is not None,
    }
    return page(request, None, "sign_in.html", values, status=401 if failed else 200)
