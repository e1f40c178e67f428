"""Whatever was traded: the account's state, the rows, the explanations, the past and the balances
say the same of its positions, to the last unit."""

import os
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import psycopg
import pytest

from ledger.audit.ask.explain_position import explain_positions
from ledger.eventstore import reader
from ledger.eventstore.session import reading
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.state import AccountState, evolve
from tests.commands import list_instrument
from tests.databases import temporary_database
from tests.projections.trader import Desk, Trader, desk

D = Decimal
ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "2"))
TRADES = 25
SPOT, PERPETUAL, INVERSE = "BINANCE:BTCUSDT", "BINANCE:BTCUSDT-PERP", "BINANCE:BTCUSD-PERP"
DEPOSITS = {"USDT": D(100_000_000), "BTC": D(1_000_000)}


@pytest.fixture(scope="module")
def opened(postgres_url: str) -> Iterator[Desk]:
    with temporary_database(postgres_url, template="ledger_template") as url, desk(url) as found:
        contract: dict[str, Any] = {"kind": "PERPETUAL", "max_quantity": "1000000"}
        inverse = contract | {"quote_asset": "USD", "inverse": True}
        found.execute(
            list_instrument(),
            list_instrument(instrument=PERPETUAL, **contract),
            list_instrument(instrument=INVERSE, **inverse),
        )
        yield found


@pytest.fixture(scope="module", params=range(ROUNDS))
def trader(opened: Desk, request: pytest.FixtureRequest) -> Trader:
    """Has bought, sold, turned round, paid fees in anything, was taken back, corrected, funded."""
    random = Random(request.param)
    trader = opened.trader(cost_basis=random.choice(("AVERAGE", "FIFO", "LIFO", "HIFO")))
    for asset, amount in DEPOSITS.items():
        trader.send("Deposit", asset=asset, amount=str(amount))
    trades: list[str] = []
    for number in range(TRADES):
        instrument = random.choice((SPOT, PERPETUAL, INVERSE))
        quantity = str(D(random.randint(1, 9_999)).scaleb(0 if instrument == INVERSE else -3))
        price = str(D(random.randint(9_000, 11_000)).scaleb(-2))
        fees: dict[str, str] = {}
        if random.random() < 0.7:
            assets = {SPOT: ("BTC", "USDT", "BNB"), PERPETUAL: ("USDT", "BNB"), INVERSE: ("BTC",)}
            fees["commission_asset"] = random.choice(assets[instrument])
            fees["commission"] = str(D(random.randint(-9, 99)).scaleb(-5))
        act = trader.buy if random.random() < 0.5 else trader.sell
        trades.append(act(quantity, price, f"{number % 24:02}:00", instrument=instrument, **fees))
        if random.random() < 0.15:
            trader.void(trades.pop(random.randrange(len(trades))))
        if trades and random.random() < 0.2:
            trade = random.choice(trades)
            corrected = {"commission": "0.001", "commission_asset": "USDT"}
            order = trader.order_of(trade)
            trader.send("CorrectCommission", order_id=order, trade_id=trade, **corrected)
        if random.random() < 0.2 and any(PERPETUAL in key for key in state_of(trader).positions):
            flow = {"kind": "FUNDING", "asset": "USDT", "instrument": PERPETUAL}
            paid = str(D(random.randint(-99, 99) or 1).scaleb(-3))
            trader.send("RecordCashFlow", flow_id=f"f-{number}", amount=paid, **flow)
    return trader


def test_rows_are_those_of_the_past_at_the_head(trader: Trader) -> None:
    for name in ("positions", "round_trips", "lots", "gains"):
        assert trader.rows(name), name  # which compares the two


def test_the_accounts_state_has_the_newest_of_each_row(trader: Trader) -> None:
    rows = {
        f"{row['sub_account']} {row['instrument']} {row['position_side']}": row
        for row in sorted(trader.rows("positions"), key=lambda row: row["number"])
    }
    state = state_of(trader)
    assert state.positions.keys() == rows.keys()
    for key, position in state.positions.items():
        row = rows[key]
        assert (position.number, position.quantity) == (row["number"], row["quantity"])
        assert (position.cost, position.realized_pnl) == (row["cost"], row["realized_pnl"])
        assert position.funding == row["funding"]


def test_every_position_is_explained(trader: Trader) -> None:
    trader.desk.fold()
    with psycopg.connect(trader.desk.url) as connection:
        head = reader.head(connection)
        connection.execute("UPDATE event_projections SET last_processed_position = %s", [head])
    with reading(trader.desk.url) as connection:
        found = explain_positions(connection, trader.account_id)
    assert found.equal, [one.differences for one in found.positions]


def test_what_positions_made_is_what_the_balances_gained(trader: Trader) -> None:
    with reading(trader.desk.url) as connection:
        positions = [
            one.position for one in explain_positions(connection, trader.account_id).positions
        ]
    gained = dict(DEPOSITS)
    with exact():
        for position in positions:
            gained[position.settlement_asset] += position.net_pnl
            for asset, amount in position.other_commissions.items():
                gained[asset] = gained.get(asset, ZERO) - amount
            if position.instrument == SPOT:
                long = position.quantity > 0
                gained["USDT"] -= position.cost if long else -position.cost
                gained["BTC"] += position.quantity
        balances = state_of(trader).balances["main"]
        assert {asset: balances[asset].total for asset in gained} == gained


def test_the_lots_of_a_coin_are_its_balance(trader: Trader) -> None:
    lots = [lot["quantity"] for lot in trader.rows("lots") if lot["asset"] == "BTC"]
    if lots:  # none were kept if it was never traded
        assert sum(lots) == state_of(trader).balances["main"]["BTC"].total


def state_of(trader: Trader) -> AccountState:
    """Of the events in the log."""
    state: AccountState | None = None
    with psycopg.connect(trader.desk.url) as connection, exact():
        for recorded in reader.read(connection, after=0, up_to=reader.head(connection)):
            if recorded.stream_id == trader.account_id:
                state = evolve(state, recorded.decoded(), trader.account_id)
    assert state is not None
    return state
