"""Whose work the console uses: the licences of what is vendored in it."""

from functools import cache
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from ledger.web.page import STATIC
from ledger.web.pages.frame import show
from ledger.web.viewer import PageViewer

VENDORED = STATIC / "vendor"

router = APIRouter()


@router.get("/notices")
def notices(request: Request, viewer: PageViewer) -> HTMLResponse:
    """What is vendored, with versions, hashes and licences."""
    with viewer.reading() as reading:
        standing = reading.standing()
    values = {"vendored": vendored(), "licences": _licences()}
    return show(request, viewer, "notices.html", values, standing=standing)


@cache
def vendored() -> list[dict[str, Any]]:
    """Each file with where it comes from."""
    found: list[dict[str, Any]] = orjson.loads((VENDORED / "vendored.json").read_bytes())
    return found


@cache
def _licences() -> Markup:
    """With its lines as they are: a file of ours, in which nothing is to be made visible."""
    return escape((VENDORED / "LICENSES.txt").read_text(encoding="utf-8"))
