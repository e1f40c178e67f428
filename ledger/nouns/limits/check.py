"""Limits: whether an order may be placed, and how near a scope is to its limits.

    check(order, scene, limits)     allowed, allowed with warnings, or refused, with all the numbers
    utilisation(scene, limits)      what each limit is at now, without an order

Both are pure: they are given everything, and what they say can be reckoned again from what they
give.

An order is checked if it *raises* something: if, once it is there, more may be bought or sold than
what is held the other way and what rests already would. What only reduces is allowed, always, also
where limits are exceeded or prices are missing; but for one that would trade with an order of one's
own (SELF_MATCH), and so close nothing. All that apply must hold; each that does not is
told, and a limit whose measure needs a number that is missing or stale does not hold.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ledger.kernel.money import ZERO, average, shown
from ledger.nouns.equity.events import Baseline, LimitTripped
from ledger.nouns.equity.state import end_of
from ledger.nouns.limits.decision import Inputs, LimitVerdict, RiskDecision
from ledger.nouns.limits.measures import (
    LimitGroup,
    LimitInForce,
    OrderToCheck,
    order_price,
    order_value,
    told,
)
from ledger.nouns.limits.meter import Meter, Missing, Scene
from ledger.nouns.limits.risk_book import RestingOrder
from ledger.nouns.limits.terms import DAILY, TRIPS_AT, LimitMeasure
from ledger.nouns.orders.events import Side


class Assessment(NamedTuple):
    """`raises`: whether it was checked at all. `tripped` are the losses that have reached their
    limits just now."""

    raises: bool
    decision: RiskDecision | None = None
    tripped: tuple[LimitTripped, ...] = ()

    @property
    def refused(self) -> tuple[LimitVerdict, ...]:
        return () if self.decision is None else self.decision.failed


ALLOWED = Assessment(raises=False)
PASSED = Assessment(raises=True)


def check(order: OrderToCheck, meter: Meter, limits: Sequence[LimitGroup]) -> Assessment:
    """See the module's text."""
    scene = meter.scene
    book = scene.book
    known = book.orders.get(order.order_id)
    before = ZERO if order.reduce_only or _buys_more(order, known) else _opened(meter, order)
    with book.as_if(order.resting(known)):
        meter.orders_changed()
        raises = not order.reduce_only and _raises(order, known, before, _opened(meter, order))
        if not raises:
            limits = [group for group in limits if group.of_every_order]
        if not limits:
            return ALLOWED
        measured = _noteworthy(limits, order, meter, raises)
        failed = [one for one in measured if one[1].fails]
        inputs = _inputs([limit for limit, _ in failed], order, scene) if failed else None
    if not measured:
        return PASSED if raises else ALLOWED
    warned = [one for one in measured if one[1].warns]
    meter.orders_changed()
    decision = RiskDecision(
        decided_at=scene.now,
        checked=sum(len(group.limits) for group in limits),
        failed=tuple(_verdict(limit, one, meter) for limit, one in failed),
        warned=tuple(_verdict(limit, one, meter) for limit, one in warned),
        inputs=inputs,
    )
    return Assessment(raises, decision, tuple(_trips(failed, scene)))


def _opened(meter: Meter, order: OrderToCheck) -> Decimal | None:
    """How much may be open on the side of the order; None where that cannot be known."""
    try:
        worst = meter.worst_of(order.key, order.base_asset, order.asset, order.contract)
    except Missing:
        return None
    return worst.long if order.side is Side.BUY else worst.short


def _buys_more(order: OrderToCheck, known: RestingOrder | None) -> bool:
    """Of one that only adds to what may be bought, what was there before decides nothing: it raises
    something if with it any may be long."""
    alone = known is None and order.oco_group is None
    return alone and order.side is Side.BUY and bool(order.quantity)


def _raises(
    order: OrderToCheck,
    known: RestingOrder | None,
    before: Decimal | None,
    opens: Decimal | None,
) -> bool:
    if before is None or opens is None:
        return True
    if opens > before:
        return True
    if known is None or not opens:
        return False
    # Not more of it, but at another price: dearer, or sold cheaper.
    price = order.own_price
    if price is None or known.price is None or price == known.price:
        return False
    return price > known.price if order.side is Side.BUY else True


# --- one limit ----------------------------------------------------------------------------


class Measured(NamedTuple):
    """What a limit is at, in its own unit."""

    value: Decimal
    """Of the limit."""
    after: Decimal | None
    missing: tuple[str, ...]
    fails: bool
    warns: bool
    tripped_at: datetime | None = None


def _noteworthy(
    groups: Sequence[LimitGroup], order: OrderToCheck, meter: Meter, raises: bool
) -> list[tuple[LimitInForce, Measured]]:
    """Those that fail or warn. Each measure once, however many limit it. What cannot be known keeps
    nobody from getting out."""
    found = []
    for group in groups:
        at: Decimal | Missing
        try:
            measured = group.measured_by(order, meter)
            if group.is_far_from(measured) and not (group.trips and meter.has_trips):
                continue  # nearly all of them, nearly always
            at = told(measured, group.unit)
        except Missing as lacks:
            if not raises:
                continue
            at = lacks
        for limit in group.limits:
            exactly = judged(limit, at, meter)
            if exactly.fails or exactly.warns:
                found.append((limit, exactly))
    return found


def _measured(limit: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Measured:
    return judged(limit, _at(limit, order, meter), meter)


def _at(limit: LimitInForce, order: OrderToCheck | None, meter: Meter) -> Decimal | Missing:
    try:
        return told(limit.measured_by(order, meter), limit.terms.unit)
    except Missing as lacks:
        return lacks


def judged(limit: LimitInForce, at: Decimal | Missing, meter: Meter) -> Measured:
    measure, value = limit.terms.measure, limit.value
    tripped_at = None
    if measure in TRIPS_AT:
        known = meter.marked()
        trip = None if known is None else known.trip(limit.limit_id, meter.scene.now)
        tripped_at = None if trip is None else trip.at
    if isinstance(at, Missing):
        return Measured(value, None, at.what, True, False, tripped_at)
    fails = tripped_at is not None or _is_beyond(measure, at, value)
    warning = limit.terms.warning_threshold
    warns = not fails and warning is not None and _warns(measure, at, warning)
    return Measured(value, at, (), fails, warns, tripped_at)


def _is_beyond(measure: LimitMeasure, after: Decimal, value: Decimal) -> bool:
    if measure is LimitMeasure.MIN_EQUITY:
        return after < value
    return after >= value if measure in TRIPS_AT and after > 0 else after > value


def _warns(measure: LimitMeasure, after: Decimal, warning: Decimal) -> bool:
    return after <= warning if measure is LimitMeasure.MIN_EQUITY else after >= warning


def _verdict(limit: LimitInForce, measured: Measured, without: Meter) -> LimitVerdict:
    terms = limit.terms
    before = None
    if not measured.missing:
        before = _measured(limit, None, without).after
    return LimitVerdict(
        limit_id=limit.limit_id,
        measure=terms.measure,
        scope=limit.scope,
        reference=limit.reference,
        value=measured.value,
        unit=terms.unit,
        window=terms.window,
        warning_threshold=terms.warning_threshold,
        multiplier=limit.multiplier,
        before=before,
        after=measured.after,
        missing=measured.missing,
        tripped_at=measured.tripped_at,
        set_by=limit.version.by,
        approved_by=limit.version.approved_by,
    )


def _trips(failed: Sequence[tuple[LimitInForce, Measured]], scene: Scene) -> Iterator[LimitTripped]:
    """A loss that has reached its limit stays so for its period."""
    for limit, measured in failed:
        if limit.terms.measure is not LimitMeasure.MAX_DAILY_LOSS or measured.after is None:
            continue
        if measured.tripped_at is not None:
            continue
        window = Baseline(limit.terms.window or DAILY)
        yield LimitTripped(
            account_id=scene.account.account_id,
            limit_id=limit.limit_id,
            measure=limit.terms.measure,
            window=window,
            at=scene.now,
            until=end_of(window, scene.now),
            measured=measured.after,
            limit_value=measured.value,
            unit=limit.terms.unit,
        )


def losses_tripped(scene: Scene, limits: Sequence[LimitInForce]) -> tuple[LimitTripped, ...]:
    """The losses that have reached their limits as things are, without an order."""
    meter = Meter(scene)
    of_losses = [one for one in limits if one.terms.measure is LimitMeasure.MAX_DAILY_LOSS]
    measured = [(limit, _measured(limit, None, meter)) for limit in of_losses]
    return tuple(_trips([one for one in measured if one[1].fails], scene))


def _inputs(limits: Sequence[LimitInForce], order: OrderToCheck, scene: Scene) -> Inputs:
    """What these limits look at, and nothing else. The book has the order."""
    meter = Meter(scene, explains=True)
    for limit in limits:
        _measured(limit, order, meter)
    of_order: dict[str, Any] = {"order_quantity": order.quantity}
    try:
        of_order["order_price"] = order_price(order, meter)
        of_order["order_value"] = order_value(order, meter)
    except Missing:
        pass  # no limit of these needed it, or it is told as missing
    noted = meter.noted
    assert noted is not None
    return Inputs(
        **of_order,
        instrument=order.key.instrument,
        order_prices=tuple(p for p in (order.price, order.stop_price) if p is not None),
        order_asset=order.asset,
        contract_size=Decimal(1) if order.contract is None else order.contract.contract_size,
        inverse=order.contract is not None and order.contract.inverse,
        stop_loss=order.stop_loss,
        **noted.sections(),
    )


# --- without an order -----------------------------------------------------------------------


class Utilisation(NamedTuple):
    """What a limit is at now. `percent` is the share of it that is used, None where nothing is
    allowed, where it cannot be known (`missing` says what), and of a measure of single orders."""

    limit: LimitInForce
    measured: Decimal | None
    percent: Decimal | None
    exceeded: bool
    warning: bool
    missing: tuple[str, ...]
    inputs: Inputs


OF_AN_ORDER = frozenset({
    LimitMeasure.MAX_ORDER_QUANTITY, LimitMeasure.MAX_ORDER_NOTIONAL, LimitMeasure.PRICE_BAND,
    LimitMeasure.DUPLICATE_ORDER, LimitMeasure.RISK_PER_TRADE, LimitMeasure.SELF_MATCH,
    LimitMeasure.PRICE_WALK,
})  # fmt: skip
"""Measures that there is nothing of as long as nobody orders."""


def utilisation(scene: Scene, limits: Sequence[LimitInForce]) -> list[Utilisation]:
    """Of each limit, as things are."""
    found = []
    for limit in limits:
        meter = Meter(scene, explains=True)
        measured = _measured(limit, None, meter)
        assert meter.noted is not None
        inputs = Inputs(instrument=limit.instrument or "", **meter.noted.sections())
        of_order = limit.terms.measure in OF_AN_ORDER
        found.append(
            Utilisation(
                limit=limit,
                measured=None if of_order else measured.after,
                percent=None if of_order else _percent(limit.terms.measure, measured),
                exceeded=not of_order and measured.after is not None and measured.fails,
                warning=not of_order and measured.warns,
                missing=() if of_order else measured.missing,
                inputs=inputs,
            )
        )
    return found


def _percent(measure: LimitMeasure, measured: Measured) -> Decimal | None:
    after, value = measured.after, measured.value
    if after is None:
        return None
    if measure is LimitMeasure.MIN_EQUITY:
        after, value = value, after
    if value <= 0:
        return None
    return max(average(after.scaleb(2), value), ZERO)


def message(failed: Sequence[LimitVerdict]) -> str:
    """The refusal in words: each limit with its numbers."""
    return "; ".join(_told_of(one) for one in failed)


def _told_of(one: LimitVerdict) -> str:
    of = one.scope.value if one.reference is None else f"{one.scope} {one.reference}"
    limit = f"{one.measure} {shown(one.value)} {one.unit} of {of}"
    if one.missing:
        return f"{limit} cannot be checked without {', '.join(one.missing)}"
    after = "nothing" if one.after is None else shown(one.after)
    words = f"{limit} would be at {after}"
    if one.before is not None and one.before != one.after:
        words += f", and is at {shown(one.before)}"
    if one.tripped_at is not None:
        words += f" (it was reached at {one.tripped_at.isoformat()})"
    return words
