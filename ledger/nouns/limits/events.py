"""Limits: what can have happened to them."""

from typing import ClassVar
from uuid import UUID

from ledger.kernel.event import Event
from ledger.nouns.limits.terms import LimitScope, LimitTerms


class LimitsEvent(Event, frozen=True, kw_only=True):
    """`by` is who sent it, as the bus vouches for, or else as the message says; `by_user` for whom,
    where it says so."""

    scope: LimitScope
    reference: str | None = None
    by: str
    by_user: UUID | None = None


class LimitEvent(LimitsEvent, frozen=True, kw_only=True):
    limit_id: UUID


class LimitRegistered(LimitEvent, frozen=True, kw_only=True):
    """Told on a stream of the limit's own: where it is to be found."""

    type: ClassVar[str] = "limits.registered"


class LimitSet(LimitEvent, frozen=True, kw_only=True):
    """In force from now on, or from when it says. `approved_by` where that took somebody else."""

    type: ClassVar[str] = "limits.set"
    terms: LimitTerms
    approved_by: str | None = None


class LimitProposed(LimitEvent, frozen=True, kw_only=True):
    """It would allow what is not allowed: it waits for somebody else."""

    type: ClassVar[str] = "limits.proposed"
    terms: LimitTerms


class LimitRemovalProposed(LimitEvent, frozen=True, kw_only=True):
    """It waits for somebody else."""

    type: ClassVar[str] = "limits.removal_proposed"


class LimitRemoved(LimitEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "limits.removed"
    approved_by: str


class Halted(LimitsEvent, frozen=True, kw_only=True):
    """Nothing that raises exposure in the scope from here on."""

    type: ClassVar[str] = "limits.halted"
    reason: str


class Resumed(LimitsEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "limits.resumed"
    reason: str


class ScopeLimited(Event, frozen=True, kw_only=True):
    """Told on the stream of the SYSTEM scope: there is something to ask of this one. `sums`: of
    what several accounts have together, too."""

    type: ClassVar[str] = "limits.scope_limited"
    scope: LimitScope
    reference: str | None = None
    sums: bool = False
