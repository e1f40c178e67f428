"""Positions: the data of their commands."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from ledger.kernel.command import AccountCommandData, CommandKind
from ledger.kernel.fields import (
    Asset,
    Choice,
    Instrument,
    PositiveAmount,
    PositiveAmountOrNone,
    TimeOrNone,
    VenueId,
    default,
)
from ledger.nouns.accounts.events import CorporateAction
from ledger.nouns.positions.margin import MarginMode

MAX_RATIO = 1_000_000_000
"""Of a split: a thousand million for one, or one for so many."""


class SetLeverage(AccountCommandData):
    """How much a position may be greater than what it locks: from 1 to what the instrument
    allows. Until it is set, 1."""

    command_class = "admin"

    instrument: Instrument
    leverage: PositiveAmount
    mode: Choice[MarginMode] = default(MarginMode.CROSS)


class SetBorrowingLimit(AccountCommandData):
    """How much of an asset requests on a MARGIN account may take beyond what is there; without a
    `limit`, as much as they like."""

    command_class = "admin"

    asset: Asset
    limit: PositiveAmountOrNone = default(None)


class RecordCorporateAction(AccountCommandData):
    """Fact: `numerator` for each `denominator` held, and under `new_instrument` if that is told.
    `cash_in_lieu` is what was paid for the fraction that is left of the last one."""

    command_class = "report"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    action_id: VenueId
    instrument: Instrument
    action: Choice[CorporateAction]
    numerator: int = Field(default=1, strict=True, gt=0, le=MAX_RATIO)
    denominator: int = Field(default=1, strict=True, gt=0, le=MAX_RATIO)
    cash_in_lieu: PositiveAmountOrNone = default(None)
    new_instrument: Instrument | None = None
    occurred_at: TimeOrNone = default(None)

    @model_validator(mode="after")
    def _says_what_becomes_of_it(self) -> Self:
        if self.action is CorporateAction.RENAME:
            if self.new_instrument in {None, self.instrument}:
                raise ValueError("a RENAME needs a new_instrument, another one")
        elif self.new_instrument is not None:
            raise ValueError("a SPLIT has no new_instrument; what is renamed is a RENAME")
        elif self.numerator == self.denominator:
            raise ValueError("a SPLIT needs a numerator and a denominator that differ")
        return self
