"""A trade is taken back on the real log: what is read of the past is what the state was made of."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore import store
from ledger.kernel.command import Command
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.positions.position import Position, PositionKey
from ledger.write.aggregates import Aggregates
from ledger.write.ledger import Ledger
from tests.commands import INSTRUMENT, command, list_instrument, open_account, submit_order
from tests.nouns.folded import D

ETH = "BINANCE:ETHUSDT"


@pytest.fixture
def account_id(database_url: str) -> UUID:
    account_id = uuid7()
    with Ledger(database_url) as ledger:
        ledger.execute(
            [
                open_account(account_id, account_type="MARGIN"),
                list_instrument(),
                list_instrument(instrument=ETH, base_asset="ETH"),
            ]
        )
    return account_id


@pytest.fixture(params=["one command at a time", "all at once"])
def ledger(database_url: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Gives it commands: the past is in the log, or nowhere but in memory."""
    with Ledger(database_url) as ledger:

        def decide(*commands: Command) -> None:
            at_once = (
                [list(commands)] if request.param == "all at once" else [[c] for c in commands]
            )
            for batch in at_once:
                assert [
                    outcome.message for outcome in ledger.execute(batch) if outcome.message
                ] == []

        yield decide


def fill(account_id: UUID, trade_id: str, side: str, qty: str, px: str, **more: Any) -> Command:
    order_id = more.pop("order_id", None) or uuid7()
    data = {"instrument": INSTRUMENT, "quantity": qty, "last_qty": qty, "last_px": px} | more
    return command(
        "RecordFill", account_id, order_id=order_id, trade_id=trade_id, side=side, **data
    )


def void(account_id: UUID, recorded: Command) -> Command:
    order_id, trade_id = str(recorded.data.order_id), recorded.data.trade_id  # type: ignore[attr-defined]
    return command("VoidFill", account_id, order_id=order_id, trade_id=trade_id)


def position(database_url: str, account_id: UUID, instrument: str = INSTRUMENT) -> Position | None:
    """As a ledger has it that has just started and folds the log."""
    with Ledger(database_url) as started:
        started.decide([command("Deposit", account_id, asset="USDT", amount="1")])
        state: AccountState = started._aggregates.get(ACCOUNT.stream_type, account_id)
        return state.position(PositionKey("main", instrument))


def test_a_purchase_that_is_taken_back_was_never_sold_with_profit(
    ledger: Any, database_url: str, account_id: UUID
) -> None:
    bought = fill(account_id, "t1", "BUY", "1", "100")
    ledger(
        bought,
        fill(account_id, "t2", "SELL", "1", "110"),
        fill(account_id, "t3", "BUY", "7", "7", instrument=ETH),
        void(account_id, bought),
    )
    short = position(database_url, account_id)
    assert short is not None
    assert (short.number, short.realized_pnl, short.quantity) == (1, D(0), D(-1))
    assert short.average_entry_price == D(110)


def test_the_only_trade_that_is_taken_back_leaves_no_position(
    ledger: Any, database_url: str, account_id: UUID
) -> None:
    bought = fill(account_id, "t1", "BUY", "1", "100")
    ledger(bought, void(account_id, bought))
    assert position(database_url, account_id) is None


def test_only_as_much_of_the_past_is_read_as_it_takes(
    ledger: Any, database_url: str, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE", 2)
    fills = [fill(account_id, f"t{n}", "BUY", "1", str(100 + n)) for n in range(9)]
    ledger(*fills, void(account_id, fills[1]), void(account_id, fills[6]))
    held = position(database_url, account_id)
    assert held is not None
    assert (held.quantity, held.cost) == (D(7), D(900 + 36 - 101 - 106))


def test_what_is_kept_of_contracts_is_what_their_events_make(
    database_url: str, account_id: UUID
) -> None:
    perpetual = "BINANCE:BTC-PERP"
    commands = [
        list_instrument(instrument=perpetual, kind="PERPETUAL", max_leverage="20"),
        command("Deposit", account_id, asset="USDT", amount="1000"),
        command("SetLeverage", account_id, instrument=perpetual, leverage="3"),
        command("SetBorrowingLimit", account_id, asset="USDT", limit="5"),
        fill(account_id, "t1", "SELL", "5", "100", instrument=perpetual),
        submit_order(account_id, uuid7(), instrument=perpetual, quantity="2", reduce_only=True),
        command(
            "RecordCorporateAction",
            account_id,
            action_id="s1",
            instrument=perpetual,
            action="SPLIT",
            numerator=2,
        ),
    ]
    with Ledger(database_url, snapshot_interval=1) as ledger:
        for one in commands:
            (outcome,) = ledger.execute([one])
            assert outcome.accepted, outcome
    kept, folded = (state_of(database_url, account_id, cached) for cached in (True, False))
    assert kept == folded
    assert kept.leverages[perpetual].leverage == 3
    assert kept.position(PositionKey("main", perpetual)).quantity == -10  # type: ignore[union-attr]


def state_of(database_url: str, account_id: UUID, cached: bool) -> AccountState:
    with psycopg.connect(database_url, autocommit=True) as connection:
        if not cached:
            connection.execute("DELETE FROM aggregate_snapshots")
        states = Aggregates(1, 1_000)
        states.load(connection, [account_id])
        state: AccountState = states.peek(account_id)
        return state
