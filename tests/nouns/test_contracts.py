"""Contracts: what trading them does to money, what they lock, and which orders may open what."""

from typing import Any

import pytest
from uuid_utils.compat import uuid7

from ledger.nouns.accounts.events import TradeSettled
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions.exposure import may_still_close
from ledger.write.aggregates import state_text
from tests.nouns.folded import D
from tests.nouns.in_memory import INVERSE, PERPETUAL, SPOT, InMemoryLedger


@pytest.fixture
def ledger() -> InMemoryLedger:
    ledger = InMemoryLedger()
    assert ledger.tell("Deposit", asset="USDT", amount="1000") is None
    return ledger


def total(ledger: InMemoryLedger, asset: str = "USDT", book: str = "main") -> object:
    return ledger.account.balance(book, asset).total


def locked(ledger: InMemoryLedger, asset: str = "USDT") -> object:
    return ledger.account.balance("main", asset).locked


# --- money ----------------------------------------------------------------------------


def test_of_a_contract_only_what_is_won_and_charged_moves(ledger: InMemoryLedger) -> None:
    ledger.fill("t1", "BUY", "2", "100", PERPETUAL, commission="1", commission_asset="USDT")
    assert (total(ledger), total(ledger, "BTC")) == (D(999), D(0))
    ledger.fill("t2", "SELL", "1", "130", PERPETUAL)
    assert total(ledger) == D(1029)
    ledger.fill("t3", "SELL", "3", "90", PERPETUAL)
    assert total(ledger) == D(1019)
    short = ledger.held(PERPETUAL)
    assert (short.number, short.quantity, short.cost) == (2, D(-2), D(180))


def test_an_inverse_contract_pays_in_its_coin() -> None:
    ledger = InMemoryLedger()
    ledger.tell("Deposit", asset="BTC", amount="10")
    ledger.fill("t1", "SELL", "100000", "10000", INVERSE)
    ledger.fill("t2", "BUY", "100000", "11000", INVERSE)
    assert total(ledger, "BTC") == D("10") - D("0.909090909090909091")


def test_an_inverse_contract_has_no_price_of_zero() -> None:
    told = InMemoryLedger().tell(
        "RecordFill",
        order_id=uuid7(),
        trade_id="t",
        side="BUY",
        instrument=INVERSE,
        quantity="1",
        last_qty="1",
        last_px="0",
    )
    assert told == "INVALID_COMMAND"


def test_a_trade_that_is_taken_back_gives_back_what_was_won_by_it(ledger: InMemoryLedger) -> None:
    bought = ledger.fill(
        "t1", "BUY", "1", "100", PERPETUAL, commission="1", commission_asset="USDT"
    )
    ledger.fill("t2", "SELL", "1", "110", PERPETUAL)
    assert total(ledger) == D(1009)
    assert ledger.tell("VoidFill", order_id=bought, trade_id="t1") is None
    assert total(ledger) == D(1000)
    assert (ledger.held(PERPETUAL).quantity, ledger.held(PERPETUAL).cost) == (D(-1), D(110))


def test_the_premium_of_an_option_is_paid_and_it_expires_at_nothing(ledger: InMemoryLedger) -> None:
    option = "BINANCE:BTC-26DEC-100000-C"
    ledger.tell("SetLeverage", instrument=option, leverage="1")
    assert list_option(ledger, option) is None
    order = ledger.order("BUY", "2", "5", instrument=option)
    assert locked(ledger) == D(100)
    ledger.fill("t1", "BUY", "2", "5", option, order_id=order)
    assert (total(ledger), locked(ledger)) == (D(900), D(0))
    ledger.fill("t2", "SELL", "2", "0", option, execution_kind="EXPIRY")
    ledger.told += 365 * 24 * 3600
    assert ledger.submit(uuid7(), "BUY", "1", instrument=option) == "INSTRUMENT_EXPIRED"
    assert (total(ledger), ledger.held(option).realized_pnl) == (D(900), D(-100))


def list_option(ledger: InMemoryLedger, option: str) -> str | None:
    from tests.commands import list_instrument

    listed = list_instrument(
        instrument=option, kind="OPTION", contract_size="10", expires_at="2026-12-26T08:00:00Z"
    )
    return ledger._decide(listed)


def test_a_commission_told_later_stands_in_its_position(ledger: InMemoryLedger) -> None:
    order = ledger.fill("t1", "BUY", "1", "100", PERPETUAL)
    ledger.fill("t2", "SELL", "2", "100", PERPETUAL)
    told = {"order_id": order, "trade_id": "t1", "commission_asset": "USDT"}
    assert ledger.tell("CorrectCommission", commission="1", **told) is None
    assert ledger.tell("CorrectCommission", commission="1", **told) is None
    assert total(ledger) == D(999)
    sold = ledger.fill("t3", "SELL", "1", "100", PERPETUAL)
    (corrected,) = (e for e in ledger.events() if e.type == "account.commission_corrected")
    closed, current = corrected.positions  # type: ignore[attr-defined]
    assert (closed.number, closed.commission) == (1, D(1))
    assert ledger.tell("VoidFill", order_id=sold, trade_id="t3") is None
    assert current == ledger.held(PERPETUAL)
    assert ledger.held(PERPETUAL).commission == 0


# --- margin ---------------------------------------------------------------------------


def test_an_order_locks_its_margin_and_its_position_after_it(ledger: InMemoryLedger) -> None:
    assert ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="10") is None
    order = ledger.order("BUY", "20", fee_rate="0.001")
    assert locked(ledger) == D("202")
    ledger.fill("t1", "BUY", "15", "100", PERPETUAL, order_id=order)
    assert locked(ledger) == D("50.5") + D(150)
    assert ledger.tell("CancelOrder", order_id=order) is None
    assert locked(ledger) == D(150)
    ledger.fill("t2", "SELL", "15", "100", PERPETUAL)
    assert locked(ledger) == D(0)


def test_what_opens_must_be_covered(ledger: InMemoryLedger) -> None:
    assert ledger.submit(uuid7(), "SELL", "11") == "INSUFFICIENT_FUNDS"
    assert ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="2") is None
    assert ledger.submit(uuid7(), "SELL", "20") is None
    assert ledger.submit(uuid7(), "SELL", "0.001") == "INSUFFICIENT_FUNDS"


def test_a_limit_of_borrowing_covers_too(ledger: InMemoryLedger) -> None:
    assert ledger.tell("SetBorrowingLimit", asset="USDT", limit="100") is None
    assert ledger.submit(uuid7(), "BUY", "11") is None
    assert ledger.submit(uuid7(), "BUY", "0.01") == "INSUFFICIENT_FUNDS"
    spot: dict[str, Any] = {"instrument": SPOT}
    assert ledger.submit(uuid7(), "BUY", "0.01", **spot) == "INSUFFICIENT_FUNDS"
    assert ledger.tell("SetBorrowingLimit", asset="USDT") is None
    assert ledger.submit(uuid7(), "BUY", "100", **spot) is None


def test_leverage_is_bounded_and_covers_what_is_held(ledger: InMemoryLedger) -> None:
    assert ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="101") == "LEVERAGE_TOO_HIGH"
    assert ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="0.5") == "INVALID_COMMAND"
    assert ledger.tell("SetLeverage", instrument=SPOT, leverage="2") == "NOT_A_CONTRACT"
    ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="4")
    ledger.fill("t1", "BUY", "40", "100", PERPETUAL)
    assert locked(ledger) == D(1000)
    assert ledger.submit(uuid7(), "BUY", "0.01") == "INSUFFICIENT_FUNDS"
    assert ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="3") == "INSUFFICIENT_FUNDS"
    assert ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="5") is None
    assert locked(ledger) == D(800)
    ledger.fill("t2", "BUY", "10", "100", PERPETUAL)
    assert locked(ledger) == D(1000)


def test_a_cash_account_has_no_contracts_but_what_the_venue_tells() -> None:
    ledger = InMemoryLedger("CASH")
    ledger.tell("Deposit", asset="USDT", amount="1000")
    assert ledger.submit(uuid7(), "BUY", "1") == "MARGIN_ACCOUNT_REQUIRED"
    assert ledger.tell("SetLeverage", instrument=PERPETUAL, leverage="2") == (
        "MARGIN_ACCOUNT_REQUIRED"
    )
    assert ledger.tell("SetBorrowingLimit", asset="USDT", limit="1") == "MARGIN_ACCOUNT_REQUIRED"
    ledger.fill("t1", "BUY", "1", "100", PERPETUAL)
    settled = ledger.events()[-1]
    assert isinstance(settled, TradeSettled)
    assert settled.contract_on_cash
    assert ledger.held(PERPETUAL).quantity == 1


def test_an_account_with_a_position_is_not_closed() -> None:
    ledger = InMemoryLedger()
    ledger.fill("t1", "SELL", "2", "100", PERPETUAL)
    assert ledger.tell("CloseAccount") == "ACCOUNT_NOT_EMPTY"
    ledger.fill("t2", "BUY", "2", "100", PERPETUAL)
    assert ledger.tell("CloseAccount") is None


# --- what only closes -----------------------------------------------------------------


def test_what_only_closes_needs_no_free_money() -> None:
    ledger = InMemoryLedger()
    ledger.fill("t1", "SELL", "5", "100", PERPETUAL)
    assert ledger.submit(uuid7(), "BUY", "6") == "INSUFFICIENT_FUNDS"
    order = ledger.order("BUY", "5", order_type="MARKET", price=None)
    assert ledger.account.held(order) == 0
    assert ledger.submit(uuid7(), "BUY", "0.001") == "INSUFFICIENT_FUNDS"  # it is closed already


def test_an_order_that_turns_round_locks_what_it_opens(ledger: InMemoryLedger) -> None:
    ledger.fill("t1", "SELL", "5", "100", PERPETUAL)
    order = ledger.order("BUY", "7")
    assert ledger.account.held(order) == D(200)
    ledger.fill("t2", "BUY", "5", "100", PERPETUAL, order_id=order)
    assert ledger.account.held(order) == D(200)
    ledger.fill("t3", "BUY", "1", "100", PERPETUAL, order_id=order)
    assert ledger.account.held(order) == D(100)


def test_a_reduce_only_order_closes_what_there_is_and_no_more(ledger: InMemoryLedger) -> None:
    reduces: dict[str, Any] = {"reduce_only": True}
    assert ledger.submit(uuid7(), "SELL", "0.1", **reduces) == "NOTHING_TO_REDUCE"
    ledger.fill("t1", "BUY", "0.134", "100", PERPETUAL)
    assert ledger.submit(uuid7(), "SELL", "0.135", **reduces) == "NOTHING_TO_REDUCE"
    assert ledger.submit(uuid7(), "BUY", "0.1", **reduces) == "NOTHING_TO_REDUCE"
    resting = ledger.order("SELL", "0.134", **reduces)
    assert ledger.submit(uuid7(), "SELL", "0.001", **reduces) == "NOTHING_TO_REDUCE"
    ledger.fill("t2", "SELL", "0.067", "100", PERPETUAL)
    assert may_still_close(ledger.account, resting) == D("0.067")
    replaced = ledger.tell("RequestReplace", order_id=resting, quantity="0.1")
    assert replaced == "NOTHING_TO_REDUCE"
    ledger.fill("t3", "SELL", "0.1", "100", PERPETUAL, order_id=resting)
    settled = ledger.events()[-1]
    assert isinstance(settled, TradeSettled)
    assert settled.reduced_beyond
    ledger.tell("CancelOrder", order_id=resting)
    assert resting not in ledger.account.holds


def test_of_two_exits_of_one_group_either_may_close_all(ledger: InMemoryLedger) -> None:
    ledger.fill("t1", "BUY", "10", "100", PERPETUAL)
    group: dict[str, Any] = {"reduce_only": True, "oco_group": uuid7()}
    ledger.order("SELL", "10", "90", purpose="STOP_LOSS", **group)
    ledger.order("SELL", "10", "120", purpose="TAKE_PROFIT", **group)
    assert locked(ledger) == D(1000)
    assert ledger.submit(uuid7(), "SELL", "0.1", reduce_only=True) == "NOTHING_TO_REDUCE"


def test_a_hedging_account_says_which_side_it_means() -> None:
    ledger = InMemoryLedger(position_mode="HEDGE")
    ledger.tell("Deposit", asset="USDT", amount="1000")
    assert ledger.submit(uuid7(), "BUY", "1") == "WRONG_POSITION_SIDE"
    assert ledger.submit(uuid7(), "BUY", "1", position_side="BOTH") == "WRONG_POSITION_SIDE"
    assert ledger.submit(uuid7(), "SELL", "1", position_side="LONG") == "NOTHING_TO_REDUCE"
    long = ledger.order("BUY", "1", position_side="LONG")
    short = ledger.order("SELL", "2", position_side="SHORT")
    ledger.fill("t1", "BUY", "1", "100", PERPETUAL, order_id=long)
    ledger.fill("t2", "SELL", "2", "100", PERPETUAL, order_id=short)
    sides = {
        side: position.quantity
        for side in (PositionSide.LONG, PositionSide.SHORT)
        if (position := ledger.position(PERPETUAL, side)) is not None
    }
    assert sides == {PositionSide.LONG: 1, PositionSide.SHORT: -2}
    assert ledger.submit(uuid7(), "SELL", "1", position_side="LONG") is None
    assert ledger.submit(uuid7(), "BUY", "1", instrument=SPOT) is None
    assert InMemoryLedger().submit(uuid7(), "BUY", "1", position_side="LONG") == (
        "WRONG_POSITION_SIDE"
    )


def test_what_is_kept_of_a_position_does_not_grow_with_its_trades() -> None:
    ledger, sizes = InMemoryLedger(), []
    for n in range(60):
        ledger.fill(f"t{n}", "BUY", "1", "100", PERPETUAL)
        ledger.fill(f"s{n}", "BUY", "1", "100", SPOT)
        sizes.append(len(state_text(ledger.account)))
    assert max(sizes) - sizes[9] < 20  # further digits
