"""The history of orders and trades: by account, user or strategy, narrowed, in pages."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.write.ledger import Ledger
from projections.questions import answers, paging
from projections.questions.catalogue import questions
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.commands import USER, command, list_instrument, open_account, submit_order
from tests.projections.workers import caught_up, running

ACCOUNT = uuid7()
ORDERS = [uuid7() for _ in range(5)]
EXTERNAL = uuid7()
GROUP = uuid7()
MARKET = "BINANCE:BTCUSDT"
PROJECTIONS = [
    one for one in all_projections(ProjectionSettings()) if one.name in ("orders", "order_fills")
]


def at(minute: int) -> str:
    return f"2026-11-21T10:{minute:02}:00Z"


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Five orders of alpha, of which three have traded, and one that nobody submitted."""
    exits = {"side": "SELL", "oco_group": GROUP, "quantity": "1"}
    sent = [
        open_account(ACCOUNT),
        list_instrument(),
        list_instrument(instrument="BINANCE:币安人生USDT", base_asset="币安人生"),
        command("Deposit", ACCOUNT, asset="USDT", amount="1000"),
        command("AssignStrategy", ACCOUNT, strategy_id="alpha", allocation_percent="50"),
        command("RebalanceAllocations", ACCOUNT),
        *(
            submit_order(ACCOUNT, order_id, quantity="0.1", strategy_id="alpha", signal_id="s-1")
            for order_id in ORDERS[:3]
        ),
        *(
            command(
                "RecordFill",
                ACCOUNT,
                order_id=order_id,
                trade_id=f"t{minute}",
                last_qty="0.1",
                last_px="100",
                fees=[{"asset": "BNB", "amount": "1"}, {"asset": "USDT", "amount": "0.5"}],
                occurred_at=at(minute),
            )
            for minute, order_id in enumerate(ORDERS[:3])
        ),
        command("Deposit", ACCOUNT, asset="BTC", amount="1", sub_account="alpha"),
        submit_order(
            ACCOUNT, ORDERS[3], strategy_id="alpha", purpose="TAKE_PROFIT", price="120", **exits
        ),
        submit_order(
            ACCOUNT,
            ORDERS[4],
            strategy_id="alpha",
            purpose="STOP_LOSS",
            order_type="STOP_MARKET",
            price=None,
            stop_price="80",
            trigger_price_type="MARK",
            time_in_force="GTD",
            expires_at="2030-01-01T00:00:00Z",
            **exits,
        ),
        command(
            "RecordFill",
            ACCOUNT,
            order_id=EXTERNAL,
            trade_id="t1",
            last_qty="3",
            last_px="0",
            instrument="BINANCE:币安人生USDT",
            side="BUY",
            venue_order_id="A1",
        ),
    ]
    with Ledger(database_url) as ledger:
        outcomes = ledger.execute(sent)
    assert [outcome.code for outcome in outcomes] == [None] * len(sent)
    with running(database_url, PROJECTIONS):
        caught_up(database_url, *(one.name for one in PROJECTIONS))
    with psycopg.connect(database_url) as connection:
        yield connection


def found(connection: psycopg.Connection[Any], name: str, **given: object) -> list[Any]:
    return questions()[name].find(connection, **given)


def test_the_history_is_asked_by_who_traded_what_when_and_how_it_went(
    connection: psycopg.Connection[Any],
) -> None:
    def orders(**given: object) -> list[Any]:
        return [row.order_id for row in found(connection, "orders", **given)]

    newest_first = [EXTERNAL, *reversed(ORDERS)]
    assert set(orders(account_id=ACCOUNT)) == set(newest_first) == set(orders(user_id=USER))
    assert set(orders(strategy_id="alpha")) == set(ORDERS)
    assert set(orders(strategy_id="alpha", status="FILLED")) == set(ORDERS[:3])
    assert orders(account_id=ACCOUNT, instrument="BINANCE:币安人生USDT") == [EXTERNAL]
    assert set(orders(account_id=ACCOUNT, oco_group=GROUP)) == set(ORDERS[3:])
    assert orders(account_id=ACCOUNT, environment="LIVE") == []
    fills = found(connection, "fills", strategy_id="alpha", from_time=at(1), to_time=at(3))
    assert [row.trade_id for row in fills] == ["t2", "t1"]


def test_a_page_goes_on_behind_the_one_before(connection: psycopg.Connection[Any]) -> None:
    question = questions()["orders"]
    asked = question.read({"account_id": ACCOUNT})
    seen: list[Any] = []
    after = None
    while page := list(answers.rows(connection, question, asked, limit=2, after=after)):
        assert len(page) <= 2
        seen += [row["order_id"] for row in page]
        after = paging.token(question, question.path(asked), page[-1])
    assert len(seen) == len(set(seen)) == 6


def test_a_row_has_what_was_asked_for_and_what_was_told(
    connection: psycopg.Connection[Any],
) -> None:
    (stop,) = found(connection, "order", order_id=ORDERS[4])
    assert (stop.purpose, stop.oco_group, stop.trigger_price_type) == ("STOP_LOSS", GROUP, "MARK")
    assert (stop.time_in_force, stop.environment) == ("GTD", "PAPER")
    (told,) = found(connection, "order", order_id=EXTERNAL)
    unknown = (told.quantity, told.leaves_quantity, told.order_type, told.time_in_force)
    assert unknown == (None, None, None, None)
    assert (told.status, told.filled_quantity, told.venue_order_id) == ("PARTIALLY_FILLED", 3, "A1")
    (first,) = found(connection, "order", order_id=ORDERS[0])
    assert (first.commission_asset, first.commission, first.other_commissions) == (
        "BNB",
        1,
        {"USDT": "0.5"},
    )
    assert first.signal_id == "s-1"
    (fill,) = found(connection, "fills", account_id=ACCOUNT, order_id=ORDERS[0])
    assert (fill.environment, fill.execution_kind, fill.revision) == ("PAPER", "TRADE", 1)
    assert (fill.commission_asset, fill.other_commissions) == ("BNB", {"USDT": "0.5"})
