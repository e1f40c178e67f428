"""Lots: what was acquired when and for how much, and what each disposal of it won. Pure and exact.

    move     a movement opens a lot, or closes lots of the other side, or both when it turns round
    split    n for m

A pool has the open lots of one asset (or contract) of an account. Its method says which it takes:

    FIFO, LIFO    the oldest or the youngest first, by the time of acquisition; of two of one time
                  the one that was recorded first, or last
    HIFO          the dearest first, of lots sold short the one that brought least; of equals the
                  oldest; those of unknown cost last
    AVERAGE       one lot for all that was acquired in one currency, and another for what is of
                  unknown cost: a disposal takes of each in proportion

Fees are in what a lot cost and in what a disposal brought. A lot gives its cost away by cumulative
rounding: after the k-th part it has given cost x used / quantity in all, rounded half even to 18
places. So it has given exactly its cost when nothing of it is left, and all methods come to one
sum. Of an average pool the part is of what is left, and the last part takes the rest.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from uuid import UUID

import msgspec
from msgspec.structs import replace

from ledger.kernel.money import ZERO, average


class CostBasis(StrEnum):
    """Which lots a disposal takes."""

    AVERAGE = "AVERAGE"
    FIFO = "FIFO"
    LIFO = "LIFO"
    HIFO = "HIFO"


class Lot(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """What one movement acquired, or sold short: then `quantity` is negative and `amount` what it
    brought. `amount` is None where nobody has told it; `left` and `left_amount` are what is still
    open of it. `unvalued` names assets in which fees were paid that are not in the amount."""

    number: int
    """The position in the log of the event that opened it."""
    event_id: UUID
    instrument: str | None = None
    acquired_at: datetime
    quantity: Decimal
    amount: Decimal | None = None
    currency: str | None = None
    left: Decimal
    left_amount: Decimal | None = None
    unvalued: tuple[str, ...] = ()


class LotMovement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an event did to how much there is of one asset. `quantity` is signed. `amount`, in
    `currency`, is what was paid for it or got for it, fees included; None where there was no price.
    `acquired_at` is when, which of a deposit may have been told otherwise than it happened.

    `gives`: leaving is a disposal; what leaves otherwise (a withdrawal) takes its lots along and
    wins nothing. `opens`: lots of the asset are kept from now on."""

    asset: str
    quantity: Decimal
    number: int
    event_id: UUID
    acquired_at: datetime
    amount: Decimal | None = None
    currency: str | None = None
    instrument: str | None = None
    gives: bool = True
    opens: bool = False
    unvalued: tuple[str, ...] = ()


class Disposal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of one lot, closed by one movement. Of a lot sold short, `opened` is the sale."""

    lot: int
    lot_event_id: UUID
    is_short: bool
    quantity: Decimal
    opened_at: datetime
    cost: Decimal | None
    cost_currency: str | None
    proceeds: Decimal | None
    proceeds_currency: str | None
    unvalued: tuple[str, ...]

    @property
    def gain(self) -> Decimal | None:
        """None where one of the two is not known, or they are not in one currency."""
        if self.cost is None or self.proceeds is None:
            return None
        return self.proceeds - self.cost if self.cost_currency == self.proceeds_currency else None


class LotPool(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """The open lots of one asset, all of one side. Until lots are kept of it, `held` says how much
    there is and `since` when and by what that began."""

    lots: list[Lot] = msgspec.field(default_factory=list)
    is_kept: bool = False
    held: Decimal = ZERO
    since: tuple[datetime, int, UUID] | None = None

    @property
    def quantity(self) -> Decimal:
        """Signed."""
        return sum((lot.left for lot in self.lots), ZERO) if self.is_kept else self.held


class MovedLots(msgspec.Struct, gc=False):
    """What a movement did: the lots that it opened, those that are other than before, closed ones
    too, and its disposals."""

    opened: list[Lot]
    changed: list[Lot]
    disposals: list[Disposal]


def move(pool: LotPool, movement: LotMovement, method: CostBasis) -> MovedLots:
    """Closes lots of the other side, and opens one with what is more than these. What there was of
    an asset before lots of it are kept becomes a lot of unknown cost when they begin to be."""
    moved = MovedLots([], [], [])
    if not pool.is_kept:
        if not movement.opens:
            if not pool.held:
                pool.since = (movement.acquired_at, movement.number, movement.event_id)
            pool.held += movement.quantity
            return moved
        _keep(pool, movement.asset, method, moved)
    if movement.quantity:
        left, given = _close_others(pool, movement, method, moved)
        if left:
            rest = None if movement.amount is None else movement.amount - given
            quantity = left if movement.quantity > 0 else -left
            _open(pool, replace(movement, quantity=quantity, amount=rest), method, moved)
    return moved


def split(pool: LotPool, numerator: int, denominator: int) -> list[Lot]:
    """`numerator` for each `denominator`: the lots cost what they did. What rounding takes from one
    the next one gets, so that they sum to the whole."""
    before = after = ZERO
    for lot in pool.lots:
        used = lot.quantity - lot.left
        before += lot.left
        lot.left = average(before * numerator, Decimal(denominator)) - after
        lot.quantity = lot.left + average(used * numerator, Decimal(denominator))
        after += lot.left
    return pool.lots


# --- opening ----------------------------------------------------------------------------


def _keep(pool: LotPool, asset: str, method: CostBasis, moved: MovedLots) -> None:
    pool.is_kept = True
    if pool.held and pool.since is not None:
        at, number, event_id = pool.since
        before = LotMovement(
            asset=asset, quantity=pool.held, number=number, event_id=event_id, acquired_at=at
        )
        _open(pool, before, method, moved)
    pool.held, pool.since = ZERO, None


def _open(pool: LotPool, movement: LotMovement, method: CostBasis, moved: MovedLots) -> None:
    currency = None if movement.amount is None else movement.currency
    if method is CostBasis.AVERAGE:
        for lot in pool.lots:
            if lot.currency == currency:
                _merge(lot, movement)
                moved.changed.append(lot)
                return
    lot = Lot(
        number=movement.number,
        event_id=movement.event_id,
        instrument=movement.instrument,
        acquired_at=movement.acquired_at,
        quantity=movement.quantity,
        amount=movement.amount,
        currency=currency,
        left=movement.quantity,
        left_amount=movement.amount,
        unvalued=movement.unvalued,
    )
    order = _ORDERS[method]
    pool.lots.insert(bisect_right(pool.lots, order(lot), key=order), lot)
    moved.opened.append(lot)


def _merge(lot: Lot, movement: LotMovement) -> None:
    """More of the average: the lot is all that there is, as if acquired at once."""
    lot.quantity = lot.left = lot.left + movement.quantity
    if lot.left_amount is not None and movement.amount is not None:
        lot.amount = lot.left_amount = lot.left_amount + movement.amount
    lot.unvalued = tuple(sorted({*lot.unvalued, *movement.unvalued}))


def _by_unit_cost(lot: Lot) -> tuple[bool, Fraction, datetime, int]:
    if lot.amount is None:
        return (True, Fraction(0), lot.acquired_at, lot.number)
    unit = Fraction(lot.amount) / Fraction(abs(lot.quantity))
    return (False, -unit if lot.quantity > 0 else unit, lot.acquired_at, lot.number)


def _by_time(lot: Lot) -> tuple[datetime, int]:
    return (lot.acquired_at, lot.number)


def _as_they_came(lot: Lot) -> int:
    return lot.number


_ORDERS: dict[CostBasis, Callable[[Lot], "tuple[object, ...] | int"]] = {
    CostBasis.FIFO: _by_time,
    CostBasis.LIFO: _by_time,
    CostBasis.HIFO: _by_unit_cost,
    CostBasis.AVERAGE: _as_they_came,
}


# --- closing ----------------------------------------------------------------------------


def _close_others(
    pool: LotPool, movement: LotMovement, method: CostBasis, moved: MovedLots
) -> tuple[Decimal, Decimal]:
    """Closes lots of the other side. What of the movement is left, and how much of its amount is
    given."""
    size = left = abs(movement.quantity)
    given = ZERO
    if not pool.lots or (pool.lots[0].left > 0) is (movement.quantity > 0):
        return left, given
    for lot, taken in _taken(pool, size, method):
        left -= taken
        amount = _up_to(movement.amount, size - left, size, given)
        given += amount or ZERO
        disposal = _close(lot, taken, amount, movement, method)
        if movement.gives or disposal.is_short:
            moved.disposals.append(disposal)
        moved.changed.append(lot)
    pool.lots = [lot for lot in pool.lots if lot.left]
    return left, given


def _taken(pool: LotPool, size: Decimal, method: CostBasis) -> Iterator[tuple[Lot, Decimal]]:
    """The lots that a disposal of this size takes, and how much of each."""
    if method is CostBasis.AVERAGE:
        yield from _in_proportion(pool, size)
        return
    for lot in tuple(reversed(pool.lots) if method is CostBasis.LIFO else pool.lots):
        if not size:
            return
        taken = min(abs(lot.left), size)
        size -= taken
        yield lot, taken


def _in_proportion(pool: LotPool, size: Decimal) -> Iterator[tuple[Lot, Decimal]]:
    whole = sum((abs(lot.left) for lot in pool.lots), ZERO)
    size, left = min(size, whole), whole
    for lot in tuple(pool.lots):
        there = abs(lot.left)
        taken = size if there == left else min(average(size * there, left), there)
        size, left = size - taken, left - there
        if taken:
            yield lot, taken


def _close(
    lot: Lot,
    taken: Decimal,
    amount: Decimal | None,
    movement: LotMovement,
    method: CostBasis,
) -> Disposal:
    """Takes a part of the lot; `amount` is what was got for it, or paid to cover it."""
    is_short = lot.quantity < 0
    removed = _remove(lot, taken, method)
    of_lot = (removed, lot.currency)
    of_movement = (amount, movement.currency if amount is not None else None)
    cost, proceeds = (of_movement, of_lot) if is_short else (of_lot, of_movement)
    return Disposal(
        lot=lot.number,
        lot_event_id=lot.event_id,
        is_short=is_short,
        quantity=taken,
        opened_at=lot.acquired_at,
        cost=cost[0],
        cost_currency=cost[1],
        proceeds=proceeds[0],
        proceeds_currency=proceeds[1],
        unvalued=tuple(sorted({*lot.unvalued, *movement.unvalued})),
    )


def _remove(lot: Lot, taken: Decimal, method: CostBasis) -> Decimal | None:
    left = abs(lot.left) - taken
    removed: Decimal | None = None
    if lot.amount is not None and lot.left_amount is not None:
        if not left:
            removed = lot.left_amount
        elif method is CostBasis.AVERAGE:
            removed = average(lot.left_amount * taken, abs(lot.left))
        else:
            used = abs(lot.quantity) - left
            removed = average(lot.amount * used, abs(lot.quantity)) - (lot.amount - lot.left_amount)
        lot.left_amount -= removed
    lot.left = left if lot.quantity > 0 else -left
    return removed


def _up_to(amount: Decimal | None, part: Decimal, whole: Decimal, given: Decimal) -> Decimal | None:
    """What the next part gets of an amount of which `given` is given: by cumulative rounding."""
    if amount is None:
        return None
    return (amount if part == whole else average(amount * part, whole)) - given
