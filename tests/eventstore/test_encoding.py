"""Payloads: amounts are plain decimal numbers, whichever encoder wrote them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.eventstore.codec import decode, encode
from ledger.nouns.accounts.events import AccountDeposited


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, max_value=10**20))
def test_no_amount_is_written_with_an_exponent(amount: Decimal) -> None:
    event = AccountDeposited(asset="BTC", amount=amount, sub_account="main")
    payload = encode(event)
    assert f'"amount":"{amount:f}"'.encode() in payload
    assert decode("account.deposited", payload) == event


@pytest.mark.parametrize("amount", ["1E-8", "0E-18", "1E+3", "0.000001", "1000"])
def test_exponents_of_python_become_plain(amount: str) -> None:
    event = AccountDeposited(asset="BTC", amount=Decimal(amount), sub_account="GOOGLE-USD")
    assert f'"{Decimal(amount):f}"'.encode() in encode(event)
