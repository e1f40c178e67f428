"""An order's events as they happened, not as we heard of them.

What the log says of an order is told in the order of recording: a fill that came after the
cancel is `late`, and says how much is filled in all *so far*. To tell how the order was at a time
of the venue's, its events are put into the order in which they happened and decided again by the
same rules (ledger/domain), so that statuses and sums are those of that moment.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from ledger.eventstore.codec import encode
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.event import Rejection
from ledger.kernel.money import exact
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders.rules import OrderEvent, OrderState, OrderTerms


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
                state = order_rules.evolve(state, again, first.stream_id)
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
        case order_rules.OrderAccepted():
            return order_rules.accept(state, venue_order_id=event.venue_order_id)
        case order_rules.OrderRejected():
            return order_rules.reject(state, reason=event.reason)
        case order_rules.OrderCancelled():
            return order_rules.cancel(state, reason=event.reason)
        case order_rules.OrderExpired():
            return order_rules.expire(state, reason=event.reason)
        case order_rules.OrderReplaced():
            return order_rules.replace(
                state,
                quantity=event.quantity,
                price=event.price,
                stop_price=event.stop_price,
                venue_order_id=event.venue_order_id,
            )
        case order_rules.OrderFilled():
            return order_rules.fill(
                state,
                trade_id=event.trade_id,
                last_qty=event.last_qty,
                last_px=event.last_px,
                commission=event.commission,
                commission_asset=event.commission_asset,
                liquidity_side=event.liquidity_side,
            )
        case order_rules.OrderFillVoided():
            return order_rules.void_fill(state, trade_id=event.trade_id, reason=event.reason)
        case _:
            # Requests, their refusals, conflicts: they stand beside the status.
            return (msgspec.structs.replace(event, status=state.status),)
