"""Money that comes and goes beside trades: what is earned, what is charged, what is under way."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.kernel.command import InvalidCommand
from ledger.kernel.rejection import Rejection
from ledger.nouns.accounts.events import AccountStatus, CashFlowKind, flow_book
from ledger.nouns.positions.position import PositionKey
from tests.commands import INSTRUMENT, list_instrument, message, parsed
from tests.nouns.working import Working

D = Decimal
PERPETUAL = "BINANCE:BTCUSDT-PERP"


@pytest.fixture
def ledger() -> Working:
    return Working()


def denied(code: str, ledger: Working, command_type: str, account: UUID, **data: Any) -> Any:
    """The rejection, with the events that it left."""
    with pytest.raises(Rejection) as caught:
        ledger.tell(command_type, account, **data)
    assert caught.value.code == code
    return caught.value


def flow(ledger: Working, account: UUID, flow_id: str, amount: str, **data: Any) -> Any:
    told = {"kind": "FUNDING", "asset": "USDT"} | data
    return ledger.tell("RecordCashFlow", account, flow_id=flow_id, amount=amount, **told)


def total(ledger: Working, account: UUID, asset: str = "USDT", sub_account: str = "main") -> Any:
    return ledger.states[account].balance(sub_account, asset).total


# --- cash flows ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CashFlowKind)
def test_income_and_cost_have_books_of_their_own_and_none_is_capital(
    ledger: Working, kind: CashFlowKind
) -> None:
    account = ledger.open()
    more = {"counter_asset": "BTC", "counter_amount": "2"} if kind == "CONVERSION" else {}
    flow(ledger, account, "f1", "-5", kind=kind.value, **more)
    book = flow_book(kind, "BINANCE")
    assert book == {
        "FEE": "fees:BINANCE",
        "REBATE": "fees:BINANCE",
        "LIQUIDATION_FEE": "fees:BINANCE",
        "CONVERSION": "venue:BINANCE",
    }.get(kind, f"income:{kind.lower()}")
    expected = {("main", "USDT"): D(-5), (book, "USDT"): D(5)}
    if more:
        expected |= {("main", "BTC"): D(2), (book, "BTC"): D(-2)}
    assert ledger.books(account) == expected


def test_the_same_flow_told_again_does_nothing(ledger: Working) -> None:
    account = ledger.open()
    flow(ledger, account, "f1", "-0.01", info={"rate": "0.0001"})
    assert flow(ledger, account, "f1", "-0.010", info={"rate": "otherwise said"}) == ()
    flow(ledger, account, "f2", "-0.01")
    assert total(ledger, account) == D("-0.02")


def test_a_flow_told_otherwise_is_recorded_as_told_and_moves_no_money(ledger: Working) -> None:
    account = ledger.open()
    flow(ledger, account, "f1", "-0.01")
    for changed in ({"amount": "-0.02"}, {"kind": "FEE"}, {"instrument": INSTRUMENT}):
        data = {"flow_id": "f1", "kind": "FUNDING", "asset": "USDT", "amount": "-0.01"} | changed
        conflict = denied("FLOW_CONFLICT", ledger, "RecordCashFlow", account, **data)
        assert [event.type for event in conflict.events] == ["reference.repeated"]
    assert total(ledger, account) == D("-0.01")


def test_a_flow_id_is_unique_in_its_account_only(ledger: Working) -> None:
    one, other = ledger.open(), ledger.open()
    flow(ledger, one, "f1", "1")
    flow(ledger, other, "f1", "2")
    assert (total(ledger, one), total(ledger, other)) == (D(1), D(2))


def test_a_flow_that_takes_more_than_there_is_is_recorded_and_says_so(ledger: Working) -> None:
    account = ledger.open(USDT="1")
    event, _ = flow(ledger, account, "f1", "-3", kind="INTEREST")
    assert (event.overdrawn, total(ledger, account)) == (True, D(-2))


def test_a_flow_on_a_closed_account_is_recorded_and_says_so(ledger: Working) -> None:
    account = ledger.open()
    ledger.tell("CloseAccount", account)
    event, _ = flow(ledger, account, "f1", "3", kind="REBATE")
    assert event.account_closed


def test_a_flow_of_a_sub_account_that_is_not_there_is_in_main_and_says_so(ledger: Working) -> None:
    account = ledger.open()
    event, _ = flow(ledger, account, "f1", "3", sub_account="ghost")
    assert (event.sub_account, event.unknown_sub_account) == ("main", "ghost")
    assert total(ledger, account) == D(3)


@pytest.mark.parametrize("told", ["3", "-3"])
def test_a_conversion_takes_one_asset_and_gives_another(ledger: Working, told: str) -> None:
    account = ledger.open(USDT="100")
    flow(
        *(ledger, account, "c1", "2"),
        kind="CONVERSION",
        asset="BTC",
        counter_asset="USDT",
        counter_amount=told,
    )
    assert (total(ledger, account, "BTC"), total(ledger, account)) == (D(2), D(97))


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "CONVERSION"},
        {"kind": "CONVERSION", "counter_asset": "BTC"},
        {"kind": "CONVERSION", "counter_asset": "USDT", "counter_amount": "1"},
        {"kind": "CONVERSION", "counter_asset": "BTC", "counter_amount": "-1"},
        {"kind": "FUNDING", "counter_asset": "BTC", "counter_amount": "1"},
        {"kind": "BRIBE"},
        {"info": {"rate": 0.1}},
        {"info": {"more": {"nested": "x"}}},
    ],
)
def test_a_flow_that_cannot_be_understood_is_refused(told: dict[str, Any]) -> None:
    data = {"flow_id": "f1", "kind": "FUNDING", "asset": "USDT", "amount": "-1"} | told
    assert isinstance(parsed(message("RecordCashFlow", uuid4(), **data)), InvalidCommand)


# --- flows of positions -------------------------------------------------------------------


def buy(ledger: Working, account: UUID, quantity: str, price: str, **more: Any) -> UUID:
    order_id: UUID = uuid4()
    data = {"instrument": INSTRUMENT, "side": "BUY", "quantity": quantity, "trade_id": "t1"}
    ledger.tell(
        *("RecordFill", account),
        order_id=order_id,
        last_qty=quantity,
        last_px=price,
        **(data | more),
    )
    return order_id


def test_funding_of_an_instrument_is_in_its_position(ledger: Working) -> None:
    account = ledger.open("MARGIN")
    ledger.do(list_instrument())
    buy(ledger, account, "1", "100")
    for flow_id, amount in (("f1", "-0.01"), ("f2", "1"), ("f2", "1")):
        flow(ledger, account, flow_id, amount, instrument=INSTRUMENT)
    position = ledger.states[account].position(PositionKey("main", INSTRUMENT))
    assert (position.funding, position.net_pnl) == (D("0.99"), D("0.99"))
    assert total(ledger, account) == D("-99.01")


def test_funding_outlives_a_trade_that_is_taken_back(ledger: Working) -> None:
    account = ledger.open("MARGIN")
    ledger.do(list_instrument())
    buy(ledger, account, "1", "100")
    flow(ledger, account, "f1", "-0.01", instrument=INSTRUMENT)
    order_id = buy(ledger, account, "1", "200", trade_id="t2")
    ledger.tell("VoidFill", account, order_id=order_id, trade_id="t2")
    position = ledger.states[account].position(PositionKey("main", INSTRUMENT))
    assert (position.quantity, position.cost, position.funding) == (D(1), D(100), D("-0.01"))


def test_funding_finds_the_one_sub_account_that_has_the_position(ledger: Working) -> None:
    account = ledger.open("MARGIN", USDT="1000")
    ledger.do(list_instrument())
    ledger.tell("AssignStrategy", account, strategy_id="grid", allocation_percent="50")
    order_id = uuid4()
    ledger.tell(
        *("SubmitOrder", account),
        order_id=order_id,
        instrument=INSTRUMENT,
        side="BUY",
        order_type="LIMIT",
        quantity="1",
        price="100",
        strategy_id="grid",
    )
    ledger.tell(
        *("RecordFill", account), order_id=order_id, trade_id="t1", last_qty="1", last_px="100"
    )
    event, _ = flow(ledger, account, "f1", "-1", instrument=INSTRUMENT)
    assert (event.sub_account, event.no_position) == ("grid", False)


def test_funding_without_a_position_is_recorded_and_says_so(ledger: Working) -> None:
    account = ledger.open("MARGIN")
    event, _ = flow(ledger, account, "f1", "-1", instrument=INSTRUMENT)
    assert (event.sub_account, event.no_position, event.positions) == ("main", True, ())


# --- withdrawals that have happened, fees -------------------------------------------------


def test_a_withdrawal_that_has_happened_is_recorded_even_if_it_overdraws(ledger: Working) -> None:
    account = ledger.open(USDT="50")
    denied("INSUFFICIENT_FUNDS", ledger, "Withdraw", account, asset="USDT", amount="60")
    (event,) = ledger.tell("RecordWithdrawal", account, asset="USDT", amount="60", fee="1")
    assert (event.type, event.overdrawn) == ("account.withdrawn", True)
    assert ledger.books(account) == {
        ("main", "USDT"): D(-10),
        ("external", "USDT"): D(9),
        ("fees:BINANCE", "USDT"): D(1),
    }


@pytest.mark.parametrize("account_type", ["CASH", "MARGIN"])
def test_no_account_withdraws_or_transfers_more_than_it_has(
    ledger: Working, account_type: str
) -> None:
    account = ledger.open(account_type, USDT="50", BNB="1")
    ledger.tell("AssignStrategy", account, strategy_id="grid", allocation_percent="50")
    more = {"from_sub_account": "main", "to_sub_account": "grid"}
    denied("INSUFFICIENT_FUNDS", ledger, "Withdraw", account, asset="USDT", amount="50.01")
    denied("INSUFFICIENT_FUNDS", ledger, "Transfer", account, asset="USDT", amount="51", **more)
    told = {"asset": "USDT", "amount": "50", "fee": "1.5", "fee_asset": "BNB"}
    denied("INSUFFICIENT_FUNDS", ledger, "Withdraw", account, **told)
    ledger.tell("Withdraw", account, asset="USDT", amount="50", fee="1")
    assert total(ledger, account) == 0


def test_a_deposit_is_charged_from_what_came(ledger: Working) -> None:
    account = ledger.open()
    told = {"cost": "31000", "acquired_at": "2024-01-01T00:00:00Z"}
    (event,) = ledger.tell("Deposit", account, asset="BTC", amount="1", fee="0.1", **told)
    assert event.cost == D(31000)
    assert ledger.books(account) == {
        ("main", "BTC"): D("0.9"),
        ("external", "BTC"): D(-1),
        ("fees:BINANCE", "BTC"): D("0.1"),
    }


@pytest.mark.parametrize("told", [{"fee": "11"}, {"fee_asset": "BNB"}, {"fee": "-1"}])
def test_a_fee_that_cannot_be_is_refused(told: dict[str, str]) -> None:
    data = {"asset": "USDT", "amount": "10"} | told
    assert isinstance(parsed(message("Deposit", uuid4(), **data)), InvalidCommand)


# --- references ---------------------------------------------------------------------------


@pytest.mark.parametrize("command_type", ["Deposit", "RecordWithdrawal"])
def test_a_movement_under_a_name_that_is_taken_is_flagged_and_moves_no_money(
    ledger: Working, command_type: str
) -> None:
    account = ledger.open(USDT="500")
    told = {"asset": "USDT", "amount": "100", "reference": "0xabc"}
    ledger.tell(command_type, account, **told)
    before = ledger.books(account)
    for again in (told, told | {"amount": "99"}):
        repeated = denied("DUPLICATE_REFERENCE", ledger, command_type, account, **again)
        assert "100 USDT" in repeated.message
        assert [event.type for event in repeated.events] == ["reference.repeated"]
    assert ledger.books(account) == before


def test_another_movement_may_bear_the_name_if_that_is_said(ledger: Working) -> None:
    account = ledger.open()
    told = {"asset": "USDT", "amount": "100", "reference": "salary"}
    ledger.tell("Deposit", account, **told)
    ledger.tell("Deposit", account, **told, repeats_reference=True)
    ledger.tell("Deposit", account, **(told | {"asset": "EUR"}))
    ledger.tell("Deposit", ledger.open(), **told)
    assert total(ledger, account) == D(200)


def test_a_request_to_withdraw_under_a_name_that_is_taken_is_refused(ledger: Working) -> None:
    account = ledger.open(USDT="500")
    told = {"asset": "USDT", "amount": "100", "reference": "w1"}
    ledger.tell("Withdraw", account, **told)
    refused = denied("DUPLICATE_REFERENCE", ledger, "Withdraw", account, **told)
    assert not hasattr(refused, "events")
    denied("DUPLICATE_REFERENCE", ledger, "RecordWithdrawal", account, **told)
    assert total(ledger, account) == D(400)


def test_the_state_of_an_account_does_not_grow_with_what_it_is_told(ledger: Working) -> None:
    account = ledger.open()
    sizes = []
    for number in range(40):
        flow(ledger, account, f"f{number}", "1")
        ledger.tell("Deposit", account, asset="USDT", amount="1", reference=f"r{number}")
        sizes.append(len(repr(ledger.states[account])))
    assert sizes[-1] - sizes[0] <= 4  # digits of the balance


# --- transfers between accounts -----------------------------------------------------------


def test_what_is_under_way_between_accounts_is_in_a_book_of_its_own(ledger: Working) -> None:
    one, other = ledger.open(USDT="100"), ledger.open()
    ledger.tell("Withdraw", one, asset="USDT", amount="100", fee="1", transfer_id="x1")
    assert ledger.books(one) == {
        ("external", "USDT"): D(-100),
        ("transit:x1", "USDT"): D(99),
        ("fees:BINANCE", "USDT"): D(1),
    }
    ledger.tell("Deposit", other, asset="USDT", amount="99", transfer_id="x1")
    assert ledger.books(other) == {("main", "USDT"): D(99), ("transit:x1", "USDT"): D(-99)}


def test_a_side_of_a_transfer_is_booked_once_and_further_parts_by_saying_so(
    ledger: Working,
) -> None:
    account = ledger.open()
    side = {"asset": "USDT", "amount": "60", "transfer_id": "x1"}
    ledger.tell("Deposit", account, **side)
    denied("DUPLICATE_REFERENCE", ledger, "Deposit", account, **side)
    ledger.tell("Deposit", account, **(side | {"amount": "40"}), repeats_reference=True)
    ledger.tell("RecordWithdrawal", account, **side)  # the other side, should it be told here
    assert total(ledger, account) == D(40)


# --- halted -------------------------------------------------------------------------------


def test_a_halted_account_is_reactivated_and_moves_its_money(ledger: Working) -> None:
    account = ledger.open(USDT="100")
    ledger.tell("HaltAccount", account, reason="drawdown", actor="risk")
    assert ledger.states[account].status is AccountStatus.HALTED
    denied("ACCOUNT_HALTED", ledger, "HaltAccount", account)
    ledger.tell("Withdraw", account, asset="USDT", amount="1")
    ledger.tell("ReactivateAccount", account)
    assert ledger.states[account].status is AccountStatus.ACTIVE


def submit(ledger: Working, account: UUID, side: str, quantity: str) -> UUID:
    order_id: UUID = uuid4()
    ledger.tell(
        *("SubmitOrder", account),
        order_id=order_id,
        instrument=INSTRUMENT,
        side=side,
        order_type="LIMIT",
        quantity=quantity,
        price="100",
    )
    return order_id


@pytest.mark.parametrize("account_type", ["CASH", "MARGIN"])
def test_a_halted_account_gets_out_of_what_it_has_and_into_nothing(
    ledger: Working, account_type: str
) -> None:
    account = ledger.open(account_type, USDT="1000")
    ledger.do(list_instrument())
    buy(ledger, account, "2", "100")
    order = submit(ledger, account, "BUY", "1")
    ledger.tell("HaltAccount", account)
    more = {"instrument": INSTRUMENT, "order_type": "LIMIT", "price": "100"}
    for side, quantity in (("BUY", "0.1"), ("SELL", "2.1")):
        told = more | {"order_id": uuid4(), "side": side, "quantity": quantity}
        refused = denied("ACCOUNT_HALTED", ledger, "SubmitOrder", account, **told)
        assert [event.type for event in refused.events] == ["order.denied"]
    denied("ACCOUNT_HALTED", ledger, "RequestReplace", account, order_id=order, quantity="2")
    submit(ledger, account, "SELL", "2")
    ledger.tell("RequestCancel", account, order_id=order)
    ledger.tell("ReactivateAccount", account)
    submit(ledger, account, "BUY", "1")


# --- whatever is told ---------------------------------------------------------------------

AMOUNTS = st.decimals(-50, 50, places=3).map(str)
ASSETS = st.sampled_from(["USDT", "BTC", "BNB"])
NAMES = st.sampled_from(["n1", "n2", "n3"])
FLOWS = st.fixed_dictionaries(
    {"flow_id": NAMES, "kind": st.sampled_from(CashFlowKind), "asset": ASSETS, "amount": AMOUNTS},
    optional={"counter_asset": ASSETS, "counter_amount": AMOUNTS, "sub_account": NAMES},
).map(lambda told: ("RecordCashFlow", told))
MOVEMENTS = st.tuples(
    st.sampled_from(["Deposit", "Withdraw", "RecordWithdrawal"]),
    st.fixed_dictionaries(
        {"asset": ASSETS, "amount": AMOUNTS},
        optional={
            "fee": AMOUNTS,
            "fee_asset": ASSETS,
            "reference": NAMES,
            "transfer_id": NAMES,
            "repeats_reference": st.booleans(),
        },
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), FLOWS | MOVEMENTS, st.booleans()), max_size=25),
    st.sampled_from(["CASH", "MARGIN"]),
)
def test_money_is_conserved_whatever_is_told_and_told_again(told: Any, account_type: str) -> None:
    """All books of an account sum to zero per asset, no request overdraws, and the states are
    those that the log tells of."""
    ledger = Working()
    accounts = [ledger.open(account_type), ledger.open("CASH", USDT="20")]
    for which, (command_type, data), again in told:
        for _ in range(2 if again else 1):
            read = parsed(message(command_type, accounts[which], **data))
            if isinstance(read, InvalidCommand):
                continue
            before = ledger.states[accounts[which]].balance("main", data["asset"]).available
            try:
                ledger.do(read)
            except Rejection:
                continue
            after = ledger.states[accounts[which]].balance("main", data["asset"]).available
            if command_type == "Withdraw":
                assert after >= min(before, D(0))
    for account in accounts:
        sums: dict[str, Decimal] = {}
        for (_, asset), amount in ledger.books(account).items():
            sums[asset] = sums.get(asset, D(0)) + amount
        assert not any(sums.values())
    assert ledger.refolded() == {k: v for k, v in ledger.states.items() if v is not None}
