"""Accounts: what holds of every event, asserted where it is made.

The rules see to it; this is asked again of what they gave, so that a mistake in a rule, or in what
it was told, is a fault that nothing is recorded of, and never money that came from nowhere.
"""

from collections.abc import Mapping
from decimal import Decimal

from ledger.kernel.command import CommandKind
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.kernel.noun import Aggregate
from ledger.nouns.accounts.books import BookKey, Change, changes
from ledger.nouns.accounts.events import (
    AccountEvent,
    AccountType,
    MoneyEvent,
    is_own_book,
)
from ledger.nouns.accounts.state import AccountState, borrowed, evolve


class BrokenInvariant(LedgerError):
    """An event that must not be: a fault of the ledger's own."""


def check_event(state: AccountState | None, event: Event, kind: CommandKind) -> None:
    """Whether the event may follow on the state: only what moves money has postings or holds, its
    postings sum to zero per asset, no hold becomes negative and, if it is made for a request, it
    takes nothing from a CASH account that is not available there, and from another one nothing
    beyond its limit of borrowing."""
    assert isinstance(event, AccountEvent)
    if not event.postings and not event.holds:
        return
    if not isinstance(event, MoneyEvent):
        raise BrokenInvariant(f"{event.type} has postings or holds, but moves no money")
    moved = changes(event.postings, event.holds)
    _check_sums(event, moved)
    if state is None:
        raise BrokenInvariant(f"{event.type} moves money of an account that is not there")
    for change in event.holds:
        held = state.held(change.order_id) + change.amount
        if held < 0:
            raise BrokenInvariant(
                f"order {change.order_id} would hold {held} {change.asset} after {event.type}"
            )
    if kind is CommandKind.REQUEST:
        _check_available(state, event, moved)


def _check_sums(event: MoneyEvent, moved: Mapping[BookKey, Change]) -> None:
    sums: dict[str, Decimal] = {}
    for (_, asset), change in moved.items():
        sums[asset] = sums.get(asset, ZERO) + change.total
    for asset, total in sums.items():
        if total != 0:
            raise BrokenInvariant(f"the postings of {event.type} sum to {total} {asset}, not to 0")


def _check_available(
    state: AccountState, event: MoneyEvent, moved: Mapping[BookKey, Change]
) -> None:
    for (book, asset), change in moved.items():
        if not is_own_book(book) or change.available >= 0:
            continue
        may_borrow = state.borrowing_limits.get(asset)
        if state.account_type is not AccountType.CASH:
            if may_borrow is None:
                continue
            may_borrow -= borrowed(state, asset) + min(state.balance(book, asset).available, ZERO)
        left = state.balance(book, asset).available + change.available
        if left < -(may_borrow or ZERO):
            raise BrokenInvariant(
                f"{event.type} leaves {left} {asset} available in {book} of account "
                f"{state.account_id}: no request overdraws"
            )


ACCOUNT = Aggregate("account", AccountState, 3, evolve, check_event)
