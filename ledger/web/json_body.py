"""Answers as JSON: amounts are decimal strings, ids are strings, times are RFC 3339 in UTC with
microseconds. Nothing that is money is ever a JSON number."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from fastapi.responses import Response

from ledger.kernel import money
from ledger.web.answers import LogStanding

MEDIA_TYPE = "application/json"


def encoded(value: object) -> bytes:
    return orjson.dumps(_plain(value))


def time_text(time: datetime) -> str:
    """With six digits, always, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def response(
    value: object,
    standing: LogStanding | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer, with the headers that say as of when it is."""
    told = {} if standing is None else headers_of(standing)
    told |= headers or {}
    return Response(encoded(value), status, headers=told, media_type=MEDIA_TYPE)


def headers_of(standing: LogStanding, position: int | None = None) -> dict[str, str]:
    """As of which position an answer is, when that was known, and how far the log is sealed."""
    known = standing.known_at_time if standing.known_at is not None else standing.recorded_at
    at = standing.position if position is None else position
    told = {"Ledger-Position": str(at), "Ledger-Sealed-To": str(standing.sealed_to)}
    return told | ({"Ledger-Known-At": time_text(known)} if known is not None else {})


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return money.shown(value)
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
