"""What all accounts of a scope have at worst together: of users, strategies, instruments, all.

Only where a limit asks for it is anything kept here. Then each account has a share, made of its
state and its open orders; who changes one of them, this worker or another, makes it dirty, and it
is made anew when it is next needed. So a sum is as of what this worker knows: its own decisions to
the last, those of others as far as they were committed when it last looked. What others have in
flight is not in it, and a sum may be overshot by that. It is not among what a decision was made on:
else every order would wait for every other one.

    accounts    listed once from the log, by the index of rare events; then only what is new
    shares      by sub-account and instrument, the larger side of what may come of it
    totals      of each scope, by instrument: moved along with the shares
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from ledger.kernel.money import ZERO
from ledger.nouns.limits.state import scope_key
from ledger.nouns.limits.terms import LimitScope

Share = Mapping[tuple[str, str], Decimal]
"""Of an account, by sub-account and instrument."""

_OPENED: LiteralString = """
    SELECT position, stream_id, event_data->>'user_id' FROM public.event_store
    WHERE event_type = 'account.opened' AND position > %s ORDER BY position"""


class ScopeSums:
    """See the module's text. Not thread-safe: one batch is decided at a time."""

    def __init__(self) -> None:
        self._users: dict[UUID, str] = {}
        self._accounts: dict[str, list[UUID]] = {}
        self._listed_up_to = 0
        self._shares: dict[UUID, Share] = {}
        self._dirty: set[UUID] = set()
        self._totals: dict[str, dict[str, Decimal]] = {}
        self._is_listed = False
        """Since the batch was begun."""

    def begin_batch(self) -> None:
        self._is_listed = False

    def changed(self, streams: Iterable[UUID]) -> None:
        """Accounts, among others, that are not what they were."""
        if self._users:
            self._dirty.update(one for one in streams if one in self._users)

    def all_changed(self) -> None:
        self._dirty.update(self._users)

    def accounts_of(self, connection: psycopg.Connection[Any], user: str) -> list[UUID]:
        """Those of a user."""
        self._list(connection)
        return self._accounts.get(user, [])

    def of(
        self,
        connection: psycopg.Connection[Any],
        scope: LimitScope,
        reference: str | None,
        own: tuple[UUID, Share],
        share_of: Callable[[UUID], Share],
    ) -> dict[str, Decimal]:
        """By instrument. `own` is the account that something is decided of, with its share as it
        would be; `share_of` makes that of another one."""
        self._list(connection)
        account_id, share = own
        for one in tuple(self._dirty):
            if one != account_id:
                self._set(one, share_of(one))
                self._dirty.discard(one)
        total = dict(self._totals.get(scope_key(scope, reference), {}))
        self._move(total, account_id, scope, reference, self._shares.get(account_id, {}), -1)
        self._move(total, account_id, scope, reference, share, 1)
        return {instrument: amount for instrument, amount in total.items() if amount}

    def _list(self, connection: psycopg.Connection[Any]) -> None:
        """Accounts that were opened since, once in a batch."""
        if self._is_listed:
            return
        self._is_listed = True
        for position, account_id, user_id in connection.execute(_OPENED, [self._listed_up_to]):
            self._listed_up_to = position
            if account_id not in self._users:
                self._users[account_id] = user_id
                self._accounts.setdefault(user_id, []).append(account_id)
                self._dirty.add(account_id)

    def _set(self, account_id: UUID, share: Share) -> None:
        user = self._users[account_id]
        for sign, amounts in ((-1, self._shares.get(account_id, {})), (1, share)):
            for (strategy, instrument), amount in amounts.items():
                for scope, reference in (
                    (LimitScope.SYSTEM, None),
                    (LimitScope.USER, user),
                    (LimitScope.STRATEGY, strategy),
                    (LimitScope.INSTRUMENT, instrument),
                ):
                    total = self._totals.setdefault(scope_key(scope, reference), {})
                    total[instrument] = total.get(instrument, ZERO) + sign * amount
        self._shares[account_id] = share

    def _move(
        self,
        total: dict[str, Decimal],
        account_id: UUID,
        scope: LimitScope,
        reference: str | None,
        share: Share,
        sign: int,
    ) -> None:
        if scope is LimitScope.USER and self._users.get(account_id) != reference:
            return
        for (strategy, instrument), amount in share.items():
            if scope is LimitScope.STRATEGY and strategy != reference:
                continue
            if scope is LimitScope.INSTRUMENT and instrument != reference:
                continue
            total[instrument] = total.get(instrument, ZERO) + sign * amount
