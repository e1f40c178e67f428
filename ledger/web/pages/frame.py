"""The frame of every page: who looks, as of when, how far log, seals and read models are.

    show(request, viewer, "orders.html", {…}, standing=reading.standing(…))

Links carry all state. `known_at` of the URL, a position or a time, is the moment of the whole page:
in the past the frame is amber and nothing that acts is offered. How it looks (theme, tones of gain
and loss, time zone) is in cookies that say nothing of anybody.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode
from zoneinfo import ZoneInfo, available_timezones

from fastapi import Request
from fastapi.responses import HTMLResponse

from ledger.web.answers import LogStanding
from ledger.web.page import environment, page
from ledger.web.pages.shown import FILTERS, age
from ledger.web.problems import Problem
from ledger.web.viewer import SignedIn

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
NOT_SHARED = "the page is of one person, and has nothing that follows the log"
THEMES = ("auto", "light", "dark")
TONES = ("green", "red", "blue")
"""Of gain: green, red as in East Asia, or blue and orange for who does not tell red from green."""
ZONES = (
    *("UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Chicago"),
    *("Asia/Singapore", "Asia/Hong_Kong", "Asia/Tokyo", "Australia/Sydney"),
)
"""Offered; any that there is may be in the cookie."""
LATE_SECONDS = 5.0
"""Lag of the read models from which the frame says so: usually they are there in 50 ms."""
UNSEALED_SECONDS = 30.0
"""As the condition LedgerUnsealed has it."""


class NavigationLink(NamedTuple):
    """A page in the navigation. `right` is what one needs to be offered it."""

    label: str
    path: str
    right: str = "read"


NAVIGATION: tuple[tuple[str, tuple[NavigationLink, ...]], ...] = (
    (
        "Trade",
        (
            NavigationLink("Home", "/"),
            NavigationLink("Positions", "/positions"),
            NavigationLink("Orders", "/orders"),
            NavigationLink("Fills", "/questions/fills"),
            NavigationLink("Chart", "/chart"),
            NavigationLink("Performance", "/performance"),
            NavigationLink("Calendar", "/calendar"),
        ),
    ),
    (
        "Risk",
        (
            NavigationLink("Limits", "/risk"),
            NavigationLink("Kill switch", "/kill"),
            NavigationLink("Alerts", "/alerts"),
            NavigationLink("Approvals", "/approvals", "approve"),
        ),
    ),
    (
        "Ledger",
        (
            NavigationLink("Overview", "/overview", "read_log"),
            NavigationLink("Log", "/log", "read_log"),
            NavigationLink("Projections", "/projections", "read_log"),
            NavigationLink("Dead letters", "/dead-letters", "read_log"),
            NavigationLink("Commands", "/commands", "read_log"),
            NavigationLink("Tables", "/questions"),
        ),
    ),
    (
        "Audit",
        (
            NavigationLink("Explain", "/explain"),
            NavigationLink("Statement", "/statement"),
            NavigationLink("Differences", "/differences"),
            NavigationLink("Who could, who did", "/who", "read_log"),
            NavigationLink("Controls", "/controls", "read_log"),
            NavigationLink("Integrity", "/integrity", "read_log"),
            NavigationLink("Check a proof", "/proof-page"),
        ),
    ),
    (
        "System",
        (
            NavigationLink("Users and keys", "/users", "read_log"),
            NavigationLink("Settings", "/settings", "read_log"),
        ),
    ),
)
"""What there is, in its groups."""


POSITION, BEHIND = "Ledger-Position", "Ledger-Behind"
"""Headers of the parts of a page that follow the log (pages/live.py)."""


def follows_the_log(path: str) -> bool:
    """Whether a path is that of a page in the navigation, or of something in one."""
    of_pages = [link.path for _, links in NAVIGATION for link in links]
    return path in of_pages or path.startswith(tuple(f"{one}/" for one in of_pages if one != "/"))


class PageLook(NamedTuple):
    """How a person wants pages."""

    theme: str
    tones: str
    zone_name: str
    zone: tzinfo


def look_of(request: Request) -> PageLook:
    """What the cookies say, where it is something."""
    theme = request.cookies.get("look_theme", "auto")
    tones = request.cookies.get("look_tones", "green")
    zone = request.cookies.get("look_zone", "UTC")
    if zone not in _zones():
        zone = "UTC"
    return PageLook(
        theme if theme in THEMES else "auto",
        tones if tones in TONES else "green",
        zone,
        UTC if zone == "UTC" else ZoneInfo(zone),
    )


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def show(
    request: Request,
    viewer: SignedIn,
    template: str,
    values: Mapping[str, Any],
    *,
    standing: LogStanding | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The page in its frame."""
    environment().filters.update(FILTERS)
    look = look_of(request)
    name = request.app.state.web.settings.web_environment
    found = {
        "look": look,
        "zone": look.zone,
        "zones": ZONES if look.zone_name in ZONES else (look.zone_name, *ZONES),
        "navigation": _offered(viewer),
        "path": request.url.path,
        "link": _Links(request),
        "is_production": "PROD" in name.upper(),
        "seal": None if standing is None else _seal(standing),
        "late_seconds": LATE_SECONDS,
        "altered": getattr(request.app.state, "altered", None),
        "live": getattr(request.state, "live", False),
    }
    if not found["live"]:
        found |= values
        return page(request, viewer, template, found, standing=standing, status=status)
    answer = page(request, _Onlooker(viewer), template, {**found, **values}, standing=standing)
    if standing is not None:
        answer.headers[POSITION] = str(standing.position)
        if 0 < standing.lag_seconds < LATE_SECONDS:
            answer.headers[BEHIND] = "1"
    return answer


class _Onlooker(SignedIn):
    """Who looks on, among others with the same rights: what they are shared has nothing in it that
    is of one person."""

    def __init__(self, viewer: SignedIn) -> None:
        super().__init__(viewer.web, viewer.person)

    @property
    def name(self) -> str:
        raise Problem("NOT_FOUND", NOT_SHARED)

    @property
    def csrf(self) -> str:
        raise Problem("NOT_FOUND", NOT_SHARED)


def _offered(viewer: SignedIn) -> list[tuple[str, list[NavigationLink]]]:
    groups = [(name, [one for one in links if viewer.may(one.right)]) for name, links in NAVIGATION]
    return [(name, links) for name, links in groups if links]


class SealStanding(NamedTuple):
    """What is said of seals: in a word, its tone, and how old the newest is."""

    word: str
    tone: str
    age: str


def _seal(standing: LogStanding) -> SealStanding:
    """Sealed as far as this page looks, still waiting, or not at all."""
    waiting = standing.position - standing.sealed_to
    now = datetime.now(UTC)
    old = "" if standing.sealed_at is None else age(now - standing.sealed_at)
    if waiting <= 0:
        return SealStanding(f"{standing.sealed_to:,}", "sealed", old)
    # Also the newest event has waited for so long: nothing is being sealed.
    since = standing.recorded_at
    late = since is not None and (now - since).total_seconds() > UNSEALED_SECONDS
    tone = "broken" if late else "waiting"
    return SealStanding(f"{standing.sealed_to:,} ({waiting:,} not yet)", tone, old)


class _Links:
    """URLs of pages that keep what this one's has."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __call__(self, **changes: object) -> str:
        """This page, with some of its parameters otherwise; None leaves one out."""
        query = dict(self._request.query_params)
        for name, value in changes.items():
            query.pop(name, None)
            if value is not None:
                query[name] = str(value)
        text = urlencode(query)
        return f"{self._request.url.path}?{text}" if text else self._request.url.path

    def to(self, path: str, **given: object) -> str:
        """Another page, at the same moment."""
        known_at = self._request.query_params.get("known_at") or None
        return url(path, known_at=known_at, **given)

    def fields(self, *without: str) -> Iterable[tuple[str, str]]:
        """What a form of this page has to carry on, hidden."""
        return [pair for pair in self._request.query_params.items() if pair[0] not in without]


def url(path: str, **given: object) -> str:
    """The path with these parameters, but for those that are None."""
    pairs = [f"{name}={_quoted(str(value))}" for name, value in given.items() if value is not None]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def _quoted(text: str) -> str:
    """As `urlencode` has it; most values are ids and amounts, in which nothing is quoted."""
    return text if _PLAIN.fullmatch(text) else quote_plus(text)
