"""Instruments: what is traded when it is not the thing itself."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from ledger.kernel.money import ZERO, average

ONE = Decimal(1)


class InstrumentKind(StrEnum):
    SPOT = "SPOT"
    """The base asset changes hands."""
    PERPETUAL = "PERPETUAL"
    FUTURE = "FUTURE"
    OPTION = "OPTION"
    """Its premium is paid; the contract is what is held."""


class Contract(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The terms of a derivative that money follows from. They never change while the instrument
    has its name, so each order and position carries those that it was made on.

    linear     quantity x contract_size x price, in the settlement asset
    inverse    quantity x contract_size / price, in the settlement asset, rounded to 18 places
    """

    kind: InstrumentKind
    settlement_asset: str
    contract_size: Decimal = ONE
    inverse: bool = False

    @property
    def premium_paid(self) -> bool:
        """Whether a trade moves its whole value, and not only what is won or lost by it."""
        return self.kind is InstrumentKind.OPTION

    def value(self, quantity: Decimal, price: Decimal) -> Decimal:
        """What a quantity is worth at a price. An inverse one has no value at the price zero:
        whoever tells of such a trade is asked for another price."""
        size = quantity * self.contract_size
        return average(size, price) if self.inverse else size * price


def spot_value(quantity: Decimal, price: Decimal) -> Decimal:
    return quantity * price


def share(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """total x part / whole, rounded half to even to the places of an average: whoever splits a
    total gives its last part what is left, so that nothing is lost."""
    return ZERO if part == 0 else average(total * part, whole)
