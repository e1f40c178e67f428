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
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from functools import cache

ZERO = Decimal(0)

MAX_INTEGER_DIGITS = 20
"""Digits before the point: ten thousand times every satoshi there will be, and more."""
MAX_DECIMAL_PLACES = 18
"""Digits after the point of what is asked for: one wei."""
MAX_TOLD_PLACES = 36
"""Digits after the point of what is told: a binary float, which many venues reckon with, has 17
that count, and with these the price of what costs a quintillionth keeps all of them."""
MAX_MOVED_DIGITS = 2 * MAX_INTEGER_DIGITS
MAX_MOVED_PLACES = 2 * MAX_TOLD_PLACES + MAX_DECIMAL_PLACES
"""Digits of money that is moved: those of a product of quantity, price and contract size, so that
whatever trades left of an asset can be moved to the last unit."""
AVERAGE_PLACES = 18
"""Places kept of an average price, rounded half to even."""

_PRECISION = 250
"""Digits of a quantity and a price as they are told, a contract size and a fee rate together, and
room for sums of such products."""
_EXACT = Context(
    prec=_PRECISION,
    rounding=ROUND_HALF_EVEN,
    traps=[InvalidOperation, DivisionByZero, Overflow, Inexact],
)
_ROUNDED = Context(prec=_PRECISION, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
_CUT = Context(prec=_PRECISION, rounding=ROUND_DOWN, traps=[InvalidOperation, Overflow])
_FLOOR = Context(prec=_PRECISION, rounding=ROUND_FLOOR, traps=[InvalidOperation, Overflow])
_AVERAGE_QUANTUM = Decimal(1).scaleb(-AVERAGE_PLACES)


def exact() -> AbstractContextManager[Context]:
    """The context in which money is computed: exact, or `decimal.Inexact`."""
    return localcontext(_EXACT)


def parse(text: str, digits: int = MAX_INTEGER_DIGITS, places: int = MAX_DECIMAL_PLACES) -> Decimal:
    """A decimal number written plainly: optional minus, digits, optional fraction.

    Raises ValueError for exponents, NaN, infinities, blanks, non-ASCII digits, and for
    more than `digits` digits before and `places` after the point.
    """
    if not _plain_number(digits, places).fullmatch(text):
        shown = text if len(text) <= 40 else text[:40] + "…"
        raise ValueError(
            f"{shown!r} is not an amount: write a plain decimal number with at most "
            f"{digits} digits before and {places} after the point"
        )
    return Decimal(text)


@cache
def _plain_number(digits: int, places: int) -> re.Pattern[str]:
    return re.compile(rf"-?[0-9]{{1,{digits}}}(?:\.[0-9]{{1,{places}}})?", re.ASCII)


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


def is_within(part: Decimal, share: Decimal, whole: Decimal) -> bool:
    """Whether the part is at most that share of the whole: `part / whole <= share`, without
    dividing. `whole` must be greater than zero. Where a product has too many digits it may say no
    of what is within by the last of them, and never yes of what is not."""
    return part <= _FLOOR.multiply(share, whole)


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
