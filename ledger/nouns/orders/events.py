"""Orders: what can be asked for and what can have happened.

State and decisions are in `order`, which everybody else imports these names from.
"""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Protocol, Required, TypedDict
from uuid import UUID

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.orders.status import OrderStatus


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"
    STOP_LIMIT = "STOP_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class PositionSide(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    BOTH = "BOTH"


class LiquiditySide(StrEnum):
    MAKER = "MAKER"
    TAKER = "TAKER"


class Origin(StrEnum):
    LEDGER = "LEDGER"
    """Submitted through the ledger."""
    EXTERNAL = "EXTERNAL"
    """First heard of from the venue."""


class Market(Protocol):
    """What is traded against what, and on which side: of orders, and of their trades."""

    @property
    def side(self) -> Side: ...
    @property
    def base_asset(self) -> str: ...
    @property
    def quote_asset(self) -> str: ...


def hold_asset(market: Market) -> str:
    """The asset that is paid with, which the order locks."""
    return market.quote_asset if market.side is Side.BUY else market.base_asset


# --- events ---------------------------------------------------------------------------


class OrderEvent(Event, frozen=True, kw_only=True):
    """What every order event says. `status` is the order's status after the event."""

    account_id: UUID
    status: OrderStatus


class OrderTerms(OrderEvent, frozen=True, kw_only=True):
    """The order as asked for. `quantity` is in base units and absent only on a market buy
    with a budget (`quote_quantity`, quote units). `fee_rate` is a fraction (0.001 = 0.1 %)
    and only widens the hold."""

    instrument: str
    base_asset: str
    quote_asset: str
    side: Side
    order_type: OrderType
    sub_account: str
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    iceberg_qty: Decimal | None = None
    position_side: PositionSide | None = None
    strategy_id: str | None = None
    fee_rate: Decimal = ZERO
    client_order_id: str | None = None
    venue_order_id: str | None = None
    origin: Origin = Origin.LEDGER


class Terms(TypedDict, total=False):
    """The order as asked for: the fields of `OrderTerms` that its sender decides. `price` of a
    MARKET order is the estimate that its hold is reckoned with."""

    account_id: Required[UUID]
    instrument: Required[str]
    base_asset: Required[str]
    quote_asset: Required[str]
    side: Required[Side]
    order_type: Required[OrderType]
    sub_account: Required[str]
    quantity: Decimal | None
    quote_quantity: Decimal | None
    price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    iceberg_qty: Decimal | None
    position_side: PositionSide | None
    strategy_id: str | None
    fee_rate: Decimal
    client_order_id: str | None
    venue_order_id: str | None


class OrderSubmitted(OrderTerms, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.submitted"


class OrderDenied(OrderTerms, frozen=True, kw_only=True):
    """A well-formed order that our own rules refused; kept so that attempts can be audited."""

    type: ClassVar[str] = "order.denied"
    code: str
    reason: str


class OrderReported(OrderTerms, frozen=True, kw_only=True):
    """An order the ledger first heard of through a fact from the venue."""

    type: ClassVar[str] = "order.reported"


class OrderAccepted(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.accepted"
    venue_order_id: str | None = None
    late: bool = False


class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """Refused by the venue before anything traded."""

    type: ClassVar[str] = "order.rejected"
    reason: str | None = None
    late: bool = False


class Execution(OrderEvent, frozen=True, kw_only=True):
    """One trade of an order (FIX LastQty, LastPx). `commission` may be negative: a rebate."""

    trade_id: str
    instrument: str
    base_asset: str
    quote_asset: str
    side: Side
    sub_account: str
    strategy_id: str | None = None
    last_qty: Decimal
    last_px: Decimal
    commission: Decimal = ZERO
    commission_asset: str | None = None
    liquidity_side: LiquiditySide | None = None


class OrderFilled(Execution, frozen=True, kw_only=True):
    """A trade, partial or completing. `cum_*`, `leaves_qty`, `avg_px` and `overfill_qty` are
    the order's after it; `leaves_qty` is absent on a budget order that is still open.
    `late`: the order had already ended."""

    type: ClassVar[str] = "order.filled"
    cum_qty: Decimal
    cum_quote: Decimal
    avg_px: Decimal
    leaves_qty: Decimal | None = None
    overfill_qty: Decimal = ZERO
    late: bool = False


class OrderFillConflicted(Execution, frozen=True, kw_only=True):
    """A trade id we know, reported with other content. No money moves."""

    type: ClassVar[str] = "order.fill_conflicted"


class OrderFillVoided(Execution, frozen=True, kw_only=True):
    """A trade taken back by the venue, exactly as it was booked; the `cum_*`, `leaves_qty`,
    `avg_px` (absent when nothing is left filled) and `overfill_qty` are those after it."""

    type: ClassVar[str] = "order.fill_voided"
    cum_qty: Decimal
    cum_quote: Decimal
    avg_px: Decimal | None = None
    leaves_qty: Decimal | None = None
    overfill_qty: Decimal = ZERO
    reason: str | None = None


class OrderCancelRequested(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.cancel_requested"
    reason: str | None = None


class OrderCancelRejected(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.cancel_rejected"
    reason: str | None = None
    late: bool = False


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.cancelled"
    reason: str | None = None
    late: bool = False


class OrderExpired(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.expired"
    reason: str | None = None
    late: bool = False


class OrderReplaceRequested(OrderEvent, frozen=True, kw_only=True):
    """New terms asked for; absent fields stay as they are."""

    type: ClassVar[str] = "order.replace_requested"
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None


class OrderReplaced(OrderEvent, frozen=True, kw_only=True):
    """New terms in force at the venue, whole (not only what changed)."""

    type: ClassVar[str] = "order.replaced"
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    leaves_qty: Decimal | None = None
    overfill_qty: Decimal = ZERO
    venue_order_id: str | None = None
    late: bool = False


class OrderReplaceRejected(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.replace_rejected"
    reason: str | None = None
    late: bool = False
