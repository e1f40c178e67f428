"""`balances`: what every sub-account owns, and how much of it is locked by orders.
`contra_balances`: the other side of every movement, kept per account, so that the books of an
account sum to zero per asset.

Nothing here knows what a trade or a deposit is: every event of an account says in its postings
what moved and in its holds what was locked or freed.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import (
    MONEY_EVENTS,
    AccountEvent,
    is_own_book,
)
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Past, Question, ascending, exactly


class Balance(Row):
    account_id: UUID
    user_id: UUID | None
    sub_account: str
    asset: str
    total: Decimal
    available: Decimal
    locked: Decimal
    updated_at: datetime
    last_position: int


class ContraBalance(Row):
    account_id: UUID
    user_id: UUID | None
    book: str
    asset: str
    total: Decimal
    updated_at: datetime
    last_position: int


BALANCES = Table("balances", Balance, key=("account_id", "sub_account", "asset"))
CONTRA_BALANCES = Table("contra_balances", ContraBalance, key=("account_id", "book", "asset"))


def _moved(recorded: Recorded, event: AccountEvent, rows: RowSet) -> None:
    for (book, asset), change in changes(event.postings, event.holds).items():
        if is_own_book(book):
            balance = _balance(recorded, rows, book, asset)
            balance.total += change.total
            balance.locked += change.locked
            balance.available = balance.total - balance.locked
        else:
            _contra(recorded, rows, book, asset).total += change.total


def _balance(recorded: Recorded, rows: RowSet, sub_account: str, asset: str) -> Balance:
    key = (recorded.stream_id, sub_account, asset)
    row = rows[BALANCES].change(key)
    if row is None:
        row = Balance(
            recorded.stream_id,
            recorded.user_id,
            sub_account,
            asset,
            ZERO,
            ZERO,
            ZERO,
            recorded.recorded_at,
            recorded.position,
        )
        rows[BALANCES].insert(row)
    else:
        row.updated_at = recorded.recorded_at
        row.last_position = recorded.position
    return row


def _contra(recorded: Recorded, rows: RowSet, book: str, asset: str) -> ContraBalance:
    key = (recorded.stream_id, book, asset)
    row = rows[CONTRA_BALANCES].change(key)
    if row is None:
        row = ContraBalance(
            recorded.stream_id,
            recorded.user_id,
            book,
            asset,
            ZERO,
            recorded.recorded_at,
            recorded.position,
        )
        rows[CONTRA_BALANCES].insert(row)
    else:
        row.updated_at = recorded.recorded_at
        row.last_position = recorded.position
    return row


def _keys(recorded: Recorded, event: AccountEvent) -> Iterator[tuple[Table[Any], Key]]:
    account_id = recorded.stream_id
    for posting in event.postings:
        table: Table[Any] = BALANCES if is_own_book(posting.book) else CONTRA_BALANCES
        yield table, (account_id, posting.book, posting.asset)
    for hold in event.holds:
        yield BALANCES, (account_id, hold.sub_account, hold.asset)


PROJECTION = Projection(
    name="balances",
    version=1,
    tables=(BALANCES, CONTRA_BALANCES),
    folds=dict.fromkeys(MONEY_EVENTS, _moved),
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="balances",
        table=BALANCES,
        about="What a sub-account holds of an asset.",
        paths=(
            ascending("account_id", "sub_account", "asset"),
            ascending("user_id", "account_id", "sub_account", "asset"),
        ),
        filters=(exactly("asset"), exactly("sub_account")),
        shown=("sub_account", "asset", "total", "available", "locked", "updated_at"),
        past=Past("projections.past.balances:rows_at"),
    ),
    Question(
        name="contra_balances",
        table=CONTRA_BALANCES,
        read_model="balances",
        about="The other side of what moved in an account: deposits, venues, fees.",
        paths=(ascending("account_id", "book", "asset"),),
        filters=(exactly("asset"), exactly("book")),
        shown=("book", "asset", "total", "updated_at"),
    ),
)
