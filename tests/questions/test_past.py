"""Rows of a past moment are those that a fold up to it makes."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from ledger.eventstore import reader
from ledger.eventstore.moments import InvalidMoment, Moment, position_of
from ledger.eventstore.session import reading
from projections.engine.builds import generations
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.past.balances import balances_at
from projections.past.fills import fills_at
from projections.past.orders import order_at
from projections.past.transactions import transactions_at
from projections.questions.answers import rows_at
from projections.questions.catalogue import questions
from projections.questions.question import Question
from projections.read_models import balance_history
from projections.registry import find
from projections.settings import ProjectionSettings
from tests.audit.trading import ACCOUNTS, START, trade
from tests.databases import temporary_database

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "6"))
ORDERS = 60


@pytest.fixture(scope="module")
def traded_url(postgres_url: str) -> Iterator[str]:
    """Checkpoints lie close together, so that a small log has many."""
    usual = balance_history.CHECKPOINT_INTERVAL
    balance_history.CHECKPOINT_INTERVAL = 7
    try:
        with temporary_database(postgres_url, template="ledger_template") as url:
            trade(url, orders=ORDERS)
            yield url
    finally:
        balance_history.CHECKPOINT_INTERVAL = usual


def folded(database_url: str, question: Question[Any], position: int) -> list[dict[str, Any]]:
    """The rows of a read model built up to a position and no further."""
    name = question.projection
    projection, schema = find(name, ProjectionSettings()), f"{name}_until"
    with connect(database_url, "test") as connection:
        generations.drop(connection, projection, schema)
        generations.create_tables(connection, projection, schema)
        build = Build(projection, schema, connection, rows_in_memory=10_000, empty=True)
        build.fold(
            source.read(connection, after=0, up_to=position, event_types=projection.event_types)
        )
        with connection.transaction():
            build.write()
        cursor = connection.cursor(row_factory=dict_row)
        rows = cursor.execute(
            sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, question.table.name))
        ).fetchall()
        generations.drop(connection, projection, schema)
    return rows


def some_positions(database_url: str) -> list[int]:
    with psycopg.connect(database_url) as connection:
        head = reader.head(connection)
    return [1, head, *Random(3).sample(range(2, head), ROUNDS)]


@pytest.mark.parametrize(
    "question",
    [
        one
        for one in questions().values()
        if one.past is not None and one.first == "account_id" and not one.made_by
    ],
    ids=lambda question: question.name,
)
def test_rows_known_at_a_position_are_those_of_a_rebuild_to_it(
    traded_url: str, question: Question[Any]
) -> None:
    key = question.table.key

    def sorted_rows(rows: Any) -> list[dict[str, Any]]:
        return sorted((dict(row) for row in rows), key=lambda row: [str(row[k]) for k in key])

    for position in some_positions(traded_url):
        there = folded(traded_url, question, position)
        expected = sorted_rows(row for row in there if row["account_id"] in ACCOUNTS)
        with reading(traded_url) as connection:
            found = [
                row
                for account in ACCOUNTS
                for row in rows_at(connection, question, {"account_id": account}, Moment(position))
            ]
        assert sorted_rows(found) == expected, position


def effective(
    database_url: str, account_id: UUID, until: datetime, known_at: int
) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    """(total, locked) by book and asset, summed over the whole log by SQL."""
    statement = """
        SELECT book, asset, sum(total), sum(locked) FROM event_store, LATERAL (
            SELECT p->>'book' AS book, p->>'asset' AS asset,
                   (p->>'amount')::numeric AS total, 0 AS locked
            FROM jsonb_array_elements(event_data->'postings') AS p
            UNION ALL
            SELECT h->>'sub_account', h->>'asset', 0, (h->>'amount')::numeric
            FROM jsonb_array_elements(event_data->'holds') AS h) AS moved
        WHERE stream_id = %s AND occurred_at <= %s AND position <= %s AND book !~ ':|external'
        GROUP BY 1, 2"""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(statement, (account_id, until, known_at)).fetchall()
    return {(book, asset): (total, locked) for book, asset, total, locked in rows}


def test_balances_effective_at_a_time_count_what_had_happened_whenever_it_was_recorded(
    traded_url: str,
) -> None:
    random = Random(5)
    with reading(traded_url) as connection:
        head = reader.head(connection)
        row = connection.execute("SELECT count(*) FROM late_movements").fetchone()
        assert row is not None
        assert row[0] > 10, "the story has late movements"
        for _ in range(10 * ROUNDS):
            until = START + timedelta(minutes=random.randint(0, 20 * ORDERS))
            known_at = random.choice((head, random.randint(1, head)))
            for account_id in ACCOUNTS:
                found = balances_at(connection, account_id, Moment(known_at, until))
                assert {
                    (row.sub_account, row.asset): (row.total, row.locked) for row in found
                } == effective(traded_url, account_id, until, known_at)


def test_balances_are_right_without_any_checkpoint(traded_url: str) -> None:
    with reading(traded_url) as connection:
        head = reader.head(connection)
        moments = [Moment(head // 2), Moment(head, START + timedelta(hours=3))]
        with_checkpoints = [balances_at(connection, ACCOUNTS[0], moment) for moment in moments]
    with psycopg.connect(traded_url) as connection, connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM balance_checkpoints")
        connection.execute("DELETE FROM late_movements")
        without = [balances_at(connection, ACCOUNTS[0], moment) for moment in moments]
    assert without == with_checkpoints


def test_balances_do_not_wait_for_the_read_model(database_url: str) -> None:
    trade(database_url, orders=5)
    with reading(database_url) as connection:
        middle = Moment(reader.head(connection), START + timedelta(hours=1))
        expected = balances_at(connection, ACCOUNTS[0], middle)
    with psycopg.connect(database_url) as connection, connection.transaction(force_rollback=True):
        position = middle.known_at // 2
        for table in ("balance_checkpoints", "late_movements"):
            connection.execute(
                sql.SQL("DELETE FROM {} WHERE position > %s").format(sql.Identifier(table)),
                (position,),
            )
        connection.execute(
            "UPDATE event_projections SET last_processed_position = %s WHERE projection_name = %s",
            (position, "balance_history"),
        )
        assert balances_at(connection, ACCOUNTS[0], middle) == expected


def test_balances_do_not_lack_what_the_read_model_has_parked(traded_url: str) -> None:
    """Its checkpoint goes on with other accounts; of this one it knows nothing more."""
    with psycopg.connect(traded_url) as connection, connection.transaction(force_rollback=True):
        found = connection.execute(
            "SELECT account_id, position, occurred_at FROM late_movements ORDER BY position DESC"
        ).fetchone()
        assert found is not None
        account_id, parked, effective_at = found
        moment = Moment(reader.head(connection), effective_at)
        expected = balances_at(connection, account_id, moment)
        for table in ("balance_checkpoints", "late_movements"):
            connection.execute(
                sql.SQL("DELETE FROM {} WHERE account_id = %s AND position >= %s").format(
                    sql.Identifier(table)
                ),
                (account_id, parked),
            )
        assert balances_at(connection, account_id, moment) != expected
        connection.execute(
            """INSERT INTO projection_dead_letters (id, projection_name, generation, partition_key,
                   position, event_id, event_type, kind, code_version)
               SELECT gen_random_uuid(), 'balance_history', live.generation, stream_id::text,
                   events.position, events.id, event_type, 'fold', 1
               FROM event_store AS events, event_projections AS live
               WHERE events.position = %s AND live.projection_name = 'balance_history'""",
            (parked,),
        )
        assert balances_at(connection, account_id, moment) == expected


def test_an_order_effective_at_a_time_is_as_if_nothing_had_come_late(traded_url: str) -> None:
    """Between two things that happened, what is filled is the sum of the trades until then."""
    with reading(traded_url) as connection:
        head = reader.head(connection)
        trades = connection.execute(
            """SELECT order_id, fill_timestamp, quantity FROM order_fills
               WHERE order_id NOT IN (SELECT order_id FROM order_fills WHERE voided)
               ORDER BY order_id, fill_timestamp"""
        ).fetchall()
        assert trades
        for order_id, of_order in groupby(trades, key=lambda trade: trade[0]):
            filled = Decimal(0)
            cancelled = connection.execute(
                "SELECT occurred_at FROM event_store WHERE stream_id = %s "
                "AND event_type = 'order.cancelled'",
                (order_id,),
            ).fetchone()
            for _, time, quantity in of_order:
                filled += quantity
                (row,) = order_at(connection, Moment(head, time), {"order_id": order_id})
                assert row["filled_quantity"] == filled
                if filled < row["quantity"]:
                    ended = cancelled is not None and cancelled[0] <= time
                    assert row["status"] == ("CANCELLED" if ended else "PARTIALLY_FILLED")
                else:
                    assert row["leaves_quantity"] == 0


def test_a_voided_fill_counts_until_it_was_voided(traded_url: str) -> None:
    with reading(traded_url) as connection:
        head = reader.head(connection)
        account_id, order_id, voided_at = connection.execute(
            "SELECT account_id, order_id, voided_at FROM order_fills WHERE voided"
        ).fetchall()[0]
        before = Moment(head, voided_at - timedelta(microseconds=1))
        for moment, voided in ((before, False), (Moment(head, voided_at), True)):
            fills = fills_at(connection, moment, {"account_id": account_id})
            (flag,) = {
                row["voided"]
                for row in fills
                if row["order_id"] == order_id and row["trade_id"].endswith("-0")
            }
            assert flag is voided


def test_closing_balances_effective_at_a_time_run_in_the_order_of_the_venue(
    traded_url: str,
) -> None:
    until = START + timedelta(hours=8)
    with reading(traded_url) as connection:
        moment = Moment(reader.head(connection), until)
        rows = list(transactions_at(connection, moment, {"account_id": ACCOUNTS[0]}))[::-1]
    running: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        book = (row["sub_account"], row["asset"])
        signed = row["amount"] if row["direction"] == "CREDIT" else -row["amount"]
        running[book] = running.get(book, Decimal(0)) + signed
        assert row["closing_balance"] == running[book]
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)


def test_a_time_of_recording_names_the_last_position_recorded_by_then(traded_url: str) -> None:
    with reading(traded_url) as connection:
        rows = connection.execute(
            "SELECT recorded_at, max(position) FROM event_store GROUP BY 1 ORDER BY 1"
        ).fetchall()
        for time, position in rows:
            assert position_of(connection, time.isoformat()) == position
            just_before = (time - timedelta(microseconds=1)).isoformat()
            assert position_of(connection, just_before) < position
        assert position_of(connection, "2001-01-01") == 0
        assert position_of(connection, "17") == 17
        with pytest.raises(InvalidMoment, match="neither a position nor a time"):
            position_of(connection, "yesterday")
