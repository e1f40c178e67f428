"""Orders: the data of their commands.

Requests may be rejected; facts report what happened at the venue and are always recorded.
"""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from ledger.kernel import money
from ledger.kernel.command import AccountCommandData, CommandClass, CommandKind
from ledger.kernel.fields import (
    MAX_FEE_RATE,
    Asset,
    Choice,
    ChoiceOrNone,
    Id,
    IdOrNone,
    Instrument,
    PositiveAmountOrNone,
    Rate,
    StrategyId,
    Text,
    TimeOrNone,
    ToldAmount,
    ToldAmountOrNone,
    ToldPositive,
    ToldPositiveOrNone,
    VenueId,
    default,
)
from ledger.nouns.orders.events import (
    ExecutionKind,
    Fee,
    LiquiditySide,
    OrderType,
    PositionSide,
    Purpose,
    Side,
    TimeInForce,
    TriggerPriceType,
    charged,
)

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
_TAKES_AT_ONCE = frozenset({OrderType.MARKET, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT})
"""What trades with whoever is there already, so that it is never a maker."""
MAX_FEES = 20
"""Assets that one trade is charged in: venues charge in one to three."""


class OrderCommandData(AccountCommandData, abstract=True):
    command_class: ClassVar[CommandClass] = "trade"

    order_id: Id


class SubmitOrder(OrderCommandData):
    """`price` on a MARKET order is the estimate that its hold is reckoned with. Orders of one
    `oco_group`, sub-account and side hold once, as much as the largest of them."""

    instrument: Instrument
    side: Choice[Side]
    order_type: Choice[OrderType]
    quantity: PositiveAmountOrNone = default(None)
    quote_quantity: PositiveAmountOrNone = default(None)
    price: PositiveAmountOrNone = default(None)
    stop_price: PositiveAmountOrNone = default(None)
    time_in_force: Choice[TimeInForce] = default(TimeInForce.GTC)
    post_only: StrictBool = False
    reduce_only: StrictBool = False
    iceberg_qty: PositiveAmountOrNone = default(None)
    position_side: ChoiceOrNone[PositionSide] = default(None)
    strategy_id: StrategyId | None = None
    fee_rate: Rate = default(money.ZERO)
    client_order_id: VenueId | None = None
    oco_group: IdOrNone = default(None)
    purpose: ChoiceOrNone[Purpose] = default(None)
    trailing_offset: PositiveAmountOrNone = default(None)
    trigger_price_type: ChoiceOrNone[TriggerPriceType] = default(None)
    signal_id: VenueId | None = None
    expires_at: TimeOrNone = default(None)

    @model_validator(mode="after")
    def _fields_fit_the_order_type(self) -> Self:
        kind = self.order_type
        if kind in _NEED_PRICE and self.price is None:
            raise ValueError(f"a {kind} order needs a price")
        if kind in _NEED_STOP_PRICE and self.stop_price is None:
            raise ValueError(f"a {kind} order needs a stop_price")
        if kind not in _NEED_STOP_PRICE and (self.trailing_offset or self.trigger_price_type):
            raise ValueError(
                f"trailing_offset and trigger_price_type are of stops, a {kind} order is none"
            )
        if self.fee_rate >= MAX_FEE_RATE:
            raise ValueError("fee_rate is a fraction: 0.1 % is 0.001")
        return self

    @model_validator(mode="after")
    def _has_a_size(self) -> Self:
        if self.quote_quantity is not None:
            if self.order_type is not OrderType.MARKET:
                raise ValueError(
                    "quote_quantity is the budget of a MARKET BUY or SELL; give quantity"
                )
            if self.iceberg_qty is not None or self.oco_group is not None:
                raise ValueError(
                    "an order sized by quote_quantity has no iceberg_qty and no oco_group: "
                    "give quantity instead"
                )
        elif self.quantity is None:
            raise ValueError("quantity is missing")
        elif self.iceberg_qty is not None and self.iceberg_qty > self.quantity:
            raise ValueError("iceberg_qty is more than quantity")
        return self

    @model_validator(mode="after")
    def _lasts_as_its_type_allows(self) -> Self:
        lasts = self.time_in_force
        if self.post_only or self.order_type is OrderType.LIMIT_MAKER:
            if self.order_type in _TAKES_AT_ONCE:
                raise ValueError(f"post_only rests in the book, a {self.order_type} order does not")
            if lasts in (TimeInForce.IOC, TimeInForce.FOK):
                raise ValueError(f"post_only rests in the book, {lasts} does not")
        if lasts is TimeInForce.GTD and self.expires_at is None:
            raise ValueError("a GTD order needs expires_at")
        if self.expires_at is not None and lasts not in (TimeInForce.GTD, TimeInForce.DAY):
            raise ValueError(f"expires_at is of GTD and DAY orders, this one is {lasts}")
        return self


class RequestCancel(OrderCommandData):
    rate_limited: ClassVar[bool] = False
    """A desk in trouble needs them most."""

    reason: Text | None = None


class RequestReplace(OrderCommandData):
    """What is absent stays as it is."""

    quantity: PositiveAmountOrNone = default(None)
    price: PositiveAmountOrNone = default(None)
    stop_price: PositiveAmountOrNone = default(None)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.quantity is None and self.price is None and self.stop_price is None:
            raise ValueError("name a new quantity, price or stop_price")
        return self


class OrderFactData(OrderCommandData, abstract=True):
    """A fact about an order. `instrument` and `side` let the ledger record an order that it never
    saw submitted, with what else is told of its terms; for one that it knows they are not its
    terms' affair."""

    command_class = "report"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    occurred_at: TimeOrNone = default(None)
    venue_order_id: VenueId | None = None
    client_order_id: VenueId | None = None
    instrument: Instrument | None = None
    side: ChoiceOrNone[Side] = default(None)
    order_type: ChoiceOrNone[OrderType] = default(None)
    quantity: ToldPositiveOrNone = default(None)
    price: ToldAmountOrNone = default(None)
    stop_price: ToldAmountOrNone = default(None)
    time_in_force: ChoiceOrNone[TimeInForce] = default(None)
    position_side: ChoiceOrNone[PositionSide] = default(None)
    strategy_id: StrategyId | None = None


class AcceptOrder(OrderFactData):
    pass


class RejectOrder(OrderFactData):
    reason: Text | None = None


class FeeData(BaseModel):
    """A part of what was charged. Below zero it is a rebate."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    asset: Asset
    amount: ToldAmount


class TradeFactData(OrderFactData, abstract=True):
    """A fact about a trade. `commission` in `commission_asset` is what it was charged, or `fees`
    where that was several assets."""

    trade_id: VenueId
    commission: ToldAmount = default(money.ZERO)
    commission_asset: Asset | None = None
    fees: tuple[FeeData, ...] = Field(default=(), max_length=MAX_FEES)

    @model_validator(mode="after")
    def _is_charged_in_one_way(self) -> Self:
        if self.commission != 0 and self.commission_asset is None:
            raise ValueError("commission_asset is missing")
        if self.fees and self.commission_asset is not None:
            raise ValueError("give commission with commission_asset, or fees, not both")
        if len({fee.asset for fee in self.fees}) < len(self.fees):
            raise ValueError("fees name an asset twice: add the amounts up")
        return self

    @property
    def charged(self) -> tuple[Fee, ...]:
        """What was charged, one for each asset."""
        fees = tuple(Fee(fee.asset, fee.amount) for fee in self.fees if fee.amount)
        return charged(self.commission, self.commission_asset, fees)


class RecordFill(TradeFactData):
    """`quote_quantity` is what the venue really moved, where it is not last_qty x last_px."""

    last_qty: ToldPositive
    last_px: ToldAmount
    liquidity_side: ChoiceOrNone[LiquiditySide] = default(None)
    quote_quantity: ToldAmountOrNone = default(None)
    execution_kind: Choice[ExecutionKind] = default(ExecutionKind.TRADE)


class CorrectCommission(TradeFactData):
    """What the trade was charged in all, and nothing else."""

    @model_validator(mode="after")
    def _says_what_was_charged(self) -> Self:
        if not {"commission", "fees"} & self.model_fields_set:
            raise ValueError("commission is missing")
        return self


class VoidFill(OrderFactData):
    trade_id: VenueId
    reason: Text | None = None


class CompleteOrder(OrderFactData):
    """The venue calls the order done, though a rest of it may be open."""

    reason: Text | None = None


class CancelOrder(OrderFactData):
    reason: Text | None = None


class RejectCancel(OrderFactData):
    reason: Text | None = None


class ReplaceOrder(OrderFactData):
    """The terms now in force; what is absent stays as it is (or as the pending request asked)."""


class RejectReplace(OrderFactData):
    reason: Text | None = None


class ExpireOrder(OrderFactData):
    reason: Text | None = None
