"""Hours, days, weeks, months, quarters and years, in UTC or in the time zone of an account.

A period is half-open for what happens: with the moment at which one ends the next begins. What it
is worth then is its last value, and what the next opens with. Weeks begin on Monday (ISO 8601). Of
a zone that changes its clocks a day has 23 hours or 25; hours are UTC's everywhere.
"""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
UTC_NAME = "UTC"


class PeriodType(StrEnum):
    HOURLY = "HOURLY"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    YEARLY = "YEARLY"


class PeriodBounds(NamedTuple):
    start: datetime
    end: datetime


def period_of(kind: PeriodType, moment: datetime, zone: str = UTC_NAME) -> PeriodBounds:
    """The period in which a moment lies; one that ends with it is over."""
    if kind is PeriodType.HOURLY:
        start = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return PeriodBounds(start, start + HOUR)
    clock = ZoneInfo(zone)
    first, following = _days(kind, moment.astimezone(clock).date())
    return PeriodBounds(_midnight(first, clock), _midnight(following, clock))


def _days(kind: PeriodType, day: date) -> tuple[date, date]:
    """The first day of the period that has the day, and of the next one."""
    if kind is PeriodType.DAILY:
        return day, day + timedelta(days=1)
    if kind is PeriodType.WEEKLY:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    months = {PeriodType.MONTHLY: 1, PeriodType.QUARTERLY: 3, PeriodType.YEARLY: 12}[kind]
    began = (day.month - 1) // months * months
    ends = began + months
    return (
        date(day.year, began + 1, 1),
        date(day.year + ends // 12, ends % 12 + 1, 1),
    )


def _midnight(day: date, clock: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), clock).astimezone(UTC)
