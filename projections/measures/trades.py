"""What closed trades made: round trips from flat to flat, each with its net profit."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from ledger.kernel.money import ZERO
from projections.measures.measure import Measure, arithmetic, undefined


class TradeTally(msgspec.Struct):
    """Of trades so far. One that made nothing is neither won nor lost, and ends a run of either.
    `run` is how many were won (positive) or lost (negative) in a row, up to the last one."""

    count: int = 0
    won: int = 0
    lost: int = 0
    gross_profit: Decimal = ZERO
    gross_loss: Decimal = ZERO
    run: int = 0
    longest_won: int = 0
    longest_lost: int = 0

    def add(self, net_profit: Decimal) -> None:
        """One more trade is closed. What it cost is taken off already."""
        self.count += 1
        if net_profit > 0:
            self.won += 1
            self.gross_profit += net_profit
            self.run = max(self.run, 0) + 1
            self.longest_won = max(self.longest_won, self.run)
        elif net_profit < 0:
            self.lost += 1
            self.gross_loss -= net_profit
            self.run = min(self.run, 0) - 1
            self.longest_lost = max(self.longest_lost, -self.run)
        else:
            self.run = 0

    @property
    def net_profit(self) -> Decimal:
        return self.gross_profit - self.gross_loss

    @property
    def win_rate(self) -> Measure:
        """The part of all trades that was won, as a fraction."""
        method = "won trades over all closed trades"
        if not self.count:
            return undefined(method, 0, "no trade was closed")
        with arithmetic():
            return Measure(Decimal(self.won) / self.count, method, self.count)

    @property
    def profit_factor(self) -> Measure:
        """What was won for each unit that was lost."""
        method = "gross profit over gross loss, net of costs"
        if not self.gross_loss:
            return undefined(method, self.count, "nothing was lost")
        with arithmetic():
            return Measure(self.gross_profit / self.gross_loss, method, self.count)

    def recovery_factor(self, largest_fall: Decimal) -> Measure:
        """What was made for each unit of the largest fall; `largest_fall` is an amount of money."""
        method = "net profit over the largest drawdown, both in money"
        if not largest_fall:
            return undefined(method, self.count, "the curve never fell")
        with arithmetic():
            return Measure(self.net_profit / largest_fall, method, self.count)


def tally(net_profits: Iterable[Decimal]) -> TradeTally:
    """Of trades in the order in which they were closed."""
    found = TradeTally()
    for each in net_profits:
        found.add(each)
    return found
