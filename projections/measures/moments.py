"""Mean, spread, skew and kurtosis of a series, one value after the other.

The recurrences are those of Welford (1962), taken on to the fourth moment by Terriberry (2007):
nothing of the series is kept, and nothing cancels out as in sums of powers.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from ledger.kernel.money import ZERO
from projections.measures.measure import arithmetic


class Moments(msgspec.Struct):
    """`second`, `third` and `fourth` are sums of powers of what differs from the mean;
    `downside` is the sum of squares of what falls short of the least that was wanted."""

    count: int = 0
    mean: Decimal = ZERO
    second: Decimal = ZERO
    third: Decimal = ZERO
    fourth: Decimal = ZERO
    downside: Decimal = ZERO

    def add(self, value: Decimal, *, least: Decimal = ZERO) -> None:
        """One more value of the series; `least` is what it should not fall short of."""
        with arithmetic():
            before = self.count
            self.count = count = before + 1
            delta = value - self.mean
            step = delta / count
            square = step * step
            grown = delta * step * before
            self.mean += step
            self.fourth += (
                grown * square * (count * count - 3 * count + 3)
                + 6 * square * self.second
                - 4 * step * self.third
            )
            self.third += grown * step * (count - 2) - 3 * step * self.second
            self.second += grown
            self.downside += min(value - least, ZERO) ** 2

    @property
    def deviation(self) -> Decimal | None:
        """The standard deviation as estimated from a sample (over n - 1); None below two values."""
        if self.count < 2:
            return None
        with arithmetic():
            return (self.second / (self.count - 1)).sqrt()

    @property
    def population_deviation(self) -> Decimal | None:
        """The standard deviation of these values (over n); None without any."""
        if not self.count:
            return None
        with arithmetic():
            return (self.second / self.count).sqrt()

    @property
    def downside_deviation(self) -> Decimal | None:
        """Of what fell short, over all values; None without any."""
        if not self.count:
            return None
        with arithmetic():
            return (self.downside / self.count).sqrt()

    @property
    def skew(self) -> Decimal | None:
        """Of these values (over n); None when they do not differ."""
        if not self.second:
            return None
        with arithmetic():
            return self.third / self.count / (self.second / self.count).sqrt() ** 3

    @property
    def excess_kurtosis(self) -> Decimal | None:
        """Of these values (over n), 0 for a normal distribution; None when they do not differ."""
        if not self.second:
            return None
        with arithmetic():
            return self.fourth * self.count / self.second**2 - 3


def moments(values: Iterable[Decimal], *, least: Decimal = ZERO) -> Moments:
    """Of a whole series."""
    found = Moments()
    for value in values:
        found.add(value, least=least)
    return found
