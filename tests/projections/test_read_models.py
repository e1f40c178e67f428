"""What each read model says about small scripts of events."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from ledger.nouns.accounts.events import (
    AccountDeposited,
    AccountSuspended,
    AccountWithdrawn,
    CashFlowKind,
    CashFlowRecorded,
    FundsHeld,
    Reason,
)
from ledger.nouns.allocations.events import (
    AllocationsRebalanced,
    StrategyAssigned,
    StrategyDeactivated,
)
from ledger.nouns.instruments import state as instrument_state
from ledger.nouns.instruments.events import InstrumentDelisted, InstrumentListed, InstrumentUpdated
from ledger.nouns.orders.events import (
    LiquiditySide,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderReplaced,
    OrderReplaceRequested,
    OrderType,
    Side,
)
from ledger.nouns.orders.status import OrderStatus
from ledger.nouns.prices import state as price_state
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from projections.engine.builds import candidate
from projections.engine.builds.candidate import Limits, Shadow
from projections.engine.builds.generations import point_views
from projections.engine.builds.swap import show_live_alone
from projections.engine.connection import connect
from projections.engine.projection import Projection
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.projections import log as events
from tests.projections.log import ACCOUNT, INSTRUMENT, START, USER, Log

BY_TABLE = {
    table.name: projection
    for projection in all_projections(ProjectionSettings())
    for table in projection.public_tables
}
LIMITS = Limits(batch_positions=100, rows_in_memory=100)

Rows = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def log(database_url: str) -> Any:
    with events.opened_log(database_url) as opened:
        opened.account(events.account_opened())
        yield opened


@pytest.fixture
def rows(database_url: str) -> Rows:
    """The rows of a public table after folding the whole log, in the order of their events."""

    def read(table: str) -> list[dict[str, Any]]:
        _fold(database_url, BY_TABLE[table])
        with psycopg.connect(database_url, row_factory=dict_row) as connection:
            query = f"SELECT * FROM public.{table} ORDER BY {_ORDER.get(table, 'last_position')}"
            return connection.execute(query.encode()).fetchall()

    return read


_ORDER = {
    "transactions": "position, line",
    "balances": "asset",
    "order_fills": "position",
    "cash_flows": "position",
    "price_history": "position",
}


def _fold(database_url: str, projection: Projection) -> None:
    with connect(database_url, "test", by_key=False) as connection:
        row = connection.execute("SELECT max(position) FROM event_store").fetchone()
        assert row is not None
        schema = f"{projection.name}_folded"
        show_live_alone(connection, projection)  # what is shown is not dropped
        fresh = Shadow(
            connection, projection, schema, LIMITS, logged=True, on_progress=candidate.no_progress
        )
        fresh.fold_to(row[0])
        point_views(connection, projection, schema)


def _order(rows: Rows) -> dict[str, Any]:
    (row,) = rows("orders")
    assert row["quantity"] == (
        row["filled_quantity"]
        - row["overfill_quantity"]
        + row["cancelled_quantity"]
        + row["leaves_quantity"]
    )
    return row


def _quantities(row: dict[str, Any]) -> tuple[int, ...]:
    names = ("filled_quantity", "leaves_quantity", "cancelled_quantity", "overfill_quantity")
    return tuple(int(row[name]) for name in names)


# --- orders ---------------------------------------------------------------------------


def test_a_submitted_order_is_pending_with_everything_left(log: Log, rows: Rows) -> None:
    log.order(events.submitted(client_order_id="c-1", post_only=True))
    row = _order(rows)
    assert row["status"] == "PENDING"
    assert _quantities(row) == (0, 10, 0, 0)
    assert (row["user_id"], row["account_id"]) == (USER, ACCOUNT)
    assert (row["client_order_id"], row["post_only"]) == ("c-1", True)


def test_partial_fills_add_up_and_the_last_one_dates_the_order(log: Log, rows: Rows) -> None:
    log.order(
        events.submitted(),
        events.accepted(),
        events.filled("4", cum="4", commission=Decimal(1), commission_asset="USDT"),
        events.filled("3", cum="7", commission=Decimal(2), commission_asset="USDT"),
    )
    row = _order(rows)
    assert (row["status"], row["venue_order_id"]) == ("PARTIALLY_FILLED", "v-1")
    assert _quantities(row) == (7, 3, 0, 0)
    assert (row["commission"], row["commission_asset"]) == (3, "USDT")
    assert row["filled_at"] == log.now - timedelta(seconds=1)


def test_a_cancel_turns_what_is_left_into_cancelled(log: Log, rows: Rows) -> None:
    log.order(events.submitted(), events.filled("4", cum="4"), events.cancelled(reason="enough"))
    row = _order(rows)
    assert _quantities(row) == (4, 0, 6, 0)
    assert (row["status"], row["cancel_reason"]) == ("CANCELLED", "enough")
    assert row["cancelled_at"] == log.now - timedelta(seconds=1)


def test_a_late_fill_takes_from_what_was_cancelled(log: Log, rows: Rows) -> None:
    log.order(events.submitted(), events.cancelled())
    log.order(events.filled("4", cum="4", status="CANCELLED", late=True))
    row = _order(rows)
    assert _quantities(row) == (4, 0, 6, 0)
    assert row["status"] == "CANCELLED"


def test_more_than_was_ordered_is_kept_as_overfill(log: Log, rows: Rows) -> None:
    log.order(events.submitted(), events.filled("12", cum="12", status="FILLED"))
    assert _quantities(_order(rows)) == (12, 0, 0, 2)


def test_a_voided_fill_is_left_again_on_an_open_order(log: Log, rows: Rows) -> None:
    charge: dict[str, Any] = {"commission": Decimal(1), "commission_asset": "USDT"}
    log.order(
        events.submitted(),
        events.filled("4", cum="4", **charge),
        events.fill_voided("4", cum="0", status="NEW", **charge),
    )
    row = _order(rows)
    assert _quantities(row) == (0, 10, 0, 0)
    assert (row["commission"], row["avg_fill_price"], row["filled_at"]) == (0, None, None)


def test_a_voided_fill_of_an_ended_order_will_never_trade(log: Log, rows: Rows) -> None:
    log.order(
        events.submitted(),
        events.filled("10", cum="10", status="FILLED"),
        events.fill_voided("10", cum="0", status="FILLED"),
    )
    assert _quantities(_order(rows)) == (0, 0, 10, 0)


def test_a_denied_order_has_nothing_left_and_says_why(log: Log, rows: Rows) -> None:
    log.order(events.denied())
    row = _order(rows)
    assert (row["status"], row["reject_code"]) == ("REJECTED", "INSUFFICIENT_FUNDS")
    assert _quantities(row) == (0, 0, 10, 0)


def test_a_market_buy_with_a_budget_is_as_large_as_what_it_bought(log: Log, rows: Rows) -> None:
    log.order(
        events.submitted(
            order_type=OrderType.MARKET,
            quantity=None,
            price=None,
            quote_quantity=Decimal(500),
        ),
        events.filled("3", cum="3"),
    )
    row = _order(rows)
    assert (row["quantity"], row["quote_quantity"], row["sized_by_quote"]) == (3, 500, True)


def test_requests_are_flags_until_they_are_answered(log: Log, rows: Rows) -> None:
    now: dict[str, Any] = {"account_id": ACCOUNT, "status": OrderStatus.NEW}
    log.order(events.submitted(), events.accepted())
    log.order(OrderCancelRequested(**now), OrderReplaceRequested(**now))
    row = _order(rows)
    assert (row["cancel_requested"], row["replace_requested"]) == (True, True)
    log.order(OrderCancelRejected(**now))
    log.order(OrderReplaced(**now, quantity=Decimal(7), price=Decimal(99)))
    row = _order(rows)
    assert (row["cancel_requested"], row["replace_requested"]) == (False, False)
    assert (row["quantity"], row["price"], row["leaves_quantity"]) == (7, 99, 7)


def test_a_commission_in_a_second_asset_is_kept_beside_the_first(log: Log, rows: Rows) -> None:
    log.order(
        events.submitted(),
        events.filled("1", cum="1", commission=Decimal("0.1"), commission_asset="BNB"),
        events.filled("1", cum="2", commission=Decimal("0.2"), commission_asset="USDT"),
        events.filled("1", cum="3", commission=Decimal("0.3"), commission_asset="USDT"),
    )
    row = _order(rows)
    assert (row["commission"], row["commission_asset"]) == (Decimal("0.1"), "BNB")
    assert row["other_commissions"] == {"USDT": "0.5"}


# --- fills ----------------------------------------------------------------------------


def test_every_trade_has_a_row_also_when_voided_or_late(log: Log, rows: Rows) -> None:
    log.order(
        events.submitted(),
        events.filled("4", cum="4", liquidity_side=LiquiditySide.MAKER),
        events.filled("6", cum="10", trade_id="t-2", late=True, status="FILLED"),
        events.fill_voided("4", cum="6", status="FILLED"),
    )
    first, second = rows("order_fills")
    assert (first["trade_id"], first["voided"], first["is_maker"]) == ("t-1", True, True)
    assert (second["trade_id"], second["voided"], second["late"]) == ("t-2", False, True)
    assert second["is_maker"] is None


# --- money ----------------------------------------------------------------------------


def test_balances_are_real_sub_accounts_and_the_other_side_is_apart(log: Log, rows: Rows) -> None:
    log.account(events.deposited("USDT", "1000"))
    log.account(FundsHeld(order_id=events.ORDER, holds=(events.hold("USDT", "400"),)))
    log.account(events.settled("3", "100", fee="2", holds=(events.hold("USDT", "-300"),)))
    found = {row["asset"]: row for row in rows("balances")}
    usdt, btc = found["USDT"], found["BTC"]
    assert (usdt["total"], usdt["available"], usdt["locked"]) == (698, 598, 100)
    assert (btc["total"], btc["available"], btc["locked"]) == (3, 3, 0)
    assert {row["sub_account"] for row in found.values()} == {"main"}
    contra = {(row["book"], row["asset"]): row["total"] for row in rows("contra_balances")}
    assert contra == {
        ("external", "USDT"): -1000,
        ("venue:BINANCE", "BTC"): -3,
        ("venue:BINANCE", "USDT"): 300,
        ("fees:BINANCE", "USDT"): 2,
    }


def test_transactions_have_both_sides_with_running_balances(log: Log, rows: Rows) -> None:
    log.account(events.deposited("USDT", "1000", "wire 7"), events.settled("3", "100"))
    found = [
        (row["sub_account"], row["asset"], row["direction"], row["amount"], row["closing_balance"])
        for row in rows("transactions")
    ]
    assert found == [
        ("main", "USDT", "CREDIT", 1000, 1000),
        ("external", "USDT", "DEBIT", 1000, -1000),
        ("main", "BTC", "CREDIT", 3, 3),
        ("venue:BINANCE", "BTC", "DEBIT", 3, -3),
        ("main", "USDT", "DEBIT", 300, 700),
        ("venue:BINANCE", "USDT", "CREDIT", 300, 300),
    ]
    deposit, *_, trade = rows("transactions")
    assert (deposit["reason"], deposit["reference"], deposit["price"]) == (
        "DEPOSIT",
        "wire 7",
        None,
    )
    assert (trade["reason"], trade["price"], trade["quote_asset"]) == ("TRADE", 100, "USDT")
    assert (trade["order_id"], trade["trade_id"]) == (events.ORDER, "t-1")


@pytest.mark.parametrize("side", Side)
def test_a_trade_names_the_asset_of_its_price_on_both_sides_and_when_voided(
    log: Log, rows: Rows, side: Side
) -> None:
    log.account(events.settled("3", "100", side=side), events.trade_voided("3", "100", side=side))
    assert {row["quote_asset"] for row in rows("transactions")} == {"USDT"}
    assert {row["total"] for row in rows("balances")} == {0}


# --- accounts, assignments, symbols ---------------------------------------------------


def _side(kind: type[AccountDeposited | AccountWithdrawn], amount: str, transfer_id: str) -> Any:
    sign = "" if kind is AccountDeposited else "-"
    back = "-" if kind is AccountDeposited else ""
    return kind(
        asset="USDT",
        amount=Decimal(amount),
        sub_account="main",
        transfer_id=transfer_id,
        postings=(
            events.posting("main", "USDT", f"{sign}{amount}"),
            events.posting(f"transit:{transfer_id}", "USDT", f"{back}{amount}"),
        ),
    )


def test_both_accounts_of_a_transfer_see_what_is_under_way_and_what_is_missing(
    log: Log, rows: Rows
) -> None:
    other, other_user = uuid4(), uuid4()
    log.append(other, events.account_opened(), user_id=other_user)
    sent_at = log.now
    log.account(_side(AccountWithdrawn, "10", "x1"))
    log.account(_side(AccountWithdrawn, "5", "x2"))
    arrived_at = log.now
    log.append(other, _side(AccountDeposited, "9", "x1"), user_id=other_user)
    log.account(_side(AccountDeposited, "7", "x3"))
    shown = {(row["transfer_id"], row["direction"]): row for row in rows("transfers")}
    assert {side: (row["status"], row["difference"]) for side, row in shown.items()} == {
        ("x1", "OUT"): ("ARRIVED", 1),
        ("x1", "IN"): ("ARRIVED", 1),
        ("x2", "OUT"): ("UNDER_WAY", 5),
        ("x3", "IN"): ("UNSENT", -7),
    }
    one, same = shown["x1", "OUT"], shown["x1", "IN"]
    assert (one["account_id"], one["user_id"], one["other_account_id"]) == (ACCOUNT, USER, other)
    assert (same["account_id"], same["user_id"]) == (other, other_user)
    assert (same["sent"], same["received"], same["sent_at"], same["arrived_at"]) == (
        *(10, 9),
        *(sent_at, arrived_at),
    )


def test_a_cash_flow_is_a_row_and_a_movement_of_its_own_reason(log: Log, rows: Rows) -> None:
    log.account(
        CashFlowRecorded(
            flow_id="f1",
            kind=CashFlowKind.DIVIDEND,
            asset="USDT",
            amount=Decimal(3),
            sub_account="main",
            info={"ex_date": "2026-01-02"},
            postings=(
                events.posting("main", "USDT", "3", Reason.DIVIDEND),
                events.posting("income:dividend", "USDT", "-3", Reason.DIVIDEND),
            ),
        )
    )
    (flow,) = rows("cash_flows")
    assert (flow["kind"], flow["amount"], flow["info"]) == (
        *("DIVIDEND", 3),
        {"ex_date": "2026-01-02"},
    )
    own, income = rows("transactions")
    assert (own["reason"], own["reference"]) == ("DIVIDEND", "f1")
    assert (income["sub_account"], income["direction"]) == ("income:dividend", "DEBIT")
    (contra,) = rows("contra_balances")
    assert (contra["book"], contra["total"]) == ("income:dividend", -3)


def test_the_newest_price_is_shown_and_every_one_is_kept(log: Log, rows: Rows) -> None:
    for seconds, price in ((5, "100"), (3, "90"), (5, "101")):
        told: dict[str, Any] = {"venue": "BINANCE", "source": "feed", "kind": PriceKind.MARK}
        log.append(
            price_state.stream_id("BINANCE"),
            PricesRecorded(
                **told, time=START + timedelta(seconds=seconds), prices={INSTRUMENT: Decimal(price)}
            ),
            user_id=None,
        )
    (newest,) = rows("prices")
    assert (newest["price"], newest["time"]) == (101, START + timedelta(seconds=5))
    assert [row["price"] for row in rows("price_history")] == [100, 90, 101]


def test_an_account_says_whether_it_may_trade_and_why_not(log: Log, rows: Rows) -> None:
    (row,) = rows("accounts")
    assert (row["status"], row["environment"], row["account_name"]) == (
        "ACTIVE",
        "LIVE",
        "main account",
    )
    log.account(AccountSuspended(reason="audit"))
    (row,) = rows("accounts")
    assert (row["status"], row["status_reason"]) == ("SUSPENDED", "audit")


def test_a_rebalance_dates_the_active_assignments_of_its_account(log: Log, rows: Rows) -> None:
    log.allocation(
        *(
            StrategyAssigned(account_id=ACCOUNT, strategy_id=name, allocation_percent=Decimal(50))
            for name in ("grid", "trend")
        ),
        StrategyDeactivated(account_id=ACCOUNT, strategy_id="trend"),
        AllocationsRebalanced(account_id=ACCOUNT),
    )
    found = {row["strategy_id"]: row for row in rows("user_strategy_assignments")}
    assert (found["grid"]["is_active"], found["trend"]["is_active"]) == (True, False)
    assert found["grid"]["last_rebalanced_at"] == log.now - timedelta(seconds=1)
    assert found["trend"]["last_rebalanced_at"] is None
    assert found["trend"]["deactivated_at"] is not None


def test_a_symbol_is_listed_updated_and_delisted(log: Log, rows: Rows) -> None:
    terms: dict[str, Any] = {
        "instrument": INSTRUMENT,
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "tick_size": Decimal("0.01"),
        "step_size": Decimal("0.001"),
        "min_quantity": Decimal("0.001"),
    }
    stream_id = instrument_state.stream_id(INSTRUMENT)
    log.append(stream_id, InstrumentListed(**terms), user_id=None)
    log.append(
        stream_id,
        InstrumentUpdated(**terms | {"tick_size": Decimal("0.1")}),
        InstrumentDelisted(instrument=INSTRUMENT),
        user_id=None,
    )
    (row,) = rows("symbols")
    assert (row["exchange"], row["symbol"], row["base_asset"]) == ("BINANCE", "BTCUSDT", "BTC")
    assert (row["tick_size"], row["is_active"]) == (Decimal("0.1"), False)
