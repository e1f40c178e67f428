"""What can be traded, and on which grid."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ledger.kernel.event import Event
from ledger.nouns.instruments import rules as instrument_rules
from ledger.nouns.instruments import state as instrument_state
from ledger.nouns.instruments.contract import InstrumentKind
from tests.nouns.folded import BTCUSDT, D, refused

EXPIRY = datetime(2026, 12, 25, 8, tzinfo=UTC)
LIMITS: dict[str, Any] = {
    "tick_size": D("0.05"),
    "step_size": D("0.001"),
    "min_quantity": D("0.01"),
    "max_quantity": D(100),
}
TERMS: dict[str, Any] = {
    "instrument": BTCUSDT,
    "base_asset": "BTC",
    "quote_asset": "USDT",
    "limits": LIMITS,
}


class FoldedInstrument:
    def __init__(self, **terms: Any) -> None:
        self.state: Any = None
        limits = LIMITS | {name: terms.pop(name) for name in LIMITS if name in terms}
        self.tell(instrument_rules.list_instrument, **(TERMS | {"limits": limits} | terms))

    def tell(self, decision: Callable[..., tuple[Event, ...]], **arguments: Any) -> Any:
        (event,) = decision(self.state, **arguments)
        self.state = instrument_state.evolve(self.state, event, uuid4())
        return event


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("PRICE_OFF_TICK", {"price": D("100.01")}),
        ("PRICE_OFF_TICK", {"stop_price": D("100.01")}),
        ("QUANTITY_TOO_SMALL", {"quantity": D("0.009")}),
        ("QUANTITY_TOO_SMALL", {"quantity": D("0.0001")}),
        ("QUANTITY_TOO_LARGE", {"quantity": D("100.001")}),
        ("QUANTITY_OFF_STEP", {"quantity": D("0.0105")}),
    ],
)
def test_an_order_off_the_grid_is_refused(code: str, asked: dict[str, Any]) -> None:
    message = refused(code, instrument_rules.check_order, FoldedInstrument().state, **asked)
    assert BTCUSDT in message


def test_an_order_on_the_grid_is_fine_however_it_is_written() -> None:
    state = FoldedInstrument().state
    instrument_rules.check_order(
        state, quantity=D("0.0100"), price=D("100.1000"), stop_price=D("100.05")
    )
    instrument_rules.check_order(state, quantity=D(100), price=None)
    instrument_rules.check_order(state)


def test_without_a_most_any_quantity_is_fine() -> None:
    state = FoldedInstrument(max_quantity=None).state
    instrument_rules.check_order(state, quantity=D("99999999999999999999.001"))


def test_without_a_least_one_step_is_the_least() -> None:
    assert FoldedInstrument(min_quantity=None).state.terms.min_quantity == D("0.001")


def test_a_delisted_instrument_takes_no_orders_and_no_updates() -> None:
    made = FoldedInstrument()
    made.tell(instrument_rules.delist_instrument, reason="merged")
    for decision in (
        instrument_rules.check_order,
        instrument_rules.update_instrument,
        instrument_rules.delist_instrument,
    ):
        refused("INSTRUMENT_DELISTED", decision, made.state)


def test_an_instrument_is_listed_once_and_again_after_it_was_delisted() -> None:
    made = FoldedInstrument()
    refused("INSTRUMENT_ALREADY_LISTED", instrument_rules.list_instrument, made.state, **TERMS)
    made.tell(instrument_rules.delist_instrument)
    made.tell(instrument_rules.list_instrument, **TERMS)
    instrument_rules.check_order(made.state, price=D(100))


def test_a_name_never_stands_for_other_assets() -> None:
    made = FoldedInstrument()
    made.tell(instrument_rules.delist_instrument)
    refused(
        "INSTRUMENT_ASSETS_FIXED",
        instrument_rules.list_instrument,
        made.state,
        **(TERMS | {"base_asset": "BCH"}),
    )


def test_an_update_is_recorded_whole_and_what_is_not_given_stays() -> None:
    event = FoldedInstrument().tell(instrument_rules.update_instrument, tick_size=D("0.1"))
    assert (event.tick_size, event.step_size, event.max_quantity) == (D("0.1"), D("0.001"), 100)


def test_the_most_is_not_below_the_least() -> None:
    refused("INVALID_COMMAND", FoldedInstrument, max_quantity=D("0.001"))
    made = FoldedInstrument()
    refused("INVALID_COMMAND", made.tell, instrument_rules.update_instrument, min_quantity=D(101))


def test_the_stream_of_an_instrument_is_the_same_for_ever() -> None:
    assert str(instrument_state.stream_id(BTCUSDT)) == str(instrument_state.stream_id(BTCUSDT))
    assert instrument_state.stream_id(BTCUSDT) != instrument_state.stream_id("KRAKEN:BTCUSDT")


# --- derivatives ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "settles_in"),
    [
        ({"kind": InstrumentKind.PERPETUAL}, "USDT"),
        ({"kind": InstrumentKind.PERPETUAL, "inverse": True}, "BTC"),
        ({"kind": InstrumentKind.FUTURE, "settlement_asset": "USDC"}, "USDC"),
        ({"kind": InstrumentKind.OPTION}, "USDT"),
    ],
)
def test_a_derivative_settles_in_what_its_price_is_in(
    terms: dict[str, Any], settles_in: str
) -> None:
    contract = FoldedInstrument(**terms).state.contract
    assert contract is not None
    assert contract.settlement_asset == settles_in
    assert FoldedInstrument().state.contract is None


@pytest.mark.parametrize(
    "terms",
    [
        {"inverse": True},
        {"settlement_asset": "USDT"},
        {"contract_size": D(10)},
        {"expires_at": EXPIRY},
        {"kind": InstrumentKind.PERPETUAL, "expires_at": EXPIRY},
        {"kind": InstrumentKind.OPTION, "inverse": True},
        {"kind": InstrumentKind.FUTURE, "inverse": True, "settlement_asset": "USDT"},
    ],
)
def test_terms_that_no_instrument_of_its_kind_has_are_refused(terms: dict[str, Any]) -> None:
    refused("INVALID_COMMAND", FoldedInstrument, **terms)


def test_the_terms_of_a_contract_stay_while_it_has_its_name() -> None:
    made = FoldedInstrument(kind=InstrumentKind.FUTURE, contract_size=D(10))
    made.tell(instrument_rules.delist_instrument)
    changed = TERMS | {"kind": InstrumentKind.FUTURE, "contract_size": D(1)}
    message = refused(
        "INSTRUMENT_ASSETS_FIXED", instrument_rules.list_instrument, made.state, **changed
    )
    assert "contract_size" in message


def test_nothing_is_ordered_of_what_has_expired() -> None:
    made = FoldedInstrument(kind=InstrumentKind.FUTURE, expires_at=EXPIRY)
    refused("INSTRUMENT_EXPIRED", instrument_rules.check_order, made.state, at=EXPIRY)
    instrument_rules.check_order(made.state, at=EXPIRY - timedelta(seconds=1))


def test_without_a_grid_any_price_and_quantity_is_fine() -> None:
    made = FoldedInstrument(tick_size=None, step_size=None, min_quantity=None, max_quantity=None)
    instrument_rules.check_order(made.state, price=D("0.123456789"), quantity=D("0.000000001"))


def test_it_takes_no_less_to_open_a_position_than_to_keep_it() -> None:
    rates = {"initial_margin_rate": D("0.01"), "maintenance_margin_rate": D("0.02")}
    refused("INVALID_COMMAND", FoldedInstrument().tell, instrument_rules.update_instrument, **rates)
