"""What the log adds up to is what the balances say; what does not is told."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.audit.ask.explain import Explanation, NoBalance, explain_balance
from ledger.audit.ask.explain_order import explain_order
from ledger.audit.ask.statement import CLOSING, MOVEMENT, OPENING, statement
from ledger.audit.ask.statement_page import page
from ledger.audit.ask.trace import Node, UnknownId, trace
from ledger.eventstore import reader
from ledger.eventstore.session import reading
from ledger.write.ledger import Ledger
from tests.audit.trading import ACCOUNTS, trade
from tests.commands import command, message, open_account, parsed
from tests.databases import temporary_database

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "10"))


@pytest.fixture(scope="module")
def traded_url(postgres_url: str) -> Iterator[str]:
    with temporary_database(postgres_url, template="ledger_template") as url:
        trade(url, orders=30, seed=2)
        yield url


def read_whole(connection: psycopg.Connection[Any], found: Explanation) -> list[Any]:
    return list(found.lines(connection))


def test_every_balance_is_explained_now_and_at_past_positions(traded_url: str) -> None:
    with reading(traded_url) as connection:
        head = reader.head(connection)
        books = connection.execute(
            "SELECT account_id, sub_account, asset, total FROM balances"
        ).fetchall()
        assert len(books) >= 6
        for account_id, sub_account, asset, total in books:
            for as_of in (None, *Random(1).sample(range(1, head), ROUNDS)):
                found = explain_balance(
                    connection, account_id, asset, sub_account=sub_account, as_of=as_of
                )
                try:
                    lines = read_whole(connection, found)
                except NoBalance:  # the position was before the first posting of this book
                    assert not connection.execute(
                        "SELECT FROM transactions WHERE account_id = %s AND sub_account = %s "
                        "AND asset = %s AND position <= %s",
                        (account_id, sub_account, asset, as_of),
                    ).fetchall()
                    continue
                assert found.equal
                if as_of is None:
                    assert lines[-1].sum == total == sum(line.amount for line in lines)


def test_each_posting_names_its_event_order_trade_and_command(traded_url: str) -> None:
    with reading(traded_url) as connection:
        found = explain_balance(connection, ACCOUNTS[0], "BTC")
        for line in read_whole(connection, found):
            row = connection.execute(
                "SELECT id, event_data->>'order_id', event_data->>'trade_id' FROM event_store "
                "WHERE position = %s",
                (line.position,),
            ).fetchone()
            assert row is not None
            order_id = None if line.order_id is None else str(line.order_id)
            assert row == (line.event_id, order_id, line.trade_id)
            command = connection.execute(
                "SELECT command_type FROM command_inbox WHERE command_id = %s", (line.command_id,)
            ).fetchone()
            assert command == (line.command_type,)
        by_reason = {reason: found.postings["main", reason] for reason in ("DEPOSIT", "TRADE")}
        assert by_reason["DEPOSIT"] == 1
        assert by_reason["TRADE"] > 1
        assert sum(found.by_reason.values()) == sum(
            one.total for one in found.sub_accounts.values()
        )


def test_a_balance_that_somebody_changed_is_not_explained(traded_url: str) -> None:
    with psycopg.connect(traded_url) as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "UPDATE balances SET total = total + 0.00000001, available = available + 0.00000001 "
            "WHERE account_id = %s AND sub_account = 'main' AND asset = 'BTC'",
            (ACCOUNTS[0],),
        )
        found = explain_balance(connection, ACCOUNTS[0], "BTC")
        read_whole(connection, found)
        assert not found.equal
        main = found.sub_accounts["main"]
        assert main.said_total - main.total == Decimal("0.00000001")


def test_every_order_is_explained(traded_url: str) -> None:
    with reading(traded_url) as connection:
        ids = [row[0] for row in connection.execute("SELECT order_id FROM orders").fetchall()]
        assert len(ids) == 30
        for order_id in ids:
            found = explain_order(connection, order_id)
            assert found.equal, found.differences
            types = [step.event_type for step in found.steps]
            assert types[:2] == ["order.submitted", "account.funds_held"]
            assert types.count("order.filled") == types.count("account.trade_settled")


def test_a_changed_order_is_not_explained(traded_url: str) -> None:
    with psycopg.connect(traded_url) as connection, connection.transaction(force_rollback=True):
        row = connection.execute(
            """UPDATE orders SET status = 'EXPIRED'
               WHERE order_id = (SELECT order_id FROM orders LIMIT 1) RETURNING order_id"""
        ).fetchone()
        assert row is not None
        assert list(explain_order(connection, row[0]).differences) == ["status"]


def test_a_trace_goes_from_the_command_to_the_money(traded_url: str) -> None:
    with reading(traded_url) as connection:
        event = connection.execute(
            "SELECT id, causation_id, metadata->>'command_id', event_data->>'order_id', "
            "correlation_id FROM event_store WHERE event_type = 'account.trade_settled' LIMIT 1"
        ).fetchone()
        assert event is not None
        event_id, filled_id, command_id, order_id, correlation_id = event
        (root,) = trace(connection, event_id).roots
        assert (root.kind, root.name, str(root.id)) == ("command", "RecordFill", command_id)
        (filled,) = root.children
        assert (filled.name, filled.id) == ("order.filled", filled_id)
        (settled,) = filled.children
        assert settled.id == event_id
        assert any("BTC TRADE" in effect for effect in settled.effects)
        assert trace(connection, correlation_id).roots == [root]
        of_order = trace(connection, order_id)
        assert of_order.asked == "order"
        assert [node.name for node in of_order.roots][:2] == ["SubmitOrder", "AcceptOrder"]
        assert positions(of_order.roots) == sorted(positions(of_order.roots))
        with pytest.raises(UnknownId, match="no command, event, order or correlation"):
            trace(connection, root.id.__class__(int=5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "source = 'somebody-else'",
            "the inbox says source 'somebody-else', the event at position",
        ),
        ("sender = 'eve'", "the inbox says sender 'eve', the event at position 2 says None"),
        ("command_type = 'AdjustBalance'", "the inbox says type 'AdjustBalance'"),
        (
            "outcome = jsonb_set(outcome, '{events,0,position}', '1')",
            "the inbox says position 1 of event",
        ),
        ("outcome = jsonb_set(outcome, '{events}', '[]')", "does not name the event"),
        (
            "outcome = jsonb_set(outcome, '{events,0,id}', to_jsonb(gen_random_uuid()))",
            "the log has no such event of this command",
        ),
    ],
)
def test_a_trace_tells_where_the_inbox_and_the_log_differ(
    database_url: str, change: str, said: str
) -> None:
    account_id = uuid7()
    deposit = command("Deposit", account_id, asset="USDT", amount="1")
    with Ledger(database_url) as ledger:
        ledger.execute([open_account(account_id), deposit])
    with psycopg.connect(database_url, autocommit=True) as connection:
        (untouched,) = trace(connection, deposit.id).roots
        assert untouched.differences == []
        connection.execute("ALTER TABLE command_inbox DISABLE TRIGGER USER")
        connection.execute(
            f"UPDATE command_inbox SET {change} WHERE command_id = %s".encode(), [deposit.id]
        )
        (told,) = (node for node in trace(connection, deposit.id).roots if node.kind == "command")
    assert any(said in one for one in told.differences), told.differences


def test_commands_of_one_batch_are_traced_in_their_order(database_url: str) -> None:
    account_id = uuid7()
    of_one = {"correlationid": str(account_id)}
    deposits = [
        parsed(message("Deposit", account_id, asset="USDT", amount="1") | of_one) for _ in range(20)
    ]
    deposits.reverse()  # so that their ids do not tell their order
    with Ledger(database_url) as ledger:
        ledger.execute([open_account(account_id), *deposits])
    with reading(database_url) as connection:
        connection.execute("SET enable_seqscan = off")  # the index has them in another order
        connection.execute("SET enable_bitmapscan = off")
        found = trace(connection, account_id)
    assert [root.id for root in found.roots][-20:] == [deposit.id for deposit in deposits]
    assert positions(found.roots) == sorted(positions(found.roots))


def positions(nodes: list[Node]) -> list[int]:
    return [
        position
        for node in nodes
        for position in ([node.position] if node.position else []) + positions(node.children)
    ]


def test_a_statement_leads_from_opening_to_closing_balances(traded_url: str) -> None:
    with reading(traded_url) as connection:
        times = [
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT recorded_at FROM event_store ORDER BY 1"
            ).fetchall()
        ]
        begin, end = times[len(times) // 3], times[2 * len(times) // 3]
        found = statement(connection, ACCOUNTS[0], begin, end)
        entries = list(found.entries(connection))
        assert found.equal
        kinds = [entry.kind for entry in entries]
        assert kinds == sorted(kinds, key=[OPENING, MOVEMENT, CLOSING].index)
        assert kinds.count(OPENING) == kinds.count(CLOSING) == len(found.books)
        moved = [entry for entry in entries if entry.kind == MOVEMENT]
        assert moved
        assert all(begin <= entry.recorded_at < end for entry in moved)
        for book in found.books:
            of_book = [e.amount for e in moved if (e.sub_account, e.asset) == book and e.amount]
            assert found.opening[book] + sum(of_book, Decimal(0)) == found.closing[book]


def test_statements_of_consecutive_periods_join(traded_url: str) -> None:
    with reading(traded_url) as connection:
        middle = connection.execute(
            "SELECT recorded_at FROM event_store OFFSET 100 LIMIT 1"
        ).fetchone()
        assert middle is not None
        past, future = datetime(2001, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
        first = statement(connection, ACCOUNTS[1], past, middle[0])
        second = statement(connection, ACCOUNTS[1], middle[0], future)
        assert first.opening == {}
        assert first.closing == second.opening
        now = connection.execute(
            "SELECT sub_account, asset, total FROM balances WHERE account_id = %s", (ACCOUNTS[1],)
        ).fetchall()
        assert second.closing == {(row[0], row[1]): row[2] for row in now}


def test_the_page_of_a_statement_needs_nothing_else(traded_url: str) -> None:
    with reading(traded_url) as connection:
        past, future = datetime(2001, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
        found = statement(connection, ACCOUNTS[0], past, future)
        text = "".join(page(connection, found))
    assert text.startswith("<!DOCTYPE html>")
    assert "http" not in text
    assert "<script" not in text
    assert "add up to the closing balances, to the last unit" in text
