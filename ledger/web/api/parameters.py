"""What endpoints have in common: parameters that many take, and none that they do not have.

A misspelt filter that is passed over would answer another question than was asked: it is refused.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.routing import APIRoute

from ledger.web.problems import PROBLEMS, Problem

LONGEST_PARAMETER = 4_000
"""Characters: a cursor is some hundreds, everything else is less."""
LARGEST_POSITION = 10**18
"""More than a log ever has."""

KnownAt = Annotated[
    str | None,
    Query(
        max_length=60,
        description="What was known then: a position of the log, or a time. Without it, now.",
    ),
]
EffectiveAt = Annotated[
    str | None,
    Query(max_length=60, description="What had happened by this time, by the venue's clock."),
]
WaitFor = Annotated[
    int | None,
    Query(
        ge=0,
        le=LARGEST_POSITION,
        description="Answer when this position is shown: that of an outcome, to read what was "
        "written. At most five seconds, then 503 NOT_REACHED.",
    ),
]
After = Annotated[
    str | None,
    Query(
        max_length=LONGEST_PARAMETER,
        description="`next` of an earlier answer to the same question: the rows behind it.",
    ),
]
Id = Annotated[str, Path(min_length=1, max_length=100)]


def known_parameters(request: Request) -> None:
    """Raises Problem for a parameter that the endpoint does not have, or that is there twice."""
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = {field.alias for field in _query_fields(route.dependant)}
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            there_are = ", ".join(sorted(known)) or "none"
            raise Problem(
                "INVALID_REQUEST", f"there is no parameter {name[:60]!r}; there are: {there_are}"
            )
    twice = sorted({name for name in given if given.count(name) > 1} - MANY)
    if twice:
        raise Problem("INVALID_REQUEST", f"{twice[0]} is given more than once")


MANY = {"type"}
"""Parameters that may be given several times."""

OnlyKnown = Depends(known_parameters)


def _query_fields(dependant: Any) -> list[Any]:
    found = list(dependant.query_params)
    for below in dependant.dependencies:
        found += _query_fields(below)
    return found


def refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The problems that an endpoint may answer with, for its description."""
    always = ("INVALID_REQUEST", "NOT_SIGNED_IN", "FORBIDDEN", "TOO_MANY_REQUESTS", "UNAVAILABLE")
    by_status: dict[int | str, list[str]] = {}
    for code in (*always, *codes):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": ", ".join(names), "content": content}
        for status, names in sorted(by_status.items(), key=lambda one: str(one[0]))
    }


Endpoint = Callable[..., Any]
