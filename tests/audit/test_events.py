"""Finding events: what is found, in which order, and by which index."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from benchmarks.event_mix import EventMix, append_mix
from ledger.audit.ask import payload
from ledger.audit.ask.events import COMMON_TYPES, EventCriteria, find, plan
from ledger.eventstore.reader import RecordedEvent
from ledger.eventstore.session import reading
from tests.databases import temporary_database

EVENTS = 30_000


@pytest.fixture(scope="module")
def filled_url(postgres_url: str) -> Iterator[str]:
    """A log of the demo's mix, as vacuum leaves it."""
    with temporary_database(postgres_url, template="ledger_template") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            append_mix(connection, EventMix(accounts=20), EVENTS)
            connection.execute("VACUUM ANALYZE event_store")
        yield url


@pytest.fixture
def connection(filled_url: str) -> Iterator[psycopg.Connection[Any]]:
    with reading(filled_url) as connection:
        yield connection


@pytest.fixture
def some(connection: psycopg.Connection[Any]) -> RecordedEvent:
    """An event of an account in the middle of the log."""
    events = EventCriteria(after=EVENTS // 2, event_types=("account.trade_settled",))
    (event,) = find(connection, events, limit=1)
    return event


def filters(some: RecordedEvent) -> dict[str, tuple[EventCriteria, str, str]]:
    """By what the page for auditors calls it: the filter, its condition in SQL, its index."""
    account = f"(stream_id = '{some.stream_id}' OR event_data->>'account_id' = '{some.stream_id}')"
    return of_things(some, account) | of_ranges(some) | of_payloads(some, account)


def of_things(some: RecordedEvent, account: str) -> dict[str, tuple[EventCriteria, str, str]]:
    return {
        "stream": (
            EventCriteria(stream_id=some.stream_id),
            "stream_id = '{stream_id}'",
            "event_store_1_stream_id_event_version_key",
        ),
        "stream from a position": (
            EventCriteria(stream_id=some.stream_id, after=EVENTS // 2),
            f"stream_id = '{{stream_id}}' AND position > {EVENTS // 2}",
            "event_store_1_stream_id_event_version_key",
        ),
        "common type": (
            EventCriteria(event_types=("order.filled",)),
            "event_type = 'order.filled'",
            "event_store_1_pkey",
        ),
        "uncommon type": (
            EventCriteria(event_types=("allocation.strategy_assigned",)),
            "event_type = 'allocation.strategy_assigned'",
            "event_store_1_uncommon_type",
        ),
        "aggregate": (
            EventCriteria(stream_type="instrument"),
            "stream_type = 'instrument'",
            "event_store_1_uncommon_type",
        ),
        "account": (EventCriteria(account_id=some.stream_id), account, "event_store_1_account"),
        "user": (
            EventCriteria(user_id=some.user_id),
            "user_id = '{user_id}'",
            "event_store_1_account",
        ),
        "correlation": (
            EventCriteria(correlation_id=some.correlation_id),
            "correlation_id = '{correlation_id}'",
            "event_store_1_correlation",
        ),
        "causation": (
            EventCriteria(causation_id=some.causation_id),
            "causation_id = '{causation_id}'",
            "event_store_1_causation",
        ),
        "id": (EventCriteria(event_id=some.id), "id = '{id}'", "event_store_1_id_key"),
    }


def of_ranges(some: RecordedEvent) -> dict[str, tuple[EventCriteria, str, str]]:
    hour = some.occurred_at + timedelta(minutes=10)
    return {
        "positions": (
            EventCriteria(after=100, before=200),
            "position > 100 AND position < 200",
            "event_store_1_pkey",
        ),
        "recorded": (
            EventCriteria(recorded_from=some.recorded_at),
            "recorded_at >= '{recorded_at}'",
            "event_store_1_pkey",
        ),
        "occurred": (
            EventCriteria(occurred_from=some.occurred_at, occurred_to=hour),
            f"occurred_at >= '{{occurred_at}}' AND occurred_at < '{hour}'",
            "event_store_1_occurred",
        ),
    }


def of_payloads(some: RecordedEvent, account: str) -> dict[str, tuple[EventCriteria, str, str]]:
    return {
        "account and payload": (
            EventCriteria(
                account_id=some.stream_id,
                where=payload.parse('data.side == "BUY" and data.last_qty > 0.5'),
            ),
            f"{account} AND event_data->>'side' = 'BUY'"
            " AND (event_data->>'last_qty')::numeric > 0.5",
            "event_store_1_account",
        ),
        "payload": (
            EventCriteria(contains={"postings": [{"asset": "BTC"}]}),
            """event_data @> '{{"postings": [{{"asset": "BTC"}}]}}'""",
            "event_store_1_pkey",
        ),
    }


NAMES = (
    "stream", "stream from a position", "common type", "uncommon type", "aggregate", "account",
    "user", "correlation", "causation", "id", "positions", "recorded", "occurred",
    "account and payload", "payload",
)  # fmt: skip


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest", "newest"])
@pytest.mark.parametrize("name", NAMES)
def test_a_question_is_answered_whole_in_order_and_by_its_index(
    connection: psycopg.Connection[Any], some: RecordedEvent, name: str, newest_first: bool
) -> None:
    events, condition, index = filters(some)[name]
    values = {field: getattr(some, field) for field in some.__struct_fields__}
    expected = connection.execute(
        f"SELECT position FROM event_store WHERE {condition.format(**values)} ORDER BY position"
        f" {'DESC' if newest_first else ''}".encode()
    ).fetchall()
    found = [event.position for event in find(connection, events, newest_first=newest_first)]
    assert found == [row[0] for row in expected]
    assert found
    limited = find(connection, events, newest_first=newest_first, limit=7)
    assert [event.position for event in limited] == found[:7]
    explained = plan(connection, events, newest_first=newest_first, limit=100)
    assert index in explained, explained
    assert "Seq Scan" not in explained, explained


def test_pages_follow_each_other_without_gap_or_overlap(
    connection: psycopg.Connection[Any], some: RecordedEvent
) -> None:
    whole = [event.position for event in find(connection, EventCriteria(account_id=some.stream_id))]
    paged: list[int] = []
    while page := [
        event.position
        for event in find(
            connection,
            EventCriteria(account_id=some.stream_id, after=paged[-1] if paged else None),
            limit=200,
        )
    ]:
        paged += page
    assert paged == whole


def test_what_happened_at_another_time_than_its_place_says_is_found(database_url: str) -> None:
    """Times all over the place: every range still finds what SQL finds."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        append_mix(connection, EventMix(accounts=2), 400)
        connection.execute("ALTER TABLE event_store DISABLE TRIGGER USER")
        connection.execute(
            "UPDATE event_store SET occurred_at = occurred_at + (position * 7919 % 61 - 30)"
            " * interval '1 second' WHERE position % 3 = 0"
        )
        connection.execute("VACUUM ANALYZE event_store")
    with reading(database_url) as connection:
        times = [
            row[0]
            for row in connection.execute(
                "SELECT occurred_at FROM event_store WHERE position % 50 = 0 ORDER BY 1"
            ).fetchall()
        ]
        for begin in (None, *times):
            for end in (*times[::4], None):
                for newest_first in (False, True):
                    events = EventCriteria(occurred_from=begin, occurred_to=end)
                    found = find(connection, events, newest_first=newest_first)
                    expected = connection.execute(
                        "SELECT position FROM event_store"
                        " WHERE occurred_at >= coalesce(%s, '-infinity'::timestamptz)"
                        " AND occurred_at < coalesce(%s, 'infinity'::timestamptz)"
                        f" ORDER BY position {'DESC' if newest_first else ''}",
                        (begin, end),
                    ).fetchall()
                    assert [event.position for event in found] == [row[0] for row in expected]


def test_an_answer_is_streamed(connection: psycopg.Connection[Any]) -> None:
    answer = find(connection, EventCriteria())
    assert next(answer).position == 1
    (cursors,) = connection.execute(
        "SELECT count(*) FROM pg_cursors WHERE name LIKE 'audit_events%'"
    ).fetchone() or (0,)
    assert cursors == 1, "the rest is still in the database"


def test_common_types_are_those_that_the_index_leaves_out(
    connection: psycopg.Connection[Any],
) -> None:
    row = connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'event_store_uncommon_type'"
    ).fetchone()
    assert row is not None
    assert all(f"'{name}'" in row[0] for name in COMMON_TYPES)
    assert row[0].count("'") == 2 * len(COMMON_TYPES)


# --- conditions on payloads -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('data.name == "O\'Brien \\"x\\""', {1}),
        ("data.amount == 0.5", {1}),
        ("data.amount > 0.05", {1, 2}),
        ("data.amount <= 0.5", {1}),
        ('data.name != "other"', {1}),
        ("data.flag == true", {2}),
        ("data.amount == null", {3}),
        ("data.nested.deep == 3 and data.flag == null", {3}),
        ('data.name == "%(where_0_value)s"', set()),
    ],
)
def test_conditions_compare_texts_numbers_and_what_is_absent(
    database_url: str, text: str, expected: set[int]
) -> None:
    payloads = (
        '{"name": "O\'Brien \\"x\\"", "amount": "0.50"}',
        '{"name": "other", "amount": "12", "flag": true}',
        '{"nested": {"deep": 3}}',
    )
    with psycopg.connect(database_url) as connection:
        for position, data in enumerate(payloads, 1):
            connection.execute(
                """INSERT INTO event_store (position, id, stream_id, stream_type, event_type,
                       event_version, event_data, occurred_at)
                   VALUES (%s, gen_random_uuid(), %s, 'order', 'order.filled', 1, %s, now())""",
                (position, UUID(int=position), data),
            )
    with reading(database_url) as connection:
        events = EventCriteria(where=payload.parse(text))
        assert {event.position for event in find(connection, events)} == expected


@pytest.mark.parametrize(
    "text",
    ["", "data", "symbol == 1", "data.a = 1", "data.a == x", 'data.a == "x" or data.b == 1',
     "data.a == 1; DROP TABLE event_store", "data.a < true", "data.a == 1 and", "data['a'] == 1"],
)  # fmt: skip
def test_what_is_no_condition_is_refused_by_saying_how_to_write_one(text: str) -> None:
    with pytest.raises(payload.InvalidCondition):
        payload.parse(text)
