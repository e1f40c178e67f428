"""Which account a page is about: the one of its URL, or the oldest that who looks can see."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from ledger.web.answers import NotVisible, Reading

MOST_OFFERED = 200
"""Accounts in the choice of a page. Who has more names one in the URL."""


class AccountChoice(NamedTuple):
    """The accounts there are to choose from, and the chosen one; None where there is none."""

    offered: Sequence[Mapping[str, Any]]
    chosen: Mapping[str, Any] | None

    @property
    def account_id(self) -> UUID | None:
        return None if self.chosen is None else self.chosen["account_id"]


def choose(reading: Reading, account_id: UUID | None) -> AccountChoice:
    """Raises NotVisible where the account of the URL is none of theirs."""
    found = reading.ask("accounts", {}, limit=MOST_OFFERED).rows
    offered = sorted(found, key=lambda row: (row["created_at"], row["account_name"]))
    if account_id is None:
        return AccountChoice(offered, offered[0] if offered else None)
    for row in offered:
        if row["account_id"] == account_id:
            return AccountChoice(offered, row)
    named = reading.ask("accounts", {"account_id": account_id}, limit=1).rows
    if not named:
        raise NotVisible(f"there is no account {account_id}, or it is not visible to you")
    return AccountChoice([*named, *offered], named[0])
