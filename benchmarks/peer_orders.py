# mypy: disable-error-code="call-arg"
# The library makes the initialisers of its event classes; mypy does not see them.
"""The read model `orders`, written for the stock `eventsourcing` library as its documentation
does: a view with a tracking table, a projection with a method per event, one transaction for
each event, run by its ProjectionRunner. It keeps the columns that our events of this benchmark
change, in a table made like ours, with one statement for each event.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic

from ledger.nouns.orders.events import (
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderSubmitted,
)
from projections.engine.projection import Recorded

TABLE = "peer_orders"
_EVENTS_PER_INSERT = 100
"""The library sends them all before it reads any answer; with some thousands, neither side reads
on."""


class OrderHappened(DomainEvent):
    """What all events of the peer's orders have."""

    account_id: UUID
    status: str
    user_id: UUID | None
    recorded_at: datetime


class Submitted(OrderHappened):
    instrument: str
    side: str
    order_type: str
    sub_account: str
    strategy_id: str | None
    client_order_id: str | None
    time_in_force: str
    quantity: Decimal
    price: Decimal
    denied: bool


class Accepted(OrderHappened):
    venue_order_id: str | None


class Filled(OrderHappened):
    cum_qty: Decimal
    cum_quote: Decimal
    avg_px: Decimal
    leaves_qty: Decimal
    commission: Decimal
    commission_asset: str | None


class Cancelled(OrderHappened):
    pass


def translated(recorded: Recorded, event: OrderEvent) -> OrderHappened:
    """Our event as one of the peer's."""
    common: dict[str, Any] = {
        "originator_id": recorded.stream_id,
        "originator_version": recorded.event_version,
        "timestamp": recorded.occurred_at,
        "account_id": event.account_id,
        "status": event.status.value,
        "user_id": recorded.user_id,
        "recorded_at": recorded.recorded_at,
    }
    match event:
        case OrderSubmitted() | OrderDenied():
            return Submitted(
                **common,
                instrument=event.instrument,
                side=event.side.value,
                order_type=event.order_type.value,
                sub_account=event.sub_account,
                strategy_id=event.strategy_id,
                client_order_id=event.client_order_id,
                time_in_force=event.time_in_force.value,
                quantity=event.quantity,
                price=event.price,
                denied=isinstance(event, OrderDenied),
            )
        case OrderAccepted():
            return Accepted(**common, venue_order_id=event.venue_order_id)
        case OrderFilled():
            return Filled(
                **common,
                cum_qty=event.cum_qty,
                cum_quote=event.cum_quote,
                avg_px=event.avg_px,
                leaves_qty=event.leaves_qty,
                commission=event.commission,
                commission_asset=event.commission_asset,
            )
        case OrderCancelled():
            return Cancelled(**common)
    raise TypeError(f"the mix has no {type(event).__name__}")


class OrdersView(PostgresTrackingRecorder):
    """The peer's table and its tracking, changed together."""

    def happened(self, statement: str, parameters: Mapping[str, Any], tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(statement, parameters, prepare=True)


class OrdersProjection(Projection[OrdersView]):
    name = "peer_orders"
    topics = tuple(get_topic(event) for event in (Submitted, Accepted, Filled, Cancelled))

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ARG002
        raise TypeError(f"the mix has no {type(domain_event).__name__}")

    @process_event.register
    def _(self, domain_event: Submitted, tracking: Tracking) -> None:
        self.view.happened(_INSERT, vars(domain_event), tracking)

    @process_event.register
    def _(self, domain_event: Accepted, tracking: Tracking) -> None:
        self.view.happened(_ACCEPT, vars(domain_event), tracking)

    @process_event.register
    def _(self, domain_event: Filled, tracking: Tracking) -> None:
        self.view.happened(_FILL, vars(domain_event), tracking)

    @process_event.register
    def _(self, domain_event: Cancelled, tracking: Tracking) -> None:
        self.view.happened(_CANCEL, vars(domain_event), tracking)


_INSERT = f"""
    INSERT INTO {TABLE} (order_id, user_id, account_id, strategy_id, sub_account, client_order_id,
        instrument, side, order_type, quantity, sized_by_quote, price, filled_quantity, cum_quote,
        leaves_quantity, cancelled_quantity, overfill_quantity, commission, status, time_in_force,
        reduce_only, post_only, origin, cancel_requested, replace_requested, created_at, updated_at,
        last_position)
    VALUES (%(originator_id)s, %(user_id)s, %(account_id)s, %(strategy_id)s, %(sub_account)s,
        %(client_order_id)s, %(instrument)s, %(side)s, %(order_type)s, %(quantity)s, false,
        %(price)s, 0, 0, CASE WHEN %(denied)s THEN 0 ELSE %(quantity)s END,
        CASE WHEN %(denied)s THEN %(quantity)s ELSE 0 END, 0, 0, %(status)s, %(time_in_force)s,
        false, false, 'LEDGER', false, false, %(timestamp)s, %(recorded_at)s, 0)"""
_ACCEPT = f"""
    UPDATE {TABLE} SET status = %(status)s, venue_order_id = %(venue_order_id)s,
        updated_at = %(recorded_at)s
    WHERE order_id = %(originator_id)s"""
_FILL = f"""
    UPDATE {TABLE} SET status = %(status)s, filled_quantity = %(cum_qty)s,
        cum_quote = %(cum_quote)s, avg_fill_price = %(avg_px)s, leaves_quantity = %(leaves_qty)s,
        commission = commission + %(commission)s, commission_asset = %(commission_asset)s,
        filled_at = %(timestamp)s, updated_at = %(recorded_at)s
    WHERE order_id = %(originator_id)s"""
_CANCEL = f"""
    UPDATE {TABLE} SET status = %(status)s, cancelled_quantity = leaves_quantity,
        leaves_quantity = 0, cancelled_at = %(timestamp)s, updated_at = %(recorded_at)s
    WHERE order_id = %(originator_id)s"""


def store_events(environment: Mapping[str, str], events: list[OrderHappened]) -> None:
    """Puts the events into the stock library's own log."""
    application = Application[UUID](env=dict(environment))
    stored = [application.mapper.to_stored_event(event) for event in events]
    for start in range(0, len(stored), _EVENTS_PER_INSERT):
        application.recorder.insert_events(stored[start : start + _EVENTS_PER_INSERT])
    application.close()


def rebuild(environment: Mapping[str, str], connection: psycopg.Connection[Any], head: int) -> None:
    """The stock ProjectionRunner from the beginning of its log to its head."""
    connection.execute(f"TRUNCATE {TABLE}")
    connection.execute("DROP TABLE IF EXISTS peer_orders_tracking")
    with ProjectionRunner(
        application_class=Application[UUID],
        projection_class=OrdersProjection,
        view_class=OrdersView,
        env=dict(environment),
    ) as runner:
        runner.wait(head, timeout=600)
