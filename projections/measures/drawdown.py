"""How far a curve of equity is below its peak, since when, and when it was there again.

    Drawdown    the recurrence: the peak so far, the deepest fall, the fall that goes on
    Underwater  one fall: from its peak over its trough to where the peak was reached again

A curve begins with its starting value, so a first loss is one. Shares are of the peak: a curve
that loses more than all it had is more than 100 % down. Where the peak was not above zero there is
no share of it, only the amount.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from ledger.kernel.money import ZERO
from projections.measures.measure import arithmetic, days_between


class Underwater(msgspec.Struct):
    """From `began` (the peak's time) on; `recovered` is None as long as the peak is not reached.
    `share` is None when the peak was not above zero."""

    began: datetime
    peak: Decimal
    trough_at: datetime
    trough: Decimal
    recovered: datetime | None = None

    @property
    def amount(self) -> Decimal:
        return self.peak - self.trough

    @property
    def share(self) -> Decimal | None:
        return share_below(self.peak, self.trough)

    def days(self, now: datetime) -> Decimal:
        """How long it lasted, or has lasted so far."""
        with arithmetic():
            return days_between(self.began, self.recovered or now)


class Drawdown(msgspec.Struct):
    """Of the curve so far. `deepest` is the fall with the largest share of its peak, the first of
    equals."""

    peak: Decimal
    peak_at: datetime
    value: Decimal
    current: Underwater | None = None
    deepest: Underwater | None = None

    @classmethod
    def begin(cls, value: Decimal, at: datetime) -> "Drawdown":
        return cls(peak=value, peak_at=at, value=value)

    def add(self, value: Decimal, at: datetime) -> Underwater | None:
        """One more value of the curve. Returns the fall that ended with it."""
        self.value = value
        if value >= self.peak:
            ended, self.current = self.current, None
            self.peak, self.peak_at = value, at
            if ended is not None:
                ended.recovered = at
            return ended
        if self.current is None:
            self.current = Underwater(self.peak_at, self.peak, at, value)
        elif value < self.current.trough:
            self.current.trough, self.current.trough_at = value, at
        if self.deepest is None or _deeper(self.current, self.deepest):
            self.deepest = self.current
        return None

    @property
    def share(self) -> Decimal | None:
        """How far below its peak the curve is now: 0 at the peak."""
        return share_below(self.peak, self.value)

    @property
    def largest_share(self) -> Decimal | None:
        """How far it ever was."""
        return ZERO if self.deepest is None else self.deepest.share


def share_below(peak: Decimal, value: Decimal) -> Decimal | None:
    """What part of its peak a curve has lost, as a number that is not negative."""
    if peak <= 0:
        return None
    with arithmetic():
        return (peak - value) / peak


def falls(curve: Iterable[tuple[datetime, Decimal]]) -> Iterator[Underwater]:
    """All falls of a curve in their order; the one that goes on comes last."""
    drawdown: Drawdown | None = None
    for at, value in curve:
        if drawdown is None:
            drawdown = Drawdown.begin(value, at)
        elif (ended := drawdown.add(value, at)) is not None:
            yield ended
    if drawdown is not None and drawdown.current is not None:
        yield drawdown.current


def _deeper(one: Underwater, other: Underwater) -> bool:
    share, known = one.share, other.share
    if share is None or known is None:
        return one.amount > other.amount
    return share > known
