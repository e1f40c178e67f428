"""Why an order is what it is: its events, what each changed, and what it had locked meanwhile.

Read from the log and compared with the row that the read side has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import orjson
import psycopg

from ledger.audit.ask.trace import UnknownId
from ledger.eventstore import repairs
from ledger.eventstore.reader import COLUMNS, RecordedEvent, where_streams_are
from ledger.kernel import read_side
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.events import AccountEvent
from ledger.nouns.orders.events import (
    OrderEvent,
    OrderFilled,
    OrderFillVoided,
    OrderReplaced,
    OrderTerms,
)
from ledger.nouns.orders.status import OrderStatus

if TYPE_CHECKING:
    from projections.questions.question import Question
    from projections.read_models.orders import Order


@dataclass
class OrderStep:
    """An event of the order, or one of its account that changed what the order has locked; and
    the order after it. `leaves` is absent while a budget is being spent."""

    position: int
    event_id: UUID
    event_type: str
    occurred_at: datetime
    recorded_at: datetime
    status: str
    cum_qty: Decimal
    leaves_qty: Decimal | None
    held: Decimal
    held_asset: str | None
    late: bool
    trade_id: str | None
    command_id: str | None
    command_type: str | None
    source: str | None
    sender: str | None


@dataclass
class OrderExplanation:
    """`differences` has (log, read model) for each column that is not as the log says."""

    order_id: UUID
    position: int
    steps: list[OrderStep]
    differences: dict[str, tuple[str, str]]

    @property
    def equal(self) -> bool:
        return not self.differences


_OF_ORDER = f"""
    SELECT {COLUMNS} FROM event_store WHERE stream_id = %(wanted)s AND stream_type = 'order'
    AND position <= %(up_to)s AND {where_streams_are("ARRAY[%(wanted)s::uuid]")}
    ORDER BY event_version"""
_OF_COMMANDS = """
    SELECT (event->>'position')::bigint FROM command_inbox,
        jsonb_array_elements(outcome->'events') AS event
    WHERE command_id = ANY(%s) AND event->>'stream_id' = %s"""
_AT = (
    f"SELECT {COLUMNS} FROM event_store WHERE position = ANY(%(wanted)s) AND position <= %(up_to)s"
)
_CAUSED = f"""
    SELECT {COLUMNS} FROM event_store
    WHERE causation_id = %(wanted)s AND position <= %(up_to)s"""


def explain_order(connection: psycopg.Connection[Any], order_id: UUID) -> OrderExplanation:
    """The order at the position that the read model has reached. Raises UnknownId."""
    shown: Question[Order] = read_side.question("order")
    position = shown.reached(connection)
    of_order = _read(connection, _OF_ORDER, order_id, position)
    if not of_order:
        raise UnknownId(
            f"no order {order_id} up to position {position}: check the id, and with `ledgerctl "
            f"projections status` that `{shown.projection}` has come that far"
        )
    first = of_order[0].decoded()
    assert isinstance(first, OrderTerms)
    of_account = _of_account(connection, of_order, first.account_id, position)
    steps = _steps(order_id, [*of_order, *of_account])
    rows = shown.find(connection, order_id=order_id)
    return OrderExplanation(order_id, position, steps, _differences(rows, steps))


def _of_account(
    connection: psycopg.Connection[Any],
    of_order: Iterable[RecordedEvent],
    account_id: UUID,
    position: int,
) -> list[RecordedEvent]:
    """The account's events behind which an event of the order is: the inbox names those of each
    command; for what no command is known of, the causes are asked."""
    commands, without = [], []
    for event in of_order:
        command = orjson.loads(event.metadata).get("command_id")
        if command is None:
            without.append(event.id)
        else:
            commands.append(UUID(command))
    found = connection.execute(_OF_COMMANDS, (commands, str(account_id))).fetchall()
    events = _read(connection, _AT, [row[0] for row in found], position)
    for cause in without:
        caused = _read(connection, _CAUSED, cause, position)
        events += [event for event in caused if event.stream_id == account_id]
    return events


def _read(
    connection: psycopg.Connection[Any], statement: str, wanted: Any, position: int
) -> list[RecordedEvent]:
    with connection.cursor(binary=True) as cursor:
        cursor.execute(statement.encode(), {"wanted": wanted, "up_to": position})
        events = [RecordedEvent(*row) for row in cursor]
    return list(repairs.counted(connection, {event.stream_id for event in events}, events))


def _steps(order_id: UUID, events: list[RecordedEvent]) -> list[OrderStep]:
    status, cum_qty, held = "", ZERO, ZERO
    leaves: Decimal | None = None
    held_asset: str | None = None
    steps = []
    for recorded in sorted(events, key=lambda event: event.position):
        event = recorded.decoded()
        if isinstance(event, OrderEvent):
            status = str(event.status)
            leaves = _leaves(event, leaves)
            if isinstance(event, OrderFilled | OrderFillVoided):
                cum_qty = event.cum_qty
        elif isinstance(event, AccountEvent):
            with exact():
                changes = [hold for hold in event.holds if hold.order_id == order_id]
                held += sum((hold.amount for hold in changes), ZERO)
            if not changes and getattr(event, "order_id", None) != order_id:
                continue
            held_asset = changes[0].asset if changes else held_asset
        metadata = orjson.loads(recorded.metadata)
        steps.append(
            OrderStep(
                position=recorded.position,
                event_id=recorded.id,
                event_type=recorded.event_type,
                occurred_at=recorded.occurred_at,
                recorded_at=recorded.recorded_at,
                status=status,
                cum_qty=cum_qty,
                leaves_qty=leaves,
                held=held,
                held_asset=held_asset,
                late=getattr(event, "late", False),
                trade_id=getattr(event, "trade_id", None),
                command_id=metadata.get("command_id"),
                command_type=metadata.get("command_type"),
                source=metadata.get("source"),
                sender=metadata.get("sender"),
            )
        )
    return steps


def _leaves(event: OrderEvent, before: Decimal | None) -> Decimal | None:
    if event.status.is_terminal:
        return ZERO
    if isinstance(event, OrderFilled | OrderFillVoided | OrderReplaced):
        return event.leaves_qty
    return event.quantity if isinstance(event, OrderTerms) else before


def _differences(rows: "Sequence[Order]", steps: list[OrderStep]) -> dict[str, tuple[str, str]]:
    """What the log says and the row does not, by column."""
    last = steps[-1]
    of_order = max(step.position for step in steps if step.event_type.startswith("order."))
    differing = {}
    if not rows:
        differing["row"] = (f"{last.status} at position {of_order}", "no row")
    for row in rows:
        said = msgspec.structs.replace(
            row,
            status=OrderStatus(last.status),
            filled_quantity=last.cum_qty,
            leaves_quantity=last.leaves_qty or ZERO,
            last_position=of_order,
        )
        differing = {
            name: (str(getattr(said, name)), str(getattr(row, name)))
            for name in row.__struct_fields__
            if getattr(said, name) != getattr(row, name)
        }
    if last.held and last.leaves_qty == 0:
        differing["held"] = (str(last.held), "0, since nothing is left to trade")
    return differing
