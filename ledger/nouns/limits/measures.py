"""Limits: what each of the measures is, of an order and of what there is already.

Each gives what it is at in the unit of the limit: with the order, which the risk book has already;
or, without one, as things are. docs/limits.md has them as formulas.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.kernel.money import AVERAGE_PLACES, ZERO, average, is_within, shown
from ledger.nouns.equity.events import Baseline
from ledger.nouns.instruments.contract import Contract
from ledger.nouns.limits.decision import UsedCount, UsedMeasure
from ledger.nouns.limits.meter import Meter, Missing
from ledger.nouns.limits.risk_book import Group, Lately, RestingOrder, value_of, worse_price
from ledger.nouns.limits.state import Version, scope_key
from ledger.nouns.limits.terms import (
    DAILY,
    DEFAULT_WINDOW,
    MONEY,
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
        )


class LimitInForce(NamedTuple):
    """A limit that applies, with what is asked of it again and again. `value` is the limit's own,
    or what a strategy's multiplier makes of it; limits with an equal `same` measure the same."""

    limit_id: UUID
    scope: LimitScope
    reference: str | None
    version: Version
    terms: LimitTerms
    value: Decimal
    strategy: str | None
    instrument: str | None
    same: Hashable
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
    summed = scope_key(scope, reference) if is_summed(scope, terms) else None
    same = (terms.measure, terms.unit, terms.window, strategy, instrument, summed)
    return LimitInForce(
        limit_id, scope, reference, version, terms, terms.value, strategy, instrument, same
    )


class Quotient(NamedTuple):
    """A part of a whole that is above zero. It is divided out only where somebody is told it: to
    see that a limit is far away, multiplying is enough."""

    part: Decimal
    whole: Decimal
    unit: str

    @property
    def told(self) -> Decimal:
        """In its unit."""
        return of_ratio(average(self.part, self.whole), self.unit) if self.part else ZERO


def told(found: Decimal | Quotient) -> Decimal:
    return found if isinstance(found, Decimal) else found.told


class LimitGroup(NamedTuple):
    """Limits that measure the same, so that it is measured once."""

    limits: tuple[LimitInForce, ...]
    measured_by: "MeasuredBy"
    tightest: Decimal
    """What is below it exceeds none of them, and is near to none. Of MIN_EQUITY: what is above."""
    share: Decimal
    """The same of a share: it is less than the tightest also once it is rounded."""
    is_floor: bool
    trips: bool
    """Whether one of them may have been reached before, and stay so."""

    def is_far_from(self, found: Decimal | Quotient) -> bool:
        """That none of them fails or warns, and that is nearly always so. False: look at each."""
        if isinstance(found, Decimal):
            return found > self.tightest if self.is_floor else found < self.tightest
        return is_within(found.part, self.share, found.whole)


_LAST_PLACE = Decimal(1).scaleb(-AVERAGE_PLACES)


def _group(limits: Sequence[LimitInForce]) -> LimitGroup:
    terms = limits[0].terms
    is_floor = terms.measure is LimitMeasure.MIN_EQUITY
    ends = [one.value for one in limits]
    ends += [w for one in limits if (w := one.terms.warning_threshold) is not None]
    tightest = max(ends) if is_floor else min(ends)
    share = in_ratio(tightest, terms.unit) - _LAST_PLACE
    by = MEASURES[terms.measure]
    return LimitGroup(tuple(limits), by, tightest, share, is_floor, terms.measure in TRIPS_AT)


def grouped(limits: Iterable[LimitInForce]) -> tuple[LimitGroup, ...]:
    groups: dict[Hashable, list[LimitInForce]] = {}
    for limit in limits:
        groups.setdefault(limit.same, []).append(limit)
    return tuple([_group(group) for group in groups.values()])


def _relative(
    limit: LimitInForce, amount: Decimal, asset: str, venue: str, meter: Meter
) -> Decimal | Quotient:
    """An amount in the unit of a limit: in its money, or against the equity that it is part of."""
    unit = limit.terms.unit
    if kind_of(unit) == MONEY:
        return meter.worth(amount, asset, unit, venue)
    own = meter.worth(amount, asset, meter.currency, venue)
    return Quotient(own, meter.above_zero(limit.strategy), unit) if own else ZERO


def order_value(order: OrderToCheck, meter: Meter) -> Decimal:
    """What the order is worth, in its asset: what it may trade at, or the mark where that is more
    or there is none."""
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


def _order_quantity(_: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Decimal:
    if order is None:
        return ZERO
    if order.quantity is not None:
        return order.quantity
    mark = meter.mark(order.key.instrument)
    if mark <= 0:
        raise Missing(f"a price of {order.key.instrument} above zero")
    return average(order.budget or ZERO, mark)


def _order_notional(
    limit: LimitInForce, order: OrderToCheck | None, meter: Meter
) -> Decimal | Quotient:
    if order is None:
        return ZERO
    value = order_value(order, meter)
    return _relative(limit, value, order.asset, venue_of(order.key.instrument), meter)


def _price_band(
    limit: LimitInForce, order: OrderToCheck | None, meter: Meter
) -> Decimal | Quotient:
    """The farthest of its prices from the mark, as a share of the mark."""
    if order is None:
        return ZERO
    mark = meter.mark(order.key.instrument)
    if mark <= 0:
        raise Missing(f"a price of {order.key.instrument} above zero")
    named = [price for price in (order.price, order.stop_price) if price is not None]
    farthest = max((abs(price - mark) for price in named), default=ZERO)
    return Quotient(farthest, mark, limit.terms.unit)


def _open_orders(limit: LimitInForce, _: OrderToCheck | None, meter: Meter) -> Decimal:
    book = meter.scene.book
    if limit.scope not in (LimitScope.STRATEGY, LimitScope.INSTRUMENT):
        return _counted(limit, Decimal(len(book.orders)), None, meter)
    there = sum(
        of_key.count
        for key, of_key in book.keys.items()
        if limit.strategy in (None, key.sub_account) and limit.instrument in (None, key.instrument)
    )
    return _counted(limit, Decimal(there), None, meter)


def _position(limit: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Decimal | Quotient:
    """The larger side of what may come of the instrument of the order; without one, of that which
    it is largest of."""
    if order is not None:
        return _position_in(limit, order.key.instrument, meter)
    keys = meter.open_keys(instrument=limit.instrument, strategy=limit.strategy)
    names = dict.fromkeys(key.instrument for key in keys)
    return max((told(_position_in(limit, name, meter)) for name in names), default=ZERO)


def _position_in(limit: LimitInForce, instrument: str, meter: Meter) -> Decimal | Quotient:
    keys = meter.open_keys(instrument=instrument, strategy=limit.strategy)
    if limit.terms.unit == UNITS:
        long = short = ZERO
        for key in keys:
            worst = meter.worst(key)
            meter.use(worst)
            long, short = long + worst.long, short + worst.short
        return max(long, short)
    long = short = ZERO
    asset = None
    for key in keys:
        values = meter.values(key)
        long, short, asset = long + values[0], short + values[1], meter.worst(key).asset
    if asset is None:
        return ZERO
    return _relative(limit, max(long, short), asset, venue_of(instrument), meter)


def _exposure(limit: LimitInForce, _: OrderToCheck | None, meter: Meter) -> Decimal | Quotient:
    unit = limit.terms.unit
    if is_summed(limit.scope, limit.terms):
        return meter.exposure_in_scope(limit.scope, limit.reference, unit)
    currency = meter.currency if unit in RELATIVE else unit
    total = meter.exposure(currency, instrument=limit.instrument, strategy=limit.strategy)
    if unit not in RELATIVE or not total:
        return total
    return Quotient(total, meter.above_zero(limit.strategy), unit)


def _loss(baseline: Baseline, limit: LimitInForce, meter: Meter) -> Decimal | Quotient:
    """Below zero where something was won."""
    lost, base = meter.loss(baseline)
    unit = limit.terms.unit
    if unit not in RELATIVE:
        return meter.worth(lost, meter.currency, unit, meter.scene.account.exchange)
    if base <= 0:
        if not lost:
            return ZERO
        raise Missing(f"equity above zero to compare with (it was {shown(base)})")
    return Quotient(lost, base, unit)


def _daily_loss(limit: LimitInForce, _: OrderToCheck | None, meter: Meter) -> Decimal | Quotient:
    return _loss(Baseline(limit.terms.window or DAILY), limit, meter)


def _drawdown(limit: LimitInForce, _: OrderToCheck | None, meter: Meter) -> Decimal | Quotient:
    return _loss(Baseline.PEAK, limit, meter)


def _equity(limit: LimitInForce, _: OrderToCheck | None, meter: Meter) -> Decimal:
    return meter.worth(
        meter.equity(), meter.currency, limit.terms.unit, meter.scene.account.exchange
    )


def _risk_per_trade(
    limit: LimitInForce, order: OrderToCheck | None, meter: Meter
) -> Decimal | Quotient:
    """What the order would lose at its stop; all of its value where none is known."""
    if order is None:
        return ZERO
    at_risk = order_value(order, meter)
    if order.stop_loss is not None and order.quantity is not None:
        at_stop = value_of(order.contract, order.quantity, order.stop_loss)
        at_risk = abs(at_risk - at_stop)
    return _relative(limit, at_risk, order.asset, venue_of(order.key.instrument), meter)


def _told(limit: LimitInForce, _: OrderToCheck | None, meter: Meter) -> Decimal | Quotient:
    """What somebody has reckoned, if that is not too old."""
    measure, unit = limit.terms.measure, limit.terms.unit
    known = meter.marked()
    newest = None if known is None else known.measures.get(measure)
    if newest is None:
        raise Missing(f"{measure} of the account (RecordRiskMeasure)")
    meter.measures[measure] = UsedMeasure(
        measure=measure,
        value=newest.value,
        unit=newest.currency or "RATIO",
        method=newest.method,
        time=newest.time,
    )
    if meter.scene.now - newest.time > MAX_AGE_OF_MEASURE:
        raise Missing(f"a fresh {measure} (the newest is of {newest.time.isoformat()})")
    if newest.currency is None:
        if unit in RELATIVE:
            return of_ratio(newest.value, unit)
        return meter.worth(
            newest.value * meter.equity(), meter.currency, unit, meter.scene.account.exchange
        )
    return _relative(limit, newest.value, newest.currency, meter.scene.account.exchange, meter)


# --- what is counted ------------------------------------------------------------------------


def _window(limit: LimitInForce, meter: Meter) -> tuple[Lately, datetime]:
    """What was asked for, and since when it counts."""
    window = limit.terms.window or DEFAULT_WINDOW
    begin = meter.scene.now - length_of(window)
    lately = meter.scene.book.lately
    assert lately is not None, "who counts says since when"
    return lately, begin


def _counted(limit: LimitInForce, count: Decimal, begin: datetime | None, meter: Meter) -> Decimal:
    if not meter.explains:
        return count
    measure = limit.terms.measure
    window = None if begin is None else limit.terms.window or DEFAULT_WINDOW
    meter.counts[limit.same] = UsedCount(
        measure=measure,
        reference=limit.strategy or limit.instrument,
        unit=limit.terms.unit,
        window=window,
        since=begin,
        count=count,
    )
    return count


def _of(limit: LimitInForce) -> Group:
    return limit.strategy, limit.instrument


def _order_rate(limit: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Decimal:
    """New orders, those that were refused too: a strategy gone wild does not rest for a refusal."""
    lately, begin = _window(limit, meter)
    asked = Decimal(lately.ordered(_of(limit)).count(begin))
    more = 0 if order is None or order.replaces else 1
    return _counted(limit, asked, begin, meter) + more


def _message_rate(limit: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Decimal:
    """Orders, changes and cancels. A cancel is counted, and never refused."""
    lately, begin = _window(limit, meter)
    asked = Decimal(lately.messages(begin))
    return _counted(limit, asked, begin, meter) + (0 if order is None else 1)


def _duplicates(limit: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Decimal:
    """Orders that say the same, this one among them; those that were refused are none."""
    if order is None or order.replaces:
        return ZERO
    lately, begin = _window(limit, meter)
    same = Decimal(lately.same(order.signature, begin))
    return _counted(limit, same, begin, meter) + 1


def _notional_rate(limit: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Decimal:
    """What was ordered within the window, and accepted."""
    lately, begin = _window(limit, meter)
    ordered, total = lately.ordered(_of(limit)), ZERO
    venue = meter.scene.account.exchange
    for asset in ordered.values:
        total += told(_relative(limit, ordered.value(asset, begin), asset, venue, meter))
    for one in ordered.unpriced:
        if one.at > begin and one.order is not None:
            value = _value_of_request(one.order, meter)
            total += told(_relative(limit, value, one.order.asset, venue, meter))
    _counted(limit, total, begin, meter)
    if order is None or order.replaces:
        return total
    return total + told(_order_notional(limit, order, meter))


def _value_of_request(order: RestingOrder, meter: Meter) -> Decimal:
    if order.budget is not None:
        return order.budget
    price = meter.mark(order.key.instrument) if order.price is None else order.price
    return value_of(order.contract, order.quantity or ZERO, price)


MeasuredBy = Callable[[LimitInForce, OrderToCheck | None, Meter], Decimal | Quotient]

MEASURES: dict[LimitMeasure, MeasuredBy] = {
    LimitMeasure.MAX_ORDER_QUANTITY: _order_quantity,
    LimitMeasure.MAX_ORDER_NOTIONAL: _order_notional,
    LimitMeasure.PRICE_BAND: _price_band,
    LimitMeasure.MAX_OPEN_ORDERS: _open_orders,
    LimitMeasure.ORDER_RATE: _order_rate,
    LimitMeasure.NOTIONAL_RATE: _notional_rate,
    LimitMeasure.MESSAGE_RATE: _message_rate,
    LimitMeasure.DUPLICATE_ORDER: _duplicates,
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
