"""Positions: what they lock, what keeps them, and how near they are to being closed by the venue.

All of it is reckoned from what it is given; where a price is needed, it is an argument. A ratio
that has no value is None, never 0 or infinity.

    initial       what an open position locks: its cost x the rate that it was opened at, which is
                  the greater of 1 / leverage and the instrument's initial_margin_rate
    maintenance   what keeps it: its value at the mark x the instrument's maintenance_margin_rate
    equity        what is there in the settlement asset, and what is not realised yet
    margin ratio  maintenance / equity: the venue closes at 1
    leverage      sum of |value| / equity
    liquidation   the mark at which equity is what maintenance takes, all else as it is: an estimate
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from ledger.kernel.money import ZERO, average
from ledger.nouns.instruments.contract import ONE
from ledger.nouns.positions.position import Position


class MarginMode(StrEnum):
    """What stands for a position: all that is there, or what it locks itself."""

    CROSS = "CROSS"
    ISOLATED = "ISOLATED"


LIQUIDATION_METHOD = (
    "the mark at which collateral + unrealised profit = value x maintenance rate; the collateral "
    "is the position's own margin (ISOLATED), or all equity but its own unrealised profit less "
    "what keeps the other positions (CROSS); fees of the liquidation left out"
)
"""What the estimate is, told wherever it is shown. Venues have tiers, which it leaves out too."""


class Marked(NamedTuple):
    """An open position with what its measures take besides."""

    position: Position
    mark: Decimal
    maintenance_rate: Decimal = ZERO
    mode: MarginMode = MarginMode.CROSS


class MarginMeasures(NamedTuple):
    """Of the positions that are settled in one asset."""

    equity: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    margin_ratio: Decimal | None
    leverage_ratio: Decimal | None


def margin_rate(leverage: Decimal, initial_margin_rate: Decimal | None) -> Decimal:
    """The share of its value that opening a position locks."""
    return max(average(ONE, leverage), initial_margin_rate or ZERO)


def initial_margin(position: Position) -> Decimal:
    """What an open position locks. Nothing for what is paid in full: SPOT, and a bought option."""
    contract = position.contract
    if contract is None or not position.is_open or position.margin_rate is None:
        return ZERO
    if contract.premium_paid and position.quantity > 0:
        return ZERO
    return max(position.cost, ZERO) * position.margin_rate


def maintenance_margin(marked: Marked) -> Decimal:
    if marked.position.contract is None or not marked.position.is_open:
        return ZERO
    return abs(marked.position.value(marked.mark)) * marked.maintenance_rate


def measures(balance: Decimal, positions: Iterable[Marked]) -> MarginMeasures:
    """Of all derivatives that are settled in one asset; `balance` is what is there of it."""
    equity, initial, maintenance, value = balance, ZERO, ZERO, ZERO
    for marked in positions:
        equity += marked.position.unrealized_pnl(marked.mark)
        initial += initial_margin(marked.position)
        maintenance += maintenance_margin(marked)
        value += abs(marked.position.value(marked.mark))
    return MarginMeasures(
        equity=equity,
        initial_margin=initial,
        maintenance_margin=maintenance,
        margin_ratio=average(maintenance, equity) if equity > 0 else None,
        leverage_ratio=average(value, equity) if equity > 0 else None,
    )


def liquidation_price(
    marked: Marked, balance: Decimal, others: Iterable[Marked] = ()
) -> Decimal | None:
    """See LIQUIDATION_METHOD. None where no price above zero would do it."""
    position, contract = marked.position, marked.position.contract
    if contract is None or not position.is_open:
        return None
    collateral = initial_margin(position)
    if marked.mode is MarginMode.CROSS:
        collateral = balance
        for other in others:
            collateral += other.position.unrealized_pnl(other.mark) - maintenance_margin(other)
    size = abs(position.quantity) * contract.contract_size
    long = position.quantity > 0
    rate = marked.maintenance_rate
    if contract.inverse:
        # Long: collateral + cost - size / p = rate x size / p.
        worth = collateral + position.cost if long else position.cost - collateral
        price = _quotient(size * (1 + rate if long else 1 - rate), worth)
    else:
        # Long: collateral + size x p - cost = rate x size x p.
        worth = position.cost - collateral if long else position.cost + collateral
        price = _quotient(worth, size * (1 - rate if long else 1 + rate))
    return price if price is not None and price > 0 else None


def _quotient(total: Decimal, parts: Decimal) -> Decimal | None:
    return average(total, parts) if parts > 0 else None
