"""Positions: what one is, as events carry it, states keep it and read models show it.

A position is of one account, sub-account and instrument, and on an account in HEDGE mode of one
side. It runs from flat to flat and has a number; the next one has the next number. Nothing about it
is a difference to something before: who has the newest of a number has all there is to know of it.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.money import ZERO, average
from ledger.nouns.instruments.contract import Contract, spot_value
from ledger.nouns.orders.events import PositionSide

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a03")


class PositionKey(NamedTuple):
    """Where positions follow each other. The side is BOTH unless the account hedges."""

    sub_account: str
    instrument: str
    position_side: PositionSide = PositionSide.BOTH

    @property
    def venue(self) -> str:
        return self.instrument.partition(":")[0]

    @property
    def text(self) -> str:
        """As states have it: none of the three has a space."""
        return " ".join(self)


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """`quantity` is signed: negative is short. `cost` is what the open quantity cost, or brought
    when it was sold short, in the settlement asset, fees not in it; exactly 0 when flat.
    `realized_pnl` is gross. `commission` counts what was paid in the settlement asset, and not what
    made a position in the base asset smaller; `other_commissions` what was paid in further assets.
    `funding` is what flows between the venue and its holder brought (negative: cost). All are
    totals of this numbered position so far.

    `opened_at` is None where a log older than positions tells of the opening, and the recording of
    that event is when it was. `withdrawn`: a trade was taken back, and without it there has never
    been a position of this number."""

    sub_account: str
    instrument: str
    position_side: PositionSide = PositionSide.BOTH
    number: int
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    settlement_asset: str
    contract: Contract | None = None
    """None: SPOT, the base asset itself."""
    margin_rate: Decimal | None = None
    """Of a contract: the share of its cost that it locks."""
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    other_commissions: dict[str, Decimal] = {}
    funding: Decimal = ZERO
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    withdrawn: bool = False

    @property
    def key(self) -> PositionKey:
        return PositionKey(self.sub_account, self.instrument, self.position_side)

    @property
    def is_open(self) -> bool:
        return self.quantity != 0

    @property
    def net_pnl(self) -> Decimal:
        """After what was paid in the settlement asset; `other_commissions` are not in it."""
        return self.realized_pnl - self.commission + self.funding

    @property
    def average_entry_price(self) -> Decimal | None:
        """None when flat. Of an inverse contract, the harmonic average."""
        if not self.quantity:
            return None
        size = abs(self.quantity)
        if self.contract is None:
            return average(self.cost, size)
        size *= self.contract.contract_size
        if not self.contract.inverse:
            return average(self.cost, size)
        return average(size, self.cost) if self.cost else None

    def value(self, mark: Decimal) -> Decimal:
        """What the open quantity is worth at a price, whichever way it was taken."""
        size = abs(self.quantity)
        return spot_value(size, mark) if self.contract is None else self.contract.value(size, mark)

    def unrealized_pnl(self, mark: Decimal) -> Decimal:
        """What closing at this price would realise."""
        return gain(self, self.cost, self.value(mark)) if self.quantity else ZERO


def gain(position: Position, cost: Decimal, value: Decimal) -> Decimal:
    """What is won by closing for `value` what was opened for `cost`."""
    bought_low = position.quantity > 0
    if position.contract is not None and position.contract.inverse:
        bought_low = not bought_low
    return value - cost if bought_low else cost - value


def position_id(account_id: UUID, key: PositionKey, number: int) -> UUID:
    """The id of a position in tables, the same at every rebuild."""
    return uuid5(_NAMESPACE, f"{account_id} {key.text} {number}")


def margin_hold_id(account_id: UUID, key: PositionKey) -> UUID:
    """What a position locks is held under this id, as what an order locks is under the order's."""
    return uuid5(_NAMESPACE, f"{account_id} {key.text}")
