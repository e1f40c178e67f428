"""Money in an account: what may be asked for, and what is recorded whatever happens."""

from typing import Any
from uuid import uuid4

import pytest

from ledger.nouns.accounts import facts as account_facts
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts import settlement as account_settlement
from ledger.nouns.accounts.commands import SetReporting
from ledger.nouns.accounts.events import AccountStatus, AccountType, Environment
from tests.nouns.folded import BTCUSDT, D, FoldedAccount, refused, required

KNOWN = frozenset({"main", "alpha"})


def suspended() -> FoldedAccount:
    made = FoldedAccount()
    made.tell(account_rules.suspend, reason="review", actor="ops")
    return made


def closed() -> FoldedAccount:
    made = FoldedAccount()
    made.tell(account_rules.close)
    return made


# --- opening and closing --------------------------------------------------------------


def test_an_account_is_opened_once() -> None:
    first = FoldedAccount()
    refused(
        "ACCOUNT_ALREADY_EXISTS",
        account_rules.open_account,
        first.state,
        account_id=first.id,
        user_id=uuid4(),
        exchange="BINANCE",
        name="again",
        account_type=AccountType.CASH,
        environment=Environment.LIVE,
        base_currency="USDT",
    )


def test_a_suspended_account_can_be_reactivated_and_an_active_one_cannot() -> None:
    made = suspended()
    refused("ACCOUNT_SUSPENDED", account_rules.suspend, made.state)
    made.tell(account_rules.reactivate)
    refused("ACCOUNT_NOT_SUSPENDED", account_rules.reactivate, made.state)


@pytest.mark.parametrize(
    "request_", [account_rules.suspend, account_rules.reactivate, account_rules.close]
)
def test_a_closed_account_stays_closed(request_: Any) -> None:
    refused("ACCOUNT_CLOSED", request_, closed().state)


def test_a_suspended_empty_account_can_be_closed() -> None:
    made = suspended()
    made.tell(account_rules.close)
    assert made.state.status is AccountStatus.CLOSED


def test_an_account_with_money_cannot_be_closed_and_the_refusal_says_what_is_left() -> None:
    message = refused("ACCOUNT_NOT_EMPTY", account_rules.close, FoldedAccount(USDT="10.50").state)
    assert "10.5 USDT in main" in message


def test_an_account_whose_orders_hold_money_cannot_be_closed() -> None:
    margin = FoldedAccount(AccountType.MARGIN)
    margin.hold(uuid4(), "USDT", "5")
    message = refused("ACCOUNT_NOT_EMPTY", account_rules.close, margin.state)
    assert "0 USDT in main (5 locked for orders)" in message


@pytest.mark.parametrize(
    ("made", "code"), [(suspended, "ACCOUNT_SUSPENDED"), (closed, "ACCOUNT_CLOSED")]
)
def test_an_account_that_is_not_active_refuses_requests_for_its_money(made: Any, code: str) -> None:
    state = made().state
    refused(code, account_rules.withdraw, state, asset="USDT", amount=D(1))
    refused(
        code,
        account_rules.transfer,
        state,
        asset="USDT",
        amount=D(1),
        from_sub_account="main",
        to_sub_account="alpha",
        known_sub_accounts=KNOWN,
    )
    refused(code, account_rules.rebalance, state, ())
    refused(code, account_rules.check_order, state, instrument=BTCUSDT)
    refused(
        code,
        account_settlement.hold,
        state,
        required(uuid4(), "USDT", "1"),
    )


def test_an_order_needs_an_account_on_its_venue() -> None:
    state = FoldedAccount().state
    account_rules.check_order(state, instrument=BTCUSDT)
    account_rules.check_order(state, instrument="Binance:BTC/USDT:USDT")
    message = refused("WRONG_VENUE", account_rules.check_order, state, instrument="KRAKEN:BTCUSDT")
    assert "KRAKEN" in message
    assert "BINANCE" in message


# --- deposits, adjustments, withdrawals -------------------------------------------------


def test_a_deposit_comes_from_outside() -> None:
    made = FoldedAccount()
    event = made.tell(account_rules.deposit, asset="USDT", amount=D(10))
    assert [(p.book, p.amount) for p in event.postings] == [("external", D(-10)), ("main", D(10))]
    assert made.total("USDT") == made.available("USDT") == D(10)


def test_a_deposit_on_a_suspended_or_closed_account_is_recorded() -> None:
    assert not suspended().tell(account_rules.deposit, asset="USDT", amount=D(1)).account_closed
    shut = closed()
    assert shut.tell(account_rules.deposit, asset="USDT", amount=D(1)).account_closed
    assert shut.total("USDT") == 1


def test_an_adjustment_is_signed_and_may_overdraw() -> None:
    made = FoldedAccount(USDT="5")
    down = made.tell(
        account_rules.adjust, asset="USDT", amount=D(-7), reason="venue's statement", actor="ops"
    )
    assert (down.overdrawn, made.available("USDT")) == (True, D(-2))
    up = made.tell(account_rules.adjust, asset="USDT", amount=D(2), reason="undo", actor="ops")
    assert (up.overdrawn, made.available("USDT")) == (False, D(0))


def test_a_withdrawal_takes_only_what_is_available() -> None:
    made = FoldedAccount(USDT="10")
    made.hold(uuid4(), "USDT", "4")
    message = refused(
        "INSUFFICIENT_FUNDS", account_rules.withdraw, made.state, asset="USDT", amount=D(7)
    )
    assert "available 6 USDT in main is less than the 7 USDT" in message
    made.tell(account_rules.withdraw, asset="USDT", amount=D(6))
    assert (made.total("USDT"), made.available("USDT")) == (D(4), D(0))


def test_a_margin_account_may_go_below_zero_and_is_not_called_overdrawn() -> None:
    made = FoldedAccount(AccountType.MARGIN)
    assert not made.tell(account_facts.record_withdrawal, asset="USDT", amount=D(5)).overdrawn
    assert made.available("USDT") == D(-5)


# --- transfers ------------------------------------------------------------------------


def transfer(made: FoldedAccount, from_: str, to: str, amount: str) -> Any:
    return made.tell(
        account_rules.transfer,
        asset="USDT",
        amount=D(amount),
        from_sub_account=from_,
        to_sub_account=to,
        known_sub_accounts=KNOWN,
    )


def test_a_transfer_moves_money_between_sub_accounts() -> None:
    made = FoldedAccount(USDT="10")
    transfer(made, "main", "alpha", "4")
    assert (made.total("USDT"), made.total("USDT", "alpha")) == (D(6), D(4))


def test_a_transfer_takes_only_what_is_available() -> None:
    refused("INSUFFICIENT_FUNDS", transfer, FoldedAccount(USDT="3"), "main", "alpha", "4")


@pytest.mark.parametrize(("from_", "to"), [("main", "beta"), ("beta", "main")])
def test_a_transfer_names_sub_accounts_that_exist(from_: str, to: str) -> None:
    message = refused("UNKNOWN_SUB_ACCOUNT", transfer, FoldedAccount(USDT="9"), from_, to, "4")
    assert "'beta'" in message
    assert "alpha, main" in message


def test_a_transfer_goes_somewhere_else() -> None:
    refused("SAME_SUB_ACCOUNT", transfer, FoldedAccount(USDT="9"), "main", "main", "4")


# --- how it is measured ---------------------------------------------------------------


def test_how_an_account_is_measured_is_set_as_a_whole_and_not_of_a_closed_one() -> None:
    said = SetReporting(periods_per_year=252, time_zone="Europe/Berlin")
    terms = said.model_dump(exclude={"account_id"})
    event = FoldedAccount().tell(account_rules.set_reporting, **terms)
    assert (event.periods_per_year, event.time_zone, event.benchmark) == (
        *(252, "Europe/Berlin", None),
    )
    refused("ACCOUNT_CLOSED", account_rules.set_reporting, closed().state, **terms)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("time_zone", "Mars/Olympus", "is no time zone like"),
        ("periods_per_year", 0, "greater than or equal to 1"),
        ("risk_free_rate", "-0.01", "must not be negative"),
        ("benchmark", "BTC", "pattern|must be"),
    ],
)
def test_what_nothing_can_be_measured_by_is_refused(field: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SetReporting(**{field: value})
