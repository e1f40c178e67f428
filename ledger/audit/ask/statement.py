"""A statement of an account: what it had, what moved, and what it had then.

Movements count when they were recorded, as in a book that is never written over: a statement of
a past period says the same today as on its last day. Each movement also says when it happened.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import orjson
import psycopg

from ledger.audit.ask.events import EventCriteria, find
from ledger.eventstore import repairs
from ledger.eventstore.moments import Moment, position_at
from ledger.eventstore.reader import RecordedEvent, where_streams_are
from ledger.kernel import read_side
from ledger.kernel.errors import LedgerError
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.books import BookKey, running
from ledger.nouns.accounts.events import AccountEvent, is_own_book

if TYPE_CHECKING:
    from projections.questions.question import Question
    from projections.read_models.balances import Balance

OPENING, MOVEMENT, CLOSING = "OPENING", "MOVEMENT", "CLOSING"


class Entry(NamedTuple):
    """A row of a statement. `amount` is signed; `balance` is that of its sub-account and asset
    after it."""

    kind: str
    sub_account: str
    asset: str
    amount: Decimal | None
    balance: Decimal
    reason: str | None
    recorded_at: datetime
    occurred_at: datetime | None
    order_id: UUID | None
    trade_id: str | None
    reference: str | None
    sender: str | None
    position: int


class UnknownAccount(LedgerError, LookupError):
    """There is no account to state."""


Totals = dict[BookKey, Decimal]
"""By sub-account and asset."""


@dataclass
class Statement:
    """From `begin` up to, without, `end`. `entries` must be read to the end before `equal` says
    anything."""

    account_id: UUID
    begin: datetime
    end: datetime
    after: int
    up_to: int
    opening: Totals
    closing: Totals
    reached: Totals = field(default_factory=dict)

    @property
    def books(self) -> list[tuple[str, str]]:
        return sorted(self.closing)

    @property
    def equal(self) -> bool:
        """Whether the opening balances and the movements give the closing balances."""
        return self.reached == self.closing

    def entries(self, connection: psycopg.Connection[Any]) -> Iterator[Entry]:
        for sub_account, asset in self.books:
            balance = self.opening.get((sub_account, asset), ZERO)
            self.reached[sub_account, asset] = balance
            yield _balance(OPENING, sub_account, asset, balance, self.begin, self.after)
        yield from self.movements(connection)
        for sub_account, asset in self.books:
            balance = self.closing[sub_account, asset]
            yield _balance(CLOSING, sub_account, asset, balance, self.end, self.up_to)

    def movements(self, connection: psycopg.Connection[Any]) -> Iterator[Entry]:
        for book in self.books:
            self.reached[book] = self.opening.get(book, ZERO)
        events = EventCriteria(stream_id=self.account_id, after=self.after, before=self.up_to + 1)
        for recorded in repairs.counted(connection, [self.account_id], find(connection, events)):
            event = recorded.decoded()
            if isinstance(event, AccountEvent):
                yield from self._moved(recorded, event)

    def _moved(self, recorded: RecordedEvent, event: AccountEvent) -> list[Entry]:
        entries = []
        sender = orjson.loads(recorded.metadata).get("sender")
        own = [posting for posting in event.postings if is_own_book(posting.book)]
        with exact():
            moved = list(running(own, self.reached))
        for posting, balance in moved:
            entries.append(
                Entry(
                    kind=MOVEMENT,
                    sub_account=posting.book,
                    asset=posting.asset,
                    amount=posting.amount,
                    balance=balance,
                    reason=str(posting.reason),
                    recorded_at=recorded.recorded_at,
                    occurred_at=recorded.occurred_at,
                    order_id=getattr(event, "order_id", None),
                    trade_id=getattr(event, "trade_id", None),
                    reference=getattr(event, "reference", getattr(event, "reason", None)),
                    sender=sender,
                    position=recorded.position,
                )
            )
        return entries


_ACCOUNT = f"""
    SELECT FROM public.event_store WHERE stream_id = %(account)s AND stream_type = 'account'
        AND {where_streams_are("ARRAY[%(account)s::uuid]")} LIMIT 1"""


def statement(
    connection: psycopg.Connection[Any], account_id: UUID, begin: datetime, end: datetime
) -> Statement:
    """The statement of what was recorded from `begin` up to, without, `end`. Raises
    UnknownAccount: an empty statement of it would look like an answer."""
    if connection.execute(_ACCOUNT, {"account": account_id}).fetchone() is None:
        raise UnknownAccount(
            f"there is no account {account_id}: check the id, and that LEDGER_DATABASE_URL is the "
            "ledger it is of"
        )
    instant = timedelta(microseconds=1)
    after = position_at(connection, begin - instant)
    up_to = max(position_at(connection, end - instant), after)
    return Statement(
        account_id,
        begin,
        end,
        after,
        up_to,
        _totals(connection, account_id, after),
        _totals(connection, account_id, up_to),
    )


def _totals(connection: psycopg.Connection[Any], account_id: UUID, position: int) -> Totals:
    balances: Question[Balance] = read_side.question("balances")
    return {
        (row.sub_account, row.asset): row.total
        for row in balances.at(connection, Moment(position), account_id=account_id)
    }


def _balance(
    kind: str, sub_account: str, asset: str, balance: Decimal, time: datetime, position: int
) -> Entry:
    return Entry(
        kind, sub_account, asset, None, balance, None, time, None, None, None, None, None, position
    )
