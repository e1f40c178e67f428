"""Why a balance is what it is: every posting and hold behind it, read from the log.

The log is read from the account's first event, and what it adds up to is compared with what the
read side says the balance is, now or at a past position. Nothing of the answer comes from what is
checked.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import psycopg

from ledger.audit.ask.events import EventCriteria, find
from ledger.eventstore import repairs
from ledger.eventstore.moments import Moment
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel import read_side
from ledger.kernel.errors import LedgerError
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.books import changes, running
from ledger.nouns.accounts.events import AccountEvent, Posting, is_own_book

if TYPE_CHECKING:
    from projections.questions.question import Question
    from projections.read_models.balances import Balance


class NoBalance(LedgerError, LookupError):
    """There is nothing to explain."""


@dataclass(frozen=True)
class Line:
    """A posting, and what is behind it. `sum` is that of its sub-account after it."""

    position: int
    event_id: UUID
    event_type: str
    occurred_at: datetime
    recorded_at: datetime
    sub_account: str
    amount: Decimal
    sum: Decimal
    reason: str
    order_id: UUID | None
    trade_id: str | None
    caused_by: UUID | None
    command_id: str | None
    command_type: str | None
    source: str | None
    sender: str | None


@dataclass
class SubAccount:
    """What the log says of one sub-account, and what is said of it elsewhere."""

    total: Decimal = ZERO
    locked: Decimal = ZERO
    said_total: Decimal = ZERO
    said_locked: Decimal = ZERO

    @property
    def equal(self) -> bool:
        return self.total == self.said_total and self.locked == self.said_locked


@dataclass
class Explanation:
    """Of the balances of one asset in an account, or in one of its sub-accounts. `lines` must
    be read to the end before the rest says anything."""

    account_id: UUID
    asset: str
    position: int
    compared_with: str
    sub_account: str | None = None
    sub_accounts: dict[str, SubAccount] = field(default_factory=dict)
    by_reason: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    """By sub-account and reason: the sum of the postings."""
    postings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By sub-account and reason: how many there are."""
    holds: dict[tuple[str, UUID], Decimal] = field(default_factory=dict)
    """By sub-account and order: what is locked."""

    @property
    def equal(self) -> bool:
        return all(one.equal for one in self.sub_accounts.values())

    def lines(self, connection: psycopg.Connection[Any]) -> Iterator[Line]:
        """Every posting, in position order. Raises NoBalance at the end if there was none."""
        events = EventCriteria(stream_id=self.account_id, before=self.position + 1)
        for recorded in repairs.counted(connection, [self.account_id], find(connection, events)):
            event = recorded.decoded()
            if isinstance(event, AccountEvent):
                with exact():
                    lines = self._take(recorded, event)
                yield from lines
        if not self.sub_accounts:
            where = "" if self.sub_account is None else f" in {self.sub_account}"
            raise NoBalance(
                f"account {self.account_id} had no {self.asset}{where} up to position "
                f"{self.position}: check the account, the asset (in capitals) and the sub-account"
            )

    def _take(self, recorded: RecordedEvent, event: AccountEvent) -> list[Line]:
        postings = [one for one in event.postings if self._is_asked(one.book, one.asset)]
        holds = [one for one in event.holds if self._is_asked(one.sub_account, one.asset)]
        before = {(book, self.asset): said.total for book, said in self.sub_accounts.items()}
        lines = []
        for posting, total in running(postings, before):
            key = (posting.book, str(posting.reason))
            self.by_reason[key] = self.by_reason.get(key, ZERO) + posting.amount
            self.postings[key] += 1
            lines.append(_line(recorded, event, posting, total))
        for (book, _), change in changes(postings, holds).items():
            sub_account = self.sub_accounts.setdefault(book, SubAccount())
            sub_account.total += change.total
            sub_account.locked += change.locked
        for hold in holds:
            held = (hold.sub_account, hold.order_id)
            self.holds[held] = self.holds.get(held, ZERO) + hold.amount
            if not self.holds[held]:
                del self.holds[held]
        return lines

    def _is_asked(self, book: str, asset: str) -> bool:
        if asset != self.asset:
            return False
        return is_own_book(book) if self.sub_account is None else book == self.sub_account


def explain_balance(
    connection: psycopg.Connection[Any],
    account_id: UUID,
    asset: str,
    *,
    sub_account: str | None = None,
    as_of: int | None = None,
) -> Explanation:
    """What to compare with; reading the explanation's `lines` does the rest. Without `as_of`
    the balance is that of the read model, at the position it has reached."""
    balances: Question[Balance] = read_side.question("balances")
    if as_of is None:
        position = balances.reached(connection)
        rows = balances.find(connection, account_id=account_id, asset=asset)
        compared_with = balances.name
    else:
        position = as_of
        rows = balances.at(connection, Moment(as_of), account_id=account_id, asset=asset)
        compared_with = f"{balances.name} known at position {as_of}"
    found = Explanation(account_id, asset, position, compared_with, sub_account)
    for row in rows:
        if sub_account in (None, row.sub_account):
            found.sub_accounts[row.sub_account] = SubAccount(
                said_total=row.total, said_locked=row.locked
            )
    return found


def _line(recorded: RecordedEvent, event: AccountEvent, posting: Posting, total: Decimal) -> Line:
    metadata = orjson.loads(recorded.metadata)
    return Line(
        position=recorded.position,
        event_id=recorded.id,
        event_type=recorded.event_type,
        occurred_at=recorded.occurred_at,
        recorded_at=recorded.recorded_at,
        sub_account=posting.book,
        amount=posting.amount,
        sum=total,
        reason=str(posting.reason),
        order_id=getattr(event, "order_id", None),
        trade_id=getattr(event, "trade_id", None),
        caused_by=recorded.causation_id,
        command_id=metadata.get("command_id"),
        command_type=metadata.get("command_type"),
        source=metadata.get("source"),
        sender=metadata.get("sender"),
    )
