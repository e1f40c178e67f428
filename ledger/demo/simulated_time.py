"""The time of the demo's messages: each second of a run is a day of the market, some weeks in all.

It follows from the run's name, which has the moment of its beginning, so that all services of a run
agree without asking each other. It begins so far back that it has not come to now when the run
ends; one that takes longer goes on at the pace of everybody else.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

FASTER = 86_400
"""A day for a second."""
BEGINS_BEFORE = timedelta(days=120)
"""Runs end within their deadline (`run.py`), which is about so many seconds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def begun(run: str) -> datetime:
    """When the run began: its name is a UUIDv7."""
    return _EPOCH + timedelta(milliseconds=UUID(run).int >> 80)


def at(run: str, moment: datetime) -> datetime:
    """The market's time at a moment of a run."""
    start = begun(run)
    return min(start - BEGINS_BEFORE + FASTER * (moment - start), moment)


def now(run: str) -> datetime:
    """The market's time."""
    return at(run, datetime.now(UTC))
