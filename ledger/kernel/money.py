"""Exact amounts.

Amounts are `Decimal`. Arithmetic on them runs inside `exact()`, whose context is wide
enough for every product the rules form (quantity x price x (1 + fee rate)) and raises
`decimal.Inexact` instead of rounding. The quotients the ledger forms are rounded on
purpose: average prices by `average`, shares of a pool by `prorate`.
"""

import re
from contextlib import AbstractContextManager
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)

ZERO = Decimal(0)

MAX_INTEGER_DIGITS = 20
"""Digits before the point: ten thousand times every satoshi there will be, and more."""
MAX_DECIMAL_PLACES = 18
"""Digits after the point: one wei."""
AVERAGE_PLACES = 18
"""Places kept of an average price, rounded half to even."""

_AMOUNT = re.compile(
    rf"-?[0-9]{{1,{MAX_INTEGER_DIGITS}}}(?:\.[0-9]{{1,{MAX_DECIMAL_PLACES}}})?", re.ASCII
)
# Three factors of 38 digits each, and room for sums of them.
_EXACT = Context(
    prec=160,
    rounding=ROUND_HALF_EVEN,
    traps=[InvalidOperation, DivisionByZero, Overflow, Inexact],
)
_ROUNDED = Context(prec=160, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
_CUT = Context(prec=160, rounding=ROUND_DOWN, traps=[InvalidOperation, Overflow])
_AVERAGE_QUANTUM = Decimal(1).scaleb(-AVERAGE_PLACES)


def exact() -> AbstractContextManager[Context]:
    """The context in which money is computed: exact, or `decimal.Inexact`."""
    return localcontext(_EXACT)


def parse(text: str) -> Decimal:
    """A decimal number written plainly: optional minus, digits, optional fraction.

    Raises ValueError for exponents, NaN, infinities, blanks, non-ASCII digits, and for
    more than `MAX_INTEGER_DIGITS` or `MAX_DECIMAL_PLACES` digits.
    """
    if not _AMOUNT.fullmatch(text):
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise ValueError(
            f"{shown!r} is not an amount: write a plain decimal number with at most "
            f"{MAX_INTEGER_DIGITS} digits before and {MAX_DECIMAL_PLACES} after the point"
        )
    return Decimal(text)


def plain(amount: Decimal) -> str:
    """The amount without exponent and with the places it has: `0.00000001`, `1000`."""
    return format(amount, "f")


def average(total: Decimal, quantity: Decimal) -> Decimal:
    """total / quantity, rounded half to even to `AVERAGE_PLACES`, trailing zeros removed.

    `quantity` must not be zero.
    """
    quotient = _ROUNDED.divide(total, quantity)
    rounded = _ROUNDED.quantize(quotient, _AVERAGE_QUANTUM)
    return trimmed(rounded)


def trimmed(amount: Decimal) -> Decimal:
    """The same number with trailing fractional zeros removed and no positive exponent."""
    normal = amount.normalize(_ROUNDED)
    if normal == normal.to_integral_value():
        return normal.quantize(Decimal(1), context=_ROUNDED)
    return normal


def shown(amount: Decimal) -> str:
    """The amount as a message to a person writes it: `10.5`, `1000`."""
    return plain(trimmed(amount))


def round_down(amount: Decimal, places: int) -> Decimal:
    """The amount cut to `places` decimal places, towards zero."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN, context=_ROUNDED)


def prorate(pool: Decimal, part: Decimal, whole: Decimal, places: int) -> Decimal:
    """pool x part / whole, cut to `places`: parts of one pool never sum to more than it.

    `whole` must be greater than zero, and `part` between zero and it.
    """
    return round_down(_CUT.divide(_CUT.multiply(pool, part), whole), places)


def is_multiple(amount: Decimal, step: Decimal) -> bool:
    """Whether `amount` lies on the grid of `step` (tick size, step size)."""
    return _ROUNDED.remainder(amount, step) == 0
