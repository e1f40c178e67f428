"""The rules reckon inside `exact()`; the application enters it once per batch, tests here."""

from collections.abc import Iterator

import pytest

from ledger.kernel.money import exact


@pytest.fixture(autouse=True)
def _exact_money() -> Iterator[None]:
    with exact():
        yield
