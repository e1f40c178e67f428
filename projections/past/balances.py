"""Balances of an account at a past moment, as `balances` would have shown them.

    1. the last checkpoint of `balance_history` at which everything before it counts
    2. the log from there to the next checkpoint, event by event
    3. beyond that, only what was recorded late: `late_movements`, and whatever the read model
       has not seen yet

so a few hundred events are read, however many the account has. Checkpoints only save time: where
there are none, more of the log is read, with the same result.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from ledger.eventstore import repairs
from ledger.eventstore.moments import Moment
from ledger.eventstore.reader import COLUMNS, RecordedEvent, where_streams_are
from ledger.eventstore.session import FETCH_ROWS
from ledger.kernel.known_types import known
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import AccountEvent, is_own_book
from projections.questions.question import Asked
from projections.read_models.balance_history import PROJECTION, BookState
from projections.read_models.balances import Balance


class Books:
    """What all books of an account hold, other sides included."""

    def __init__(self, user_id: UUID | None, books: dict[str, dict[str, BookState]]) -> None:
        self.user_id = user_id
        self.of = books

    def apply(self, recorded: RecordedEvent) -> None:
        event = recorded.decoded()
        if not isinstance(event, AccountEvent):
            return
        self.user_id = self.user_id or recorded.user_id
        for (book, asset), change in changes(event.postings, event.holds).items():
            state = self._book(recorded, book, asset)
            state.total += change.total
            state.locked += change.locked

    def total(self, book: str, asset: str) -> Decimal:
        state = self.of.get(book, {}).get(asset)
        return ZERO if state is None else state.total

    def _book(self, recorded: RecordedEvent, book: str, asset: str) -> BookState:
        assets = self.of.setdefault(book, {})
        state = assets.get(asset)
        if state is None:
            state = BookState(ZERO, ZERO, recorded.position, recorded.recorded_at)
            assets[asset] = state
        elif recorded.position > state.position:
            state.position, state.recorded_at = recorded.position, recorded.recorded_at
        return state


class _Checkpoint(NamedTuple):
    position: int
    version: int
    user_id: UUID | None
    books: str


_BEFORE = """
    SELECT position, event_version, user_id, books::text FROM public.balance_checkpoints
    WHERE account_id = %(account)s AND position <= %(known_at)s
    ORDER BY position DESC LIMIT 1"""
_BEFORE_TIME = """
    SELECT position, event_version, user_id, books::text FROM public.balance_checkpoints
    WHERE account_id = %(account)s AND latest_occurred_at <= %(effective_at)s
          AND position <= %(known_at)s
    ORDER BY latest_occurred_at DESC, position DESC LIMIT 1"""
_NEXT = """
    SELECT position, event_version, user_id, '{}' FROM public.balance_checkpoints
    WHERE account_id = %(account)s AND position > %(after)s ORDER BY position LIMIT 1"""
_LATEST = """
    SELECT position, event_version, user_id, '{}' FROM public.balance_checkpoints
    WHERE account_id = %(account)s AND position <= %(after)s ORDER BY position DESC LIMIT 1"""
_STRETCH = f"""
    SELECT {COLUMNS} FROM public.event_store
    WHERE stream_id = %(account)s AND {where_streams_are("ARRAY[%(account)s::uuid]")}
          AND event_version > %(after)s
          AND event_version <= coalesce(%(up_to)s, 2147483647) AND position <= %(known_at)s
    ORDER BY event_version"""
_LATE = f"""
    SELECT {COLUMNS} FROM public.event_store
    WHERE position IN (
        SELECT position FROM public.late_movements
        WHERE account_id = %(account)s AND occurred_at <= %(effective_at)s
              AND position > %(after)s AND position <= %(known_at)s)"""
# Where events of the account are parked, the read model has not seen them or any after them.
_FOLDED = """
    SELECT least(last_processed_position, (
        SELECT min(position) - 1 FROM public.projection_dead_letters AS parked
        WHERE parked.projection_name = live.projection_name AND parked.generation = live.generation
              AND parked.status = 'PARKED' AND parked.partition_key = %(account)s::text))
    FROM public.event_projections AS live WHERE projection_name = %(projection)s"""


def rows_at(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Iterator[dict[str, Any]]:
    """Rows of `balances` of an account."""
    for row in balances_at(connection, asked["account_id"], moment, asked.get("asset")):
        yield msgspec.structs.asdict(row)


def balances_at(
    connection: psycopg.Connection[Any], account_id: UUID, moment: Moment, asset: str | None = None
) -> list[Balance]:
    """The balances of the account's sub-accounts, by sub-account and asset."""
    books = books_at(connection, account_id, moment)
    return [
        Balance(
            account_id,
            books.user_id,
            sub_account,
            name,
            state.total,
            state.total - state.locked,
            state.locked,
            state.recorded_at,
            state.position,
        )
        for sub_account, assets in sorted(books.of.items())
        if is_own_book(sub_account)
        for name, state in sorted(assets.items())
        if asset in (None, name)
    ]


def books_at(connection: psycopg.Connection[Any], account_id: UUID, moment: Moment) -> Books:
    """What all books of the account held."""
    given = {
        "account": account_id,
        "known_at": moment.known_at,
        "effective_at": moment.effective_at,
    }
    by_time = moment.effective_at is not None
    base = _checkpoint(connection, _BEFORE_TIME if by_time else _BEFORE, given)
    books = Books(None, {})
    if base is not None:
        books = Books(
            base.user_id,
            msgspec.json.decode(base.books, type=known(dict[str, dict[str, BookState]])),
        )
    with exact():
        for event in _counted(connection, given, base, moment):
            books.apply(event)
    return books


def _counted(
    connection: psycopg.Connection[Any],
    given: dict[str, Any],
    base: _Checkpoint | None,
    moment: Moment,
) -> Iterator[RecordedEvent]:
    """The events beyond `base` that count at the moment."""
    start = base or _Checkpoint(0, 0, None, "{}")
    following = _checkpoint(connection, _NEXT, given | {"after": start.position})
    last = None if following is None else following.version
    yield from _within(_stretch(connection, given, start.version, last), moment)
    if moment.effective_at is None or following is None or following.position >= moment.known_at:
        return
    row = connection.execute(_FOLDED, given | {"projection": PROJECTION.name}).fetchone()
    folded = max(row[0] if row else 0, following.position)
    yield from _events(connection, _LATE, given | {"after": following.position})
    if folded < moment.known_at:
        latest = _checkpoint(connection, _LATEST, given | {"after": folded}) or following
        unseen = _stretch(connection, given, latest.version, None)
        yield from _within((event for event in unseen if event.position > folded), moment)


def _within(events: Iterable[RecordedEvent], moment: Moment) -> Iterator[RecordedEvent]:
    """Those of the events that had happened at the moment."""
    until = moment.effective_at
    return (event for event in events if until is None or event.occurred_at <= until)


def _stretch(
    connection: psycopg.Connection[Any], given: dict[str, Any], after: int, up_to: int | None
) -> Iterator[RecordedEvent]:
    return _events(connection, _STRETCH, given | {"after": after, "up_to": up_to})


def _events(
    connection: psycopg.Connection[Any], statement: str, given: dict[str, Any]
) -> Iterator[RecordedEvent]:
    with connection.cursor(name="audit_balances", binary=True) as cursor:
        cursor.itersize = FETCH_ROWS
        found = (RecordedEvent(*row) for row in cursor.execute(statement, given))
        yield from repairs.counted(connection, [given["account"]], found)


def _checkpoint(
    connection: psycopg.Connection[Any], statement: str, given: dict[str, Any]
) -> _Checkpoint | None:
    row = connection.execute(statement, given).fetchone()
    return None if row is None else _Checkpoint(*row)
