"""Positions of random trades are those of nautilus_trader, or the difference is known and ours is
right.

Its package is no dependency: `make differential` installs it for the long campaign, and these
tests say that they were skipped where it is not there. It reckons in floats and shows money rounded
to the settlement currency, so numbers are compared to within that.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from ledger.kernel.money import ZERO, exact
from ledger.nouns.instruments.contract import Contract, InstrumentKind
from ledger.nouns.positions import rules
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.positions.rules import PositionTrade

nautilus = pytest.importorskip(
    "nautilus_trader.model.position", reason="nautilus_trader is not installed: make differential"
)

SEQUENCES = int(os.environ.get("LEDGER_TEST_ROUNDS", "20"))
MOST_TRADES = 30
LINEAR = Contract(kind=InstrumentKind.PERPETUAL, settlement_asset="USDT")
INVERSE = Contract(kind=InstrumentKind.PERPETUAL, settlement_asset="BTC", inverse=True)
KEY = PositionKey("main", "BINANCE:BTCUSDT-PERP")


@dataclass(frozen=True)
class Fill:
    quantity: Decimal
    price: Decimal
    fee: Decimal

    def value(self, contract: Contract) -> Decimal:
        return contract.value(abs(self.quantity), self.price)


def drawn(seed: int, contract: Contract) -> Iterator[Fill]:
    """Trades of both sides, small and large, so that positions close and turn round often."""
    random = Random(seed)
    places, most = (0, 1_000) if contract.inverse else (3, 5_000)
    for _ in range(random.randint(2, MOST_TRADES)):
        quantity = Decimal(random.randint(1, most)).scaleb(-places)
        price = Decimal(random.randint(50_000, 200_000)).scaleb(-1)
        yield Fill(
            quantity=quantity if random.random() < 0.5 else -quantity,
            price=price,
            fee=ZERO if random.random() < 0.3 else Decimal(random.randint(-50, 500)).scaleb(-4),
        )


def ours(fills: list[Fill], contract: Contract) -> list[Position]:
    """The numbered positions."""
    positions: dict[int, Position] = {}
    newest: Position | None = None
    for fill in fills:
        trade = PositionTrade(
            key=KEY,
            quantity=fill.quantity,
            value=fill.value(contract),
            settlement_asset=contract.settlement_asset,
            contract=contract,
            fees={contract.settlement_asset: fill.fee} if fill.fee else {},
        )
        for made in rules.trade(newest, trade):
            newest = positions[made.number] = made
    return list(positions.values())


class Theirs:
    """Their positions of the same trades. Their engine, too, splits one that turns a position
    round; the fee goes with the quantity."""

    def __init__(self, contract: Contract) -> None:
        from nautilus_trader.test_kit.providers import TestInstrumentProvider as Instruments

        self.contract = contract
        linear, inverse = Instruments.btcusdt_perp_binance, Instruments.xbtusd_bitmex
        self.instrument = inverse() if contract.inverse else linear()
        self.positions: list[Any] = []
        self._fills = 0

    def take(self, fill: Fill) -> None:
        last = self.positions[-1] if self.positions else None
        held = Decimal(0) if last is None else Decimal(str(last.signed_decimal_qty()))
        turns = held * fill.quantity < 0 and abs(fill.quantity) > abs(held)
        if not held or last is None:
            self.positions.append(nautilus.Position(self.instrument, self._event(fill)))
        elif not turns:
            last.apply(self._event(fill))
        else:
            fee = fill.fee * abs(held) / abs(fill.quantity)
            last.apply(self._event(Fill(-held, fill.price, fee)))
            rest = Fill(fill.quantity + held, fill.price, fill.fee - fee)
            self.positions.append(nautilus.Position(self.instrument, self._event(rest)))

    def _event(self, fill: Fill) -> Any:
        from nautilus_trader.core.uuid import UUID4
        from nautilus_trader.model import enums, identifiers, objects
        from nautilus_trader.model.events import OrderFilled

        self._fills += 1
        number = str(self._fills)
        places = self.instrument.size_precision
        return OrderFilled(
            identifiers.TraderId("T-1"),
            identifiers.StrategyId("S-1"),
            self.instrument.id,
            identifiers.ClientOrderId(f"O-{number}"),
            identifiers.VenueOrderId(number),
            identifiers.AccountId("A-1"),
            identifiers.TradeId(number),
            identifiers.PositionId("P-1"),
            enums.OrderSide.BUY if fill.quantity > 0 else enums.OrderSide.SELL,
            enums.OrderType.MARKET,
            objects.Quantity.from_str(f"{abs(fill.quantity):.{places}f}"),
            objects.Price.from_str(f"{fill.price:.1f}"),
            self.instrument.quote_currency,
            objects.Money(fill.fee, self.instrument.settlement_currency),
            enums.LiquiditySide.TAKER,
            UUID4(),
            self._fills,
            0,
        )


def their_net(position: Any) -> Decimal:
    """What it made, their commissions taken off, as ours is."""
    return Decimal(str(position.realized_pnl.as_decimal()))


def close(one: Decimal, other: Decimal, fills: int) -> bool:
    """Each of their sums is rounded to eight places."""
    return abs(one - other) <= Decimal("1e-8") * (fills + 1) + abs(one) * Decimal("1e-9")


def test_linear_positions_are_theirs() -> None:
    for seed in range(SEQUENCES):
        linear_is_theirs(seed)


def linear_is_theirs(seed: int) -> None:
    fills = list(drawn(seed, LINEAR))
    theirs = Theirs(LINEAR)
    with exact():
        mine = ours(fills, LINEAR)
    for fill in fills:
        theirs.take(fill)
    assert len(mine) == len(theirs.positions), seed
    for position, their in zip(mine, theirs.positions, strict=True):
        assert position.quantity == Decimal(str(their.signed_decimal_qty()))
        assert close(position.net_pnl, their_net(their), len(fills)), seed
        if position.is_open:
            average = position.average_entry_price
            assert average is not None
            assert close(average, Decimal(str(their.avg_px_open)), len(fills))


class ArithmeticMean:
    """An inverse position with the mean of its prices by quantity, as theirs has, where the mean
    that says what was paid is the harmonic one."""

    def __init__(self) -> None:
        self.quantity = self.average = self.realized = Decimal(0)

    def take(self, fill: Fill) -> None:
        quantity = fill.quantity
        if self.quantity * quantity < 0:
            part = min(abs(quantity), abs(self.quantity))
            won = part / self.average - part / fill.price
            self.realized += won if self.quantity > 0 else -won
            part = part if quantity > 0 else -part
            self.quantity += part
            quantity -= part
        if quantity:
            total = abs(self.quantity) + abs(quantity)
            self.average = (self.average * abs(self.quantity) + fill.price * abs(quantity)) / total
            self.quantity += quantity


def test_inverse_positions_are_theirs_but_for_the_mean_that_loses_coins() -> None:
    for seed in range(SEQUENCES):
        inverse_is_theirs_but_for_the_mean(seed)


def inverse_is_theirs_but_for_the_mean(seed: int) -> None:
    """Who buys 100 at 10000 and 100 at 20000 has paid 0.015 of the coin, which is 13333.33 each and
    not 15000. So theirs is what the arithmetic mean makes; ours is what was paid and got."""
    fills = [Fill(fill.quantity, fill.price, ZERO) for fill in drawn(seed, INVERSE)]
    theirs, mean = Theirs(INVERSE), ArithmeticMean()
    with exact():
        mine = ours(fills, INVERSE)
        moved = sum(
            (fill.value(INVERSE) if fill.quantity > 0 else -fill.value(INVERSE) for fill in fills),
            ZERO,
        )
        open_cost = sum((p.cost if p.quantity > 0 else -p.cost for p in mine), ZERO)
        assert sum((p.realized_pnl for p in mine), ZERO) == moved - open_cost
    for fill in fills:
        theirs.take(fill)
        mean.take(fill)
    assert [p.quantity for p in mine] == [
        Decimal(str(their.signed_decimal_qty())) for their in theirs.positions
    ]
    realized = sum((their_net(their) for their in theirs.positions), ZERO)
    assert close(mean.realized, realized, len(fills)), seed


def test_inverse_positions_that_are_entered_at_one_price_are_theirs() -> None:
    for seed in range(SEQUENCES):
        entered_at_one_price_is_theirs(seed)


def entered_at_one_price_is_theirs(seed: int) -> None:
    fills, held, entry = [], ZERO, ZERO
    for fill in drawn(seed, INVERSE):
        after = held + fill.quantity
        if not held or held * after < 0:
            entry = fill.price
        enters = held * fill.quantity >= 0
        fills.append(Fill(fill.quantity, entry if enters else fill.price, fill.fee))
        held = after
    theirs = Theirs(INVERSE)
    with exact():
        mine = ours(fills, INVERSE)
    for one in fills:
        theirs.take(one)
    for position, their in zip(mine, theirs.positions, strict=True):
        assert close(position.net_pnl, their_net(their), len(fills)), seed
