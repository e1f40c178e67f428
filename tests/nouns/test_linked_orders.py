"""Orders of which one cancels the others, as far as it trades: they hold once, together."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from ledger.nouns.accounts.events import TradeSettled
from tests.nouns.deciding import Deciding

D = Decimal


class Exits(Deciding):
    """1 BTC to sell, by a take profit at 120 or a stop loss at 80."""

    def __init__(self, stop: str = "1", take: str = "1", **account: Any) -> None:
        super().__init__(**account)
        self.send("AdjustBalance", asset="BTC", amount="-9", reason="test", actor="test")
        self.group = uuid4()
        self.take = self.exit("TAKE_PROFIT", take, order_type="LIMIT", price="120")
        self.stop = self.exit(
            "STOP_LOSS", stop, order_type="STOP_MARKET", price=None, stop_price="80"
        )

    def exit(self, purpose: str, quantity: str, **terms: Any) -> UUID:
        given = {"side": "SELL", "purpose": purpose, "quantity": quantity} | terms
        return self.submit(**({"oco_group": self.group} | given))

    def holds(self) -> tuple[Decimal, Decimal]:
        """Of the take profit and the stop loss."""
        return self.account.held(self.take), self.account.held(self.stop)


def test_a_stop_loss_and_a_take_profit_for_the_same_coins_both_rest_and_hold_once() -> None:
    ledger = Exits()
    assert (ledger.order(ledger.take).status, ledger.order(ledger.stop).status) == (
        "PENDING",
        "PENDING",
    )
    assert ledger.locked("BTC") == "1"
    ledger.check_folding()


def test_the_largest_of_a_group_is_what_it_holds() -> None:
    ledger = Exits(take="0.4")
    assert (ledger.locked("BTC"), ledger.holds()) == ("1", (D(0), D(1)))
    ledger.send("CancelOrder", order_id=ledger.stop)
    assert (ledger.locked("BTC"), ledger.holds()) == ("0.4", (D("0.4"), D(0)))
    ledger.send("CancelOrder", order_id=ledger.take)
    assert ledger.locked("BTC") == "0"
    assert (ledger.account.holds, ledger.account.oco_groups) == ({}, {})
    ledger.check_folding()


def test_what_one_trades_the_others_may_no_longer() -> None:
    ledger = Exits()
    ledger.fill(ledger.take, "t1", "0.4", "120")
    assert (ledger.locked("BTC"), ledger.has("BTC")) == ("0.6", "0.6")
    ledger.send("CancelOrder", order_id=ledger.take)
    assert ledger.holds() == (D(0), D("0.6"))
    ledger.fill(ledger.stop, "t2", "0.6", "80")
    assert (ledger.locked("BTC"), ledger.has("BTC")) == ("0", "0")


def test_a_fill_of_one_to_the_end_leaves_the_other_open_with_nothing_to_hold() -> None:
    ledger = Exits()
    ledger.fill(ledger.take, "t1", "1", "120")
    assert ledger.locked("BTC") == "0"
    ledger.send("Withdraw", asset="USDT", amount=ledger.has("USDT"))
    ledger.send("CloseAccount")
    assert ledger.code() == "ACCOUNT_NOT_EMPTY", "the stop loss is open until the venue ends it"
    ledger.send("CancelOrder", order_id=ledger.stop)
    ledger.send("CloseAccount")
    assert ledger.code() is None


def test_both_may_trade_all_the_same_and_that_is_recorded_and_flagged() -> None:
    ledger = Exits()
    (_, first) = ledger.fill(ledger.take, "t1", "1", "120")
    (_, second) = ledger.fill(ledger.stop, "t2", "1", "80")
    assert isinstance(first, TradeSettled)
    assert isinstance(second, TradeSettled)
    assert (first.group_overfilled, second.group_overfilled) == (False, True)
    assert (ledger.has("BTC"), second.overdrawn) == ("-1", True)
    assert ledger.account.holds == {}
    ledger.check_folding()


def test_a_trade_taken_back_may_be_traded_again_by_any() -> None:
    ledger = Exits()
    ledger.fill(ledger.take, "t1", "0.4", "120")
    ledger.send("VoidFill", order_id=ledger.take, trade_id="t1")
    assert (ledger.locked("BTC"), ledger.has("BTC")) == ("1", "1")


def test_a_late_trade_of_one_counts_for_the_others() -> None:
    ledger = Exits()
    ledger.send("CancelOrder", order_id=ledger.take)
    ledger.fill(ledger.take, "t1", "0.4", "120")
    assert ledger.locked("BTC") == "0.6"


def test_a_replaced_order_is_held_for_as_it_is_now() -> None:
    ledger = Exits()
    ledger.send("RequestReplace", order_id=ledger.stop, quantity="2")
    assert ledger.code() == "INSUFFICIENT_FUNDS"
    ledger.send("ReplaceOrder", order_id=ledger.stop, quantity="0.5")
    ledger.send("ReplaceOrder", order_id=ledger.take, quantity="0.7")
    assert (ledger.locked("BTC"), ledger.holds()) == ("0.7", (D("0.7"), D(0)))


def test_purchases_hold_what_the_dearest_would_cost() -> None:
    ledger = Deciding()
    group = uuid4()
    for price in ("90", "100", "80"):
        ledger.submit(quantity="2", price=price, oco_group=group, fee_rate="0.01")
    assert ledger.locked("USDT") == "202"


def test_groups_of_other_sides_sub_accounts_and_assets_hold_for_themselves() -> None:
    ledger = Exits()
    ledger.submit(quantity="1", price="100", oco_group=ledger.group)
    assert (ledger.locked("BTC"), ledger.locked("USDT")) == ("1", "100")
    ledger.check_folding()


def test_an_order_of_no_group_does_not_share() -> None:
    ledger = Exits()
    ledger.exit("EXIT", "1", price="130", oco_group=None)
    assert ledger.code() == "INSUFFICIENT_FUNDS"


def test_a_group_has_room_for_so_many() -> None:
    ledger = Exits()
    for _ in range(18):
        ledger.exit("EXIT", "1", price="130")
    assert ledger.code() is None
    ledger.exit("EXIT", "1", price="130")
    assert ledger.code() == "OCO_GROUP_FULL"


@pytest.mark.parametrize(
    ("side", "entry", "stop", "take", "code"),
    [
        ("BUY", "100", "90", "110", None),
        ("BUY", "100", "100", "110", "EXIT_ON_WRONG_SIDE"),
        ("BUY", "100", "90", "99", "EXIT_ON_WRONG_SIDE"),
        ("SELL", "100", "110", "90", None),
        ("SELL", "100", "90", "80", "EXIT_ON_WRONG_SIDE"),
        ("SELL", "100", "110", "101", "EXIT_ON_WRONG_SIDE"),
    ],
)
def test_an_entry_lies_between_its_stop_loss_and_its_take_profit(
    side: str, entry: str, stop: str, take: str, code: str | None
) -> None:
    ledger = Deciding(account_type="MARGIN")
    exit_side = "SELL" if side == "BUY" else "BUY"
    group = uuid4()
    stops = {"order_type": "STOP_MARKET", "price": None, "stop_price": stop}
    codes = []
    for terms in (
        {"side": side, "purpose": "ENTRY", "price": entry},
        {"side": exit_side, "purpose": "STOP_LOSS", **stops},
        {"side": exit_side, "purpose": "TAKE_PROFIT", "price": take},
    ):
        ledger.submit(oco_group=group, **terms)
        codes.append(ledger.code())
    assert next((found for found in codes if found is not None), None) == code


def test_a_stop_loss_cannot_be_moved_to_where_the_position_gains() -> None:
    ledger = Exits()
    ledger.send("RequestReplace", order_id=ledger.stop, stop_price="120")
    assert ledger.code() == "EXIT_ON_WRONG_SIDE"
    ledger.send("RequestReplace", order_id=ledger.stop, stop_price="110")
    assert ledger.code() is None
