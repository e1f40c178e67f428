"""The data of each command: one model per command type, in the order of the contract.

Requests may be rejected; facts report what happened at the venue and are always recorded.
What a field may look like is in `command_fields`. Unknown fields are errors, because a misspelt
field on an order is money lost.
"""

from decimal import Decimal
from typing import ClassVar, Literal, Self, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StrictBool, model_validator

from ledger.kernel import money
from ledger.kernel.fields import (
    MAX_FEE_RATE,
    Amount,
    Asset,
    Commission,
    Exchange,
    Instrument,
    Multiplier,
    Percent,
    PositiveAmount,
    Rate,
    StrategyId,
    SubAccount,
    Text,
    Time,
    VenueId,
)
from ledger.nouns.accounts.rules import EXTERNAL, MAIN, AccountType, Environment
from ledger.nouns.orders.rules import LiquiditySide, OrderType, PositionSide, Side, TimeInForce

CommandClass = Literal["trade", "report", "money", "admin"]
"""What kind of right it takes to send a command: requests about orders; facts of venues; deposits,
withdrawals, transfers and adjustments; accounts, allocations and instruments. It is a token of the
subject that a command is sent to, so the bus can grant one class and not another."""
COMMAND_CLASSES: tuple[CommandClass, ...] = get_args(CommandClass)


INSTRUMENTS = "instruments"
"""The family of commands about instruments, which belong to no account."""


class CommandData(BaseModel):
    """Base of all command data."""

    schema_version: ClassVar[int] = 1
    """Of the published schema: a new number where a field goes or takes less than before."""
    command_class: ClassVar[CommandClass]
    family: ClassVar[str | None] = None
    """The subject of a command about no account, in place of the account's id."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountCommandData(CommandData):
    """Data of a command about an account; the message's subject is that account."""

    account_id: UUID | None = None


class InstrumentCommandData(CommandData):
    """Data of a command about an instrument; the message's subject is `instruments`."""

    command_class = "admin"
    family = INSTRUMENTS

    instrument: Instrument


# --- account --------------------------------------------------------------------------


class OpenAccount(AccountCommandData):
    command_class = "admin"

    account_id: UUID
    user_id: UUID
    exchange: Exchange
    name: Text
    account_type: AccountType
    environment: Environment
    base_currency: Asset


class Deposit(AccountCommandData):
    """Fact."""

    command_class = "money"

    asset: Asset
    amount: PositiveAmount
    reference: Text | None = None
    sub_account: SubAccount = MAIN
    occurred_at: Time | None = None


class Withdraw(AccountCommandData):
    command_class = "money"

    asset: Asset
    amount: PositiveAmount
    reference: Text | None = None
    sub_account: SubAccount = MAIN


class Transfer(AccountCommandData):
    command_class = "money"

    asset: Asset
    amount: PositiveAmount
    from_sub_account: SubAccount
    to_sub_account: SubAccount


class AdjustBalance(AccountCommandData):
    """Fact: a correction, by a person who says why. The amount is signed."""

    command_class = "money"

    asset: Asset
    amount: Amount
    reason: Text
    actor: Text
    sub_account: SubAccount = MAIN
    occurred_at: Time | None = None


class SuspendAccount(AccountCommandData):
    command_class = "admin"

    reason: Text | None = None
    actor: Text | None = None


class ReactivateAccount(SuspendAccount):
    pass


class CloseAccount(SuspendAccount):
    pass


# --- order ----------------------------------------------------------------------------

_NEED_PRICE = frozenset(
    {OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT, OrderType.LIMIT_MAKER}
)
_NEED_STOP_PRICE = frozenset(
    {
        OrderType.STOP_MARKET,
        OrderType.STOP_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)


class OrderCommandData(AccountCommandData):
    command_class: ClassVar[CommandClass] = "trade"

    order_id: UUID


class SubmitOrder(OrderCommandData):
    """`price` on a MARKET order is the estimate that its hold is reckoned with."""

    instrument: Instrument
    side: Side
    order_type: OrderType
    quantity: PositiveAmount | None = None
    quote_quantity: PositiveAmount | None = None
    price: PositiveAmount | None = None
    stop_price: PositiveAmount | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: StrictBool = False
    reduce_only: StrictBool = False
    iceberg_qty: PositiveAmount | None = None
    position_side: PositionSide | None = None
    strategy_id: StrategyId | None = None
    fee_rate: Rate = money.ZERO
    client_order_id: VenueId | None = None

    @model_validator(mode="after")
    def _fields_fit_the_order_type(self) -> Self:
        kind = self.order_type
        if kind in _NEED_PRICE and self.price is None:
            raise ValueError(f"a {kind} order needs a price")
        if kind in _NEED_STOP_PRICE and self.stop_price is None:
            raise ValueError(f"a {kind} order needs a stop_price")
        if self.quote_quantity is not None and (kind, self.side) != (OrderType.MARKET, Side.BUY):
            raise ValueError("quote_quantity is the budget of a MARKET BUY; give quantity instead")
        if self.quantity is None and self.quote_quantity is None:
            raise ValueError("quantity is missing")
        if (
            self.iceberg_qty is not None
            and self.quantity is not None
            and self.iceberg_qty > self.quantity
        ):
            raise ValueError("iceberg_qty is more than quantity")
        if self.fee_rate >= MAX_FEE_RATE:
            raise ValueError("fee_rate is a fraction: 0.1 % is 0.001")
        return self


class RequestCancel(OrderCommandData):
    reason: Text | None = None


class RequestReplace(OrderCommandData):
    """What is absent stays as it is."""

    quantity: PositiveAmount | None = None
    price: PositiveAmount | None = None
    stop_price: PositiveAmount | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.quantity is None and self.price is None and self.stop_price is None:
            raise ValueError("name a new quantity, price or stop_price")
        return self


class OrderFactData(OrderCommandData):
    """A fact about an order. `instrument`, `side` and `quantity` let the ledger record an order
    that it never saw submitted; they are ignored for one it knows."""

    command_class = "report"

    occurred_at: Time | None = None
    venue_order_id: VenueId | None = None
    client_order_id: VenueId | None = None
    instrument: Instrument | None = None
    side: Side | None = None
    order_type: OrderType | None = None
    quantity: PositiveAmount | None = None
    price: PositiveAmount | None = None


class AcceptOrder(OrderFactData):
    pass


class RejectOrder(OrderFactData):
    reason: Text | None = None


class RecordFill(OrderFactData):
    trade_id: VenueId
    last_qty: PositiveAmount
    last_px: PositiveAmount
    commission: Commission = money.ZERO
    commission_asset: Asset | None = None
    liquidity_side: LiquiditySide | None = None

    @model_validator(mode="after")
    def _commission_names_its_asset(self) -> Self:
        if self.commission != 0 and self.commission_asset is None:
            raise ValueError("commission_asset is missing")
        return self


class VoidFill(OrderFactData):
    trade_id: VenueId
    reason: Text | None = None


class CancelOrder(OrderFactData):
    reason: Text | None = None


class RejectCancel(OrderFactData):
    reason: Text | None = None


class ReplaceOrder(OrderFactData):
    """The terms now in force; what is absent stays as it is (or as the pending request asked)."""

    stop_price: PositiveAmount | None = None


class RejectReplace(OrderFactData):
    reason: Text | None = None


class ExpireOrder(OrderFactData):
    reason: Text | None = None


# --- allocation -----------------------------------------------------------------------


class AllocationCommandData(AccountCommandData):
    command_class = "admin"

    strategy_id: StrategyId

    @model_validator(mode="after")
    def _strategy_is_no_reserved_name(self) -> Self:
        if self.strategy_id in {MAIN, EXTERNAL}:
            raise ValueError(f"strategy_id {self.strategy_id!r} is a name of the ledger's own")
        return self


class AssignStrategy(AllocationCommandData):
    allocation_percent: Percent
    risk_multiplier: Multiplier = Decimal(1)
    auto_rebalance: StrictBool = False


class ChangeAllocation(AllocationCommandData):
    """What is absent stays as it is."""

    allocation_percent: Percent | None = None
    risk_multiplier: Multiplier | None = None
    auto_rebalance: StrictBool | None = None


class DeactivateStrategy(AllocationCommandData):
    reason: Text | None = None


class RebalanceAllocations(AccountCommandData):
    command_class = "admin"


# --- instrument -----------------------------------------------------------------------


class ListInstrument(InstrumentCommandData):
    """Without a `min_quantity`, one step is the least."""

    base_asset: Asset
    quote_asset: Asset
    tick_size: PositiveAmount
    step_size: PositiveAmount
    min_quantity: PositiveAmount | None = None
    max_quantity: PositiveAmount | None = None


class UpdateInstrument(InstrumentCommandData):
    """What is absent stays as it is."""

    tick_size: PositiveAmount | None = None
    step_size: PositiveAmount | None = None
    min_quantity: PositiveAmount | None = None
    max_quantity: PositiveAmount | None = None


class DelistInstrument(InstrumentCommandData):
    reason: Text | None = None


_MODELS: tuple[type[CommandData], ...] = (
    *(OpenAccount, Withdraw, Transfer, SuspendAccount, ReactivateAccount, CloseAccount),
    *(Deposit, AdjustBalance),
    *(SubmitOrder, RequestCancel, RequestReplace),
    *(AcceptOrder, RejectOrder, RecordFill, VoidFill, CancelOrder, RejectCancel),
    *(ReplaceOrder, RejectReplace, ExpireOrder),
    *(AssignStrategy, ChangeAllocation, DeactivateStrategy, RebalanceAllocations),
    *(ListInstrument, UpdateInstrument, DelistInstrument),
)

COMMAND_DATA: dict[str, type[CommandData]] = {model.__name__: model for model in _MODELS}
"""The model of each command type."""

FAMILIES = frozenset(model.family for model in _MODELS if model.family is not None)
"""What commands of no account are about."""

TIMED = frozenset(model for model in _MODELS if "occurred_at" in model.model_fields)
"""The models that may say when it happened."""


def is_fact(data: CommandData) -> bool:
    """Whether it reports what has happened, and so may overdraw an account."""
    return isinstance(data, Deposit | AdjustBalance | OrderFactData)
