"""Round trips: a position from flat to flat, and what was made of it. Pure and exact.

Everything is told by how the position follows itself: what it is more by was entered, what it is
less by was left, and for what is said by its cost and by what it has realised.
"""

from decimal import Decimal

import msgspec

from ledger.kernel.money import ZERO, average
from ledger.nouns.instruments.contract import ONE, share
from ledger.nouns.positions.position import Position, gain


class TripSums(msgspec.Struct, gc=False, omit_defaults=True):
    """Of one numbered position so far. Values are in the settlement asset. `best` and `worst` are
    of what closing it would have realised, at every price that was seen while it was open: those of
    its own trades, and marks."""

    is_long: bool
    entry_quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_quantity: Decimal = ZERO
    exit_value: Decimal = ZERO
    largest: Decimal = ZERO
    best: Decimal = ZERO
    worst: Decimal = ZERO

    def follow(self, before: Position | None, after: Position) -> None:
        """What an event made of the position; `before` is None when it opens."""
        held, cost, realized = ZERO, ZERO, ZERO
        if before is not None:
            held, cost, realized = abs(before.quantity), before.cost, before.realized_pnl
        more = abs(after.quantity) - held
        if after.cost == cost and after.realized_pnl == realized and held and more:
            self._split(abs(after.quantity), held)
        elif more > 0:
            self.entry_quantity += more
            self.entry_value += after.cost - cost
            self.largest = max(self.largest, held + more)
        elif more < 0:
            assert before is not None
            self.exit_quantity -= more
            won = after.realized_pnl - realized
            left = cost - after.cost
            self.exit_value += left + won * gain(before, ZERO, ONE)

    def _split(self, size: Decimal, held: Decimal) -> None:
        """As if it had always been so many; or a fee in what is held made it less."""
        self.entry_quantity = share(self.entry_quantity, size, held)
        self.exit_quantity = share(self.exit_quantity, size, held)
        self.largest = share(self.largest, size, held)

    def see(self, unrealized: Decimal) -> bool:
        """A price at which closing would realise this. Whether it is the best or the worst."""
        if unrealized > self.best:
            self.best = unrealized
        elif unrealized < self.worst:
            self.worst = unrealized
        else:
            return False
        return True

    def entry_price(self, position: Position) -> Decimal | None:
        return price(position, self.entry_quantity, self.entry_value)

    def exit_price(self, position: Position) -> Decimal | None:
        return price(position, self.exit_quantity, self.exit_value)


def price(position: Position, quantity: Decimal, value: Decimal) -> Decimal | None:
    """At which a quantity has this value: of an inverse contract, the harmonic average."""
    if not quantity:
        return None
    if position.contract is None:
        return average(value, quantity)
    size = quantity * position.contract.contract_size
    if not position.contract.inverse:
        return average(value, size)
    return average(size, value) if value else None
