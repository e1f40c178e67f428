"""Lots of an account: what each of its events does to them. Pure and exact.

    a trade       of SPOT: lots of what was traded, for what it was traded for. The other asset is
                  money, of which no lots are kept until it is itself traded against something; from
                  then on paying with it is a disposal
                  of a contract: lots of the contract, long or short, in its settlement asset
    fees          in the asset paid with are in cost and proceeds; in the asset itself they make the
                  lot smaller; in a third asset they are in cost and proceeds at its price, and
                  giving it away for that is a disposal of its own
    a conversion  gives one asset for another: a disposal, and a lot that has cost that
    what else     comes without a price is a lot of unknown cost, unless that is told; what leaves
                  without one (a withdrawal) takes its lots along
    splits        change how many there are, and not what they cost

The book does not know prices. Whoever has some gives them (`value`); without, what needs one is
named in `unvalued` and not counted.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypeAlias
from uuid import UUID

from msgspec.structs import replace

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import (
    AccountDeposited,
    CashFlowRecorded,
    CorporateActionRecorded,
    MoneyEvent,
    TradeSettled,
    is_own_book,
)
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions.lots import CostBasis, Lot, LotMovement, LotPool, MovedLots, move, split
from ledger.nouns.positions.rules import PositionTrade
from ledger.nouns.positions.trades import trade_of

Value: TypeAlias = Callable[[str, Decimal, str, datetime], Decimal | None]
"""(asset, amount, currency, moment) -> what it was worth then, if there was a price."""


class LotOccasion(NamedTuple):
    """Of which event: its position in the log, its id, when it happened."""

    number: int
    event_id: UUID
    at: datetime


class LotBook:
    """The pools of an account. `pool` gives the one of an asset, which the book changes."""

    def __init__(
        self,
        method: CostBasis,
        base_currency: str | None,
        pool: Callable[[str], LotPool],
        value: Value | None = None,
    ) -> None:
        self._method = method
        self._base_currency = base_currency
        self._pool = pool
        self._value = value

    def follow(
        self, event: Event, occasion: LotOccasion
    ) -> Iterator[tuple[LotMovement, MovedLots]]:
        """What an event did, movement by movement."""
        if not isinstance(event, MoneyEvent):
            return
        if isinstance(event, CorporateActionRecorded):
            yield from self._acted(event, occasion)
            return
        for movement in self._movements(event, occasion):
            pool = self._pool(movement.asset)
            yield movement, move(pool, movement, self._method)

    def _movements(self, event: MoneyEvent, occasion: LotOccasion) -> Iterator[LotMovement]:
        if isinstance(event, CashFlowRecorded) and event.counter_asset is not None:
            amount = event.counter_amount or ZERO
            yield from self._converted(event, event.counter_asset, amount, occasion)
            return
        if not isinstance(event, TradeSettled):
            yield from self._others(event, occasion)
            return
        trade = trade_of(event, occasion.at)
        if trade.contract is None:
            yield from self._spot(event, trade, occasion)
        else:
            yield from self._contract(event, trade, occasion)
            yield from self._others(event, occasion)

    def _spot(
        self, event: TradeSettled, trade: PositionTrade, occasion: LotOccasion
    ) -> Iterator[LotMovement]:
        base, money = trade.base_asset, trade.settlement_asset
        assert base is not None
        fees = dict(trade.fees)
        quantity = trade.quantity - fees.pop(base, ZERO)
        fee = fees.pop(money, ZERO)
        further, unvalued = self._further(fees, money, occasion)
        bought = trade.quantity > 0
        paid = trade.value + fee if bought else fee - trade.value
        yield _movement(
            occasion,
            base,
            quantity,
            amount=paid + further if bought else -paid - further,
            currency=money,
            instrument=event.instrument,
            opens=True,
            unvalued=unvalued,
        )
        yield _movement(
            occasion,
            money,
            -paid,
            amount=abs(quantity),
            currency=base,
            instrument=event.instrument,
        )
        yield from self._given(fees, money, occasion)

    def _contract(
        self, event: TradeSettled, trade: PositionTrade, occasion: LotOccasion
    ) -> Iterator[LotMovement]:
        """An inverse contract is worth less of its settlement asset the higher its price: whoever
        is long in it has sold that asset, and wins by buying it back for less."""
        assert trade.contract is not None
        money = trade.settlement_asset
        further, unvalued = self._further(
            {asset: fee for asset, fee in trade.fees.items() if asset != money}, money, occasion
        )
        fee = trade.fees.get(money, ZERO) + further
        quantity = -trade.quantity if trade.contract.inverse else trade.quantity
        yield _movement(
            occasion,
            name_of_contract(trade.key.instrument, trade.key.position_side),
            quantity,
            amount=trade.value + fee if quantity > 0 else trade.value - fee,
            currency=money,
            instrument=event.instrument,
            opens=True,
            unvalued=unvalued,
        )

    def _others(self, event: MoneyEvent, occasion: LotOccasion) -> Iterator[LotMovement]:
        """What came and went without a price: between sub-accounts nothing did."""
        moved: dict[str, Decimal] = {}
        for posting in event.postings:
            if is_own_book(posting.book):
                moved[posting.asset] = moved.get(posting.asset, ZERO) + posting.amount
        for asset, quantity in moved.items():
            if isinstance(event, AccountDeposited) and asset == event.asset:
                yield _movement(
                    occasion._replace(at=event.acquired_at or occasion.at),
                    asset,
                    quantity,
                    amount=event.cost,
                    currency=self._base_currency,
                    gives=False,
                    opens=event.cost is not None and asset != self._base_currency,
                )
            elif quantity:
                yield _movement(occasion, asset, quantity, gives=False)

    def _converted(
        self, event: CashFlowRecorded, counter: str, amount: Decimal, occasion: LotOccasion
    ) -> Iterator[LotMovement]:
        """One asset for another: what was given is disposed of for what was got, if lots of it are
        kept, and what was got has cost that; unless it is the account's money."""
        for asset, quantity, other, paid in (
            (event.asset, event.amount, counter, amount),
            (counter, amount, event.asset, event.amount),
        ):
            yield _movement(
                occasion,
                asset,
                quantity,
                amount=abs(paid),
                currency=other,
                opens=quantity > 0 and asset != self._base_currency,
            )

    # --- corporate actions ------------------------------------------------------------------

    def _acted(
        self, event: CorporateActionRecorded, occasion: LotOccasion
    ) -> Iterator[tuple[LotMovement, MovedLots]]:
        """The lots are as many more as is held, for the same cost, under the new name if there is
        one; the fraction is sold for what was paid instead of it."""
        renamed = {} if event.conflicts else _acted_on(event)
        money = next((position.settlement_asset for position in event.positions), None)
        for asset, name in renamed.items():
            pool = self._pool(asset)
            if not pool.is_kept:
                continue
            lots = split(pool, event.numerator, event.denominator)
            yield _movement(occasion, asset, ZERO), MovedLots([], list(lots), [])
            if event.fraction:
                part = _movement(
                    occasion, asset, -event.fraction, amount=event.cash_in_lieu, currency=money
                )
                yield part, move(pool, part, self._method)
            if name != asset:
                gone, there = _renamed(pool, self._pool(name))
                yield _movement(occasion, asset, ZERO), MovedLots([], gone, [])
                yield _movement(occasion, name, ZERO), MovedLots(there, [], [])
        kept = {*renamed, *renamed.values()}
        for movement in self._others(event, occasion):
            if movement.asset not in kept or not self._pool(movement.asset).is_kept:
                yield movement, move(self._pool(movement.asset), movement, self._method)

    # --- fees in third assets ---------------------------------------------------------------

    def _further(
        self, fees: Mapping[str, Decimal], money: str, occasion: LotOccasion
    ) -> tuple[Decimal, tuple[str, ...]]:
        """What they were worth, and those of which nobody knows."""
        worth, unvalued = ZERO, []
        for asset, fee in fees.items():
            value = self._worth(asset, fee, money, occasion.at)
            if value is None:
                unvalued.append(asset)
            else:
                worth += value
        return worth, tuple(sorted(unvalued))

    def _given(
        self, fees: Mapping[str, Decimal], money: str, occasion: LotOccasion
    ) -> Iterator[LotMovement]:
        for asset, fee in fees.items():
            if fee:
                worth = self._worth(asset, fee, money, occasion.at)
                yield _movement(
                    occasion,
                    asset,
                    -fee,
                    amount=None if worth is None else abs(worth),
                    currency=money,
                )

    def _worth(self, asset: str, fee: Decimal, money: str, at: datetime) -> Decimal | None:
        return self._value(asset, fee, money, at) if self._value is not None and fee else None


def _acted_on(event: CorporateActionRecorded) -> dict[str, str]:
    """Of what lots are kept that the action is about, and what they are of after it."""
    contracts = [position for position in event.positions if position.contract is not None]
    if contracts:
        name = event.new_instrument or event.instrument
        return {
            name_of_contract(event.instrument, position.position_side): name_of_contract(
                name, position.position_side
            )
            for position in contracts
        }
    money = {position.settlement_asset for position in event.positions}
    moved: dict[str, Decimal] = {}
    for posting in event.postings:
        if is_own_book(posting.book) and posting.asset not in money:
            moved[posting.asset] = moved.get(posting.asset, ZERO) + posting.amount
    if len(moved) < 2:
        return {asset: asset for asset in moved}
    before, after = sorted(moved, key=lambda asset: moved[asset])
    return {before: after}


def _renamed(pool: LotPool, to: LotPool) -> tuple[list[Lot], list[Lot]]:
    """The lots as they are left behind, and as they go on."""
    gone = [
        replace(lot, left=ZERO, left_amount=None if lot.left_amount is None else ZERO)
        for lot in pool.lots
    ]
    there, to.is_kept = pool.lots, True
    to.lots, pool.lots = [*to.lots, *there], []
    return gone, there


def name_of_contract(instrument: str, side: PositionSide) -> str:
    """Of what lots of a contract are: where an account hedges, of each side by itself."""
    return instrument if side is PositionSide.BOTH else f"{instrument} {side}"


def _movement(
    occasion: LotOccasion,
    asset: str,
    quantity: Decimal,
    *,
    amount: Decimal | None = None,
    currency: str | None = None,
    instrument: str | None = None,
    gives: bool = True,
    opens: bool = False,
    unvalued: tuple[str, ...] = (),
) -> LotMovement:
    return LotMovement(
        asset=asset,
        quantity=quantity,
        number=occasion.number,
        event_id=occasion.event_id,
        acquired_at=occasion.at,
        amount=amount,
        currency=currency,
        instrument=instrument,
        gives=gives,
        opens=opens,
        unvalued=unvalued,
    )
