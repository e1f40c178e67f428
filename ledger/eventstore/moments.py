"""Moments of the two times that every event has.

    known at       what the ledger had recorded by then: all events up to a position
    effective at   what had happened by then, by the venue's clock, with all we know today:
                   events whose occurred_at is not later

Both together: what was known at one moment about another. A trade that the venue took back
counts from when it happened until it was taken back, because so the venue's own books said.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ledger.eventstore import reader
from ledger.kernel.errors import LedgerError
from ledger.kernel.time import read_time


class InvalidMoment(LedgerError, ValueError):
    """What was given is neither a position nor a time."""


@dataclass(frozen=True)
class Moment:
    """Which events count: those up to the position `known_at` that had happened by
    `effective_at`."""

    known_at: int
    effective_at: datetime | None = None


def time_of(text: str) -> datetime:
    """An ISO 8601 time; without an offset it is UTC. Raises InvalidMoment."""
    try:
        return read_time(text)
    except ValueError as error:
        raise InvalidMoment(
            f"{text!r} is not a time: write it like 2026-11-21T14:03:00Z"
        ) from error


def position_of(connection: psycopg.Connection[Any], text: str) -> int:
    """The position that a text names: itself a position, or a time, which stands for the last
    position recorded by then. Raises InvalidMoment."""
    if re.fullmatch(r"[0-9]{1,18}", text):
        return _reached(int(text), reader.head(connection))
    try:
        time = time_of(text)
    except InvalidMoment as error:
        raise InvalidMoment(
            f"{text!r} is neither a position nor a time: write 1234 or 2026-11-21T14:03:00Z"
        ) from error
    return position_at(connection, time)


def _reached(position: int, head: int) -> int:
    """An answer about a position that is not there yet would be another one later."""
    if position > head:
        raise InvalidMoment(
            f"the log ends at position {head}: nothing is known yet as of {position}"
        )
    return position


def position_at(connection: psycopg.Connection[Any], time: datetime) -> int:
    """The last position recorded at or before a time; 0 when nothing was."""
    row = connection.execute("SELECT position_at(%s)", (time,)).fetchone()
    assert row is not None
    return int(row[0])


def moment(
    connection: psycopg.Connection[Any],
    *,
    known_at: str | None = None,
    effective_at: str | None = None,
) -> Moment:
    """The moment that texts name; without `known_at` all that is known now."""
    position = reader.head(connection) if known_at is None else position_of(connection, known_at)
    return Moment(position, None if effective_at is None else time_of(effective_at))
