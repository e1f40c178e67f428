"""Whether the log is what was sealed: the seals and keys there are, and a check of a range on
demand.

The words are those of `ledgerctl audit verify`. Only what comes from outside vouches for seals: a
key or a head that whoever looks puts in. Without one the best that is said is that it is
consistent, and what was not checked is never green.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from ledger.audit.prove import seals
from ledger.audit.prove.keys import UnusableKey
from ledger.audit.prove.proof_page import proof_page
from ledger.audit.prove.seals import Seal, UnreadableSeal, from_document
from ledger.audit.prove.trust import TrustedKey
from ledger.audit.prove.verdict import Verdict
from ledger.audit.prove.verify import verify
from ledger.web.answers import Reading
from ledger.web.database import elevated
from ledger.web.pages.frame import show
from ledger.web.pages.seal_check import SealCheck
from ledger.web.viewer import PageViewer

SHOWN_SEALS = 50
MOST_POSITIONS = 20_000
"""Checked in one request: a second or two. All of a log is checked by `ledgerctl audit verify`."""

router = APIRouter()


class IntegrityCheck(NamedTuple):
    """What was checked, and what was found; `wrong` where what was given is no key or head."""

    first: int
    last: int
    verdict: Verdict | None
    wrong: str = ""


@router.get("/integrity")
def integrity(
    request: Request,
    viewer: PageViewer,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> HTMLResponse:
    """Raises Problem."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        return _page(request, viewer, reading, before, None, "", "")


@router.post("/integrity")
def check(
    request: Request,
    viewer: PageViewer,
    first: Annotated[int | None, Form(ge=1)] = None,
    last: Annotated[int | None, Form(ge=1)] = None,
    public_key: Annotated[str, Form(max_length=2_000)] = "",
    head: Annotated[str, Form(max_length=5_000)] = "",
) -> HTMLResponse:
    """Checks a range; it changes nothing. Raises Problem."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        with elevated(reading.connection):
            found = _checked(reading, first, last, public_key, head)
        verdict = found.verdict
        if verdict is not None and verdict.first is not None:
            finding = verdict.first
            request.app.state.altered = SealCheck(
                "altered", finding.position, None, finding.message
            )
        elif verdict is not None and request.app.state.altered is not None:
            altered = request.app.state.altered
            if verdict.first_position <= altered.position <= verdict.last_position:
                request.app.state.altered = None
        return _page(request, viewer, reading, None, found, public_key, head)


def _checked(
    reading: Reading, first: int | None, last: int | None, public_key: str, head: str
) -> IntegrityCheck:
    end = last or reading.standing().head
    begin = max(first or end - MOST_POSITIONS + 1, end - MOST_POSITIONS + 1, 1)
    try:
        trusted = _keys(public_key)
        kept = [from_document(head.encode())] if head.strip() else []
    except (UnusableKey, UnreadableSeal) as error:
        return IntegrityCheck(begin, end, None, str(error))
    whole = begin == 1 and last is None
    verdict = verify(
        reading.connection, first=begin, last=None if whole else end, trusted=trusted, kept=kept
    )
    return IntegrityCheck(begin, end, verdict)


def _keys(text: str) -> list[TrustedKey]:
    """Raises UnusableKey."""
    if not text.strip():
        return []
    digits = text.strip().lower()
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise UnusableKey(
            "the public key is not 64 hexadecimal digits: ledgerctl audit seal prints them"
        )
    return [TrustedKey(bytes.fromhex(digits))]


def _page(
    request: Request,
    viewer: Any,
    reading: Reading,
    before: int | None,
    found: IntegrityCheck | None,
    public_key: str,
    head: str,
) -> HTMLResponse:
    standing = reading.standing()
    with elevated(reading.connection):
        newest = seals.head(reading.connection)
        rows = _newest(reading, before or (newest.number + 1 if newest else 1))
        changes = seals.key_changes(reading.connection, seals.NEWEST)
    values = {
        "newest": newest,
        "seals": rows,
        "changes": changes,
        "check": found,
        "public_key": public_key,
        "head": head,
        "most": MOST_POSITIONS,
        "older": rows[-1].number if rows and rows[-1].number > 1 else None,
    }
    return show(request, viewer, "integrity.html", values, standing=standing)


def _newest(reading: Reading, before: int) -> Sequence[Seal]:
    found = []
    for number in range(before - 1, max(before - 1 - SHOWN_SEALS, 0), -1):
        seal = seals.numbered(reading.connection, number)
        if seal is not None:
            found.append(seal)
    return found


@router.get("/proof-page")
def checker(request: Request, _: PageViewer) -> Response:
    """The page that checks proofs, as `ledgerctl audit proof-page` writes it."""
    text = proof_page()
    request.state.csp = policy_of(text)
    return Response(text, media_type="text/html")


def policy_of(page: str) -> str:
    """The policy that the page states itself, which the answer may not loosen."""
    found = re.search('http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert found is not None
    return f"{found[1]}; frame-ancestors 'none'"
