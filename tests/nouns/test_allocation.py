"""Shares of strategies in an account, and moving money to match them."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from ledger.kernel.event import Event
from ledger.nouns.accounts import facts as account_facts
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts import settlement as account_settlement
from ledger.nouns.accounts.events import AccountEvent, AccountType
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.allocations import state as allocation_state
from ledger.nouns.allocations.state import AllocationState
from tests.nouns.folded import D, FoldedAccount, refused, required


class FoldedAllocation:
    def __init__(self, **percentages: str) -> None:
        self.account_id = uuid4()
        self.state: AllocationState | None = None
        for strategy_id, percent in percentages.items():
            self.assign(strategy_id, percent)

    def assign(self, strategy_id: str, percent: str) -> Any:
        return self.tell(
            allocation_rules.assign, strategy_id=strategy_id, allocation_percent=D(percent)
        )

    def tell(self, decision: Callable[..., tuple[Event, ...]], **arguments: Any) -> Any:
        (event,) = decision(self.state, account_id=self.account_id, **arguments)
        self.state = allocation_state.evolve(self.state, event, uuid4())
        return event

    def rebalance(self, funds: FoldedAccount) -> tuple[AccountEvent, ...]:
        told, moved = allocation_rules.rebalance(self.state, account_state=funds.state)
        assert [event.type for event in told] == ["allocation.rebalanced"]
        funds.tell(lambda _: moved)
        return moved


# --- assignments ----------------------------------------------------------------------


def test_the_active_strategies_have_at_most_the_whole_account() -> None:
    made = FoldedAllocation(alpha="60", beta="40")
    message = refused("ALLOCATION_EXCEEDED", made.assign, "gamma", "0.01")
    assert "at most 0 % is left for 'gamma'" in message


def test_a_deactivated_strategys_share_is_free_for_others() -> None:
    made = FoldedAllocation(alpha="60", beta="40")
    made.tell(allocation_rules.deactivate, strategy_id="alpha")
    made.assign("gamma", "60")


def test_a_change_counts_the_strategys_own_share_once() -> None:
    made = FoldedAllocation(alpha="60", beta="30")
    made.tell(allocation_rules.change, strategy_id="alpha", allocation_percent=D(70))
    refused(
        "ALLOCATION_EXCEEDED",
        made.tell,
        allocation_rules.change,
        strategy_id="alpha",
        allocation_percent=D("70.1"),
    )


def test_a_change_is_recorded_whole_and_what_is_not_given_stays() -> None:
    made = FoldedAllocation(alpha="60")
    event = made.tell(allocation_rules.change, strategy_id="alpha", risk_multiplier=D(2))
    assert (event.allocation_percent, event.risk_multiplier, event.auto_rebalance) == (60, 2, False)


def test_a_strategy_is_assigned_once_and_again_after_it_was_deactivated() -> None:
    made = FoldedAllocation(alpha="60")
    refused("STRATEGY_ALREADY_ASSIGNED", made.assign, "alpha", "10")
    made.tell(allocation_rules.deactivate, strategy_id="alpha")
    made.assign("alpha", "10")


@pytest.mark.parametrize("decision", [allocation_rules.change, allocation_rules.deactivate])
def test_a_strategy_that_is_not_assigned_cannot_be_changed(decision: Any) -> None:
    for made in (FoldedAllocation(), FoldedAllocation(beta="10")):
        refused("STRATEGY_NOT_ASSIGNED", made.tell, decision, strategy_id="alpha")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allocation_percent", D(0)),
        ("allocation_percent", D("100.01")),
        ("risk_multiplier", D(0)),
        ("risk_multiplier", D("10.1")),
    ],
)
def test_shares_and_multipliers_have_ranges(field: str, value: object) -> None:
    made = FoldedAllocation(alpha="60")
    refused(
        "INVALID_COMMAND", made.tell, allocation_rules.change, strategy_id="alpha", **{field: value}
    )


@pytest.mark.parametrize("name", ["main", "external", "venue:BINANCE"])
def test_a_strategy_cannot_have_the_name_of_another_book(name: str) -> None:
    refused("INVALID_COMMAND", FoldedAllocation().assign, name, "10")


def test_orders_need_an_active_strategy_or_none() -> None:
    made = FoldedAllocation(alpha="60", beta="10")
    made.tell(allocation_rules.deactivate, strategy_id="beta")
    ask: dict[str, Any] = {"account_id": made.account_id}
    allocation_rules.check_order(made.state, **ask, strategy_id="alpha")
    allocation_rules.check_order(None, **ask, strategy_id=None)
    for strategy_id in ("beta", "gamma"):
        refused(
            "STRATEGY_NOT_ASSIGNED",
            allocation_rules.check_order,
            made.state,
            **ask,
            strategy_id=strategy_id,
        )


def test_a_strategy_ever_assigned_keeps_its_sub_account() -> None:
    made = FoldedAllocation(alpha="60")
    made.tell(allocation_rules.deactivate, strategy_id="alpha")
    assert allocation_rules.sub_accounts(made.state) == {"main", "alpha"}
    assert allocation_rules.sub_accounts(None) == {"main"}
    assert [allocation_rules.sub_account_of(s) for s in (None, "alpha")] == ["main", "alpha"]


# --- rebalancing ----------------------------------------------------------------------


def put(funds: FoldedAccount, sub_account: str, amount: str, asset: str = "USDT") -> None:
    funds.tell(account_rules.deposit, asset=asset, amount=D(amount), sub_account=sub_account)


def test_a_rebalance_gives_each_strategy_its_share_of_each_asset() -> None:
    funds = FoldedAccount(USDT="1000", BTC="2")
    FoldedAllocation(alpha="60", beta="25").rebalance(funds)
    shares = [
        (funds.total(asset, s)) for asset in ("USDT", "BTC") for s in ("alpha", "beta", "main")
    ]
    assert shares == [D(600), D(250), D(150), D("1.2"), D("0.5"), D("0.3")]


def test_a_strategy_with_too_much_pays_for_one_with_too_little() -> None:
    funds = FoldedAccount()
    put(funds, "alpha", "900")
    put(funds, "beta", "100")
    FoldedAllocation(alpha="50", beta="50").rebalance(funds)
    assert (funds.total("USDT", "alpha"), funds.total("USDT", "beta")) == (D(500), D(500))


def test_what_is_locked_stays() -> None:
    funds = FoldedAccount()
    put(funds, "alpha", "1000")
    asked = required(uuid4(), "USDT", "800", "alpha")
    funds.tell(account_settlement.hold, required=asked)
    FoldedAllocation(alpha="50").rebalance(funds)
    assert (funds.total("USDT", "alpha"), funds.total("USDT")) == (D(800), D(200))


def test_when_main_has_too_little_the_lack_is_shared_in_proportion() -> None:
    funds = FoldedAccount(USDT="1000")
    funds.hold(uuid4(), "USDT", "900")
    FoldedAllocation(alpha="60", beta="30").rebalance(funds)
    assert funds.total("USDT", "alpha") == D("66.66666666")
    assert funds.total("USDT", "beta") == D("33.33333333")
    assert funds.available("USDT") == D("0.00000001")


def test_amounts_are_cut_to_eight_places_and_the_rest_stays_in_main() -> None:
    funds = FoldedAccount(USDT="0.00000010")
    FoldedAllocation(alpha="33.3", beta="33.3").rebalance(funds)
    assert funds.total("USDT", "alpha") == funds.total("USDT", "beta") == D("0.00000003")
    assert funds.total("USDT") == D("0.00000004")


def test_a_deactivated_strategys_money_goes_back_to_main() -> None:
    funds = FoldedAccount()
    put(funds, "alpha", "100")
    made = FoldedAllocation(alpha="50")
    made.tell(allocation_rules.deactivate, strategy_id="alpha")
    made.rebalance(funds)
    assert (funds.total("USDT", "alpha"), funds.total("USDT")) == (D(0), D(100))


def test_with_nothing_to_move_only_the_rebalance_itself_is_recorded() -> None:
    funds = FoldedAccount(USDT="1000")
    made = FoldedAllocation(alpha="60")
    assert made.rebalance(funds)
    assert made.rebalance(funds) == ()
    assert FoldedAllocation().rebalance(funds) == ()


def test_an_account_that_owes_has_nothing_to_give() -> None:
    funds = FoldedAccount(AccountType.MARGIN)
    put(funds, "alpha", "100")
    funds.tell(account_facts.record_withdrawal, asset="USDT", amount=D(150))
    FoldedAllocation(alpha="60").rebalance(funds)
    assert (funds.total("USDT", "alpha"), funds.total("USDT")) == (D(0), D(-50))


def test_the_stream_of_an_accounts_allocations_is_the_same_for_ever() -> None:
    account_id = uuid4()
    assert (
        allocation_state.stream_id(account_id)
        == allocation_state.stream_id(account_id)
        != account_id
    )
