"""What has to be remembered of the log to judge what comes: as large as what is open."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.nouns.breakers.events import BreakerTerms
from ledger.nouns.breakers.state import subject_of
from ledger.nouns.equity.state import EquityMark
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.risk.events import RiskEventType, RiskThreshold

RESUME = "RESUME"
"""A task beside the actions of a breaker: it takes back its halt."""


class Holder(msgspec.Struct):
    """An account. `looked`: it was looked at since it is known."""

    user_id: UUID | None = None
    instruments: list[str] = msgspec.field(default_factory=list)
    looked: bool = False


class OpenRisk(msgspec.Struct, frozen=True):
    event_type: RiskEventType
    scope: LimitScope
    reference: str | None
    what: str
    threshold: RiskThreshold | None
    account_id: UUID | None
    limit_id: UUID | None


class Armed(msgspec.Struct):
    """A breaker that is set."""

    terms: BreakerTerms
    tripped: dict[str, int] = msgspec.field(default_factory=dict)


class Loss(msgspec.Struct, frozen=True):
    at: datetime
    net_pnl: Decimal
    instrument: str


class Task(msgspec.Struct):
    """What a breaker has to do still. `action` is one of a breaker's, or RESUME."""

    breaker_id: UUID
    number: int
    scope: LimitScope
    reference: str
    action: str
    event_id: UUID
    reason: str
    correlation: UUID | None = None
    attempt: int = 1
    done: list[str] = msgspec.field(default_factory=list)
    """Exits that were accepted."""
    not_before: datetime | None = None


class RiskMemory(msgspec.Struct):
    """`dirty`: accounts to look at, with the event that they are to be looked at for."""

    holders: dict[UUID, Holder] = msgspec.field(default_factory=dict)
    dirty: dict[UUID, UUID] = msgspec.field(default_factory=dict)
    risks: dict[UUID, OpenRisk] = msgspec.field(default_factory=dict)
    breakers: dict[UUID, Armed] = msgspec.field(default_factory=dict)
    streaks: dict[str, list[Loss]] = msgspec.field(default_factory=dict)
    """Losses in a row, by subject."""
    peaks: dict[str, EquityMark] = msgspec.field(default_factory=dict)
    """By breaker and account."""
    prices: dict[str, list[tuple[datetime, Decimal]]] = msgspec.field(default_factory=dict)
    """Of instruments with a breaker, by instrument and kind."""
    executions: dict[str, list[datetime]] = msgspec.field(default_factory=dict)
    """By breaker and subject, when the newest trades were recorded."""
    tasks: dict[str, Task] = msgspec.field(default_factory=dict)

    def holds(self, instrument: str) -> list[UUID]:
        return [one for one, holder in self.holders.items() if instrument in holder.instruments]

    def with_user(self, user_id: str) -> list[UUID]:
        return [one for one, holder in self.holders.items() if str(holder.user_id) == user_id]


def covers(terms: BreakerTerms, account_id: UUID, holder: Holder | None) -> bool:
    """Whether a breaker is about this account, by itself or as one of its user's or of all."""
    if terms.scope is LimitScope.SYSTEM:
        return True
    if terms.scope is LimitScope.USER:
        return holder is not None and str(holder.user_id) == terms.reference
    return terms.scope is LimitScope.ACCOUNT and terms.reference == str(account_id)


def account_subject(account_id: UUID) -> str:
    return subject_of(LimitScope.ACCOUNT, str(account_id))


def peak_key(breaker_id: UUID, account_id: UUID) -> str:
    return f"{breaker_id} {account_id}"


def task_key(breaker_id: UUID, number: int, action: str) -> str:
    return f"{breaker_id} {number} {action}"
