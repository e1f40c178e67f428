"""Breakers: the data of their commands."""

from typing import Annotated, ClassVar

from pydantic import Field

from ledger.kernel.command import CommandData, CommandKind
from ledger.kernel.fields import (
    Choice,
    Id,
    IdOrNone,
    Info,
    PositiveAmount,
    Text,
    TimeOrNone,
    ToldAmount,
    default,
)
from ledger.nouns.breakers.events import BreakerAction, BreakerKind, BreakerTerms
from ledger.nouns.limits.terms import LimitScope

MAX_WINDOW_SECONDS = 86_400
"""Prices of a day are remembered for a breaker, of some instruments."""

Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]


class BreakerCommandData(CommandData, abstract=True):
    command_class = "admin"

    breaker_id: Id
    actor: Text | None = None


class SetBreaker(BreakerCommandData):
    """DRAWDOWN and VOLATILITY_SPIKE have a share as their threshold (10 % is 0.1), a LOSS_STREAK a
    number of positions, a REPEATED_EXECUTION one of trades. It trips where the threshold is
    reached."""

    kind: Choice[BreakerKind]
    scope: Choice[LimitScope]
    reference: Text | None = None
    threshold: PositiveAmount
    window_seconds: Annotated[int, Field(strict=True, ge=1, le=MAX_WINDOW_SECONDS)] | None = None
    actions: tuple[BreakerAction, ...] = Field((BreakerAction.HALT,), min_length=1, max_length=3)
    reason: Text | None = None

    @property
    def terms(self) -> BreakerTerms:
        return BreakerTerms(
            kind=self.kind,
            scope=self.scope,
            reference=self.reference,
            threshold=self.threshold,
            window_seconds=self.window_seconds,
            actions=tuple(dict.fromkeys(self.actions)),
        )


class RemoveBreaker(BreakerCommandData):
    reason: Text | None = None


class _OfSubject(BreakerCommandData, abstract=True):
    """What it is tripped for: an account, a strategy, an instrument."""

    scope: Choice[LimitScope]
    reference: Text


class TripBreaker(_OfSubject):
    """The measure has reached the threshold: refused where the numbers say another thing."""

    measured: ToldAmount
    inputs: Info = Field(default_factory=dict)
    cause: IdOrNone = default(None)
    account_id: IdOrNone = default(None)
    occurred_at: TimeOrNone = default(None)


class RecordBreakerAction(_OfSubject):
    """Fact: an action was asked for, and what came of it."""

    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    number: Count
    action: Choice[BreakerAction]
    accepted: Count = 0
    refused: Count = 0
    error: Text | None = None


class ResumeBreaker(_OfSubject):
    """A person says that trading may go on, and why."""

    reason: Text
