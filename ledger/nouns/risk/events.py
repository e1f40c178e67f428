"""Risk events: what can have happened to what is riskier than it should be.

A stream is one thing that is watched: a limit in a scope, the margin of an account, facts of a
kind. Each time that it gets too high is an opening with a number, until it is below its warning
again.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.nouns.limits.terms import LimitScope


class RiskEventType(StrEnum):
    LIMIT = "LIMIT"
    """A limit, or its warning, is reached by what is there: by facts, prices, or another limit."""
    LIMIT_TRIPPED = "LIMIT_TRIPPED"
    """A loss has reached its limit: no new risk until the period is over."""
    MARGIN_CALL = "MARGIN_CALL"
    """Maintenance takes more of the equity than it should."""
    LIQUIDATION_NEAR = "LIQUIDATION_NEAR"
    """The mark is near the price at which the venue would close a position."""
    OVERDRAWN = "OVERDRAWN"
    """More was spent than there was."""
    OVERFILLED = "OVERFILLED"
    """More was traded than was ordered, or than may be."""
    LATE_FACT = "LATE_FACT"
    CONFLICTING_FACT = "CONFLICTING_FACT"
    """Two things were told that cannot both be."""
    RISK_SCORE = "RISK_SCORE"
    BREAKER_ACTION_FAILED = "BREAKER_ACTION_FAILED"
    """What a breaker was to do was refused."""


class RiskSeverity(StrEnum):
    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    EMERGENCY = "EMERGENCY"


class RiskThreshold(StrEnum):
    """Which one is reached."""

    WARNING = "WARNING"
    LIMIT = "LIMIT"


class RiskEvent(Event, frozen=True, kw_only=True):
    """Base of the events of an opening."""

    risk_id: UUID
    number: int
    value: Decimal | None = None


class RiskOpened(RiskEvent, frozen=True, kw_only=True):
    """`cause` is the event behind it: a fill, a price, a limit that was changed. `value` and
    `limit` are in `unit`; of what is no number there is none. `action` is what was done about
    it."""

    type: ClassVar[str] = "risk.opened"
    event_type: RiskEventType
    severity: RiskSeverity
    scope: LimitScope
    reference: str | None = None
    what: str = ""
    message: str
    threshold: RiskThreshold | None = None
    measure: str | None = None
    limit: Decimal | None = None
    warning: Decimal | None = None
    unit: str | None = None
    limit_id: UUID | None = None
    account_id: UUID | None = None
    user_id: UUID | None = None
    order_id: UUID | None = None
    instrument: str | None = None
    trade_id: str | None = None
    cause: UUID | None = None
    action: str | None = None
    source: str | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class RiskUpdated(RiskEvent, frozen=True, kw_only=True):
    """It has reached another threshold or severity. Between these nothing is told."""

    type: ClassVar[str] = "risk.updated"
    severity: RiskSeverity
    message: str
    threshold: RiskThreshold | None = None
    limit: Decimal | None = None
    cause: UUID | None = None


class RiskResolved(RiskEvent, frozen=True, kw_only=True):
    """It is below its warning again, or a person says that it is done with."""

    type: ClassVar[str] = "risk.resolved"
    by_itself: bool = False
    actor: str | None = None
    reason: str | None = None
    cause: UUID | None = None
    at: datetime | None = None
