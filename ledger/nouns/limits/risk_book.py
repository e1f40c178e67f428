"""Limits: the open orders of an account, added up, and what was asked for of it lately.

A decision must know what may still be bought and sold: it cannot add up thousands of orders each
time. So who keeps states in memory keeps one of these beside them for an account that limits are
about, made of the states of its open orders and told of every order that changes after that. It is
a cache: it can be made again at any time, and is then the same.

    side        what may be bought, or sold, of one position
    worst case  an order counts with the larger of its terms and those that were asked for in their
                place; of one `oco_group` only the largest counts; one that may only reduce opens
                nothing, and counts as an order and not as a quantity
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.instruments.contract import Contract, spot_value
from ledger.nouns.limits.market_graph import MarketGraph
from ledger.nouns.orders.events import (
    OrderCancelRequested,
    OrderDenied,
    OrderReplaceRequested,
    OrderSubmitted,
    OrderType,
    PositionSide,
    Side,
)
from ledger.nouns.orders.state import OrderState
from ledger.nouns.positions.position import PositionKey

MAX_REMEMBERED_REQUESTS = 200_000
"""Of one account: of the longest window, an hour, some 50 a second."""
MOST_UNPRICED = 10_000
"""Orders without a price of their own that a rate of notional looks at."""
MOST_SIGNATURES = 100_000
"""Orders that are remembered to know one that says the same. Beyond them all begin anew."""
MOST_SAME = 1_000
"""Orders that say the same: of more nobody needs to know how many."""


class RestingOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order at its worst. Without a `price` it trades at whatever there is; sized by a `budget`,
    in the quote asset, it has no quantity; with neither, nobody has told."""

    order_id: UUID
    key: PositionKey
    side: Side
    base_asset: str | None
    """Of what is SPOT."""
    asset: str
    """What its value is in."""
    quantity: Decimal | None
    price: Decimal | None
    budget: Decimal | None = None
    contract: Contract | None = None
    oco_group: UUID | None = None
    reduce_only: bool = False
    lies_at: Decimal | None = None
    """Its limit, the farthest of those that it has and that were asked for. None of one that waits
    for a price, or takes any."""

    @property
    def value(self) -> Decimal:
        """At its own price."""
        if self.price is None or not self.quantity:
            return ZERO
        return value_of(self.contract, self.quantity, self.price)

    @property
    def is_unknown(self) -> bool:
        """Whether nobody has told how much it may trade."""
        return self.quantity is None and self.budget is None and not self.reduce_only


def value_of(contract: Contract | None, quantity: Decimal, price: Decimal) -> Decimal:
    """What a quantity is worth at a price, whatever its sign."""
    if contract is None:
        return abs(spot_value(quantity, price))
    if contract.inverse and price <= 0:
        return ZERO
    return abs(contract.value(quantity, price))


def resting(state: OrderState) -> RestingOrder | None:
    """What an order counts for; None once it has ended."""
    if state.status.is_terminal:
        return None
    quantity, price = state.quantity, state.stop_price if state.price is None else state.price
    asked = state.replace_pending
    if asked is not None:
        if asked.quantity is not None and quantity is not None:
            quantity = max(quantity, asked.quantity)
        other = asked.stop_price if asked.price is None else asked.price
        if other is not None and price is not None:
            price = worse_price(state.contract, price, other)
    if quantity is not None:
        quantity = max(quantity - state.cum_qty, ZERO)
    budget = None
    if state.quote_quantity is not None:
        budget = max(state.quote_quantity - state.cum_quote, ZERO)
    return RestingOrder(
        order_id=state.order_id,
        key=PositionKey(
            state.sub_account, state.instrument, state.position_side or PositionSide.BOTH
        ),
        side=state.side,
        base_asset=state.base_asset if state.contract is None else None,
        asset=state.quote_asset if state.contract is None else state.contract.settlement_asset,
        quantity=quantity,
        price=None if state.order_type is OrderType.MARKET else price,  # an estimate binds nobody
        budget=budget,
        contract=state.contract,
        oco_group=state.oco_group,
        reduce_only=state.reduce_only,
        lies_at=_lies_at(state),
    )


def _lies_at(state: OrderState) -> Decimal | None:
    limit = limit_of(state.order_type, state.price, state.stop_price)
    asked = state.replace_pending
    if limit is None or asked is None or asked.price is None:
        return limit
    return max(limit, asked.price) if state.side is Side.BUY else min(limit, asked.price)


def limit_of(
    order_type: OrderType | None, price: Decimal | None, stop_price: Decimal | None
) -> Decimal | None:
    """The limit of an order that is not set off by a price. What a MARKET order names is none."""
    return None if stop_price is not None or order_type is OrderType.MARKET else price


def moved(side: Side, last: Decimal | None, price: Decimal) -> Decimal:
    """How much more is offered than last time; or asked for, how much less."""
    if last is None:
        return ZERO
    more = price - last if side is Side.BUY else last - price
    return more if more > ZERO else ZERO


def worse_price(contract: Contract | None, one: Decimal, other: Decimal) -> Decimal:
    """The price at which a quantity is worth more."""
    return min(one, other) if contract is not None and contract.inverse else max(one, other)


class SideOfKey(msgspec.Struct, gc=False):
    """What may be bought, or sold, of one position: in all, what of it has a price of its own with
    what that makes, and what is sized by a budget."""

    quantity: Decimal = ZERO
    priced: Decimal = ZERO
    value: Decimal = ZERO
    budget: Decimal = ZERO
    groups: dict[UUID, dict[UUID, RestingOrder]] = msgspec.field(default_factory=dict)

    def add(self, order: RestingOrder) -> None:
        if order.oco_group is None:
            self._count(order)
            return
        group = self.groups.setdefault(order.oco_group, {})
        self._count_group(group, -1)
        group[order.order_id] = order
        self._count_group(group, 1)

    def remove(self, order: RestingOrder) -> None:
        if order.oco_group is None:
            self._discount(order)
            return
        group = self.groups[order.oco_group]
        self._count_group(group, -1)
        del group[order.order_id]
        if group:
            self._count_group(group, 1)
        else:
            del self.groups[order.oco_group]

    def _count_group(self, group: dict[UUID, RestingOrder], sign: int) -> None:
        """The largest by quantity, with the largest value: at least as much as any of them."""
        if not group:
            return
        quantity = max((one.quantity or ZERO for one in group.values()), default=ZERO)
        value = max((one.value for one in group.values()), default=ZERO)
        priced = max(
            (one.quantity or ZERO for one in group.values() if one.price is not None), default=ZERO
        )
        self.quantity += sign * quantity
        self.priced += sign * priced
        self.value += sign * value

    def _count(self, order: RestingOrder) -> None:
        if order.budget is not None:
            self.budget += order.budget
        elif order.quantity:
            self.quantity += order.quantity
            if order.price is not None:
                self.priced += order.quantity
                self.value += order.value

    def _discount(self, order: RestingOrder) -> None:
        if order.budget is not None:
            self.budget -= order.budget
        elif order.quantity:
            self.quantity -= order.quantity
            if order.price is not None:
                self.priced -= order.quantity
                self.value -= order.value

    @property
    def at_market(self) -> Decimal:
        """The quantity of orders that have no price of their own."""
        return self.quantity - self.priced

    @property
    def is_empty(self) -> bool:
        return not (self.quantity or self.budget)


class OrdersOfKey(msgspec.Struct, gc=False):
    """Those of one position. What it is, is told by the orders."""

    base_asset: str | None
    asset: str
    contract: Contract | None
    buys: SideOfKey = msgspec.field(default_factory=SideOfKey)
    sells: SideOfKey = msgspec.field(default_factory=SideOfKey)
    count: int = 0
    unknown: int = 0
    lying: dict[Side, list[Decimal]] | None = None
    """The limits of the orders of each side, sorted. None: nobody has asked."""

    def side(self, side: Side) -> SideOfKey:
        return self.buys if side is Side.BUY else self.sells


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was asked for: `order` of a new one, absent of a change or a cancel."""

    at: datetime
    instrument: str | None
    strategy_id: str | None
    order: RestingOrder | None = None
    accepted: bool = True
    signature: Hashable = None
    limit: tuple[str, Side, Decimal] | None = None
    """The instrument, the side and the limit that were asked for, of a change as well."""


Group = tuple[str | None, str | None]
"""Of orders: those of one strategy, or of one instrument, or all."""
ALL: Group = (None, None)


WalkKey = tuple[str | None, str, Side]
"""Of one strategy, or of the account; an instrument and a side."""


class PriceWalk(msgspec.Struct, gc=False):
    """The limits that were asked for on one side, in their order: when, which, and how far they had
    moved against the market with each, from the first that is remembered on."""

    times: list[datetime] = msgspec.field(default_factory=list)
    limits: list[Decimal] = msgspec.field(default_factory=list)
    moves: list[Decimal] = msgspec.field(default_factory=list)

    def note(self, at: datetime, side: Side, limit: Decimal) -> None:
        last = self.limits[-1] if self.limits else None
        self.moves.append((self.moves[-1] if self.moves else ZERO) + moved(side, last, limit))
        self.times.append(at)
        self.limits.append(limit)
        for one in (self.times, self.limits, self.moves):
            _halve(one)

    def since(self, begin: datetime) -> tuple[Decimal, Decimal | None]:
        """How far after a moment, and the last limit after it."""
        first = bisect_right(self.times, begin)
        if first == len(self.times):
            return ZERO, None
        return self.moves[-1] - self.moves[first], self.limits[-1]


class Ordered(msgspec.Struct, gc=False):
    """When orders of a group were asked for; and by asset, when those that were accepted were, and
    what they and all before them are worth at their own prices: a window is two look-ups."""

    times: list[datetime] = msgspec.field(default_factory=list)
    values: dict[str, tuple[list[datetime], list[Decimal]]] = msgspec.field(default_factory=dict)
    unpriced: deque[Request] = msgspec.field(default_factory=lambda: deque(maxlen=MOST_UNPRICED))
    """Those that were accepted and have no price of their own."""

    def note(self, request: Request, order: RestingOrder, value: Decimal) -> None:
        """`value` is that of an order with a price of its own."""
        self.times.append(request.at)
        _halve(self.times)
        if not request.accepted:
            return
        if order.price is None and order.budget is None:
            self.unpriced.append(request)
            return
        times, sums = self.values.setdefault(order.asset, ([], []))
        times.append(request.at)
        sums.append(value + (sums[-1] if sums else ZERO))
        _halve(times)
        _halve(sums)

    def count(self, begin: datetime) -> int:
        """After a moment."""
        return len(self.times) - bisect_right(self.times, begin)

    def value(self, asset: str, begin: datetime) -> Decimal:
        """Of those accepted after a moment that have a price."""
        times, sums = self.values[asset]
        first = bisect_right(times, begin)
        return sums[-1] - (sums[first - 1] if first else ZERO)


def _halve(remembered: list[Any]) -> None:
    """What is beyond any window of a sane rate is forgotten, half of it at a time."""
    if len(remembered) > MAX_REMEMBERED_REQUESTS:
        del remembered[: MAX_REMEMBERED_REQUESTS // 2]


class Lately:
    """What was asked for of an account since a moment."""

    def __init__(self, since: datetime, requests: Iterable[Request] = ()) -> None:
        self.since = since
        self._ordered: dict[Group, Ordered] = {}
        self._messages: list[datetime] = []
        self._same: dict[Hashable, list[datetime]] = {}
        self._walks: dict[WalkKey, PriceWalk] = {}
        for request in requests:
            self.note(request)

    def note(self, request: Request) -> None:
        self._messages.append(request.at)
        _halve(self._messages)
        if request.limit is not None and request.accepted:
            self._walk(request, *request.limit)
        order = request.order
        if order is None:
            return
        value = order.value if order.budget is None else order.budget
        self._count(ALL, request, order, value)
        self._count((None, request.instrument), request, order, value)
        if request.strategy_id is not None:
            self._count((request.strategy_id, None), request, order, value)
        if request.accepted:
            if len(self._same) >= MOST_SIGNATURES:
                self._same.clear()
            same = self._same.setdefault(request.signature, [])
            same.append(request.at)
            if len(same) > 2 * MOST_SAME:
                del same[:MOST_SAME]

    def _walk(self, request: Request, instrument: str, side: Side, limit: Decimal) -> None:
        for strategy in dict.fromkeys((None, request.strategy_id)):
            key = (strategy, instrument, side)
            known = self._walks.get(key)
            if known is None:
                known = self._walks[key] = PriceWalk()
            known.note(request.at, side, limit)

    def walked(self, key: WalkKey, begin: datetime) -> tuple[Decimal, Decimal | None]:
        """See `PriceWalk.since`."""
        known = self._walks.get(key)
        return (ZERO, None) if known is None else known.since(begin)

    def _count(self, group: Group, request: Request, order: RestingOrder, value: Decimal) -> None:
        known = self._ordered.get(group)
        if known is None:
            known = self._ordered[group] = Ordered()
        known.note(request, order, value)

    def ordered(self, group: Group) -> Ordered:
        return self._ordered.get(group) or Ordered()

    def messages(self, begin: datetime) -> int:
        return len(self._messages) - bisect_right(self._messages, begin)

    def same(self, signature: Hashable, begin: datetime) -> int:
        """Orders that were accepted after a moment and say the same."""
        same = self._same.get(signature, ())
        return len(same) - bisect_right(same, begin)


class RiskBook:
    """See the module's text."""

    def __init__(
        self, graphs: dict[Any, MarketGraph] | None = None, limits: dict[str, Any] | None = None
    ) -> None:
        self.graphs = {} if graphs is None else graphs
        """By venue and kinds of instruments, shared with other books: what leads where."""
        self.limits = {} if limits is None else limits
        """By scope, shared with other books: what is in force (`in_force.py`)."""
        self.orders: dict[UUID, RestingOrder] = {}
        self.keys: dict[PositionKey, OrdersOfKey] = {}
        self.spot_sells: dict[tuple[str, str], Decimal] = {}
        """By sub-account and base asset, what orders may sell of it."""
        self.changed: dict[UUID, OrderState] = {}
        """Orders that something has happened to since they were added up. They are when somebody
        asks: most have ended by then, and were never anything to add."""
        self.lately: Lately | None = None
        """None: nobody has asked, and nobody counts."""

    def knows_since(self, since: datetime | None) -> bool:
        """Whether what was asked for since then is known."""
        return since is None or (self.lately is not None and self.lately.since <= since)

    def tell(self, state: OrderState) -> None:
        """An order is now so."""
        before, now = self.orders.get(state.order_id), resting(state)
        if now == before:
            return
        if before is not None:
            del self.orders[state.order_id]
            self._remove(before)
        if now is not None:
            self.orders[state.order_id] = now
            self._add(now)

    def catch_up(self) -> list[UUID]:
        """Adds up what has changed. Gives the orders of these that have ended."""
        changed, self.changed = self.changed, {}
        for state in changed.values():
            self.tell(state)
        return [one for one in changed if one not in self.orders]

    def as_if(self, order: RestingOrder) -> "AsIf":
        """Inside the block the order rests, in the place of one with its id if there is one."""
        return AsIf(self, order)

    def put(self, order: RestingOrder) -> RestingOrder | None:
        """It rests, in the place of the one that is returned."""
        before = self.orders.get(order.order_id)
        if before is not None:
            self._remove(before)
        self.orders[order.order_id] = order
        self._add(order)
        return before

    def put_back(self, order: RestingOrder, before: RestingOrder | None) -> None:
        """The opposite."""
        self._remove(order)
        if before is None:
            del self.orders[order.order_id]
        else:
            self.orders[order.order_id] = before
            self._add(before)

    def _add(self, order: RestingOrder) -> None:
        key = self.keys.get(order.key)
        if key is None:
            key = self.keys[order.key] = OrdersOfKey(order.base_asset, order.asset, order.contract)
        key.count += 1
        key.unknown += order.is_unknown
        if key.lying is not None and order.lies_at is not None:
            insort(key.lying[order.side], order.lies_at)
        if not order.reduce_only:
            sold = key.sells.quantity
            key.side(order.side).add(order)
            self._count_spot(key, order.key, key.sells.quantity - sold)

    def _remove(self, order: RestingOrder) -> None:
        key = self.keys[order.key]
        key.count -= 1
        key.unknown -= order.is_unknown
        if key.lying is not None and order.lies_at is not None:
            limits = key.lying[order.side]
            del limits[bisect_left(limits, order.lies_at)]
        if not order.reduce_only:
            sold = key.sells.quantity
            key.side(order.side).remove(order)
            self._count_spot(key, order.key, key.sells.quantity - sold)
        if not key.count:
            del self.keys[order.key]

    def _count_spot(self, orders: OrdersOfKey, key: PositionKey, more: Decimal) -> None:
        if orders.base_asset is None or not more:
            return
        of = (key.sub_account, orders.base_asset)
        total = self.spot_sells.get(of, ZERO) + more
        if total:
            self.spot_sells[of] = total
        else:
            self.spot_sells.pop(of, None)

    def within_reach(
        self, instrument: str, side: Side, price: Decimal
    ) -> tuple[int, Decimal | None]:
        """How many orders on the other side would trade with one at this price, and the best of
        their limits."""
        orders, best = 0, None
        for key, of_key in self.keys.items():
            if key.instrument != instrument:
                continue
            limits = self._lying(key, of_key)[side.opposite]
            if side is Side.BUY:
                found = bisect_right(limits, price)
                nearest = limits[0] if found else None
            else:
                found = len(limits) - bisect_left(limits, price)
                nearest = limits[-1] if found else None
            orders += found
            if nearest is not None and (best is None or moved(side, nearest, best)):
                best = nearest
        return orders, best

    def _lying(self, key: PositionKey, of_key: OrdersOfKey) -> dict[Side, list[Decimal]]:
        if of_key.lying is None:
            of_key.lying = {side: [] for side in Side}
            for order in self.orders.values():
                if order.key == key and order.lies_at is not None:
                    of_key.lying[order.side].append(order.lies_at)
            for limits in of_key.lying.values():
                limits.sort()
        return of_key.lying

    def has_any(self, streams: Iterable[UUID]) -> bool:
        """Whether one of them is an open order, or was when it was last added up."""
        return any(one in self.orders or one in self.changed for one in streams)

    def note(self, event: Event, at: datetime, order: OrderState | None) -> None:
        """What an event of an order tells of what was asked for."""
        if self.lately is not None:
            request = request_in(event, at, order)
            if request is not None:
                self.lately.note(request)


class AsIf:
    """See `RiskBook.as_if`."""

    __slots__ = ("_before", "_book", "_order")

    def __init__(self, book: RiskBook, order: RestingOrder) -> None:
        self._book = book
        self._order = order
        self._before: RestingOrder | None = None

    def __enter__(self) -> None:
        self._before = self._book.put(self._order)

    def __exit__(self, *_: object) -> None:
        self._book.put_back(self._order, self._before)


def request_in(event: Event, at: datetime, of: OrderState | None) -> Request | None:
    """What was asked for, if an event tells of it; `of` is its order, which a change does not say
    all of."""
    match event:
        case OrderSubmitted() | OrderDenied():
            market = event.order_type is OrderType.MARKET
            price = event.stop_price if event.price is None else event.price
            order = RestingOrder(
                order_id=_NOBODY,
                key=PositionKey(event.sub_account, event.instrument),
                side=event.side,
                base_asset=event.base_asset,
                asset=event.quote_asset
                if event.contract is None
                else event.contract.settlement_asset,
                quantity=event.quantity,
                price=None if market else price,
                budget=event.quote_quantity,
                contract=event.contract,
            )
            return Request(
                at=at,
                instrument=event.instrument,
                strategy_id=event.strategy_id,
                order=order,
                accepted=isinstance(event, OrderSubmitted),
                signature=tuple([getattr(event, name) for name in _SAME]),
                limit=_limit_asked(event),
            )
        case OrderReplaceRequested() if event.price is not None and of is not None:
            stop = of.stop_price if event.stop_price is None else event.stop_price
            limit = limit_of(of.order_type, event.price, stop)
            named = None if limit is None else (of.instrument, of.side, limit)
            return Request(at=at, instrument=None, strategy_id=of.strategy_id, limit=named)
        case OrderReplaceRequested() | OrderCancelRequested():
            return Request(at=at, instrument=None, strategy_id=None)
        case _:
            return None


def _limit_asked(event: OrderSubmitted | OrderDenied) -> tuple[str, Side, Decimal] | None:
    limit = limit_of(event.order_type, event.price, event.stop_price)
    return None if limit is None else (event.instrument, event.side, limit)


_NOBODY = UUID(int=0)


_SAME = ("instrument", "side", "order_type", "quantity", "quote_quantity", "price", "stop_price",
         "position_side", "strategy_id", "reduce_only")  # fmt: skip
"""What is equal in orders that are the same."""


def signature(terms: Mapping[str, object]) -> Hashable:
    """What an order has in common with one that is the same: amounts however they are written."""
    return tuple([terms.get(name) for name in _SAME])
