"""Orders: what can be asked for and what can have happened.

State and decisions are in `order`, which everybody else imports these names from.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Protocol, Required, TypedDict
from uuid import UUID

import msgspec

from ledger.kernel.environment import Environment
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.instruments.contract import Contract
from ledger.nouns.limits.decision import RiskDecision
from ledger.nouns.orders.status import OrderStatus


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


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
    GTD = "GTD"
    DAY = "DAY"


class Purpose(StrEnum):
    """What an order is for."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"


class TriggerPriceType(StrEnum):
    """Which price of the venue's sets off a stop."""

    LAST = "LAST"
    MARK = "MARK"
    INDEX = "INDEX"


class ExecutionKind(StrEnum):
    """Why it was executed: because it was ordered, or by force of the venue or of the contract."""

    TRADE = "TRADE"
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"
    EXPIRY = "EXPIRY"
    DELIVERY = "DELIVERY"


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
    @property
    def contract(self) -> Contract | None: ...


def hold_asset(market: Market) -> str:
    """The asset that is paid with, which the order locks."""
    if market.contract is not None:
        return market.contract.settlement_asset
    return market.quote_asset if market.side is Side.BUY else market.base_asset


class Fee(msgspec.Struct, frozen=True, gc=False):
    """What a venue charges for a trade in one asset. Below zero it is a rebate."""

    asset: str
    amount: Decimal


# --- events ---------------------------------------------------------------------------


class OrderEvent(Event, frozen=True, kw_only=True):
    """What every order event says. `status` is the order's status after the event."""

    account_id: UUID
    status: OrderStatus


class OrderTerms(OrderEvent, frozen=True, kw_only=True):
    """The order as asked for, or as far as a venue told it: what is None was not told. `quantity`
    is in base units and absent on a market order with a budget (`quote_quantity`, quote units).
    `fee_rate` is a fraction (0.001 = 0.1 %) and only widens the hold. `environment` is the
    account's."""

    instrument: str
    base_asset: str
    quote_asset: str
    side: Side
    order_type: OrderType | None = None
    sub_account: str
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    post_only: bool = False
    reduce_only: bool = False
    iceberg_qty: Decimal | None = None
    position_side: PositionSide | None = None
    strategy_id: str | None = None
    fee_rate: Decimal = ZERO
    client_order_id: str | None = None
    venue_order_id: str | None = None
    origin: Origin = Origin.LEDGER
    environment: Environment | None = None
    oco_group: UUID | None = None
    purpose: Purpose | None = None
    trailing_offset: Decimal | None = None
    trigger_price_type: TriggerPriceType | None = None
    signal_id: str | None = None
    expires_at: datetime | None = None
    contract: Contract | None = None
    """Of what is not SPOT."""
    margin_rate: Decimal | None = None
    """The share of its value that a contract of it locks."""
    closing_quantity: Decimal = ZERO
    """How much of it closes what is held the other way. That trades first, and takes no margin."""


class AskedTerms(OrderTerms, frozen=True, kw_only=True):
    """The order as a service asked for it. `risk` has the limits that it does not hold to, or is
    near to, and the numbers that say so."""

    order_type: OrderType
    time_in_force: TimeInForce = TimeInForce.GTC
    risk: RiskDecision | None = None


class Terms(TypedDict, total=False):
    """The order as asked for or told: the fields of `OrderTerms` that its sender decides. `price`
    of a MARKET order is the estimate that its hold is reckoned with."""

    account_id: Required[UUID]
    instrument: Required[str]
    base_asset: Required[str]
    quote_asset: Required[str]
    side: Required[Side]
    sub_account: Required[str]
    quantity: Decimal | None
    quote_quantity: Decimal | None
    price: Decimal | None
    stop_price: Decimal | None
    post_only: bool
    reduce_only: bool
    iceberg_qty: Decimal | None
    position_side: PositionSide | None
    strategy_id: str | None
    fee_rate: Decimal
    client_order_id: str | None
    venue_order_id: str | None
    environment: Environment | None
    oco_group: UUID | None
    purpose: Purpose | None
    trailing_offset: Decimal | None
    trigger_price_type: TriggerPriceType | None
    signal_id: str | None
    expires_at: datetime | None
    contract: Contract | None
    margin_rate: Decimal | None
    closing_quantity: Decimal


class SubmitTerms(Terms, total=False):
    """What a service asks for."""

    order_type: Required[OrderType]
    time_in_force: TimeInForce


class ReportTerms(Terms, total=False):
    """What a venue tells; None is what it does not."""

    order_type: OrderType | None
    time_in_force: TimeInForce | None


class OrderSubmitted(AskedTerms, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.submitted"


class OrderDenied(AskedTerms, frozen=True, kw_only=True):
    """A well-formed order that our own rules refused; kept so that attempts can be audited. Should
    it trade all the same, its money is settled in `main`, whatever strategy it names."""

    type: ClassVar[str] = "order.denied"
    code: str
    reason: str


class OrderReported(OrderTerms, frozen=True, kw_only=True):
    """An order the ledger first heard of through a fact from the venue. `wrong_venue`: its
    instrument is not of the account's venue. Version 1 said GTC where no time in force was told."""

    type: ClassVar[str] = "order.reported"
    schema: ClassVar[int] = 2
    wrong_venue: bool = False


class VenueFact(OrderEvent, frozen=True, kw_only=True):
    """What a venue tells about an order. `late`: the order's status no longer allowed for it.
    `superseded`: it is about a `venue_order_id` that the order had before it was replaced, and
    changes nothing about the order that lives on."""

    venue_order_id: str | None = None
    late: bool = False
    superseded: bool = False


class OrderAccepted(VenueFact, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.accepted"


class OrderRejected(VenueFact, frozen=True, kw_only=True):
    """Refused by the venue before anything traded."""

    type: ClassVar[str] = "order.rejected"
    reason: str | None = None


class Execution(OrderEvent, frozen=True, kw_only=True):
    """One trade of an order (FIX LastQty, LastPx).

    What it cost is `commission` in `commission_asset`, or, if it was more than one asset, `fees`;
    `charged` gives either. Below zero it is a rebate. `quote_quantity` is what the venue really
    moved, where it is not last_qty x last_px. `revision` counts the contents that were booked under
    the trade id: a voided one may be told anew. `contradicts` names what the venue told otherwise
    than the order says; the side is booked as told. `settled_in_main`: not in the sub-account of
    the strategy that the order names."""

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
    fees: tuple[Fee, ...] = ()
    quote_quantity: Decimal | None = None
    execution_kind: ExecutionKind = ExecutionKind.TRADE
    revision: int = 1
    venue_order_id: str | None = None
    environment: Environment | None = None
    contradicts: tuple[str, ...] = ()
    settled_in_main: bool = False

    @property
    def charged(self) -> tuple[Fee, ...]:
        """What was charged, one for each asset."""
        return charged(self.commission, self.commission_asset, self.fees)

    @property
    def quote_moved(self) -> Decimal:
        """What is paid for it, in the quote asset."""
        told = self.quote_quantity
        return self.last_qty * self.last_px if told is None else told


def charged(commission: Decimal, asset: str | None, fees: tuple[Fee, ...]) -> tuple[Fee, ...]:
    """The fees of either way to write them."""
    if fees or asset is None or not commission:
        return fees
    return (Fee(asset, commission),)


class OrderFilled(Execution, frozen=True, kw_only=True):
    """A trade, partial or completing. `cum_*`, `leaves_qty`, `avg_px` and `overfill_qty` are
    the order's after it; `leaves_qty` is absent on an open order whose quantity is not known (one
    sized by its budget, or told of without its quantity). `late`: the order had already ended."""

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


class OrderVoidReported(OrderEvent, frozen=True, kw_only=True):
    """The venue takes back a trade that it has not told of yet: it will be void when it comes."""

    type: ClassVar[str] = "order.void_reported"
    trade_id: str
    reason: str | None = None


class OrderCommissionCorrected(Execution, frozen=True, kw_only=True):
    """What a trade was charged, told after it: now this, and `previous_fees` no longer. Of a trade
    that is `voided` no money moves."""

    type: ClassVar[str] = "order.commission_corrected"
    previous_fees: tuple[Fee, ...] = ()
    voided: bool = False


class OrderCommissionReported(OrderEvent, frozen=True, kw_only=True):
    """What a trade is charged, told before the trade."""

    type: ClassVar[str] = "order.commission_reported"
    trade_id: str
    fees: tuple[Fee, ...] = ()


class OrderCompleted(VenueFact, frozen=True, kw_only=True):
    """The venue calls the order done; what is open of it will not trade."""

    type: ClassVar[str] = "order.completed"
    reason: str | None = None


class OrderCancelRequested(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.cancel_requested"
    reason: str | None = None


class OrderCancelRejected(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.cancel_rejected"
    reason: str | None = None
    late: bool = False


class OrderCancelled(VenueFact, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.cancelled"
    reason: str | None = None


class OrderExpired(VenueFact, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.expired"
    reason: str | None = None


class OrderReplaceRequested(OrderEvent, frozen=True, kw_only=True):
    """New terms asked for; absent fields stay as they are."""

    type: ClassVar[str] = "order.replace_requested"
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    risk: RiskDecision | None = None


class OrderReplaceDenied(OrderEvent, frozen=True, kw_only=True):
    """A limit refused the terms that were asked for; the attempt is kept, with the numbers."""

    type: ClassVar[str] = "order.replace_denied"
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    code: str
    reason: str
    risk: RiskDecision | None = None


class OrderReplaced(VenueFact, frozen=True, kw_only=True):
    """New terms in force at the venue, whole (not only what changed)."""

    type: ClassVar[str] = "order.replaced"
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    leaves_qty: Decimal | None = None
    overfill_qty: Decimal = ZERO


class OrderAdjusted(OrderEvent, frozen=True, kw_only=True):
    """Its instrument was split, `numerator` for each `denominator`, or has another name: the terms
    since, whole. What was filled counts as so many more."""

    type: ClassVar[str] = "order.adjusted"
    instrument: str
    base_asset: str
    quote_asset: str
    numerator: int = 1
    denominator: int = 1
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    iceberg_qty: Decimal | None = None
    closing_quantity: Decimal = ZERO
    cum_qty: Decimal = ZERO
    leaves_qty: Decimal | None = None
    contract: Contract | None = None


class OrderReplaceRejected(OrderEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "order.replace_rejected"
    reason: str | None = None
    late: bool = False


# --- older schemas --------------------------------------------------------------------


def _reported_1(data: dict[str, Any]) -> dict[str, Any]:
    """GTC stood for what nobody could tell: it is null."""
    return data | {"time_in_force": None}


UPCASTERS = {("order.reported", 1): _reported_1}
"""(event type, version the payload has) -> the step to the next version."""
