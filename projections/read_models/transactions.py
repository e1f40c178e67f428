"""`transactions`: every movement of money, one row per posting, both sides.

`closing_balance` is what its book holds after the posting. A row never changes; what comes
late or is voided is a movement of its own.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.nouns.accounts.events import (
    MONEY_EVENTS,
    AccountAdjusted,
    AccountDeposited,
    AccountEvent,
    AccountWithdrawn,
    CashFlowRecorded,
    CommissionCorrected,
    FundsHeld,
    FundsReleased,
    LeverageSet,
    Reason,
    TradeSettled,
    TradeVoided,
    is_own_book,
)
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Past, Question, between, exactly, newest_first

DEBIT = "DEBIT"
"""The book has less after it."""
CREDIT = "CREDIT"
"""The book has more after it."""


class Transaction(Row):
    position: int
    line: int
    event_id: UUID
    account_id: UUID
    user_id: UUID | None
    sub_account: str
    asset: str
    direction: str
    reason: Reason
    amount: Decimal
    closing_balance: Decimal
    price: Decimal | None
    quote_asset: str | None
    order_id: UUID | None
    trade_id: str | None
    reference: str | None
    timestamp: datetime
    recorded_at: datetime


class Book(Row):
    account_id: UUID
    book: str
    asset: str
    total: Decimal


TRANSACTIONS = Table("transactions", Transaction, key=("position", "line"), insert_only=True)
BOOKS = Table("transaction_books", Book, key=("account_id", "book", "asset"), private=True)


def _deposited(
    recorded: Recorded,
    event: AccountDeposited | AccountWithdrawn,
    rows: RowSet,
) -> None:
    _book(recorded, event, rows, reference=event.reference or event.transfer_id)


def _flowed(recorded: Recorded, event: CashFlowRecorded, rows: RowSet) -> None:
    _book(recorded, event, rows, reference=event.flow_id)


def _adjusted(recorded: Recorded, event: AccountAdjusted, rows: RowSet) -> None:
    _book(recorded, event, rows, reference=event.reason)


def _moved(recorded: Recorded, event: AccountEvent, rows: RowSet) -> None:
    _book(recorded, event, rows)


def _traded(recorded: Recorded, event: TradeSettled | TradeVoided, rows: RowSet) -> None:
    _book(
        recorded,
        event,
        rows,
        price=event.last_px,
        quote_asset=_quote_asset(event),
        order_id=event.order_id,
        trade_id=event.trade_id,
    )


def _charged(recorded: Recorded, event: CommissionCorrected, rows: RowSet) -> None:
    _book(recorded, event, rows, order_id=event.order_id, trade_id=event.trade_id)


def _book(
    recorded: Recorded,
    event: AccountEvent,
    rows: RowSet,
    *,
    price: Decimal | None = None,
    quote_asset: str | None = None,
    order_id: UUID | None = None,
    trade_id: str | None = None,
    reference: str | None = None,
) -> None:
    books, transactions = rows[BOOKS], rows[TRANSACTIONS]
    account_id = recorded.stream_id
    for line, posting in enumerate(event.postings, 1):
        amount = posting.amount
        if not amount:
            continue
        book = books.change((account_id, posting.book, posting.asset))
        if book is None:
            book = Book(account_id, posting.book, posting.asset, amount)
            books.insert(book)
        else:
            book.total += amount
        transactions.insert(
            Transaction(
                recorded.position,
                line,
                recorded.id,
                account_id,
                recorded.user_id,
                posting.book,
                posting.asset,
                CREDIT if amount > 0 else DEBIT,
                posting.reason,
                abs(amount),
                book.total,
                price,
                quote_asset,
                order_id,
                trade_id,
                reference,
                recorded.occurred_at,
                recorded.recorded_at,
            )
        )


def _quote_asset(event: TradeSettled | TradeVoided) -> str | None:
    """The asset that the price is in, which is moved after what is traded for it."""
    own = [one for one in event.postings if one.reason in _TRADES and is_own_book(one.book)]
    return own[-1].asset if own else None


_TRADES = (Reason.TRADE, Reason.TRADE_VOID)


def _keys(recorded: Recorded, event: AccountEvent) -> Iterator[tuple[Table[Any], Key]]:
    for posting in event.postings:
        yield BOOKS, (recorded.stream_id, posting.book, posting.asset)


_ONLY_LOCK = frozenset({FundsHeld, FundsReleased, LeverageSet})
"""Those that move nothing."""

PROJECTION = Projection(
    name="transactions",
    version=1,
    tables=(TRANSACTIONS, BOOKS),
    folds={
        **{kind: _moved for kind in MONEY_EVENTS if kind not in _ONLY_LOCK},
        AccountDeposited: _deposited,
        AccountWithdrawn: _deposited,
        CashFlowRecorded: _flowed,
        AccountAdjusted: _adjusted,
        TradeSettled: _traded,
        TradeVoided: _traded,
        CommissionCorrected: _charged,
    },
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="transactions",
        table=TRANSACTIONS,
        about="A movement of money in one book; the newest first.",
        paths=(
            newest_first("account_id", "position", "line"),
            newest_first("user_id", "timestamp", "position", "line"),
        ),
        filters=(
            exactly("asset"),
            exactly("sub_account"),
            exactly("reason"),
            exactly("order_id"),
            *between("timestamp"),
        ),
        shown=(
            *("timestamp", "sub_account", "asset", "direction", "reason", "amount"),
            *("closing_balance", "order_id"),
        ),
        past=Past("projections.past.transactions:transactions_at", begins_with="rows"),
    ),
)
