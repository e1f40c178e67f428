"""Round trips: a position from flat to flat, and what was made of it. Pure and exact.

Everything is told by how the position follows itself: what it is more by was entered, what it is
less by was left, and for what is said by its cost and by what it has realised.
"""

from decimal import Decimal

import msgspec

from ledger.kernel.money import ZERO, average
from ledger.nouns.accounts.events import TradeSettled
from ledger.nouns.instruments.contract import ONE, share, spot_value
from ledger.nouns.orders.events import ExecutionKind, Purpose, Side
from ledger.nouns.positions.position import Position, gain


class TripSums(msgspec.Struct, gc=False, omit_defaults=True):
    """Of one numbered position so far. Values are in the settlement asset. `best` and `worst` are
    of what closing it would have realised, at every price that was seen while it was open: those of
    its own trades, and marks.

    `slippage` is what was paid more, or got less, than at the prices that its orders named; None
    where none did. `signal_id` is of the trade that opened it, `close_reason` of the last one that
    closed some of it."""

    is_long: bool
    entry_quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_quantity: Decimal = ZERO
    exit_value: Decimal = ZERO
    largest: Decimal = ZERO
    best: Decimal = ZERO
    worst: Decimal = ZERO
    slippage: Decimal | None = None
    signal_id: str | None = None
    close_reason: str | None = None

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

    def trade(
        self, before: Position | None, after: Position, event: TradeSettled, slipped: Decimal | None
    ) -> None:
        """What its trade says beside amounts; `slipped` is the part of it that is this one's."""
        if before is None:
            self.signal_id = event.signal_id
        elif abs(after.quantity) < abs(before.quantity):
            self.close_reason = reason_of(event)
        if slipped is not None:
            self.slippage = (self.slippage or ZERO) + slipped

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


def reason_of(event: TradeSettled) -> str:
    """Why a position was closed by a trade: by force, by what the order was for, or just so."""
    if event.execution_kind is not ExecutionKind.TRADE:
        return event.execution_kind.value
    if event.purpose is None or event.purpose is Purpose.ENTRY:
        return ExecutionKind.TRADE.value
    return event.purpose.value


def slippage(position: Position, event: TradeSettled) -> Decimal | None:
    """What a trade cost more, or brought less, than at the price that its order named."""
    if event.named_price is None:
        return None
    contract = position.contract
    if contract is not None and contract.inverse and not event.named_price:
        return None
    traded, named = (
        spot_value(event.last_qty, at) if contract is None else contract.value(event.last_qty, at)
        for at in (event.last_px, event.named_price)
    )
    pays_more = (event.side is Side.BUY) is not (contract is not None and contract.inverse)
    return traded - named if pays_more else named - traded
