"""An order's events as they happened, not as we heard of them.

What the log says of an order is told in the order of recording: a fill that came after the
cancel is `late`, and says how much is filled in all *so far*. To tell how the order was at a time
of the venue's, its events are put into the order in which they happened and decided again by the
same rules (ledger/nouns/orders), so that statuses and sums are those of that moment.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from ledger.eventstore.codec import encode
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.money import exact
from ledger.kernel.rejection import Rejection
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import (
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderFillVoided,
    OrderRejected,
    OrderReplaced,
    OrderTerms,
)
from ledger.nouns.orders.state import OrderState


def in_venue_time(recorded: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """The events of one order, which begin with its terms, as they would have been recorded had
    each been heard of when it happened."""
    first, *rest = recorded
    happened = [first, *sorted(rest, key=lambda event: (event.occurred_at, event.event_version))]
    told: list[RecordedEvent] = []
    state: OrderState | None = None
    with exact():
        for one in happened:
            event = one.decoded()
            assert isinstance(event, OrderEvent)
            for again in _decided(state, event, first.stream_id):
                state = order_state.evolve(state, again, first.stream_id)
                data = encode(again).decode()
                told.append(msgspec.structs.replace(one, data=data, event_type=again.type))
    return told


def _decided(state: OrderState | None, event: OrderEvent, order_id: UUID) -> Iterable[OrderEvent]:
    if isinstance(event, OrderTerms):
        return (event,)
    if state is None:
        raise TypeError(f"order {order_id} does not begin with its terms")
    try:
        return _again(state, event)
    except Rejection:
        return ()  # taken back before it happened, by the venue's clock: it takes nothing back


def _again(state: OrderState, event: OrderEvent) -> Iterable[OrderEvent]:
    match event:
        case OrderAccepted():
            return order_facts.accept(state, venue_order_id=event.venue_order_id)
        case OrderRejected():
            return order_facts.reject(state, reason=event.reason)
        case OrderCancelled():
            return order_facts.cancel(state, reason=event.reason)
        case OrderExpired():
            return order_facts.expire(state, reason=event.reason)
        case OrderReplaced():
            return order_facts.replace(
                state,
                quantity=event.quantity,
                price=event.price,
                stop_price=event.stop_price,
                venue_order_id=event.venue_order_id,
            )
        case OrderFilled():
            return order_facts.fill(
                state,
                trade_id=event.trade_id,
                last_qty=event.last_qty,
                last_px=event.last_px,
                commission=event.commission,
                commission_asset=event.commission_asset,
                liquidity_side=event.liquidity_side,
            )
        case OrderFillVoided():
            return order_facts.void_fill(state, trade_id=event.trade_id, reason=event.reason)
        case _:
            # Requests, their refusals, conflicts: they stand beside the status.
            return (msgspec.structs.replace(event, status=state.status),)
