"""The virtual venue's rules: what it makes of an order, a cancel, a replace.

Chance is the matching rule. Each order has its own, seeded by its client_order_id, so that what
happens to it does not depend on what happens to others. The functions change the venue's view of
the order and return what the venue reports, in order: (command type, data).

    place     rejected | accepted, then traded at once, in parts, or left resting
    cancel    refused and traded | traded a little and cancelled | cancelled, and a late trade
    replace   refused | other terms, and sometimes a trade before or after
"""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from ledger.demo.market import cut_to_grid, on_grid
from ledger.demo.plan import FEE_RATE, Listing
from ledger.nouns.orders.events import OrderType, Side, TimeInForce

# How often the venue does what it does, as probabilities.
REJECTS_ORDER = 0.03
ACCEPTS_AFTER_FIRST_FILL = 0.05
FILLS_WHOLE = 0.40
FILLS_PART = 0.35
CANCELS_UNASKED = 0.06
KILLS_FOK = 0.5
REPEATS_FILL = 0.06
"""The same trade is reported twice, in two commands."""
CONTRADICTS_FILL = 0.01
"""The same trade is reported again with another price."""
VOIDS_FILL = 0.01
FILLS_TOO_MUCH = 0.02
REJECTS_CANCEL = 0.12
FILLS_BEFORE_CANCEL = 0.15
FILLS_AFTER_CANCEL = 0.25
REJECTS_REPLACE = 0.2
FILLS_AROUND_REPLACE = 0.2
MAX_PARTS = 3
SLIPPAGE_TICKS = 5


class VenueReport(NamedTuple):
    """What the venue tells: a fact, as the command to send."""

    type: str
    data: dict[str, str]


@dataclass
class VenueOrder:
    """An order as the venue knows it."""

    order_id: str
    account_id: str
    client_order_id: str
    listing: Listing
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    chance: random.Random
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    open: bool = True
    traded: Decimal = Decimal(0)
    trades: int = 0
    replaces: int = 0
    reports: list[VenueReport] = field(default_factory=list)

    @property
    def leaves(self) -> Decimal:
        if not self.open or self.quantity is None:
            return Decimal(0)
        return max(self.quantity - self.traded, Decimal(0))

    @property
    def venue_order_id(self) -> str:
        return f"V-{self.client_order_id}-{self.replaces}"

    def report(self, command_type: str, **data: str) -> None:
        facts = {"order_id": self.order_id, "venue_order_id": self.venue_order_id}
        self.reports.append(VenueReport(command_type, facts | data))

    def taken_reports(self) -> list[VenueReport]:
        taken, self.reports = self.reports, []
        return taken

    def happens(self, probability: float) -> bool:
        return self.chance.random() < probability


def place(order: VenueOrder, market: Decimal) -> list[VenueReport]:
    """The order arrives at the venue while the market is at this price."""
    if order.happens(REJECTS_ORDER):
        order.open = False
        order.report("RejectOrder", reason="the venue is under maintenance")
        return order.taken_reports()
    order.report("AcceptOrder")
    if order.order_type is OrderType.MARKET:
        _fill_at_market(order, market)
    elif order.time_in_force is TimeInForce.IOC:
        _fill_and_kill(order)
    elif order.time_in_force is TimeInForce.FOK:
        _fill_or_kill(order)
    else:
        _fill_resting(order)
    reports = order.taken_reports()
    if reports[1:] and reports[1].type == "RecordFill" and order.happens(ACCEPTS_AFTER_FIRST_FILL):
        reports[:2] = reversed(reports[:2])
    return reports


def cancel(order: VenueOrder) -> list[VenueReport]:
    """The owner wants what is left cancelled."""
    if order.happens(REJECTS_CANCEL):
        order.report("RejectCancel", reason="too late to cancel")
        _fill(order, order.leaves, parts=1)
        return order.taken_reports()
    if order.happens(FILLS_BEFORE_CANCEL):
        _fill(order, _some_of(order, order.leaves), parts=1)
    if not order.open:  # that was all of it
        order.report("RejectCancel", reason="the order is filled")
        return order.taken_reports()
    rest = order.leaves
    order.open = False
    order.report("CancelOrder", reason="by its owner")
    if order.happens(FILLS_AFTER_CANCEL):
        assert order.price is not None
        _trade(order, _some_of(order, rest), order.price)
    return order.taken_reports()


def replace(order: VenueOrder, quantity: Decimal, price: Decimal) -> list[VenueReport]:
    """The owner wants other terms."""
    if order.happens(REJECTS_REPLACE):
        order.report("RejectReplace", reason="replacing is not possible now")
        return order.taken_reports()
    if order.happens(FILLS_AROUND_REPLACE):  # under the old terms, which are in force until now
        _fill(order, _some_of(order, order.leaves), parts=1)
    if not order.open:
        order.report("RejectReplace", reason="the order is filled")
        return order.taken_reports()
    order.replaces += 1
    order.quantity, order.price = quantity, price
    order.report("ReplaceOrder", quantity=str(quantity), price=str(price))
    order.open = order.traded < quantity
    if order.open and order.happens(FILLS_AROUND_REPLACE):
        _fill(order, _some_of(order, order.leaves), parts=1)
    return order.taken_reports()


# --- matching -------------------------------------------------------------------------


def _fill_at_market(order: VenueOrder, market: Decimal) -> None:
    listing = order.listing
    slip = listing.tick_size * order.chance.randint(0, SLIPPAGE_TICKS)
    order.price = market + slip if order.side is Side.BUY else market - slip
    if order.quantity is not None:
        _fill(order, order.quantity, parts=order.chance.randint(1, MAX_PARTS))
        return
    assert order.quote_quantity is not None
    order.quantity = cut_to_grid(order.quote_quantity / order.price, listing.step_size)
    whole = order.quantity * order.price == order.quote_quantity
    _fill(order, order.quantity, parts=order.chance.randint(1, MAX_PARTS))
    if not whole:
        order.open = False
        order.report("ExpireOrder", reason="what is left of the budget buys less than one step")


def _fill_and_kill(order: VenueOrder) -> None:
    if order.happens(FILLS_WHOLE):
        _fill(order, order.leaves, parts=1)
    elif order.happens(FILLS_PART):
        _fill(order, _some_of(order, order.leaves), parts=1)
    if order.open:
        order.open = False
        order.report("ExpireOrder")


def _fill_or_kill(order: VenueOrder) -> None:
    if order.happens(KILLS_FOK):
        order.open = False
        order.report("ExpireOrder")
    else:
        _fill(order, order.leaves, parts=1)


def _fill_resting(order: VenueOrder) -> None:
    if order.happens(FILLS_WHOLE):
        _fill(order, order.leaves, parts=order.chance.randint(1, MAX_PARTS))
    elif order.happens(FILLS_PART):
        parts = order.chance.randint(1, MAX_PARTS)
        _fill(order, _some_of(order, order.leaves), parts=parts)
    if order.open and order.happens(CANCELS_UNASKED):
        order.open = False
        order.report("CancelOrder", reason="it would have traded with its owner")


def _some_of(order: VenueOrder, quantity: Decimal) -> Decimal:
    share = Decimal(order.chance.randint(10, 90)) / 100
    return min(on_grid(quantity * share, order.listing.step_size), quantity)


def _fill(order: VenueOrder, quantity: Decimal, *, parts: int) -> None:
    """Trades so much of the order, in so many parts or fewer, at its price."""
    assert order.price is not None
    assert order.quantity is not None
    while quantity > 0:
        part = quantity if parts <= 1 else _some_of(order, quantity)
        quantity -= part
        parts -= 1
        completes = order.traded + part >= order.quantity
        if completes and order.happens(FILLS_TOO_MUCH):
            part += order.listing.step_size
        if completes:
            order.open = False
        _trade(order, part, order.price)


def _trade(order: VenueOrder, quantity: Decimal, price: Decimal) -> None:
    """One trade, and the ways in which venues go wrong about it."""
    order.trades += 1
    trade_id = f"T-{order.client_order_id}-{order.trades}"
    fill = {
        "trade_id": trade_id,
        "last_qty": str(quantity),
        "last_px": str(price),
        "commission": str(quantity * price * FEE_RATE),
        "commission_asset": order.listing.quote_asset,
        "liquidity_side": "TAKER" if order.order_type is OrderType.MARKET else "MAKER",
    }
    order.report("RecordFill", **fill)
    order.traded += quantity
    if order.happens(REPEATS_FILL):
        order.report("RecordFill", **fill)
    if order.happens(CONTRADICTS_FILL):
        other = fill | {"last_px": str(price + order.listing.tick_size)}
        order.report("RecordFill", **other)
    if order.happens(VOIDS_FILL):
        order.report("VoidFill", trade_id=trade_id, reason="the trade was an obvious error")
        order.traded -= quantity
