"""Accounts: what postings and holds do to the books, in one place for all who keep some: the state
that decides, the checks of every event, balances now and then, what they were worth, and what
explains them.

    changes    what postings and holds do to each book
    running    posting by posting, what its book holds after each, for whoever shows them

A book is a sub-account, or the other side of a movement, of which nothing is ever locked.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TypeAlias

import msgspec

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import HoldChange, Posting

BookKey: TypeAlias = tuple[str, str]
"""Of a book and an asset."""


class Change(msgspec.Struct, gc=False):
    """What a book gains of an asset, and how much more of it is locked."""

    total: Decimal
    locked: Decimal

    @property
    def available(self) -> Decimal:
        return self.total - self.locked


def changes(postings: Iterable[Posting], holds: Iterable[HoldChange] = ()) -> dict[BookKey, Change]:
    """What happens to each book that they touch: once, however many of them touch it."""
    found: dict[BookKey, Change] = {}
    for posting in postings:
        key = (posting.book, posting.asset)
        change = found.get(key)
        if change is None:
            found[key] = Change(posting.amount, ZERO)
        else:
            change.total += posting.amount
    for hold in holds:
        key = (hold.sub_account, hold.asset)
        change = found.get(key)
        if change is None:
            found[key] = Change(ZERO, hold.amount)
        else:
            change.locked += hold.amount
    return found


def running(
    postings: Iterable[Posting], totals: dict[BookKey, Decimal]
) -> Iterator[tuple[Posting, Decimal]]:
    """Every posting, and what its book holds after it. `totals` is what the books hold before, and
    is moved along."""
    for posting in postings:
        key = (posting.book, posting.asset)
        total = totals[key] = totals.get(key, ZERO) + posting.amount
        yield posting, total
