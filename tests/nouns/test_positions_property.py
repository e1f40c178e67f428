"""Whatever a venue tells, in whichever order: positions are the sum of the trades that stand, and
what is realised, open, paid and received is the change of wealth, to the last unit.

A drawn run of commands goes to the real handlers. What they make is compared with the plain rules
over the trades that stand, and with the balances, which know nothing of positions.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.events import MoneyEvent
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions import rules
from ledger.nouns.positions.margin import initial_margin
from ledger.nouns.positions.position import Position, PositionKey, margin_hold_id
from tests.commands import list_instrument
from tests.nouns.folded import D
from tests.nouns.in_memory import INVERSE, PERPETUAL, InMemoryLedger

SPOT = "BINANCE:AAPLUSDT"
"""Of an asset of its own, so that a split of it concerns nothing else."""
ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
RUNS = 40 * ROUNDS
MOST_STEPS = 16

_instruments = st.sampled_from([SPOT, PERPETUAL, INVERSE])
_quantities = st.sampled_from(["1", "3", "0.5", "7", "0.001", "2.999"])
_prices = st.sampled_from(["100", "99.99", "3", "7", "130.5"])
_fees = st.sampled_from([None, ("", "0.001"), ("USDT", "0.7"), ("BNB", "0.03"), ("USDT", "-1")])
_places = st.integers(0, 1_000)
_ratios = st.sampled_from([(2, 1), (1, 2), (5, 4)])

_steps = st.one_of(
    st.tuples(st.just("fill"), _instruments, st.booleans(), _quantities, _prices, _fees, _places),
    st.tuples(st.just("fill"), _instruments, st.booleans(), _quantities, _prices, _fees, _places),
    st.tuples(st.just("fill"), _instruments, st.booleans(), _quantities, _prices, _fees, _places),
    st.tuples(st.just("void"), _places),
    st.tuples(st.just("charge"), _places, _fees),
    st.tuples(st.just("fund"), _instruments, st.sampled_from(["0.25", "-0.5"])),
    st.tuples(st.just("split"), _instruments, _ratios),
    st.tuples(st.just("leverage"), st.sampled_from(["1", "3", "10"])),
    st.tuples(st.just("order"), _instruments, st.booleans(), _quantities, st.booleans()),
    st.tuples(st.just("cancel"), _places),
)


class Told(NamedTuple):
    """What one key has been told, in the order of arrival."""

    kind: str
    name: tuple[UUID, str] | None
    what: Any


class Venue:
    """Tells a ledger what is drawn, and keeps what it has told."""

    def __init__(self, mode: str) -> None:
        self.ledger = InMemoryLedger(position_mode=mode)
        self.ledger._decide(list_instrument(instrument=SPOT, base_asset="AAPL"))
        self.hedges = mode == "HEDGE"
        self.told: dict[PositionKey, list[Told]] = {}
        self.fills: list[tuple[UUID, str]] = []
        self.orders: list[UUID] = []
        self.count = 0

    def do(self, step: tuple[Any, ...]) -> None:
        self.count += 1
        getattr(self, f"_{step[0]}")(*step[1:])

    def _key(self, instrument: str, place: int) -> PositionKey:
        side = PositionSide.BOTH
        if self.hedges and instrument != SPOT:
            side = (PositionSide.LONG, PositionSide.SHORT)[place % 2]
        return PositionKey("main", instrument, side)

    def _fill(self, instrument: str, buys: bool, qty: str, px: str, fee: Any, place: int) -> None:
        key, trade_id = self._key(instrument, place), f"t{self.count}"
        more: dict[str, Any] = {"position_side": key.position_side}
        fee = _in_base(fee, instrument)
        if fee is not None:
            more |= {"commission_asset": fee[0], "commission": fee[1]}
        order_id = self.ledger.fill(
            trade_id, "BUY" if buys else "SELL", qty, px, instrument, **more
        )
        settled = self.ledger.events()[-1]
        assert isinstance(settled, MoneyEvent)
        contract = settled.positions[-1].contract
        trade = rules.PositionTrade(
            key=key,
            quantity=D(qty) if buys else -D(qty),
            value=D(qty) * D(px) if contract is None else contract.value(D(qty), D(px)),
            settlement_asset="USDT" if contract is None else contract.settlement_asset,
            base_asset="AAPL" if contract is None else None,
            contract=contract,
            fees={} if fee is None else {fee[0]: D(fee[1])},
        )
        self.fills.append((order_id, trade_id))
        self.told.setdefault(key, []).append(Told("trade", (order_id, trade_id), trade))

    def _void(self, place: int) -> None:
        if not self.fills:
            return
        name = self.fills[place % len(self.fills)]
        assert self.ledger.tell("VoidFill", order_id=name[0], trade_id=name[1]) is None
        for key, told in self.told.items():
            self.told[key] = [one for one in told if one.name != name]

    def _charge(self, place: int, fee: Any) -> None:
        if not self.fills or fee is None:
            return
        name = self.fills[place % len(self.fills)]
        fee = _in_base(fee, self.ledger.states[name[0]].instrument)
        data = {"commission_asset": fee[0], "commission": fee[1]}
        self.ledger.tell("CorrectCommission", order_id=name[0], trade_id=name[1], **data)
        for told in self.told.values():
            for at, one in enumerate(told):
                if one.name == name:
                    fees = {fee[0]: D(fee[1])}
                    told[at] = one._replace(what=_recharged(one.what, fees))

    def _split(self, instrument: str, ratio: tuple[int, int]) -> None:
        told = self.ledger.tell(
            "RecordCorporateAction",
            action_id=f"a{self.count}",
            instrument=instrument,
            action="SPLIT",
            numerator=ratio[0],
            denominator=ratio[1],
        )
        assert told is None
        for key, known in self.told.items():
            if key.instrument == instrument:
                known.append(Told("split", None, ratio))

    def _fund(self, instrument: str, amount: str) -> None:
        key = self._key(instrument, 0)
        asset = "BTC" if instrument == INVERSE else "USDT"
        told = self.ledger.tell(
            "RecordCashFlow",
            flow_id=f"f{self.count}",
            kind="FUNDING",
            asset=asset,
            amount=amount,
            instrument=instrument,
            position_side=key.position_side,
        )
        assert told is None
        self.told.setdefault(key, []).append(Told("fund", None, (asset, D(amount))))

    def _leverage(self, leverage: str) -> None:
        self.ledger.tell("SetLeverage", instrument=PERPETUAL, leverage=leverage)

    def _order(self, instrument: str, buys: bool, quantity: str, reduces: bool) -> None:
        from uuid_utils.compat import uuid7

        order_id = uuid7()
        side = "BUY" if buys else "SELL"
        told = self.ledger.submit(
            order_id, side, quantity, instrument=instrument, reduce_only=reduces
        )
        if told is None:
            self.orders.append(order_id)

    def _cancel(self, place: int) -> None:
        if self.orders:
            order_id = self.orders.pop(place % len(self.orders))
            assert self.ledger.tell("CancelOrder", order_id=order_id) is None
            assert order_id not in self.ledger.account.holds


def _recharged(trade: rules.PositionTrade, fees: dict[str, Decimal]) -> rules.PositionTrade:
    from msgspec.structs import replace

    return replace(trade, fees=fees)


def _in_base(fee: Any, instrument: str) -> Any:
    """The fee without an asset is in the base asset."""
    if fee is None or fee[0]:
        return fee
    return ("AAPL" if instrument == SPOT else "BTC", fee[1])


def by_the_rules(told: list[Told]) -> dict[int, Position]:
    """All positions of a key, by number, of what stands."""
    positions: dict[int, Position] = {}
    newest: Position | None = None
    for kind, _, what in told:
        if kind == "trade":
            made = rules.trade(newest, what)
        elif newest is None:
            continue
        elif kind == "split":
            made = (rules.split(newest, *what),) if newest.is_open else ()
        else:
            made = (rules.fund(newest, *what),)
        for newest in made:
            positions[newest.number] = newest
    return positions


def as_told_by_events(ledger: InMemoryLedger) -> dict[PositionKey, dict[int, Position]]:
    rows: dict[PositionKey, dict[int, Position]] = {}
    for event in ledger.events():
        for position in getattr(event, "positions", ()):
            of_key = rows.setdefault(position.key, {})
            of_key[position.number] = position
            if position.withdrawn:
                del of_key[position.number]
    return rows


def plain(position: Position) -> tuple[Any, ...]:
    return (
        *(position.number, position.quantity, position.cost, position.realized_pnl),
        *(position.commission, position.funding, position.other_commissions),
    )


def check(venue: Venue) -> None:
    ledger = venue.ledger
    rows = as_told_by_events(ledger)
    for key, told in venue.told.items():
        expected = by_the_rules(told)
        found = rows.get(key, {})
        assert {n: plain(p) for n, p in found.items()} == {n: plain(p) for n, p in expected.items()}
        state = ledger.account.position(key)
        assert state == (found[max(found)] if found else None)
        assert all(p.is_open or p.cost == 0 for p in found.values())
        hold = margin_hold_id(ledger.account_id, key)
        assert ledger.account.held(hold) == (ZERO if state is None else initial_margin(state))
    check_wealth(ledger, [p for found in rows.values() for p in found.values()], venue)
    assert ledger.replayed() == ledger.states


def check_wealth(ledger: InMemoryLedger, positions: list[Position], venue: Venue) -> None:
    """What each balance is, from nothing but positions."""
    expected: dict[str, Decimal] = {"USDT": ZERO, "BTC": ZERO, "BNB": ZERO, "AAPL": ZERO}
    for position in positions:
        asset = position.settlement_asset
        expected[asset] += position.net_pnl
        if position.contract is None:
            expected["AAPL"] += position.quantity
            expected[asset] -= position.cost if position.quantity > 0 else -position.cost
        for other, paid in position.other_commissions.items():
            expected[other] -= paid
    for asset, amount in lonely_flows(venue):
        expected[asset] += amount
    for asset, amount in expected.items():
        assert ledger.account.balance("main", asset).total == amount, asset
    locked = sum((hold.amount for hold in ledger.account.holds.values()), ZERO)
    assert locked == sum(
        (balance.locked for balance in ledger.account.balances.get("main", {}).values()), ZERO
    )


def lonely_flows(venue: Venue) -> Iterator[tuple[str, Decimal]]:
    """Funding of what was never held."""
    for told in venue.told.values():
        for at, one in enumerate(told):
            if one.kind == "fund" and not by_the_rules(told[:at]):
                yield one.what


@settings(max_examples=RUNS, deadline=None)
@given(mode=st.sampled_from(["ONE_WAY", "HEDGE"]), steps=st.lists(_steps, max_size=MOST_STEPS))
def test_positions_are_the_trades_that_stand_and_wealth_is_what_they_made(
    mode: str, steps: list[tuple[Any, ...]]
) -> None:
    with exact():
        venue = Venue(mode)
        for step in steps:
            venue.do(step)
        check(venue)


_of_one = st.lists(st.tuples(st.booleans(), _quantities, _prices, _fees), min_size=1, max_size=4)


@settings(max_examples=RUNS // 4, deadline=None)
@given(spot=_of_one, linear=_of_one, inverse=_of_one, order=st.randoms(use_true_random=False))
def test_in_which_order_different_instruments_are_told_makes_no_difference(
    spot: list[Any], linear: list[Any], inverse: list[Any], order: Any
) -> None:
    told = {SPOT: spot, PERPETUAL: linear, INVERSE: inverse}
    turns = [instrument for instrument, trades in told.items() for _ in trades]
    shuffled = list(turns)
    order.shuffle(shuffled)
    with exact():
        one, other = (outcome(told, each) for each in (turns, shuffled))
    assert one == other


def outcome(told: dict[str, list[Any]], turns: list[str]) -> tuple[Any, ...]:
    venue = Venue("ONE_WAY")
    left = {instrument: list(trades) for instrument, trades in told.items()}
    for instrument in turns:
        venue.do(("fill", instrument, *left[instrument].pop(0), 0))
    account = venue.ledger.account
    positions = {key: plain(position) for key, position in account.positions.items()}
    balances = account.balances["main"]
    return positions, {asset: (b.total, b.locked) for asset, b in sorted(balances.items())}
