"""Times as texts, written and read in one way: ISO 8601.

time_text     UTC, ending in Z, with as many digits of a second as there are
read_time     what a person or a program asks by; without an offset it is UTC
parse_time    what a command says: with its zone, and not before anything of this could happen
"""

from datetime import UTC, datetime

EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
"""A time before means nothing: who has no time says 0, which is 1970, and the first market without
a floor is of 1971. What is yet to come is refused by the ledger, which has a clock."""


def time_text(time: datetime) -> str:
    """The time as text. It must have a zone."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_time(text: str) -> datetime:
    """The time of a text. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def parse_time(value: object) -> datetime:
    """An ISO 8601 time with zone, as aware UTC. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 time as a string, like '2026-11-21T10:00:00Z'")
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(
            f"{value[:40]!r} is not an ISO 8601 time like '2026-11-21T10:00:00Z'"
        ) from None
    if time.tzinfo is None:
        raise ValueError("has no time zone: end it with Z, or with an offset like +01:00")
    if time < EARLIEST:
        raise ValueError(
            f"{value[:40]!r} is before {EARLIEST.year}, when nothing of this happened anywhere: "
            "check whether there is a time at all, and its unit"
        )
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside of the years 1 to 9999") from None
