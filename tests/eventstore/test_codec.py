"""Events to stored payloads and back."""

from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore.codec import UndecodableEvent, UnknownEventType, decode, encode
from ledger.nouns import EVENTS, UPCASTERS
from ledger.nouns.accounts.events import (
    AccountDeposited,
    AccountOpened,
    AccountType,
    Environment,
    Posting,
    Reason,
)

USER = uuid7()
DEPOSITED = AccountDeposited(
    asset="BTC",
    amount=Decimal("0.00000001"),
    sub_account="main",
    postings=(
        Posting(book="external", asset="BTC", amount=Decimal("-0.00000001"), reason=Reason.DEPOSIT),
        Posting(book="main", asset="BTC", amount=Decimal("0.00000001"), reason=Reason.DEPOSIT),
    ),
)


def test_an_event_reads_back_as_it_was_written() -> None:
    assert decode("account.deposited", encode(DEPOSITED)) == DEPOSITED


def test_amounts_are_plain_strings_without_exponent() -> None:
    assert orjson.loads(encode(DEPOSITED))["amount"] == "0.00000001"


def test_what_equals_its_default_is_left_out() -> None:
    assert "overdrawn" not in orjson.loads(encode(DEPOSITED))


def test_names_in_the_store_are_dotted_and_begin_with_their_stream_type() -> None:
    assert len(EVENTS) > 30
    assert {name.partition(".")[0] for name in EVENTS} == {
        "account",
        "alert",
        "allocation",
        "breaker",
        "clock",
        "equity",
        "heartbeat",
        "instrument",
        "limits",
        "log",
        "order",
        "prices",
        "projection",
        "reference",
        "risk",
        "stream",
    }


def _opened_version_1(**changes: object) -> bytes:
    return orjson.dumps(
        {
            "user_id": str(USER),
            "exchange": "BINANCE",
            "name": "old",
            "account_type": "CASH",
            "base_currency": "USDT",
        }
        | changes
    )


@pytest.mark.parametrize(
    ("changes", "environment"),
    [
        ({"is_testnet": True}, Environment.PAPER),
        ({"is_testnet": False}, Environment.LIVE),
        ({}, Environment.LIVE),
    ],
)
def test_an_account_opened_before_environments_is_read_as_today(
    changes: dict[str, object], environment: Environment
) -> None:
    assert decode("account.opened", _opened_version_1(**changes), 1) == AccountOpened(
        user_id=USER,
        exchange="BINANCE",
        name="old",
        account_type=AccountType.CASH,
        environment=environment,
        base_currency="USDT",
    )


def test_every_older_schema_version_has_its_upcaster() -> None:
    older = {
        (name, version)
        for name, event_class in EVENTS.items()
        for version in range(1, event_class.schema)
    }
    assert set(UPCASTERS) == older


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownEventType, match=r"'account\.vanished' is unknown"):
        decode("account.vanished", b"{}")


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"not json", b'{"asset": 5}'])
def test_a_payload_of_another_shape_is_refused(payload: bytes) -> None:
    with pytest.raises(UndecodableEvent, match=r"account\.deposited"):
        decode("account.deposited", payload)


def test_a_schema_newer_than_this_code_is_refused() -> None:
    with pytest.raises(UndecodableEvent, match="schema 3 is newer than 2"):
        decode("account.opened", _opened_version_1(), 3)


def test_ids_are_uuids_again_after_reading() -> None:
    read = decode("account.opened", _opened_version_1(), 1)
    assert isinstance(read, AccountOpened)
    assert isinstance(read.user_id, UUID)
