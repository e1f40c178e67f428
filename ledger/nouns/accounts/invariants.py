"""Accounts: what holds of every event, asserted where it is made.

The rules see to it; this is asked again of what they gave, so that a mistake in a rule, or in what
it was told, is a fault that nothing is recorded of, and never money that came from nowhere.
"""

from decimal import Decimal

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import AccountEvent, AccountType, is_own_book
from ledger.nouns.accounts.state import AccountState


class BrokenInvariant(Exception):
    """An event that must not be: a fault of the ledger's own."""


def check_event(state: AccountState | None, event: AccountEvent, *, request: bool) -> None:
    """Whether the event may follow on the state: its postings sum to zero per asset and, if it is
    made for a request, it takes nothing from a CASH account that is not available there."""
    sums: dict[str, Decimal] = {}
    for posting in event.postings:
        sums[posting.asset] = sums.get(posting.asset, ZERO) + posting.amount
    for asset, total in sums.items():
        if total != 0:
            raise BrokenInvariant(f"the postings of {event.type} sum to {total} {asset}, not to 0")
    if not request or state is None or state.account_type is not AccountType.CASH:
        return
    changes: dict[tuple[str, str], Decimal] = {}
    for posting in event.postings:
        if is_own_book(posting.book):
            key = (posting.book, posting.asset)
            changes[key] = changes.get(key, ZERO) + posting.amount
    for hold in event.holds:
        key = (hold.sub_account, hold.asset)
        changes[key] = changes.get(key, ZERO) - hold.amount
    for (sub_account, asset), change in changes.items():
        left = state.balance(sub_account, asset).available + change
        if change < 0 and left < 0:
            raise BrokenInvariant(
                f"{event.type} leaves {left} {asset} available in {sub_account} of account "
                f"{state.account_id}: no request overdraws"
            )
