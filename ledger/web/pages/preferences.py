"""How somebody wants pages to look: kept in cookies of their browser, and nowhere else."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from ledger.web.pages.frame import THEMES, TONES, show
from ledger.web.viewer import PageViewer

YEAR_SECONDS = 31_536_000
CHOICES = ("look_theme", "look_tones", "look_zone")

router = APIRouter()


@router.get("/preferences")
def preferences(request: Request, viewer: PageViewer) -> HTMLResponse:
    """What can be chosen."""
    with viewer.reading() as reading:
        standing = reading.standing()
    values = {"themes": THEMES, "all_tones": TONES}
    return show(request, viewer, "preferences.html", values, standing=standing)


@router.post("/preferences")
def choose(
    request: Request,
    _: PageViewer,
    look_theme: Annotated[str | None, Form(max_length=10)] = None,
    look_tones: Annotated[str | None, Form(max_length=10)] = None,
    look_zone: Annotated[str | None, Form(max_length=60)] = None,
    back: Annotated[str, Form(max_length=2_000)] = "/",
) -> RedirectResponse:
    """Sets what was chosen, and goes back to where it was chosen."""
    answer = RedirectResponse(_own_path(back), 303)
    secure = request.app.state.web.settings.secure
    for name, value in zip(CHOICES, (look_theme, look_tones, look_zone), strict=True):
        if value is not None:
            answer.set_cookie(
                name, value, max_age=YEAR_SECONDS, secure=secure, httponly=True, samesite="lax"
            )
    return answer


def _own_path(back: str) -> str:
    """A path of ours, or the start."""
    parts = urlsplit(back)
    ours = not parts.scheme and not parts.netloc and back.startswith("/")
    return back if ours and not back.startswith(("//", "/\\")) else "/"
