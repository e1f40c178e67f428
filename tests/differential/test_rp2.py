"""Gains of random histories, lot by lot, are those of rp2, an accountant's programme.

Its package is no dependency: `make differential` installs it for the long campaign, and these tests
say that they were skipped where it is not there. It rounds what it has divided to some 28 digits;
ours to 18 places, so numbers are compared to within that. Its HIFO takes the lot of the highest
price and ours the one of the highest cost, fees included: so for HIFO purchases have none here.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from ledger.kernel.money import ZERO, exact
from ledger.nouns.positions.lots import CostBasis, LotMovement, LotPool, move

pytestmark = pytest.mark.skipif(
    find_spec("rp2") is None, reason="rp2 is not installed: make differential"
)

SAMPLES = os.environ.get("LEDGER_TEST_RP2_SAMPLES")
"""A directory with rp2's sources, which its samples come with."""
SEQUENCES = int(os.environ.get("LEDGER_TEST_ROUNDS", "20"))
MOST_MOVEMENTS = 24
BEGIN = datetime(2020, 1, 1, 8, tzinfo=UTC)
CLOSE = Decimal("1e-15")
METHODS = (CostBasis.FIFO, CostBasis.LIFO, CostBasis.HIFO)
CONFIGURATION = """
[general]
assets = BTC
exchanges = Kraken
holders = Bob

[in_header]
timestamp = 0
asset = 1
exchange = 2
holder = 3
transaction_type = 4
spot_price = 5
crypto_in = 6

[out_header]
timestamp = 0
asset = 1
exchange = 2
holder = 3
transaction_type = 4
spot_price = 5
crypto_out_no_fee = 6
crypto_fee = 7

[intra_header]
timestamp = 0
asset = 1
from_exchange = 2
from_holder = 3
to_exchange = 4
to_holder = 5
spot_price = 6
crypto_sent = 7
crypto_received = 8
"""


@dataclass(frozen=True)
class Movement:
    """Bought, or sold (negative), at a price; `fee` is in the currency, of purchases. Or for an
    amount."""

    at: datetime
    quantity: Decimal
    price: Decimal
    fee: Decimal
    amount: Decimal | None = None


def drawn(seed: int, *, with_fees: bool) -> Iterator[Movement]:
    """Never more is sold than is there: rp2 knows no short sales."""
    random, held, at = Random(seed), ZERO, BEGIN
    for _ in range(random.randint(2, MOST_MOVEMENTS)):
        at += timedelta(days=random.randint(1, 90), seconds=random.randint(0, 3_600))
        price = Decimal(random.randint(1, 10**7)).scaleb(-2)
        if held and random.random() < 0.5:
            most = int(held.scaleb(8))
            quantity = (
                held if random.random() < 0.2 else Decimal(random.randint(1, most)).scaleb(-8)
            )
            held -= quantity
            yield Movement(at, -quantity, price, ZERO)
        else:
            quantity = Decimal(random.randint(1, 10**10)).scaleb(-8)
            held += quantity
            fee = Decimal(random.randint(0, 10_000)).scaleb(-2)
            yield Movement(at, quantity, price, fee if with_fees else ZERO)


Gain = tuple[Decimal, Decimal, Decimal]
"""(quantity, cost, proceeds) of a part of a lot."""


def ours(movements: list[Movement], method: CostBasis) -> list[Gain]:
    pool, found = LotPool(), []
    with exact():
        for number, one in enumerate(movements, 1):
            value = abs(one.quantity) * one.price if one.amount is None else one.amount
            moved = move(
                pool,
                LotMovement(
                    asset="BTC",
                    quantity=one.quantity,
                    number=number,
                    event_id=UUID(int=number),
                    acquired_at=one.at,
                    amount=value + one.fee if one.quantity > 0 else value,
                    currency="USD",
                    opens=True,
                ),
                method,
            )
            for gain in moved.disposals:
                assert gain.cost is not None
                assert gain.proceeds is not None
                found.append((gain.quantity, gain.cost, gain.proceeds))
    return found


class Rp2:
    """Their engine, on histories that are made in memory."""

    def __init__(self, directory: Path) -> None:
        path = directory / "rp2.ini"
        path.write_text(CONFIGURATION, "utf-8")
        self._configuration = self._new("rp2.configuration", "Configuration")(
            str(path), self._new("rp2.plugin.country.us", "US")()
        )

    def gains(self, movements: list[Movement], method: CostBasis) -> list[Gain]:
        computed = import_module("rp2.tax_engine").compute_tax(
            self._configuration, self._engine(method), self._input(movements)
        )
        return [self._gain(one) for one in computed.gain_loss_set]

    @staticmethod
    def _gain(one: Any) -> Gain:
        return (
            Decimal(str(one.crypto_amount)),
            Decimal(str(one.fiat_cost_basis)),
            Decimal(str(one.taxable_event_fiat_amount_with_fee_fraction)),
        )

    def sample(self, asset: str, method: CostBasis) -> tuple[list[Gain], list[Movement]]:
        """Gains of a sheet of its sample, and the same acquisitions and disposals for ours. What is
        earned has no lot, and no gain but itself."""
        configuration = self._new("rp2.configuration", "Configuration")(
            "./config/test_data.ini",
            self._new("rp2.plugin.country.us", "US")(),
            allow_negative_balances=True,
        )
        sheet = import_module("rp2.ods_parser")
        data = sheet.parse_ods(
            configuration, asset, sheet.open_ods(configuration, "./input/test_data.ods")
        )
        computed = import_module("rp2.tax_engine").compute_tax(
            configuration, self._engine(method), data
        )
        lots = list(data.unfiltered_in_transaction_set)
        sold = [one for one in computed.gain_loss_set if one.acquired_lot is not None]
        disposed = {one.taxable_event.internal_id: one.taxable_event for one in sold}
        told = [(one.timestamp, 0, one.crypto_in, one.fiat_in_with_fee) for one in lots] + [
            (one.timestamp, 1, -one.crypto_balance_change, one.fiat_taxable_amount)
            for one in disposed.values()
        ]
        told.sort(key=lambda one: one[:2])
        movements = [
            Movement(at, Decimal(str(quantity)), Decimal(1), ZERO, Decimal(str(amount)))
            for at, _, quantity, amount in told
        ]
        return [self._gain(one) for one in sold], movements

    def _engine(self, method: CostBasis) -> Any:
        methods = self._new("prezzemolo.avl_tree", "AVLTree")()
        plugin = f"rp2.plugin.accounting_method.{method.value.lower()}"
        methods.insert_node(1970, self._new(plugin, "AccountingMethod")())
        return self._new("rp2.accounting_engine", "AccountingEngine")(methods)

    def _input(self, movements: list[Movement]) -> Any:
        sets = {
            kind: self._new("rp2.transaction_set", "TransactionSet")(
                self._configuration, kind, "BTC"
            )
            for kind in ("IN", "OUT", "INTRA")
        }
        number = self._new("rp2.rp2_decimal", "RP2Decimal")
        for row, one in enumerate(movements, 1):
            head = (self._configuration, one.at.isoformat(), "BTC", "Kraken", "Bob")
            price, quantity = number(str(one.price)), number(str(abs(one.quantity)))
            if one.quantity > 0:
                bought = self._new("rp2.in_transaction", "InTransaction")(
                    *head, "Buy", price, quantity, fiat_fee=number(str(one.fee)), row=row
                )
                sets["IN"].add_entry(bought)
            else:
                sold = self._new("rp2.out_transaction", "OutTransaction")(
                    *head, "Sell", price, quantity, number("0"), row=row
                )
                sets["OUT"].add_entry(sold)
        return self._new("rp2.input_data", "InputData")("BTC", *sets.values())

    @staticmethod
    def _new(module: str, name: str) -> Any:
        return getattr(import_module(module), name)


@pytest.fixture(scope="module")
def rp2(tmp_path_factory: pytest.TempPathFactory) -> Rp2:
    directory = tmp_path_factory.mktemp("rp2")
    before = Path.cwd()
    os.chdir(directory)  # it writes a log where it is imported
    try:
        found = Rp2(directory)
        found.gains(list(drawn(0, with_fees=True)), CostBasis.FIFO)
        return found
    finally:
        os.chdir(before)


@pytest.mark.parametrize("method", METHODS)
def test_gains_of_random_histories_are_theirs(rp2: Rp2, method: CostBasis) -> None:
    compared = 0
    for seed in range(SEQUENCES):
        movements = list(drawn(seed, with_fees=method is not CostBasis.HIFO))
        mine, theirs = ours(movements, method), rp2.gains(movements, method)
        assert len(mine) == len(theirs), seed
        for one, other in zip(sorted(mine), sorted(theirs), strict=True):
            assert _close(one, other), (seed, one, other)
            compared += 1
    assert compared


@pytest.mark.skipif(SAMPLES is None, reason="rp2's samples are not there: make differential")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("asset", ["B1", "B2", "B3", "B4"])
def test_gains_of_its_samples_are_theirs(
    rp2: Rp2, method: CostBasis, asset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SAMPLES is not None
    monkeypatch.chdir(SAMPLES)
    theirs, movements = rp2.sample(asset, method)
    mine = ours(movements, method)
    assert len(mine) == len(theirs)
    for one, other in zip(sorted(mine), sorted(theirs), strict=True):
        assert _close(one, other), (one, other)


def _close(one: Gain, other: Gain) -> bool:
    return all(
        abs(this - that) <= CLOSE * max(abs(this), Decimal(1))
        for this, that in zip(one, other, strict=True)
    )
