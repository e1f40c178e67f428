"""From message bytes to commands: what is read, and what each fault is told."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from ledger.bus.command_subjects import CommandSubject
from ledger.kernel.command import Command, InvalidCommand
from ledger.nouns import COMMAND_DATA
from ledger.nouns.accounts.commands import Deposit
from ledger.nouns.orders.commands import SubmitOrder
from ledger.write.parser import parse
from tests.commands import message

ACCOUNT = uuid7()


def order_message(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "order_id": str(uuid7()),
        "instrument": "BINANCE:BTCUSDT",
        "side": "BUY",
        "order_type": "LIMIT",
        "quantity": "0.5",
        "price": "50000.12",
        "time_in_force": "GTC",
    }
    return message("SubmitOrder", ACCOUNT, **(data | changes))


def read(a_message: Any, **options: Any) -> Command | InvalidCommand:
    body = a_message if isinstance(a_message, bytes) else json.dumps(a_message).encode()
    return parse(body, **options)


def fault(a_message: Any, **options: Any) -> str:
    invalid = read(a_message, **options)
    assert isinstance(invalid, InvalidCommand), invalid
    return invalid.message


def test_a_whole_message_becomes_a_command() -> None:
    correlation = uuid4()
    command = read(
        order_message()
        | {"time": "2026-11-21T11:00:00+01:00", "correlationid": str(correlation), "extra": 1},
        sent_to=CommandSubject(str(ACCOUNT), "trade", "s-7"),
    )
    assert isinstance(command, Command)
    assert isinstance(command.data, SubmitOrder)
    assert command.account_id == ACCOUNT
    assert command.time == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert command.correlation_id == correlation
    assert command.data.price == Decimal("50000.12")


def test_a_command_correlates_with_itself_unless_it_says_otherwise() -> None:
    command = read(order_message())
    assert isinstance(command, Command)
    assert command.correlation_id == command.id


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"quantity": 0.5}, "data.quantity: a float is not exact: send the amount as a string"),
        ({"quantity": "NaN"}, "data.quantity: 'NaN' is not an amount"),
        ({"quantity": "Infinity"}, "is not an amount"),
        ({"quantity": "1e3"}, "is not an amount"),
        ({"quantity": "-1"}, "data.quantity: must be greater than zero"),
        ({"quantity": "0"}, "data.quantity: must be greater than zero"),
        ({"quantity": "9" * 60}, "at most 20 digits before and 18 after the point"),
        ({"quantity": 10**60}, "data.quantity: "),
        ({"quantity": "0." + "1" * 19}, "at most 20 digits before and 18 after the point"),
        ({"quantity": True}, "data.quantity: send the amount as a string"),
        ({"quantity": "٣"}, "is not an amount"),
        ({"instrument": "X" * 10_000}, "data.instrument: "),
        ({"instrument": "BTCUSDT"}, "data.instrument: "),
        ({"side": "buy"}, "data.side: "),
        ({"order_id": "one"}, "data.order_id: "),
        ({"price": None}, "a LIMIT order needs a price"),
        ({"order_type": "STOP_MARKET", "price": None}, "a STOP_MARKET order needs a stop_price"),
        ({"quote_quantity": "10"}, "quote_quantity is the budget of a MARKET BUY"),
        ({"quantity": None}, "quantity is missing"),
        ({"iceberg_qty": "0.6"}, "iceberg_qty is more than quantity"),
        ({"fee_rate": "1.5"}, "fee_rate is a fraction"),
        ({"post_only": "yes"}, "data.post_only: "),
        ({"client_order_id": "a\x00b"}, "must not contain the NUL character"),
        ({"qty": "1"}, "data.qty: Extra inputs are not permitted"),
        ({"account_id": str(uuid4())}, "is not the subject"),
    ],
)
def test_a_fault_in_the_data_is_named(changes: dict[str, Any], told: str) -> None:
    assert told in fault(order_message(**changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id": "one"}, "id must be a UUID, not 'one'"),
        ({"id": None}, "id must be a UUID"),
        ({"specversion": "0.3"}, "specversion must be '1.0'"),
        ({"source": ""}, "source is missing"),
        ({"type": "BuyEverything"}, "type 'BuyEverything' is no command"),
        ({"type": 7}, "is no command"),
        ({"subject": "everybody"}, "subject must be the account's id"),
        ({"time": "2026-11-21T10:00:00"}, "has no time zone"),
        ({"time": 1_780_000_000}, "must be an ISO 8601 time as a string"),
        ({"time": "yesterday"}, "is not an ISO 8601 time"),
        ({"userid": "me"}, "userid must be a UUID"),
        ({"data": None}, "data must be a JSON object"),
        ({"data": []}, "data must be a JSON object"),
    ],
)
def test_a_fault_in_the_envelope_is_named(changes: dict[str, Any], told: str) -> None:
    assert told in fault(order_message() | changes)


def test_typed_code_may_give_amounts_as_decimals() -> None:
    assert Deposit(asset="BTC", amount=Decimal("1E-8")).amount == Decimal("0.00000001")
    with pytest.raises(ValueError, match="send the amount as a string"):
        Deposit(asset="BTC", amount=Decimal("NaN"))


def test_an_asset_of_ten_thousand_characters_is_refused() -> None:
    assert "data.asset: " in fault(message("Deposit", ACCOUNT, asset="A" * 10_000, amount="1"))


def test_a_message_sent_to_another_subject_than_its_own_is_refused() -> None:
    assert "is not the" in fault(
        order_message(), sent_to=CommandSubject(str(uuid4()), "trade", "s-7")
    )


def test_commands_about_instruments_have_a_subject_of_their_own() -> None:
    delist = message("DelistInstrument", ACCOUNT, instrument="BINANCE:BTCUSDT")
    assert "subject 'instruments'" in fault(delist)
    assert isinstance(read(delist | {"subject": "instruments"}), Command)


@pytest.mark.parametrize("body", [b"", b"\x00", b"{", b"NaN", b'"text"', b"[]", b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    assert isinstance(read(body), InvalidCommand)


def test_a_message_that_is_too_large_is_refused_by_its_own_id() -> None:
    large = order_message(client_order_id="x" * 1_000_000)
    invalid = read(large)
    assert isinstance(invalid, InvalidCommand)
    assert "at most 65536 are decided" in invalid.message
    assert invalid.id == UUID(large["id"])


def test_only_content_decides_whether_two_messages_are_the_same() -> None:
    first = order_message()
    resent = dict(reversed(first.items())) | {"time": "2026-11-21T10:00:00Z", "source": "other"}
    changed = first | {"data": first["data"] | {"price": "1"}}
    assert read(first).fingerprint == read(resent).fingerprint
    assert read(first).fingerprint != read(changed).fingerprint


def test_a_refusal_that_quotes_the_message_can_be_stored() -> None:
    told = fault(order_message(account_id="\x00not an id"))
    assert "\x00" not in told
    assert r"\x00" in told


@given(st.binary(max_size=300))
def test_no_bytes_make_parsing_fail(body: bytes) -> None:
    parse(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(sorted(COMMAND_DATA)), st.dictionaries(st.text(max_size=12), _JSON), _JSON)
def test_no_json_makes_parsing_fail(
    command_type: str, data: dict[str, Any], anything: object
) -> None:
    envelope = message(command_type, ACCOUNT) | {"data": data, "time": anything, "userid": anything}
    parse(orjson.dumps(envelope))
