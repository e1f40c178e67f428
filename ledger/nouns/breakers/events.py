"""Breakers: what can have happened to what stops trading by itself.

A breaker is set for a scope. It trips for a subject: an account, a strategy, an instrument; one of
a user or of the whole system stands for one of each account of theirs. What is tripped stays so,
whatever comes, until a person resumes it.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.nouns.limits.terms import LimitScope


class BreakerKind(StrEnum):
    DRAWDOWN = "DRAWDOWN"
    """Share that an account has lost of its peak, what came in and went out set aside."""
    LOSS_STREAK = "LOSS_STREAK"
    """Positions in a row that were closed with a loss."""
    VOLATILITY_SPIKE = "VOLATILITY_SPIKE"
    """Highest price over lowest within the window, less one."""
    REPEATED_EXECUTION = "REPEATED_EXECUTION"
    """Trades within the window: a strategy that runs again and again."""


class BreakerAction(StrEnum):
    HALT = "HALT"
    """Nothing that raises exposure."""
    CANCEL = "CANCEL"
    """Every open order is asked to be cancelled."""
    EXIT = "EXIT"
    """Every open position is asked to be closed, at the market."""


class BreakerTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    kind: BreakerKind
    scope: LimitScope
    reference: str | None = None
    threshold: Decimal
    window_seconds: int | None = None
    actions: tuple[BreakerAction, ...] = (BreakerAction.HALT,)


class BreakerEvent(Event, frozen=True, kw_only=True):
    breaker_id: UUID
    actor: str | None = None


class BreakerSet(BreakerEvent, frozen=True, kw_only=True):
    """As it is from now on."""

    type: ClassVar[str] = "breaker.set"
    terms: BreakerTerms
    reason: str | None = None


class BreakerRemoved(BreakerEvent, frozen=True, kw_only=True):
    """It trips no more. What is tripped stays so."""

    type: ClassVar[str] = "breaker.removed"
    reason: str | None = None


class BreakerTripped(BreakerEvent, frozen=True, kw_only=True):
    """The measure has reached its threshold, as the numbers say: `measured` of these `inputs`, as
    of the event `cause`. The actions follow from this event."""

    type: ClassVar[str] = "breaker.tripped"
    terms: BreakerTerms
    number: int
    scope: LimitScope
    reference: str
    measured: Decimal
    at: datetime
    cause: UUID | None = None
    account_id: UUID | None = None
    user_id: UUID | None = None
    inputs: dict[str, Any] = msgspec.field(default_factory=dict)


class BreakerActed(BreakerEvent, frozen=True, kw_only=True):
    """An action was asked for, with what came of it: how many commands were accepted, and what the
    last one that was not was refused for."""

    type: ClassVar[str] = "breaker.acted"
    number: int
    scope: LimitScope
    reference: str
    action: BreakerAction
    accepted: int = 0
    refused: int = 0
    error: str | None = None


class BreakerResumed(BreakerEvent, frozen=True, kw_only=True):
    """A person says that trading may go on. It is measured anew from here on."""

    type: ClassVar[str] = "breaker.resumed"
    number: int
    scope: LimitScope
    reference: str
    reason: str
