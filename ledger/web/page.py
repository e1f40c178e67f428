"""Pages: templates with what a request found.

Every value is escaped where it is put in, as HTML and for what nobody sees of it (`visible`); only
what a template itself is made of is markup. What a template does not get is an error, not nothing.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ledger.kernel.text import visible
from ledger.web.answers import LogStanding
from ledger.web.problems import PROBLEMS, Problem, authenticate

if TYPE_CHECKING:
    from ledger.web.viewer import SignedIn

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"


@cache
def environment() -> Environment:
    """Where filters and globals of pages are added."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(
    request: Request,
    viewer: "SignedIn | None",
    template: str,
    values: Mapping[str, Any],
    *,
    standing: LogStanding | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The template with these values, with who looks (`viewer`), how far everything is
    (`standing`), and the `request`."""
    text = (
        environment()
        .get_template(template)
        .render(
            {
                "request": request,
                "viewer": viewer,
                "standing": standing,
                "environment": request.app.state.web.settings.web_environment,
                **values,
            }
        )
    )
    return HTMLResponse(text, status)


def error_page(request: Request, problem: Problem, request_id: str) -> HTMLResponse:
    """What went wrong, for a person."""
    values = {"problem": problem, "title": PROBLEMS[problem.code].title, "request_id": request_id}
    found = page(request, None, "error.html", values, status=problem.status)
    for name, value in (problem.headers | authenticate(problem)).items():
        found.headers[name] = value
    return found


def _visible(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
