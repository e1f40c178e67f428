"""`balance_checkpoints`, `late_movements`: what makes balances at any past moment cheap to tell.

A checkpoint says what all books of an account held after one of its movements, as `balances` says
it for now. Between two checkpoints lie at most CHECKPOINT_INTERVAL movements, so what was known
at a position is a checkpoint and a short stretch of the log (projections/past/balances.py).

What was effective at a time is harder: a movement may be recorded long after it happened. So a
checkpoint also has `latest_occurred_at`, the latest time of the venue among all movements up to
it. It never decreases, hence divides the log: up to the last checkpoint with no later time
everything counts, and after the next one only what came late. Those movements, each of which
happened before one recorded earlier, are listed in `late_movements`. They are few.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import MONEY_EVENTS, AccountEvent
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, between, newest_first

CHECKPOINT_INTERVAL = 256
"""Movements of an account between checkpoints. A question reads half of them on average, which
takes a millisecond or two; half as many would double the rows and save less than one."""


class BookState(msgspec.Struct, array_like=True, gc=False):
    """What a book holds, and the last event that touched it."""

    total: Decimal
    locked: Decimal
    position: int
    recorded_at: datetime


class BalanceCheckpoint(Row):
    account_id: UUID
    user_id: UUID | None
    position: int
    event_version: int
    latest_occurred_at: datetime
    books: dict[str, dict[str, BookState]]
    """By book, then asset; the other sides are books too."""


class LateMovement(Row):
    account_id: UUID
    user_id: UUID | None
    position: int
    event_version: int
    occurred_at: datetime


class Clock(Row):
    """Where the history of an account is."""

    account_id: UUID
    movements: int
    latest_occurred_at: datetime
    books: dict[str, dict[str, BookState]]


CHECKPOINTS = Table(
    "balance_checkpoints", BalanceCheckpoint, key=("account_id", "position"), insert_only=True
)
LATE = Table("late_movements", LateMovement, key=("account_id", "position"), insert_only=True)
CLOCKS = Table("balance_clocks", Clock, key=("account_id",), private=True)


def _moved(recorded: Recorded, event: AccountEvent, rows: RowSet) -> None:
    clock = rows[CLOCKS].change(recorded.stream_id)
    if clock is None:
        clock = Clock(recorded.stream_id, 0, recorded.occurred_at, {})
        rows[CLOCKS].insert(clock)
    for (book, asset), change in changes(event.postings, event.holds).items():
        state = _book(recorded, clock, book, asset)
        state.total += change.total
        state.locked += change.locked
    if recorded.occurred_at < clock.latest_occurred_at:
        rows[LATE].insert(
            LateMovement(
                recorded.stream_id,
                recorded.user_id,
                recorded.position,
                recorded.event_version,
                recorded.occurred_at,
            )
        )
    else:
        clock.latest_occurred_at = recorded.occurred_at
    if clock.movements % CHECKPOINT_INTERVAL == 0:
        rows[CHECKPOINTS].insert(_checkpoint(recorded, clock))
    clock.movements += 1


def _book(recorded: Recorded, clock: Clock, book: str, asset: str) -> BookState:
    assets = clock.books.get(book)
    if assets is None:
        assets = clock.books[book] = {}
    state = assets.get(asset)
    if state is None:
        state = assets[asset] = BookState(ZERO, ZERO, recorded.position, recorded.recorded_at)
    else:
        state.position = recorded.position
        state.recorded_at = recorded.recorded_at
    return state


def _checkpoint(recorded: Recorded, clock: Clock) -> BalanceCheckpoint:
    return BalanceCheckpoint(
        recorded.stream_id,
        recorded.user_id,
        recorded.position,
        recorded.event_version,
        clock.latest_occurred_at,
        {
            book: {
                asset: BookState(state.total, state.locked, state.position, state.recorded_at)
                for asset, state in assets.items()
            }
            for book, assets in clock.books.items()
        },
    )


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    return ((CLOCKS, recorded.stream_id),)


PROJECTION = Projection(
    name="balance_history",
    version=1,
    tables=(CHECKPOINTS, LATE, CLOCKS),
    folds=dict.fromkeys(MONEY_EVENTS, _moved),
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="checkpoints",
        table=CHECKPOINTS,
        read_model="balance_history",
        about="What all books of an account held after some of its movements; the newest first.",
        paths=(newest_first("account_id", "position"),),
        filters=between("latest_occurred_at"),
        shown=("position", "event_version", "latest_occurred_at"),
    ),
    Question(
        name="late_movements",
        table=LATE,
        read_model="balance_history",
        about="Movements that were recorded after one that happened later; the newest first.",
        paths=(newest_first("account_id", "position"),),
        filters=between("occurred_at"),
        shown=("position", "event_version", "occurred_at"),
    ),
)
