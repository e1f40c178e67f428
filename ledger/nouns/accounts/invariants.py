"""Accounts: what holds of every event, asserted where it is made.

The rules see to it; this is asked again of what they gave, so that a mistake in a rule, or in what
it was told, is a fault that nothing is recorded of, and never money that came from nowhere.
"""

from collections.abc import Iterable
from decimal import Decimal

from ledger.kernel.command import CommandKind
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.kernel.noun import Aggregate
from ledger.nouns.accounts.events import (
    AccountEvent,
    AccountType,
    HoldChange,
    MoneyEvent,
    Posting,
    is_own_book,
)
from ledger.nouns.accounts.state import AccountState, evolve


class BrokenInvariant(LedgerError):
    """An event that must not be: a fault of the ledger's own."""


def check_event(state: AccountState | None, event: Event, kind: CommandKind) -> None:
    """Whether the event may follow on the state: only what moves money has postings or holds, its
    postings sum to zero per asset, no hold becomes negative and, if it is made for a request, it
    takes nothing from a CASH account that is not available there."""
    assert isinstance(event, AccountEvent)
    if not event.postings and not event.holds:
        return
    if not isinstance(event, MoneyEvent):
        raise BrokenInvariant(f"{event.type} has postings or holds, but moves no money")
    _check_sums(event)
    if state is None:
        raise BrokenInvariant(f"{event.type} moves money of an account that is not there")
    for change in event.holds:
        held = state.held(change.order_id) + change.amount
        if held < 0:
            raise BrokenInvariant(
                f"order {change.order_id} would hold {held} {change.asset} after {event.type}"
            )
    if kind is CommandKind.REQUEST and state.account_type is AccountType.CASH:
        _check_available(state, event)


def _check_sums(event: MoneyEvent) -> None:
    sums: dict[str, Decimal] = {}
    for posting in event.postings:
        sums[posting.asset] = sums.get(posting.asset, ZERO) + posting.amount
    for asset, total in sums.items():
        if total != 0:
            raise BrokenInvariant(f"the postings of {event.type} sum to {total} {asset}, not to 0")


def _check_available(state: AccountState, event: MoneyEvent) -> None:
    for (sub_account, asset), change in _changes(event.postings, event.holds).items():
        left = state.balance(sub_account, asset).available + change
        if change < 0 and left < 0:
            raise BrokenInvariant(
                f"{event.type} leaves {left} {asset} available in {sub_account} of account "
                f"{state.account_id}: no request overdraws"
            )


def _changes(
    postings: Iterable[Posting], holds: Iterable[HoldChange]
) -> dict[tuple[str, str], Decimal]:
    """What becomes available (or less so) in each sub-account and asset."""
    changes: dict[tuple[str, str], Decimal] = {}
    for posting in postings:
        if is_own_book(posting.book):
            key = (posting.book, posting.asset)
            changes[key] = changes.get(key, ZERO) + posting.amount
    for hold in holds:
        key = (hold.sub_account, hold.asset)
        changes[key] = changes.get(key, ZERO) - hold.amount
    return changes


ACCOUNT = Aggregate("account", AccountState, 1, evolve, check_event)
