"""Asking a database: the rows as they are, or as they were at a past moment.

    present    a statement on the public view (statement.py)
    past       told by the function that the question names (projections/past), from the log and
               what the read model keeps for it; the filters hold of what it tells

Rows are dictionaries of columns, in the types of the database; `Question.row` is their struct.
"""

import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Any, LiteralString, NamedTuple, cast

import psycopg
from psycopg.rows import dict_row

from ledger.eventstore import reader
from ledger.eventstore.moments import InvalidMoment, Moment, position_of, time_of
from ledger.eventstore.session import FETCH_ROWS
from ledger.kernel.read_side import ReadModelBehind
from projections.questions import paging
from projections.questions.question import Asked, Past, Question
from projections.questions.statement import SqlStatement, statement

POSITION: LiteralString = (
    "SELECT last_processed_position FROM public.event_projections WHERE projection_name = %s"
)
"""How far a read model is. Read in the snapshot that reads its rows, it is what they are as of."""

Row = Mapping[str, Any]
"""A row by its columns."""

_cursor_numbers = count(1)
"""Of cursors, so that several answers can be read at once."""


class RowsPage(NamedTuple):
    """Some of the rows of an answer. `position` is what they are as of; `following` the place where
    the next page begins, None if there is none."""

    rows: list[Row]
    position: int
    following: str | None


def reached(connection: psycopg.Connection[Any], question: Question[Any]) -> int:
    """The position that the read model behind the question has come to."""
    row = connection.execute(POSITION, (question.projection,)).fetchone()
    return row[0] if row else 0


def rows(
    connection: psycopg.Connection[Any],
    question: Question[Any],
    asked: Asked,
    *,
    limit: int | None = None,
    after: str | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows as they are, streamed: an account may have more than memory. The connection must
    be in a transaction. Raises InvalidQuestion."""
    yield from stream(connection, statement(question, asked, limit=limit, after=after))


def page(
    connection: psycopg.Connection[Any],
    question: Question[Any],
    asked: Asked,
    *,
    limit: int,
    after: str | None = None,
    moment: Moment | None = None,
) -> RowsPage:
    """A page of the rows as they are, or as they were at a moment. The connection must be in a
    transaction. Raises InvalidQuestion."""
    if moment is None:
        position = reached(connection, question)
        asking = statement(question, asked, limit=limit + 1, after=after)
        with connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(asking.text.encode(), asking.parameters)
            found: list[Row] = list(cursor.fetchall())
    else:
        position = moment.known_at
        behind = _behind(rows_at(connection, question, asked, moment), question, asked, after)
        found = list(islice(behind, limit + 1))
    more = len(found) > limit
    place = paging.token(question, question.path(asked), found[limit - 1]) if more else None
    return RowsPage(found[:limit], position, place)


def _behind(
    found: Iterator[Row], question: Question[Any], asked: Asked, after: str | None
) -> Iterator[Row]:
    """The rows behind a place, of rows in the path's order."""
    if after is None:
        return found
    path = question.path(asked)
    place = paging.place(question, path, after)

    def is_behind(row: Row) -> bool:
        at = tuple(row[column] for column in path.order)
        return at < place if path.descending else at > place

    return filter(is_behind, found)


def stream(connection: psycopg.Connection[Any], asking: SqlStatement) -> Iterator[dict[str, Any]]:
    """The rows of a statement, some at a time."""
    name = f"question_{next(_cursor_numbers)}"
    with connection.cursor(name=name, row_factory=dict_row, binary=True) as cursor:
        cursor.itersize = FETCH_ROWS
        cursor.execute(asking.text.encode(), asking.parameters)
        yield from cursor


# --- the past -------------------------------------------------------------------------


def moment_of(
    connection: psycopg.Connection[Any],
    question: Question[Any],
    past: Past,
    known_at: str | None,
    effective_at: str | None,
) -> Moment:
    """The moment that texts name, for this question about the past. Raises InvalidMoment, and
    ReadModelBehind."""
    until = None if effective_at is None else time_of(effective_at)
    if until is not None and not past.by_time:
        raise InvalidMoment(
            f"{question.name} are told as they were known, not as of a time of the venue's: leave "
            "effective_at out, or ask with known_at"
        )
    from_rows = past.begins_with == "rows" or (
        past.begins_with == "rows where effective" and until is not None
    )
    head = reader.head(connection)
    known = reached(connection, question) if from_rows else head
    if known_at is None:
        return Moment(known, until)
    position = min(position_of(connection, known_at), head)
    if position > known:
        raise ReadModelBehind(
            f"{question.projection} has come to position {known} and not yet to {position}: ask "
            "again in a moment, or see `ledgerctl projections status`"
        )
    return Moment(position, until)


def rows_at(
    connection: psycopg.Connection[Any], question: Question[Any], asked: Asked, moment: Moment
) -> Iterator[Row]:
    """The rows as they were, in the question's order. Raises InvalidQuestion."""
    past = question.past_of(asked)
    tell = cast(
        "Callable[[psycopg.Connection[Any], Moment, Asked], Iterable[Row]]",
        pkgutil.resolve_name(past.told_by),
    )
    return (row for row in tell(connection, moment, asked) if question.holds(row, asked))
