"""Orders: the data of their commands.

Requests may be rejected; facts report what happened at the venue and are always recorded.
"""

from typing import ClassVar, Self

from pydantic import StrictBool, model_validator

from ledger.kernel import money
from ledger.kernel.command import AccountCommandData, CommandClass, CommandKind
from ledger.kernel.fields import (
    MAX_FEE_RATE,
    Asset,
    Choice,
    ChoiceOrNone,
    Commission,
    Id,
    Instrument,
    PositiveAmount,
    PositiveAmountOrNone,
    Rate,
    StrategyId,
    Text,
    TimeOrNone,
    VenueId,
    default,
)
from ledger.nouns.orders.events import (
    LiquiditySide,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
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


class OrderCommandData(AccountCommandData):
    command_class: ClassVar[CommandClass] = "trade"

    order_id: Id


class SubmitOrder(OrderCommandData):
    """`price` on a MARKET order is the estimate that its hold is reckoned with."""

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


class OrderFactData(OrderCommandData):
    """A fact about an order. `instrument`, `side` and `quantity` let the ledger record an order
    that it never saw submitted; they are ignored for one it knows."""

    command_class = "report"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    occurred_at: TimeOrNone = default(None)
    venue_order_id: VenueId | None = None
    client_order_id: VenueId | None = None
    instrument: Instrument | None = None
    side: ChoiceOrNone[Side] = default(None)
    order_type: ChoiceOrNone[OrderType] = default(None)
    quantity: PositiveAmountOrNone = default(None)
    price: PositiveAmountOrNone = default(None)


class AcceptOrder(OrderFactData):
    pass


class RejectOrder(OrderFactData):
    reason: Text | None = None


class RecordFill(OrderFactData):
    trade_id: VenueId
    last_qty: PositiveAmount
    last_px: PositiveAmount
    commission: Commission = default(money.ZERO)
    commission_asset: Asset | None = None
    liquidity_side: ChoiceOrNone[LiquiditySide] = default(None)

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

    stop_price: PositiveAmountOrNone = default(None)


class RejectReplace(OrderFactData):
    reason: Text | None = None


class ExpireOrder(OrderFactData):
    reason: Text | None = None
