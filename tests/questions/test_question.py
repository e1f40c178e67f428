"""Questions as they are declared: what they take, how they page, and that SQL and Python agree."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.eventstore.session import reading
from ledger.kernel.read_side import InvalidQuestion
from ledger.write.ledger import Ledger
from projections.engine.projection import Row, Table
from projections.questions import answers, paging
from projections.questions.catalogue import questions
from projections.questions.question import (
    Question,
    ascending,
    exactly,
    newest_first,
)
from projections.questions.statement import relation, statement
from tests.audit.trading import PROJECTIONS, trade
from tests.commands import command
from tests.databases import temporary_database
from tests.projections.workers import caught_up, running

EVERY = pytest.mark.parametrize(
    "question", questions().values(), ids=lambda question: question.name
)
SOMEBODY = UUID(int=7)


@pytest.fixture(scope="module")
def traded_url(postgres_url: str) -> Iterator[str]:
    with temporary_database(postgres_url, template="ledger_template") as url:
        trade(url, orders=40)
        with Ledger(url) as ledger:  # series have their partitions when something was seen
            taken = command("TakeSnapshots", "clock", time="2026-03-04T00:00:00Z", kind="MANUAL")
            assert ledger.execute([taken])[0].status == "ACCEPTED"
        with running(url, PROJECTIONS):
            caught_up(url)
        yield url


def ways(question: Question[Any], connection: psycopg.Connection[Any]) -> Iterator[dict[str, Any]]:
    """What may be asked by each path, of every value that there is."""
    for path in question.paths:
        if path.by is None:
            yield {}
            continue
        found = connection.execute(
            f'SELECT DISTINCT "{path.by}" FROM {relation(question)}'.encode(),
            dict.fromkeys(question.within),
        )
        for (value,) in found.fetchall():
            if value is not None:
                yield question.read({path.by: value})


@EVERY
def test_pages_together_are_the_whole_answer_in_its_order(
    traded_url: str, question: Question[Any]
) -> None:
    with reading(traded_url) as connection:
        for asked in ways(question, connection):
            whole = list(answers.rows(connection, question, asked))
            paged: list[dict[str, Any]] = []
            after = None
            while page := list(answers.rows(connection, question, asked, limit=7, after=after)):
                paged += page
                after = paging.token(question, question.path(asked), page[-1])
            assert paged == whole


def by_key(question: Question[Any], rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """The filters may lead another way, in another order."""
    return {tuple(row[column] for column in question.table.key): row for row in rows}


@EVERY
def test_rows_that_a_filter_leaves_are_those_that_python_says_it_holds_for(
    traded_url: str, question: Question[Any]
) -> None:
    with reading(traded_url) as connection:
        for asked in list(ways(question, connection))[:3]:
            whole = list(answers.rows(connection, question, asked))
            for name, one in question.filter_of.items():
                values = {row[one.column] for row in whole if row[one.column] is not None}
                for value in sorted(values, key=str)[:3]:
                    narrowed = {**question.read({name: value}), **asked}
                    found = list(answers.rows(connection, question, narrowed))
                    kept = [row for row in whole if question.holds(row, narrowed)]
                    assert by_key(question, found) == by_key(question, kept)


@pytest.mark.parametrize(
    "question",
    [one for one in questions().values() if not one.made_by],
    ids=lambda question: question.name,
)
def test_the_order_of_every_path_is_read_from_an_index(
    traded_url: str, question: Question[Any]
) -> None:
    """However many rows there are, a page reads those of the page."""
    with psycopg.connect(traded_url) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        connection.execute("SET enable_sort = off")
        for path in question.paths:
            asked = {} if path.by is None else {path.by: _some(question.types[path.by])}
            asking = statement(question, asked, limit=10)
            plan = connection.execute(
                b"EXPLAIN " + asking.text.encode(), asking.parameters
            ).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert "Index" in text, text
            # An index may order by the first columns; few rows share those.
            # The months of a series are merged, each in the order of its index.
            assert "->  Sort " not in text or "Incremental Sort" in text, text


def _some(kind: type) -> Any:
    return SOMEBODY if kind is UUID else "x"


@EVERY
def test_a_past_is_told_by_a_function_that_there_is(question: Question[Any]) -> None:
    import pkgutil

    if question.past is not None:
        assert callable(pkgutil.resolve_name(question.past.told_by))


# --- what they take -----------------------------------------------------------------------


def test_a_status_may_be_a_word_for_several() -> None:
    orders = questions()["orders"]
    assert orders.read({"status": "open"}) == {"status": ["PENDING", "NEW", "PARTIALLY_FILLED"]}
    assert orders.read({"status": "canceled"}) == {"status": ["CANCELLED"]}
    with pytest.raises(InvalidQuestion, match=r"'gone' is no order status.*OPEN"):
        orders.read({"status": "gone"})


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("orders", {"from_time": "yesterday"}, "from_time must be a time"),
        ("allocations", {"is_active": "yes"}, "is_active must be true or false"),
        ("orders", {"instrument": "a\x00b"}, "instrument must be a text"),
        ("fills", {"order_id": 7}, "order_id must be a UUID"),
        ("fills", {"colour": "red"}, "'colour' is unknown here; there are: account_id"),
    ],
)
def test_a_value_that_is_none_of_its_column_is_refused(
    name: str, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidQuestion, match=told):
        questions()[name].read(given)


def test_a_time_without_an_offset_is_utc() -> None:
    found = questions()["snapshots"].read({"from_time": "2026-11-21T10:00"})
    assert found == {"from_time": datetime(2026, 11, 21, 10, tzinfo=UTC)}


def test_what_must_be_named_is_told_with_what_may_be_named_instead() -> None:
    with pytest.raises(
        InvalidQuestion, match=r"account_id is missing \(or, instead, user_id or strategy_id\)"
    ):
        statement(questions()["fills"], {})


class Thing(Row):
    name: str


def test_a_question_about_a_column_that_there_is_not_is_not_declared() -> None:
    with pytest.raises(ValueError, match=r"things has no \['colour'\]"):
        Question(
            name="things",
            table=Table("things", Thing, key=("name",)),
            about="Things.",
            paths=(ascending(None, "name"),),
            filters=(exactly("colour"),),
            shown=("name",),
        )


# --- tokens -------------------------------------------------------------------------------


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.integers())
def test_a_token_that_is_none_of_ours_is_refused(text: object) -> None:
    fills = questions()["fills"]
    with pytest.raises(InvalidQuestion, match="after"):
        paging.place(fills, fills.paths[0], text)


def test_a_token_goes_on_where_it_was_given_and_nowhere_else() -> None:
    fills, orders = questions()["fills"], questions()["orders"]
    by_account, by_user, _ = fills.paths
    when = datetime(2026, 11, 21, tzinfo=UTC)
    token = paging.token(fills, by_user, {"fill_timestamp": when, "position": 7})
    assert paging.place(fills, by_user, token) == (when, 7)
    for question, path in ((fills, by_account), (orders, orders.paths[1])):
        with pytest.raises(InvalidQuestion, match="another question"):
            paging.place(question, path, token)


def test_a_token_with_a_value_of_another_type_is_refused() -> None:
    fills = questions()["fills"]
    path = newest_first("account_id", "position")
    forged = paging.token(fills, path, {"position": "7; DROP TABLE orders"})
    with pytest.raises(InvalidQuestion, match="must be the `next`"):
        paging.place(fills, path, forged)
