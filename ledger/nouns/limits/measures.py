"""Limits: what each of the measures is, of an order and of what there is already.

Each is made once of what a limit asks for (`Asks`: unit, window, scope), when the limit comes into
force; what is made is then asked for every order. docs/limits.md has them as formulas.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.kernel.money import AVERAGE_PLACES, ZERO, average, is_within, shown
from ledger.nouns.equity.events import Baseline
from ledger.nouns.instruments.contract import Contract
from ledger.nouns.limits.decision import UsedCount, UsedMatch, UsedMeasure, UsedWalk
from ledger.nouns.limits.meter import Meter, Missing
from ledger.nouns.limits.risk_book import (
    Lately,
    RestingOrder,
    limit_of,
    moved,
    value_of,
    worse_price,
)
from ledger.nouns.limits.state import Version
from ledger.nouns.limits.terms import (
    DAILY,
    DEFAULT_WINDOW,
    MONEY,
    OF_EVERY_ORDER,
    RELATIVE,
    SCALED,
    TRIPS_AT,
    UNITS,
    LimitMeasure,
    LimitScope,
    LimitTerms,
    in_ratio,
    is_summed,
    kind_of,
    length_of,
    of_ratio,
)
from ledger.nouns.orders.events import OrderType, Side
from ledger.nouns.positions.position import PositionKey
from ledger.nouns.prices.state import venue_of

MAX_AGE_OF_MEASURE = timedelta(hours=26)
"""Of what is reckoned daily: a day, and two hours for it to be done."""


class OrderToCheck(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as it was asked for, or as an open one would become. `quantity` is the whole of it,
    `filled` what of it has traded."""

    order_id: UUID
    key: PositionKey
    side: Side
    order_type: OrderType | None
    quantity: Decimal | None
    budget: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    filled: Decimal = ZERO
    strategy_id: str | None = None
    base_asset: str
    quote_asset: str
    contract: Contract | None = None
    oco_group: UUID | None = None
    reduce_only: bool = False
    stop_loss: Decimal | None = None
    """Where the loss of it would be taken, where that is known."""
    replaces: bool = False
    signature: Hashable = None

    @property
    def asset(self) -> str:
        """What its value is in."""
        return self.quote_asset if self.contract is None else self.contract.settlement_asset

    @property
    def venue(self) -> str:
        return self.key.venue

    @property
    def lies_at(self) -> Decimal | None:
        """The limit at which it would lie in the market, or trade at once; None of one that waits
        for a price, and of a MARKET order."""
        return limit_of(self.order_type, self.price, self.stop_price)

    @property
    def own_price(self) -> Decimal | None:
        """Its limit, or what sets it off. What a MARKET order names is an estimate."""
        if self.order_type is OrderType.MARKET:
            return None
        return self.stop_price if self.price is None else self.price

    def resting(self, before: RestingOrder | None) -> RestingOrder:
        """What it counts for once it is there: until the venue has answered, as much as the larger
        of what it was and what it shall be."""
        quantity = None if self.quantity is None else max(self.quantity - self.filled, ZERO)
        price = self.own_price
        if before is not None:
            if quantity is not None and before.quantity is not None:
                quantity = max(quantity, before.quantity)
            if price is not None and before.price is not None:
                price = worse_price(self.contract, price, before.price)
        return RestingOrder(
            order_id=self.order_id,
            key=self.key,
            side=self.side,
            base_asset=self.base_asset if self.contract is None else None,
            asset=self.asset,
            quantity=quantity,
            price=price,
            budget=self.budget,
            contract=self.contract,
            oco_group=self.oco_group,
            reduce_only=self.reduce_only,
            lies_at=self.lies_at,
        )


class LimitInForce(NamedTuple):
    """A limit that applies, made ready to be asked again and again. `value` is the limit's own, or
    what a strategy's multiplier makes of it; limits with an equal `same` measure the same."""

    limit_id: UUID
    scope: LimitScope
    reference: str | None
    version: Version
    terms: LimitTerms
    value: Decimal
    strategy: str | None
    instrument: str | None
    same: Hashable
    measured_by: "MeasuredBy"
    multiplier: Decimal | None = None

    def scaled(self, multiplier: Decimal | None) -> "LimitInForce":
        """As it is for a strategy that may be so much larger or smaller."""
        if multiplier is None or self.terms.measure not in SCALED:
            return self
        return self._replace(value=self.terms.value * multiplier, multiplier=multiplier)


def in_force(
    limit_id: UUID, scope: LimitScope, reference: str | None, version: Version
) -> LimitInForce:
    terms = version.terms
    strategy = reference if scope is LimitScope.STRATEGY else None
    instrument = reference if scope is LimitScope.INSTRUMENT else None
    summed = (scope, reference) if is_summed(scope, terms) else None
    asks = Asks(terms.measure, terms.unit, terms.window, strategy, instrument, summed)
    by = measure_of(asks)
    return LimitInForce(
        limit_id, scope, reference, version, terms, terms.value, strategy, instrument, asks, by
    )


class Asks(NamedTuple):
    """What a limit asks for, whatever its value and whosever it is. `summed` is the scope of one
    that is of several accounts together."""

    measure: LimitMeasure
    unit: str
    window: str | None
    strategy: str | None
    instrument: str | None
    summed: tuple[LimitScope, str | None] | None


MAX_MEASURES = 10_000
"""Measures that are kept once made: of what is asked for, and not of each account that it is asked
of, so that accounts share them."""


@lru_cache(MAX_MEASURES)
def measure_of(asks: Asks) -> "MeasuredBy":
    return MEASURES[asks.measure](asks)


Quotient = tuple[Decimal, Decimal]
"""A part of a whole that is above zero. It is divided out only where somebody is told it: to see
that a limit is far away, multiplying is enough."""
Found = Decimal | Quotient
"""What is measured."""


def told(found: Found, unit: str) -> Decimal:
    """In its unit."""
    if not isinstance(found, tuple):
        return found
    part, whole = found
    return of_ratio(average(part, whole), unit) if part else ZERO


class LimitGroup(NamedTuple):
    """Limits that measure the same, so that it is measured once."""

    limits: tuple[LimitInForce, ...]
    measured_by: "MeasuredBy"
    unit: str
    tightest: Decimal
    """What is below it exceeds none of them, and is near to none. Of MIN_EQUITY: what is above."""
    share: Decimal
    """The same of a share: it is less than the tightest also once it is rounded."""
    is_floor: bool
    of_every_order: bool
    trips: bool
    """Whether one of them may have been reached before, and stay so."""

    def is_far_from(self, found: Found) -> bool:
        """That none of them fails or warns, and that is nearly always so. False: look at each."""
        if isinstance(found, tuple):
            return is_within(found[0], self.share, found[1])
        return found > self.tightest if self.is_floor else found < self.tightest


_LAST_PLACE = Decimal(1).scaleb(-AVERAGE_PLACES)


def _group(limits: Sequence[LimitInForce]) -> LimitGroup:
    terms = limits[0].terms
    is_floor = terms.measure is LimitMeasure.MIN_EQUITY
    ends = [one.value for one in limits]
    ends += [w for one in limits if (w := one.terms.warning_threshold) is not None]
    tightest = max(ends) if is_floor else min(ends)
    share = in_ratio(tightest, terms.unit) - _LAST_PLACE
    by = limits[0].measured_by
    measure = terms.measure
    of_every, trips = measure in OF_EVERY_ORDER, measure in TRIPS_AT
    return LimitGroup(tuple(limits), by, terms.unit, tightest, share, is_floor, of_every, trips)


def grouped(limits: Iterable[LimitInForce]) -> tuple[LimitGroup, ...]:
    groups: dict[Hashable, list[LimitInForce]] = {}
    for limit in limits:
        groups.setdefault(limit.same, []).append(limit)
    return tuple([_group(group) for group in groups.values()])


OfEquity = Callable[[Decimal, str, str, Meter], Found]


def _relative(asks: Asks) -> OfEquity:
    """Makes of an amount (in an asset, at a venue) what it is in the unit of a limit: in its money,
    or against the equity that it is part of."""
    unit, strategy = asks.unit, asks.strategy
    if kind_of(unit) == MONEY:
        return lambda amount, asset, venue, meter: meter.worth(amount, asset, unit, venue)

    def of_equity(amount: Decimal, asset: str, venue: str, meter: Meter) -> Found:
        own = meter.worth(amount, asset, meter.currency, venue)
        return (own, meter.above_zero(strategy)) if own else ZERO

    return of_equity


def order_value(order: OrderToCheck, meter: Meter) -> Decimal:
    """What the order is worth, in its asset: what it may trade at, or the mark where that is more
    or there is none."""
    known = meter.order_value
    if known is None:
        known = meter.order_value = _order_value(order, meter)
    return known


def _order_value(order: OrderToCheck, meter: Meter) -> Decimal:
    if order.budget is not None:
        return order.budget
    assert order.quantity is not None
    return value_of(order.contract, order.quantity, order_price(order, meter))


def order_price(order: OrderToCheck, meter: Meter) -> Decimal:
    own = order.own_price
    inverse = order.contract is not None and order.contract.inverse
    if own is not None and order.side is Side.BUY and not inverse:
        return own
    mark = meter.mark(order.key.instrument)
    estimate = order.price if own is None else own
    return mark if estimate is None else worse_price(order.contract, mark, estimate)


def _above_zero(instrument: str, meter: Meter) -> Decimal:
    """The mark, to divide by. Raises Missing."""
    mark = meter.mark(instrument)
    if mark <= 0:
        raise Missing(f"a price of {instrument} above zero")
    return mark


# --- what an order is -------------------------------------------------------------------


def _order_quantity(_: Asks) -> "MeasuredBy":
    def quantity(order: OrderToCheck | None, meter: Meter) -> Decimal:
        if order is None:
            return ZERO
        if order.quantity is not None:
            return order.quantity
        return average(order.budget or ZERO, _above_zero(order.key.instrument, meter))

    return quantity


def _order_notional(asks: Asks) -> "MeasuredBy":
    relative = _relative(asks)

    def notional(order: OrderToCheck | None, meter: Meter) -> Found:
        if order is None:
            return ZERO
        return relative(order_value(order, meter), order.asset, order.venue, meter)

    return notional


def _price_band(_: Asks) -> "MeasuredBy":
    """The farthest of its prices from the mark, as a share of the mark."""

    def band(order: OrderToCheck | None, meter: Meter) -> Found:
        if order is None:
            return ZERO
        mark = _above_zero(order.key.instrument, meter)
        farthest = ZERO if order.price is None else abs(order.price - mark)
        if order.stop_price is not None:
            farthest = max(farthest, abs(order.stop_price - mark))
        return farthest, mark

    return band


def _risk_per_trade(asks: Asks) -> "MeasuredBy":
    """What the order would lose at its stop; all of its value where none is known."""
    relative = _relative(asks)

    def at_risk(order: OrderToCheck | None, meter: Meter) -> Found:
        if order is None:
            return ZERO
        loss = order_value(order, meter)
        if order.stop_loss is not None and order.quantity is not None:
            loss = abs(loss - value_of(order.contract, order.quantity, order.stop_loss))
        return relative(loss, order.asset, order.venue, meter)

    return at_risk


# --- what there is ------------------------------------------------------------------------


def _open_orders(asks: Asks) -> "MeasuredBy":
    of_all = asks.strategy is None and asks.instrument is None

    def open_orders(_: OrderToCheck | None, meter: Meter) -> Decimal:
        book = meter.scene.book
        if of_all:
            return _counted(asks, Decimal(len(book.orders)), None, meter)
        there = sum(
            of_key.count
            for key, of_key in book.keys.items()
            if asks.strategy in (None, key.sub_account)
            and asks.instrument in (None, key.instrument)
        )
        return _counted(asks, Decimal(there), None, meter)

    return open_orders


def _position(asks: Asks) -> "MeasuredBy":
    """The larger side of what may come of the instrument of the order; without one, of that which
    it is largest of."""
    unit = asks.unit
    in_instrument = _position_in_units(asks) if unit == UNITS else _position_in_money(asks)

    def position(order: OrderToCheck | None, meter: Meter) -> Found:
        if order is not None:
            return in_instrument(order.key.instrument, meter)
        keys = meter.open_keys(instrument=asks.instrument, strategy=asks.strategy)
        names = dict.fromkeys(key.instrument for key in keys)
        return max((told(in_instrument(name, meter), unit) for name in names), default=ZERO)

    return position


InInstrument = Callable[[str, Meter], Found]


def _position_in_units(asks: Asks) -> InInstrument:
    strategy = asks.strategy

    def in_instrument(instrument: str, meter: Meter) -> Decimal:
        long = short = ZERO
        for key in meter.open_keys(instrument=instrument, strategy=strategy):
            worst = meter.worst(key)
            meter.use(worst)
            long, short = long + worst.long, short + worst.short
        return max(long, short)

    return in_instrument


def _position_in_money(asks: Asks) -> InInstrument:
    relative, strategy = _relative(asks), asks.strategy

    def in_instrument(instrument: str, meter: Meter) -> Found:
        long = short = ZERO
        asset = None
        for key in meter.open_keys(instrument=instrument, strategy=strategy):
            values = meter.values(key)
            long, short, asset = long + values[0], short + values[1], meter.worst(key).asset
        if asset is None:
            return ZERO
        return relative(max(long, short), asset, venue_of(instrument), meter)

    return in_instrument


def _exposure(asks: Asks) -> "MeasuredBy":
    unit, instrument, strategy = asks.unit, asks.instrument, asks.strategy
    if asks.summed is not None:
        scope, reference = asks.summed
        return lambda _, meter: meter.exposure_in_scope(scope, reference, unit)
    if unit not in RELATIVE:
        return lambda _, meter: meter.exposure(unit, instrument=instrument, strategy=strategy)

    def of_equity(_: OrderToCheck | None, meter: Meter) -> Found:
        total = meter.exposure(meter.currency, instrument=instrument, strategy=strategy)
        return (total, meter.above_zero(strategy)) if total else ZERO

    return of_equity


def _loss(baseline: Baseline, asks: Asks) -> "MeasuredBy":
    """Below zero where something was won."""
    unit = asks.unit
    is_relative = unit in RELATIVE

    def loss(_: OrderToCheck | None, meter: Meter) -> Found:
        lost, base = meter.loss(baseline)
        if not is_relative:
            return meter.worth(lost, meter.currency, unit, meter.scene.account.exchange)
        if base > 0:
            return lost, base
        if not lost:
            return ZERO
        raise Missing(f"equity above zero to compare with (it was {shown(base)})")

    return loss


def _daily_loss(asks: Asks) -> "MeasuredBy":
    return _loss(Baseline(asks.window or DAILY), asks)


def _drawdown(asks: Asks) -> "MeasuredBy":
    return _loss(Baseline.PEAK, asks)


def _equity(asks: Asks) -> "MeasuredBy":
    unit = asks.unit
    return lambda _, meter: meter.worth(
        meter.equity(), meter.currency, unit, meter.scene.account.exchange
    )


def _told(asks: Asks) -> "MeasuredBy":
    """What somebody has reckoned, if that is not too old."""
    measure, unit, relative = asks.measure, asks.unit, _relative(asks)

    def recorded(_: OrderToCheck | None, meter: Meter) -> Found:
        known = meter.marked()
        newest = None if known is None else known.measures.get(measure)
        if newest is None:
            raise Missing(f"{measure} of the account (RecordRiskMeasure)")
        if meter.noted is not None:
            meter.noted.measures[measure] = UsedMeasure(
                measure=measure,
                value=newest.value,
                unit=newest.currency or "RATIO",
                method=newest.method,
                time=newest.time,
            )
        if meter.scene.now - newest.time > MAX_AGE_OF_MEASURE:
            raise Missing(f"a fresh {measure} (the newest is of {newest.time.isoformat()})")
        venue = meter.scene.account.exchange
        if newest.currency is not None:
            return relative(newest.value, newest.currency, venue, meter)
        if unit in RELATIVE:
            return of_ratio(newest.value, unit)
        return meter.worth(newest.value * meter.equity(), meter.currency, unit, venue)

    return recorded


# --- what is counted ------------------------------------------------------------------------


def _lately(meter: Meter) -> Lately:
    lately = meter.scene.book.lately
    assert lately is not None, "who counts says since when"
    return lately


def _length(asks: Asks) -> timedelta:
    return length_of(asks.window or DEFAULT_WINDOW)


def _counted(asks: Asks, count: Decimal, begin: datetime | None, meter: Meter) -> Decimal:
    if meter.noted is None:
        return count
    window = None if begin is None else asks.window or DEFAULT_WINDOW
    meter.noted.counts[asks] = UsedCount(
        measure=asks.measure,
        reference=asks.strategy or asks.instrument,
        unit=asks.unit,
        window=window,
        since=begin,
        count=count,
    )
    return count


def _order_rate(asks: Asks) -> "MeasuredBy":
    """New orders, those that were refused too: a strategy gone wild does not rest for a refusal."""
    group, length = (asks.strategy, asks.instrument), _length(asks)

    def rate(order: OrderToCheck | None, meter: Meter) -> Decimal:
        begin = meter.scene.now - length
        asked = Decimal(_lately(meter).ordered(group).count(begin))
        more = 0 if order is None or order.replaces else 1
        return _counted(asks, asked, begin, meter) + more

    return rate


def _message_rate(asks: Asks) -> "MeasuredBy":
    """Orders, changes and cancels. A cancel is counted, and never refused."""
    length = _length(asks)

    def rate(order: OrderToCheck | None, meter: Meter) -> Decimal:
        begin = meter.scene.now - length
        asked = Decimal(_lately(meter).messages(begin))
        return _counted(asks, asked, begin, meter) + (0 if order is None else 1)

    return rate


def _duplicates(asks: Asks) -> "MeasuredBy":
    """Orders that say the same, this one among them; those that were refused are none."""
    length = _length(asks)

    def duplicates(order: OrderToCheck | None, meter: Meter) -> Decimal:
        if order is None or order.replaces:
            return ZERO
        begin = meter.scene.now - length
        same = Decimal(_lately(meter).same(order.signature, begin))
        return _counted(asks, same, begin, meter) + 1

    return duplicates


def _notional_rate(asks: Asks) -> "MeasuredBy":
    """What was ordered within the window, and accepted."""
    group, length = (asks.strategy, asks.instrument), _length(asks)
    relative, notional, unit = _relative(asks), _order_notional(asks), asks.unit

    def rate(order: OrderToCheck | None, meter: Meter) -> Decimal:
        begin = meter.scene.now - length
        ordered, total = _lately(meter).ordered(group), ZERO
        venue = meter.scene.account.exchange
        for asset in ordered.values:
            total += told(relative(ordered.value(asset, begin), asset, venue, meter), unit)
        for one in ordered.unpriced:
            if one.at > begin and one.order is not None:
                value = _value_of_request(one.order, meter)
                total += told(relative(value, one.order.asset, venue, meter), unit)
        _counted(asks, total, begin, meter)
        if order is None or order.replaces:
            return total
        return total + told(notional(order, meter), unit)

    return rate


def _value_of_request(order: RestingOrder, meter: Meter) -> Decimal:
    if order.budget is not None:
        return order.budget
    price = meter.mark(order.key.instrument) if order.price is None else order.price
    return value_of(order.contract, order.quantity or ZERO, price)


def _price_walk(asks: Asks) -> "MeasuredBy":
    """How far one's own prices have moved against the market, order by order, with this one."""
    length, strategy = _length(asks), asks.strategy

    def walk(order: OrderToCheck | None, meter: Meter) -> Found:
        price = None if order is None else order.lies_at
        if order is None or price is None:
            return ZERO
        begin, instrument = meter.scene.now - length, order.key.instrument
        walked, last = _lately(meter).walked((strategy, instrument, order.side), begin)
        if meter.noted is not None:
            meter.noted.walks[asks] = UsedWalk(
                reference=asks.strategy,
                instrument=instrument,
                side=order.side.value,
                window=asks.window or DEFAULT_WINDOW,
                since=begin,
                walked=walked,
                last=last,
                at=price,
            )
        return walked + moved(order.side, last, price), _above_zero(instrument, meter)

    return walk


# --- one's own orders on the other side -------------------------------------------------------


def _self_match(_: Asks) -> "MeasuredBy":
    """Orders of the same user, in all accounts, that it would trade with."""

    def matching(order: OrderToCheck | None, meter: Meter) -> Decimal:
        if order is None:
            return ZERO
        instrument, side, price = order.key.instrument, order.side, order.lies_at
        if price is None and order.order_type is not OrderType.MARKET:
            return ZERO
        if price is None:
            price = meter.mark(instrument)
        total = 0
        for account_id, book in meter.scene.books_of_owner():
            orders, best = book.within_reach(instrument, side, price)
            total += orders
            if best is not None and meter.noted is not None:
                meter.noted.matches[account_id] = UsedMatch(
                    account_id=account_id,
                    instrument=instrument,
                    side=side.opposite.value,
                    orders=Decimal(orders),
                    best=best,
                    at=price,
                )
        return Decimal(total)

    return matching


MeasuredBy = Callable[[OrderToCheck | None, Meter], Found]
"""What a limit is at in its unit: with the order, which the risk book has already; or, without one,
as things are. Raises Missing."""

MEASURES: dict[LimitMeasure, Callable[[Asks], MeasuredBy]] = {
    LimitMeasure.MAX_ORDER_QUANTITY: _order_quantity,
    LimitMeasure.MAX_ORDER_NOTIONAL: _order_notional,
    LimitMeasure.PRICE_BAND: _price_band,
    LimitMeasure.MAX_OPEN_ORDERS: _open_orders,
    LimitMeasure.ORDER_RATE: _order_rate,
    LimitMeasure.NOTIONAL_RATE: _notional_rate,
    LimitMeasure.MESSAGE_RATE: _message_rate,
    LimitMeasure.DUPLICATE_ORDER: _duplicates,
    LimitMeasure.SELF_MATCH: _self_match,
    LimitMeasure.PRICE_WALK: _price_walk,
    LimitMeasure.MAX_POSITION: _position,
    LimitMeasure.MAX_EXPOSURE: _exposure,
    LimitMeasure.MAX_LEVERAGE: _exposure,
    LimitMeasure.MAX_DAILY_LOSS: _daily_loss,
    LimitMeasure.MAX_DRAWDOWN: _drawdown,
    LimitMeasure.MIN_EQUITY: _equity,
    LimitMeasure.RISK_PER_TRADE: _risk_per_trade,
    LimitMeasure.MAX_VAR_95: _told,
    LimitMeasure.MAX_CORRELATION: _told,
}
