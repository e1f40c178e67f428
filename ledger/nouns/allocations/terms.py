"""Allocations: what a strategy may be called, asked where a command is made and by the rules."""

from ledger.nouns.accounts.events import MAIN, is_own_book


def check_name(strategy_id: str) -> str:
    """The strategy's id, which is the name of its sub-account. Raises ValueError."""
    if strategy_id == MAIN or not is_own_book(strategy_id):
        raise ValueError(f"{strategy_id!r} is a name of the ledger's own")
    return strategy_id
