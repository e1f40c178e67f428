"""`orders`: every order as it is now.

For every order, at any moment: quantity = filled − overfill + cancelled + leaves. `cancelled`
is whatever will never trade, for whichever reason the order ended (cancelled, expired,
rejected, denied, a trade voided after the end). A market buy with a budget has no quantity in
base units: its `quantity` is what it has bought so far, its size is `quote_quantity`. An order that
a venue told of without its quantity has none, and while it is open no `leaves`.

created_at, filled_at and cancelled_at are the venue's times, updated_at is ours. filled_at is
the time of the latest trade that was ever reported.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.kernel.environment import Environment
from ledger.kernel.money import ZERO, average, plain
from ledger.nouns.orders.events import (
    Execution,
    Fee,
    OrderAccepted,
    OrderAdjusted,
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderCommissionCorrected,
    OrderCommissionReported,
    OrderCompleted,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFillConflicted,
    OrderFilled,
    OrderFillVoided,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplaceRequested,
    OrderReported,
    OrderSubmitted,
    OrderTerms,
    OrderType,
    OrderVoidReported,
    Origin,
    PositionSide,
    Purpose,
    Side,
    TimeInForce,
    TriggerPriceType,
    VenueFact,
)
from ledger.nouns.orders.state import gives_venue_id, iceberg_of
from ledger.nouns.orders.status import OrderStatus
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Past, Question, ascending, between, exactly, newest_first


class Order(Row, kw_only=True):
    order_id: UUID
    user_id: UUID | None
    account_id: UUID
    strategy_id: str | None
    sub_account: str
    venue_order_id: str | None
    client_order_id: str | None
    instrument: str
    side: Side
    position_side: PositionSide | None
    order_type: OrderType | None
    quantity: Decimal | None
    quote_quantity: Decimal | None
    sized_by_quote: bool
    price: Decimal | None
    stop_price: Decimal | None
    filled_quantity: Decimal
    cum_quote: Decimal
    avg_fill_price: Decimal | None
    leaves_quantity: Decimal | None
    cancelled_quantity: Decimal
    overfill_quantity: Decimal
    commission: Decimal
    commission_asset: str | None
    other_commissions: dict[str, str] | None
    status: OrderStatus
    time_in_force: TimeInForce | None
    reduce_only: bool
    post_only: bool
    iceberg_qty: Decimal | None
    origin: Origin
    reject_code: str | None
    reject_reason: str | None
    cancel_reason: str | None
    cancel_requested: bool
    replace_requested: bool
    created_at: datetime
    updated_at: datetime
    filled_at: datetime | None
    cancelled_at: datetime | None
    last_position: int
    environment: Environment | None
    oco_group: UUID | None
    purpose: Purpose | None
    trailing_offset: Decimal | None
    trigger_price_type: TriggerPriceType | None
    signal_id: str | None
    expires_at: datetime | None


ORDERS = Table("orders", Order, key=("order_id",))


def _begun(recorded: Recorded, event: OrderTerms, rows: RowSet) -> None:
    denied = event if isinstance(event, OrderDenied) else None
    by_quote = event.quantity is None and event.quote_quantity is not None
    quantity = ZERO if by_quote else event.quantity
    rows[ORDERS].insert(
        Order(
            order_id=recorded.stream_id,
            user_id=recorded.user_id,
            account_id=event.account_id,
            strategy_id=event.strategy_id,
            sub_account=event.sub_account,
            venue_order_id=event.venue_order_id,
            client_order_id=event.client_order_id,
            instrument=event.instrument,
            side=event.side,
            position_side=event.position_side,
            order_type=event.order_type,
            quantity=quantity,
            quote_quantity=event.quote_quantity,
            sized_by_quote=by_quote,
            price=event.price,
            stop_price=event.stop_price,
            filled_quantity=ZERO,
            cum_quote=ZERO,
            avg_fill_price=None,
            leaves_quantity=ZERO if denied else quantity,
            cancelled_quantity=quantity if denied and quantity else ZERO,
            overfill_quantity=ZERO,
            commission=ZERO,
            commission_asset=None,
            other_commissions=None,
            status=event.status,
            time_in_force=event.time_in_force,
            reduce_only=event.reduce_only,
            post_only=event.post_only,
            iceberg_qty=event.iceberg_qty,
            origin=event.origin,
            reject_code=denied.code if denied else None,
            reject_reason=denied.reason if denied else None,
            cancel_reason=None,
            cancel_requested=False,
            replace_requested=False,
            created_at=recorded.occurred_at,
            updated_at=recorded.recorded_at,
            filled_at=None,
            cancelled_at=None,
            environment=event.environment,
            oco_group=event.oco_group,
            purpose=event.purpose,
            trailing_offset=event.trailing_offset,
            trigger_price_type=event.trigger_price_type,
            signal_id=event.signal_id,
            expires_at=event.expires_at,
            last_position=recorded.position,
        )
    )


def _accepted(recorded: Recorded, event: OrderAccepted, rows: RowSet) -> None:
    _touched(recorded, event, rows)


def _rejected(recorded: Recorded, event: OrderRejected, rows: RowSet) -> None:
    row = _touched(recorded, event, rows)
    if not (event.late or event.superseded):
        row.reject_reason = event.reason
    _settle_quantities(row)


def _filled(recorded: Recorded, event: OrderFilled, rows: RowSet) -> None:
    row = _touched(recorded, event, rows)
    if row.filled_at is None or recorded.occurred_at > row.filled_at:
        row.filled_at = recorded.occurred_at
    _traded(row, event)
    _charge(row, event.charged, 1)


def _voided(recorded: Recorded, event: OrderFillVoided, rows: RowSet) -> None:
    row = _touched(recorded, event, rows)
    _traded(row, event)
    _charge(row, event.charged, -1)
    if not event.cum_qty:
        row.filled_at = None


def _corrected(recorded: Recorded, event: OrderCommissionCorrected, rows: RowSet) -> None:
    row = _touched(recorded, event, rows)
    if not event.voided:
        _charge(row, event.previous_fees, -1)
        _charge(row, event.charged, 1)


def _ended(
    recorded: Recorded, event: OrderCancelled | OrderCompleted | OrderExpired, rows: RowSet
) -> None:
    row = _touched(recorded, event, rows)
    if not (event.late or event.superseded):
        row.cancel_reason = event.reason
        if event.status is OrderStatus.CANCELLED:
            row.cancelled_at = recorded.occurred_at
    _settle_quantities(row)


def _cancel_requested(recorded: Recorded, event: OrderEvent, rows: RowSet) -> None:
    _touched(recorded, event, rows).cancel_requested = True


def _cancel_rejected(recorded: Recorded, event: OrderEvent, rows: RowSet) -> None:
    _touched(recorded, event, rows).cancel_requested = False


def _replace_requested(recorded: Recorded, event: OrderEvent, rows: RowSet) -> None:
    _touched(recorded, event, rows).replace_requested = True


def _replace_rejected(recorded: Recorded, event: OrderEvent, rows: RowSet) -> None:
    _touched(recorded, event, rows).replace_requested = False


def _replaced(recorded: Recorded, event: OrderReplaced, rows: RowSet) -> None:
    row = _touched(recorded, event, rows)
    if event.quantity is not None:
        row.quantity = event.quantity
        row.sized_by_quote = False
    row.price = event.price
    row.stop_price = event.stop_price
    if event.superseded:
        return
    row.iceberg_qty = iceberg_of(row.iceberg_qty, event.quantity)
    row.replace_requested = False
    _settle_quantities(row)


def _adjusted(recorded: Recorded, event: OrderAdjusted, rows: RowSet) -> None:
    """What it is for was split or renamed: what is filled counts as so many more."""
    row = _touched(recorded, event, rows)
    row.instrument = event.instrument
    row.quantity = event.quantity
    row.price = event.price
    row.stop_price = event.stop_price
    row.iceberg_qty = event.iceberg_qty
    row.filled_quantity = event.cum_qty
    if event.cum_qty:
        row.avg_fill_price = average(row.cum_quote, event.cum_qty)
    _settle_quantities(row)


def _told(recorded: Recorded, event: OrderEvent, rows: RowSet) -> None:
    _touched(recorded, event, rows)


# --- shared ---------------------------------------------------------------------------


def _touched(recorded: Recorded, event: OrderEvent, rows: RowSet) -> Order:
    row = rows[ORDERS].change(recorded.stream_id)
    if row is None:
        raise LookupError(f"order {recorded.stream_id} does not begin with its terms")
    row.status = event.status
    row.updated_at = recorded.recorded_at
    row.last_position = recorded.position
    if isinstance(event, VenueFact | Execution) and gives_venue_id(event, row.venue_order_id):
        row.venue_order_id = event.venue_order_id
    return row


def _traded(row: Order, event: OrderFilled | OrderFillVoided) -> None:
    row.filled_quantity = event.cum_qty
    row.cum_quote = event.cum_quote
    row.avg_fill_price = event.avg_px
    _settle_quantities(row)


def _settle_quantities(row: Order) -> None:
    filled = row.filled_quantity
    if row.sized_by_quote:
        row.quantity = filled
    rest = None if row.quantity is None else row.quantity - filled
    over = ZERO
    if rest is not None and rest < 0:
        rest, over = ZERO, -rest
    row.overfill_quantity = over
    if row.status in _ENDED:
        row.leaves_quantity, row.cancelled_quantity = ZERO, rest or ZERO
        row.cancel_requested = row.replace_requested = False
    else:
        row.leaves_quantity, row.cancelled_quantity = rest, ZERO


_ENDED = frozenset(status for status in OrderStatus if status.is_terminal)


def _charge(row: Order, fees: Iterable[Fee], sign: int) -> None:
    """Adds what a trade was charged, or takes it off. Nearly every order pays in one asset; a
    second one (a venue's token that ran out) goes to other_commissions."""
    for fee in fees:
        others = row.other_commissions or {}
        if not row.commission and fee.asset not in others:
            row.commission_asset = fee.asset
        if row.commission_asset == fee.asset:
            row.commission += fee.amount * sign
            continue
        total = Decimal(others.get(fee.asset, 0)) + fee.amount * sign
        row.other_commissions = others | {fee.asset: plain(total)}


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:
    if isinstance(event, OrderTerms):
        return ()  # its row is new
    return ((ORDERS, recorded.stream_id),)


PROJECTION = Projection(
    name="orders",
    version=2,
    tables=(ORDERS,),
    folds={
        OrderSubmitted: _begun,
        OrderDenied: _begun,
        OrderReported: _begun,
        OrderAccepted: _accepted,
        OrderRejected: _rejected,
        OrderFilled: _filled,
        OrderFillVoided: _voided,
        OrderFillConflicted: _told,
        OrderVoidReported: _told,
        OrderCommissionReported: _told,
        OrderCommissionCorrected: _corrected,
        OrderCompleted: _ended,
        OrderCancelRequested: _cancel_requested,
        OrderCancelRejected: _cancel_rejected,
        OrderCancelled: _ended,
        OrderExpired: _ended,
        OrderReplaceRequested: _replace_requested,
        OrderReplaceRejected: _replace_rejected,
        OrderReplaced: _replaced,
        OrderAdjusted: _adjusted,
    },
    keys=_keys,
    by_stream=True,
)

_STATUSES = {
    "OPEN": tuple(status.value for status in OrderStatus if not status.is_terminal),
    "CANCELED": (OrderStatus.CANCELLED.value,),
}
"""Words for statuses beside their own names: all that may still trade, and how others spell it."""

QUESTIONS = (
    Question(
        name="orders",
        table=ORDERS,
        about="An order as it is; the newest first.",
        paths=(
            newest_first("account_id", "created_at", "order_id"),
            newest_first("user_id", "created_at", "order_id"),
            newest_first("strategy_id", "created_at", "order_id"),
        ),
        filters=(
            exactly("status", _STATUSES),
            exactly("instrument"),
            exactly("environment"),
            exactly("oco_group"),
            exactly("client_order_id"),
            exactly("venue_order_id"),
            *between("created_at"),
        ),
        shown=(
            *("order_id", "status", "side", "quantity", "price", "filled_quantity", "instrument"),
            *("order_type", "avg_fill_price", "sub_account", "created_at"),
        ),
        past=Past("projections.past.orders:orders_at", begins_with="rows where effective"),
        row_version=2,
    ),
    Question(
        name="order",
        table=ORDERS,
        about="One order, or none.",
        paths=(ascending("order_id", "order_id"),),
        filters=(exactly("account_id"),),
        argument="order_id",
        shown=(
            *("order_id", "status", "side", "quantity", "price", "filled_quantity", "instrument"),
            *("order_type", "avg_fill_price", "sub_account", "created_at"),
        ),
        past=Past("projections.past.orders:order_at"),
        row_version=2,
    ),
)
