"""Equity: the data of its commands."""

from typing import ClassVar, Self

from pydantic import model_validator

from ledger.kernel.command import AccountCommandData, CommandKind
from ledger.kernel.fields import Asset, Choice, Rate, Text, Time
from ledger.nouns.limits.terms import TOLD, LimitMeasure


class MarkEquity(AccountCommandData):
    """What the account is worth now is noted: for the periods that have no mark yet, as a peak if
    it is one, and whether a loss has reached its limit."""

    command_class = "admin"
    rate_limited: ClassVar[bool] = False


class RecordRiskMeasure(AccountCommandData):
    """Fact: what somebody has reckoned of the account at a time. A ratio of equity, or an amount in
    a `currency`."""

    command_class = "admin"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT
    occurred: ClassVar[str] = "time"

    measure: Choice[LimitMeasure]
    value: Rate
    currency: Asset | None = None
    method: Text | None = None
    time: Time

    @model_validator(mode="after")
    def _is_one_that_is_told(self) -> Self:
        if self.measure not in TOLD:
            raise ValueError(f"{self.measure} is reckoned where it is needed, and not told")
        return self
