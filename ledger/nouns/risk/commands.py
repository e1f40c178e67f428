"""Risk events: the data of their commands."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from ledger.kernel.command import CommandData, CommandKind
from ledger.kernel.fields import (
    Choice,
    ChoiceOrNone,
    Id,
    IdOrNone,
    Info,
    Instrument,
    Text,
    TimeOrNone,
    ToldAmountOrNone,
    VenueId,
    default,
)
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.risk.events import RiskEventType, RiskSeverity, RiskThreshold
from ledger.nouns.risk.state import stream_id

MAX_WHAT = 200
"""Characters of what tells two of a type and scope apart: a key of a position."""

What = Annotated[str, Field(strict=True, max_length=MAX_WHAT, pattern=r"^[^\x00]*$")]


class RiskCommandData(CommandData, abstract=True):
    command_class = "admin"


class AboutRisk(RiskCommandData, abstract=True):
    """Facts about what is watched; `what` tells two of a type and scope apart."""

    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    event_type: Choice[RiskEventType]
    scope: Choice[LimitScope]
    reference: Text | None = None
    what: What = ""
    value: ToldAmountOrNone = default(None)
    cause: IdOrNone = default(None)
    occurred_at: TimeOrNone = default(None)

    @property
    def risk_id(self) -> UUID:
        return stream_id(self.event_type, self.scope, self.reference, self.what)


class ReportRisk(AboutRisk):
    """It is beyond a threshold: opens it, or tells that it is another one now."""

    severity: Choice[RiskSeverity]
    message: Text
    threshold: ChoiceOrNone[RiskThreshold] = default(None)
    measure: Text | None = None
    limit: ToldAmountOrNone = default(None)
    warning: ToldAmountOrNone = default(None)
    unit: Text | None = None
    limit_id: IdOrNone = default(None)
    account_id: IdOrNone = default(None)
    order_id: IdOrNone = default(None)
    instrument: Instrument | None = None
    trade_id: VenueId | None = None
    action: Text | None = None
    data: Info = Field(default_factory=dict)


class ClearRisk(AboutRisk):
    """It is below its warning again."""


class ResolveRiskEvent(RiskCommandData):
    """A person says that it is done with."""

    risk_id: Id
    reason: Text
    actor: Text | None = None
