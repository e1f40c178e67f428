"""Prices: a random walk on the grid of each instrument."""

import random
from decimal import ROUND_HALF_EVEN, Decimal

from ledger.demo.plan import Listing

LARGEST_MOVE = Decimal("0.002")
"""Most that a price moves in a step, as a fraction of it."""


class Walk:
    """The prices of one instrument, step by step; the same for the same seed."""

    def __init__(self, listing: Listing, seed: int) -> None:
        self._tick = listing.tick_size
        self._random = random.Random(f"{seed}:{listing.pair}")
        self._prices = [listing.first_price]

    def price(self, step: int) -> Decimal:
        while len(self._prices) <= step:
            move = LARGEST_MOVE * self._random.randint(-1000, 1000) / 1000
            self._prices.append(on_grid(self._prices[-1] * (1 + move), self._tick))
        return self._prices[step]


def on_grid(amount: Decimal, step: Decimal) -> Decimal:
    """The nearest multiple of the step, and at least one."""
    multiple = (amount / step).to_integral_value(ROUND_HALF_EVEN) * step
    return max(multiple, step)


def cut_to_grid(amount: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of the step that is not above the amount."""
    return (amount // step) * step
