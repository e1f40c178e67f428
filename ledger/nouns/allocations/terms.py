"""Allocations: what a strategy's share, risk and name may be; asked where a command is read, before
it is sent already, and by the rules again."""

from decimal import Decimal

from ledger.nouns.accounts.events import MAIN, is_own_book

MAX_ALLOCATION_PERCENT = Decimal(100)
MAX_RISK_MULTIPLIER = Decimal(10)


def check_percent(percent: Decimal) -> Decimal:
    """The percentage. Raises ValueError."""
    return _above_zero(percent, MAX_ALLOCATION_PERCENT)


def check_multiplier(multiplier: Decimal) -> Decimal:
    """The multiplier. Raises ValueError."""
    return _above_zero(multiplier, MAX_RISK_MULTIPLIER)


def check_name(strategy_id: str) -> str:
    """The strategy's id, which is the name of its sub-account. Raises ValueError."""
    if strategy_id == MAIN or not is_own_book(strategy_id):
        raise ValueError(f"{strategy_id!r} is a name of the ledger's own")
    return strategy_id


def _above_zero(amount: Decimal, most: Decimal) -> Decimal:
    if not 0 < amount <= most:
        raise ValueError(f"must be above 0 and at most {most}")
    return amount
