"""The risk books of accounts, in memory beside their states (`ledger/nouns/limits/risk_book.py`).

    of()       the book of an account, made of the states of its open orders when it is first asked
               for: only accounts that limits are about ever have one
    told()     an order of an account has another event: it is added up when the book is asked for
    forget()   drops those that another writer has changed; restore() and abandon() likewise

What was asked for lately is read from the log once, when somebody counts, and followed from then
on: so a restart forgets nothing. A book holds what its states hold, decided and not committed too.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psycopg

from ledger.eventstore.reader import COLUMNS, RecordedEvent
from ledger.kernel.event import Event
from ledger.kernel.known_types import known
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.limits.market_graph import MarketGraph
from ledger.nouns.limits.risk_book import Lately, Request, RiskBook, request_in
from ledger.nouns.orders.events import OrderReplaceRequested
from ledger.nouns.orders.state import OrderState
from ledger.nouns.positions.position import margin_hold_id

MAX_BOOKS = 20_000
"""Accounts with limits that are in use: about 4 KiB each with some orders."""
MOST_CHANGED = 100
"""Orders of an account that wait to be added up: of one that nobody orders for, facts go on."""
FIRST_PAGE, PAGE = 50, 1_000
"""Events that are read at a time, going back: few at first, since most windows are of a second."""

_LATELY: LiteralString = f"""
    SELECT {COLUMNS} FROM public.event_store
    WHERE (CASE WHEN stream_type = 'account' THEN stream_id::text
                ELSE event_data->>'account_id' END) = %(account)s
      AND position < %(below)s AND position >= public.log_kept_from()
    ORDER BY position DESC LIMIT %(page)s"""


class _OfAccount(msgspec.Struct):
    account_id: UUID | None = None


Load = Callable[[Collection[UUID]], None]
Peek = Callable[[UUID], Any]


class RiskBooks:
    """See the module's text. Not thread-safe: one batch is decided at a time."""

    def __init__(self, load: Load, peek: Peek) -> None:
        self._load = load
        self._peek = peek
        self._books: OrderedDict[UUID, RiskBook] = OrderedDict()
        self._account_of: dict[UUID, UUID] = {}
        self._graphs: dict[Any, MarketGraph] = {}
        self._limits: dict[str, Any] = {}

    def of(
        self, connection: psycopg.Connection[Any], account_id: UUID, since: datetime | None
    ) -> RiskBook:
        book = self._books.get(account_id)
        if book is None:
            book = self._made(account_id)
        else:
            self._books.move_to_end(account_id)
            if book.changed:
                self._catch_up(book)
        if since is not None and not book.knows_since(since):
            book.lately = Lately(since, self._lately(connection, account_id, since))
        return book

    def _made(self, account_id: UUID) -> RiskBook:
        account: AccountState = self._peek(account_id)
        locked_by_positions = {
            margin_hold_id(account_id, position.key)
            for position in account.positions.values()
            if position.contract is not None
        }
        orders = [one for one in account.holds if one not in locked_by_positions]
        self._load(orders)
        book = RiskBook(self._graphs, self._limits)
        for order_id in orders:
            state = self._peek(order_id)
            if isinstance(state, OrderState):
                book.tell(state)
                self._account_of[order_id] = account_id
        self._books[account_id] = book
        while len(self._books) > MAX_BOOKS:
            self._drop(next(iter(self._books)))
        return book

    def told(self, account_id: UUID, order_id: UUID, event: Event, at: datetime) -> None:
        book = self._books.get(account_id)
        if book is None:
            return
        state = book.changed[order_id] = self._peek(order_id)
        self._account_of[order_id] = account_id
        book.note(event, at, state)
        if len(book.changed) >= MOST_CHANGED:
            self._catch_up(book)

    def _lately(
        self, connection: psycopg.Connection[Any], account_id: UUID, since: datetime
    ) -> Iterator[Request]:
        """What the log tells of what was asked for since, oldest first."""
        events = _asked_since(connection, account_id, since)
        replaced = [one.stream_id for one in events if one.event_type == OrderReplaceRequested.type]
        self._load(dict.fromkeys(replaced).keys())
        for recorded in events:
            state = self._peek(recorded.stream_id) if recorded.stream_id in replaced else None
            of = state if isinstance(state, OrderState) else None
            request = request_in(recorded.decoded(), recorded.recorded_at, of)
            if request is not None:
                yield request

    def know_account_of(self, recorded: RecordedEvent) -> bool:
        """Whether there is a book of the account that an order's event is about."""
        if not self._books or recorded.event_version != 1:
            return False
        return msgspec.json.decode(recorded.data, type=known(_OfAccount)).account_id in self._books

    def _catch_up(self, book: RiskBook) -> None:
        for order_id in book.catch_up():
            self._account_of.pop(order_id, None)

    def forget(self, changed: Iterable[UUID]) -> None:
        if not self._books:
            return
        for one in changed:
            account_id = self._account_of.get(one, one)
            if account_id in self._books:
                self._drop(account_id)

    def accounts_of(self, changed: Iterable[UUID]) -> list[UUID]:
        """The accounts that streams belong to, as far as there are books of them; others as they
        are."""
        return [self._account_of.get(one, one) for one in changed]

    def _drop(self, account_id: UUID) -> None:
        book = self._books.pop(account_id)
        for order_id in (*book.orders, *book.changed):
            self._account_of.pop(order_id, None)

    def clear(self) -> None:
        self._books.clear()
        self._account_of.clear()
        self._limits.clear()


def _asked_since(
    connection: psycopg.Connection[Any], account_id: UUID, since: datetime
) -> list[RecordedEvent]:
    """The events of an account's orders that were recorded since, oldest first."""
    found: list[RecordedEvent] = []
    below, wanted = 2**63 - 1, FIRST_PAGE
    while True:
        with connection.cursor(binary=True) as cursor:
            cursor.execute(_LATELY, {"account": str(account_id), "below": below, "page": wanted})
            page = [RecordedEvent(*row) for row in cursor]
        for recorded in page:
            if recorded.recorded_at <= since:
                return found[::-1]
            if recorded.stream_type == "order":
                found.append(recorded)
        if len(page) < wanted:
            return found[::-1]
        below, wanted = page[-1].position, PAGE
