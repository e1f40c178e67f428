"""Heartbeats: what can have happened to somebody's promise to be heard of.

A promise is about a scope: the orders that would go on alone if the one who looks after them were
gone. `until` is when something must have been heard, the latest; None: nothing is awaited.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from ledger.kernel.event import Event
from ledger.nouns.limits.terms import LimitScope


class HeartbeatEvent(Event, frozen=True, kw_only=True):
    scope: LimitScope
    reference: str | None = None
    until: datetime | None = None


class HeartbeatPromised(HeartbeatEvent, frozen=True, kw_only=True):
    """From now on `sender` is heard of every `timeout_seconds`, or oftener. `by` says so."""

    type: ClassVar[str] = "heartbeat.promised"
    timeout_seconds: int
    sender: str
    by: str
    by_user: UUID | None = None


class HeartbeatHeard(HeartbeatEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "heartbeat.heard"


class HeartbeatMissed(HeartbeatEvent, frozen=True, kw_only=True):
    """Nothing was heard in time: the cancel of what rests in the scope is asked for, until
    something is heard again."""

    type: ClassVar[str] = "heartbeat.missed"
    at: datetime


class HeartbeatEnded(HeartbeatEvent, frozen=True, kw_only=True):
    """Nothing is awaited any more; with `resumes_at` until then, by itself."""

    type: ClassVar[str] = "heartbeat.ended"
    reason: str
    by: str
    by_user: UUID | None = None
    resumes_at: datetime | None = None
