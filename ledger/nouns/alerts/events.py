"""Alerts: what can have happened to what a person should know.

A stream is what a rule says of one entity. Each time that the rule comes to hold is an opening,
with a number: raised, acknowledged, escalated, resolved; and for each channel, what became of
telling it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from ledger.kernel.event import Event

SYSTEM = "SYSTEM"
"""The type of the entity of an alert that is about the whole."""


class AlertSeverity(StrEnum):
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class DeliveryStatus(StrEnum):
    """What became of telling an alert on a channel."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    """Given up, or tried again at its time: `final` tells which."""


class AlertEvent(Event, frozen=True, kw_only=True):
    """Base of the events of an opening. `actor` is the person or program that says so."""

    alert_id: UUID
    number: int
    actor: str | None = None


class AlertRaised(AlertEvent, frozen=True, kw_only=True):
    """It is told on `channels`, unless it is `suppressed`: then it is kept and not sent. `cause` is
    the event behind it, where one is; `runbook` says what to do."""

    type: ClassVar[str] = "alert.raised"
    rule: str
    entity_type: str = SYSTEM
    entity_id: str = ""
    severity: AlertSeverity
    title: str
    message: str | None = None
    channels: tuple[str, ...] = ()
    suppressed: bool = False
    runbook: str | None = None
    cause: UUID | None = None
    account_id: UUID | None = None
    user_id: UUID | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class AlertReleased(AlertEvent, frozen=True, kw_only=True):
    """Its suppression is over while it still holds: now it is told."""

    type: ClassVar[str] = "alert.released"


class AlertAcknowledged(AlertEvent, frozen=True, kw_only=True):
    """Somebody looks after it: it is not escalated any more."""

    type: ClassVar[str] = "alert.acknowledged"
    note: str | None = None


class AlertEscalated(AlertEvent, frozen=True, kw_only=True):
    """Nobody has acknowledged it in time: it is told on further channels."""

    type: ClassVar[str] = "alert.escalated"
    channels: tuple[str, ...] = ()


class AlertResolved(AlertEvent, frozen=True, kw_only=True):
    """It holds no more, or a person says that it is done with."""

    type: ClassVar[str] = "alert.resolved"
    by_itself: bool = False
    reason: str | None = None
    cause: UUID | None = None


class AlertDeliveryBegun(AlertEvent, frozen=True, kw_only=True):
    """From here on the channel may have it. `repeated`: an attempt before may have reached it, and
    its answer was lost; so the message says that it may be the same again."""

    type: ClassVar[str] = "alert.delivery_begun"
    channel: str
    attempt: int
    repeated: bool = False


class AlertDeliveryEnded(AlertEvent, frozen=True, kw_only=True):
    """What the channel answered. `uncertain`: it failed and may have reached somebody all the same.
    `final`: it is not tried again."""

    type: ClassVar[str] = "alert.delivery_ended"
    channel: str
    attempt: int
    status: DeliveryStatus
    error: str | None = None
    uncertain: bool = False
    final: bool = False


class AlertsSuppressed(Event, frozen=True, kw_only=True):
    """What the rule says (of the entity; of all where none is named) is kept and not sent: until a
    time, or until somebody takes it back."""

    type: ClassVar[str] = "alert.suppressed"
    alert_id: UUID
    rule: str
    entity_type: str = SYSTEM
    entity_id: str = ""
    until: datetime | None = None
    reason: str | None = None
    actor: str | None = None


class AlertsUnsuppressed(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "alert.unsuppressed"
    alert_id: UUID
    reason: str | None = None
    actor: str | None = None
