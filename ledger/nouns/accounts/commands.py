"""Accounts: the data of their commands.

Unless it says that it is a fact, a command is a request, which may be rejected.
"""

from decimal import Decimal
from typing import ClassVar, Self
from zoneinfo import available_timezones

from pydantic import Field, StrictBool, field_validator, model_validator

from ledger.kernel.command import AccountCommandData, CommandKind
from ledger.kernel.fields import (
    Asset,
    Choice,
    ChoiceOrNone,
    CostOrNone,
    Exchange,
    Id,
    Info,
    Instrument,
    LossShareOrNone,
    MovedAmount,
    MovedPositive,
    Rate,
    SubAccount,
    Text,
    TimeOrNone,
    ToldAmount,
    ToldAmountOrNone,
    TransferId,
    VenueId,
    default,
)
from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import (
    DEFAULT_PERIODS_PER_YEAR,
    MAIN,
    AccountType,
    CashFlowKind,
    CostBasis,
    Environment,
    PositionMode,
)
from ledger.nouns.orders.events import PositionSide

MOST_PERIODS_PER_YEAR = 366
"""A return a day, in a leap year."""


class OpenAccount(AccountCommandData):
    """`max_daily_loss` and `max_total_drawdown` are limits from the beginning, as shares of the
    equity; each can be changed like any other."""

    command_class = "admin"

    account_id: Id
    user_id: Id
    exchange: Exchange
    name: Text
    account_type: Choice[AccountType]
    environment: Choice[Environment]
    base_currency: Asset
    cost_basis: Choice[CostBasis] = default(CostBasis.AVERAGE)
    position_mode: Choice[PositionMode] = default(PositionMode.ONE_WAY)
    max_daily_loss: LossShareOrNone = default(None)
    max_total_drawdown: LossShareOrNone = default(None)


class OuterMovementData(AccountCommandData, abstract=True):
    """What is told of money that comes in or goes out. `amount` is what the account gets or gives,
    a `fee` in the same asset included. `cost` is in the base currency of the account."""

    command_class = "money"

    asset: Asset
    amount: MovedPositive
    reference: Text | None = None
    repeats_reference: StrictBool = False
    sub_account: SubAccount = MAIN
    transfer_id: TransferId | None = None
    fee: CostOrNone = default(None)
    fee_asset: Asset | None = None
    cost: CostOrNone = default(None)
    acquired_at: TimeOrNone = default(None)

    @model_validator(mode="after")
    def _fee_of_something(self) -> Self:
        if self.fee_asset is not None and self.fee is None:
            raise ValueError("fee_asset without a fee")
        if self.fee is not None and self.fee_asset in {None, self.asset} and self.fee > self.amount:
            raise ValueError("the fee is part of the amount, and is more than it")
        return self


class Deposit(OuterMovementData):
    """Fact."""

    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    occurred_at: TimeOrNone = default(None)


class Withdraw(OuterMovementData):
    pass


class RecordWithdrawal(OuterMovementData):
    """Fact: it has left already."""

    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    occurred_at: TimeOrNone = default(None)


class RecordCashFlow(AccountCommandData):
    """Fact: what came or went for a reason that is no trade, deposit or withdrawal. The amount is
    signed: what the account got is positive. The two sides of a CONVERSION have opposite signs;
    that of the counter amount need not be told."""

    command_class = "money"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    flow_id: VenueId
    kind: Choice[CashFlowKind]
    asset: Asset
    amount: ToldAmount
    instrument: Instrument | None = None
    position_side: ChoiceOrNone[PositionSide] = default(None)
    sub_account: SubAccount | None = None
    counter_asset: Asset | None = None
    counter_amount: ToldAmountOrNone = default(None)
    info: Info | None = None
    occurred_at: TimeOrNone = default(None)

    @model_validator(mode="after")
    def _both_sides(self) -> Self:
        told = self.counter_asset is not None, self.counter_amount is not None
        if self.kind is not CashFlowKind.CONVERSION:
            if any(told):
                raise ValueError("counter_asset and counter_amount are of a CONVERSION")
            return self
        if not all(told):
            raise ValueError("a CONVERSION has counter_asset and counter_amount")
        assert self.counter_amount is not None
        if self.counter_asset == self.asset:
            raise ValueError("a CONVERSION is of two assets")
        if self.amount < 0 and self.counter_amount < 0:
            raise ValueError("what a CONVERSION takes and what it gives have opposite signs")
        return self

    @property
    def signed_counter_amount(self) -> Decimal | None:
        """It moves the other way than the amount."""
        counter = self.counter_amount
        if counter is None:
            return None
        return -abs(counter) if self.amount > 0 else abs(counter)


class Transfer(AccountCommandData):
    command_class = "money"

    asset: Asset
    amount: MovedPositive
    from_sub_account: SubAccount
    to_sub_account: SubAccount


class AdjustBalance(AccountCommandData):
    """Fact: a correction, by a person who says why. The amount is signed."""

    command_class = "money"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    asset: Asset
    amount: MovedAmount
    reason: Text
    actor: Text
    sub_account: SubAccount = MAIN
    occurred_at: TimeOrNone = default(None)


class SetReporting(AccountCommandData):
    """How performance and risk of the account are measured from now on, all of it: what is not
    named is as it is for an account of which nothing was said."""

    command_class = "admin"

    periods_per_year: int = Field(
        default=DEFAULT_PERIODS_PER_YEAR, strict=True, ge=1, le=MOST_PERIODS_PER_YEAR
    )
    time_zone: Text = "UTC"
    benchmark: Instrument | None = None
    risk_free_rate: Rate = default(ZERO)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is no time zone like 'UTC' or 'Europe/Berlin'")
        return name


class SuspendAccount(AccountCommandData):
    command_class = "admin"

    reason: Text | None = None
    actor: Text | None = None


class HaltAccount(SuspendAccount):
    pass


class ReactivateAccount(SuspendAccount):
    pass


class CloseAccount(SuspendAccount):
    pass
