"""The clock: what time can have brought about."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from ledger.kernel.event import Event


class SnapshotKind(StrEnum):
    """Why a snapshot is taken."""

    SCHEDULED = "SCHEDULED"
    TRIGGERED = "TRIGGERED"
    """By something that happened: a breaker, a breach."""
    MANUAL = "MANUAL"
    REBALANCE = "REBALANCE"
    """With a rebalance of an account's allocations."""
    MIGRATED = "MIGRATED"
    """When books were brought over from another system; told by it, of its own past."""


class CalendarPeriod(StrEnum):
    """A span of the calendar, in UTC."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


class SnapshotsTaken(Event, frozen=True, kw_only=True):
    """What accounts are worth is told as of `time`: of all accounts but those of backtests, whose
    time is their own, or of the one that is named."""

    type: ClassVar[str] = "clock.snapshots_taken"
    kind: SnapshotKind
    time: datetime
    account_id: UUID | None = None


class SnapshotRecorded(Event, frozen=True, kw_only=True):
    """What another system said an account was worth at `time`, in the account's currency. What it
    did not say is None, and is not made up."""

    type: ClassVar[str] = "clock.snapshot_recorded"
    account_id: UUID
    time: datetime
    source: str
    equity: Decimal
    total_balance: Decimal | None = None
    available_balance: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    realized_pnl: Decimal | None = None
    external_flows: Decimal | None = None
    usd_rate: Decimal | None = None


class PeriodsEnded(Event, frozen=True, kw_only=True):
    """At `time`, a midnight in UTC, these are over: always a day, and what ends with it."""

    type: ClassVar[str] = "clock.periods_ended"
    time: datetime
    periods: tuple[CalendarPeriod, ...]
