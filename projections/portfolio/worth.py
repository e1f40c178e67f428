"""What an account is worth at a moment: reckoned once, and all series are made of it.

    cash         what its books hold, valued in its base currency
    equity       cash, and what its contracts would bring: their unrealised profit, and the value of
                 options, whose premium has left the books (or has come) already
    unrealized   of every open position, those of what is held itself too: a part of cash, then
    flows        what came from outside and what left, each at its value when it did

So equity less flows is all that was won or lost. A holding without a price is named with the
reason, and is in no sum. Amounts are exact, or rounded where they had to be divided
(money.average).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.kernel.money import ZERO, average, round_down
from ledger.nouns.accounts.events import MAIN
from ledger.nouns.clock.events import SnapshotKind
from ledger.nouns.positions.margin import initial_margin
from ledger.nouns.positions.position import Position
from ledger.nouns.prices.price import Quote
from ledger.nouns.prices.valuation import Valuation
from projections.portfolio.quotes import MomentPrices

USD = "USD"
ONE = Decimal(1)
QUALITY_PLACES = 4
NO_WAY = "no market with a price leads to the account's currency"
NO_PRICE = "no price was told, and it was not traded"
NO_VALUE = "an inverse contract has no value at the price zero"


class AssetWorth(msgspec.Struct, frozen=True, gc=False):
    """What is held of an asset, all sub-accounts together. `price` is of one, in the account's
    currency; `path` are the markets that it rests on, and `price_time` is the oldest of theirs."""

    asset: str
    free: Decimal
    locked: Decimal
    total: Decimal
    price: Decimal | None
    price_time: datetime | None
    stale: bool
    value: Decimal | None
    path: tuple[str, ...]


class PositionWorth(msgspec.Struct, frozen=True, gc=False):
    """An open position. `price` is its mark; `value` (below zero when short) and what follows are
    in the account's currency, None without a price. `counts` is what it adds to equity beside
    cash."""

    sub_account: str
    instrument: str
    quantity: Decimal
    price: Decimal | None
    price_time: datetime | None
    stale: bool
    value: Decimal | None
    unrealized_pnl: Decimal | None
    counts: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    is_contract: bool
    reason: str | None
    """Why it has no value."""

    @property
    def side(self) -> str:
        return "LONG" if self.quantity > 0 else "SHORT"


class StrategyWorth(msgspec.Struct, frozen=True, gc=False):
    """A sub-account: a strategy's is called as it is. `flows` are what was moved to and from it."""

    sub_account: str
    cash: Decimal
    available: Decimal
    equity: Decimal
    unrealized_pnl: Decimal
    flows: Decimal


class Worth(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """See the module's text. `priced` of `priceable` holdings have a price; `late`: what happened
    after `time` is in it, because it was recorded before this was asked for."""

    time: datetime
    kind: SnapshotKind
    log_position: int
    account_id: UUID
    user_id: UUID
    exchange: str
    environment: str
    base_currency: str
    cash: Decimal
    available: Decimal
    equity: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    commission: Decimal
    funding: Decimal
    flows: Decimal
    gross_exposure: Decimal
    net_exposure: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    usd_rate: Decimal | None
    usd_rate_time: datetime | None
    balances: tuple[AssetWorth, ...]
    positions: tuple[PositionWorth, ...]
    strategies: tuple[StrategyWorth, ...]
    unvalued: dict[str, str]
    priced: int
    priceable: int
    oldest_price_time: datetime | None
    data_quality_score: Decimal
    late: bool

    @property
    def position_value(self) -> Decimal:
        """Of the open positions, however they were taken."""
        return sum((abs(one.value) for one in self.positions if one.value is not None), ZERO)

    @property
    def leverage_ratio(self) -> Decimal | None:
        return average(self.gross_exposure, self.equity) if self.equity > 0 else None

    @property
    def margin_ratio(self) -> Decimal | None:
        """The venue closes at 1. None without equity."""
        return average(self.maintenance_margin, self.equity) if self.equity > 0 else None


class Valued(msgspec.Struct):
    """A moment of an account under way: prices, by the account's own trades too."""

    prices: MomentPrices
    currency: str
    own: Mapping[str, Quote]
    ways: dict[str, Valuation | None] = {}

    def way(self, asset: str) -> Valuation | None:
        if asset not in self.ways:
            self.ways[asset] = self.prices.valuation(asset, self.currency, self.own)
        return self.ways[asset]

    def value(self, asset: str, amount: Decimal) -> Decimal | None:
        """The amount in the account's currency."""
        if asset == self.currency:
            return amount
        found = self.way(asset)
        return None if found is None else found.value(amount)


def position_worth(position: Position, valued: Valued) -> PositionWorth:
    """What an open position is worth."""
    price = valued.prices.price(position.instrument, valued.own)
    way = valued.way(position.settlement_asset)
    contract = position.contract
    reason = None
    if price is None:
        reason = NO_PRICE
    elif way is None:
        reason = NO_WAY
    elif contract is not None and contract.inverse and not price.price:
        reason = NO_VALUE
    if price is None or way is None or reason is not None:
        return PositionWorth(
            position.sub_account, position.instrument, position.quantity, None, None, False, None,
            None, ZERO, ZERO, ZERO, contract is not None, reason,
        )  # fmt: skip
    value = position.value(price.price)
    unrealized = way.value(position.unrealized_pnl(price.price))
    signed = way.value(value if position.quantity > 0 else -value)
    counts = ZERO
    if contract is not None:
        counts = signed if contract.premium_paid else unrealized
    rate = None if contract is None else valued.prices.maintenance_rate(position.instrument)
    times = [price.time, *([way.oldest] if way.oldest is not None else [])]
    return PositionWorth(
        position.sub_account,
        position.instrument,
        position.quantity,
        price.price,
        min(times),
        price.stale or way.stale,
        signed,
        unrealized,
        counts,
        ZERO if contract is None else way.value(initial_margin(position)),
        ZERO if rate is None else abs(signed) * rate,
        contract is not None,
        None,
    )


def asset_worth(asset: str, total: Decimal, locked: Decimal, valued: Valued) -> AssetWorth:
    """What is held of an asset is worth."""
    way = valued.way(asset)
    if way is None:
        return AssetWorth(asset, total - locked, locked, total, None, None, False, None, ())
    path = tuple(hop.price.instrument for hop in way.path)
    price = way.value(ONE) if path else ONE
    value = way.value(total) if path else total
    return AssetWorth(
        asset, total - locked, locked, total, price, way.oldest, way.stale, value, path
    )


Books = Mapping[str, Mapping[str, Sequence[Decimal]]]
"""sub-account -> asset -> total, locked."""


def totals(books: Books) -> dict[str, list[Decimal]]:
    """All sub-accounts together."""
    if len(books) == 1:
        (only,) = books.values()
        return {asset: list(held) for asset, held in only.items()}
    found: dict[str, list[Decimal]] = {}
    for of_book in books.values():
        for asset, (total, locked) in of_book.items():
            held = found.setdefault(asset, [ZERO, ZERO])
            held[0] += total
            held[1] += locked
    return found


def strategy_worths(
    books: Books, positions: Sequence[PositionWorth], flows: Mapping[str, Decimal], valued: Valued
) -> tuple[StrategyWorth, ...]:
    """Each sub-account, where there are others than the one that every account has. Together they
    are what the account is."""
    names = sorted({*books, *flows, *(one.sub_account for one in positions)})
    if names in ([], [MAIN]):
        return ()
    found = []
    for name in names:
        cash = available = ZERO
        for asset, (total, locked) in books.get(name, {}).items():
            cash += valued.value(asset, total) or ZERO
            available += valued.value(asset, total - locked) or ZERO
        own = [one for one in positions if one.sub_account == name]
        found.append(
            StrategyWorth(
                name,
                cash,
                available,
                cash + sum((one.counts for one in own), ZERO),
                sum((one.unrealized_pnl or ZERO for one in own), ZERO),
                flows.get(name, ZERO),
            )
        )
    return tuple(found)


def exposures(
    balances: Sequence[AssetWorth], positions: Sequence[PositionWorth], currency: str
) -> tuple[Decimal, Decimal]:
    """(gross, net) of what prices move: contracts, and assets other than the account's currency."""
    moved = [one.value for one in positions if one.is_contract and one.value is not None]
    moved += [one.value for one in balances if one.asset != currency and one.value is not None]
    return sum(map(abs, moved), ZERO), sum(moved, ZERO)


def quality(
    balances: Sequence[AssetWorth], positions: Sequence[PositionWorth], currency: str
) -> tuple[Decimal, int, int, datetime | None]:
    """(score, priced, priceable, the oldest price). The score is the share of the value that is at
    fresh prices, times the share of the holdings that have a price; cut to QUALITY_PLACES."""
    holdings: list[AssetWorth | PositionWorth] = [
        one for one in positions if one.is_contract or one.value is None
    ]
    holdings += [one for one in balances if one.asset != currency]
    priced = [one for one in holdings if one.value is not None]
    oldest = min((one.price_time for one in priced if one.price_time is not None), default=None)
    whole = fresh = ZERO
    for one in balances:
        if one.asset == currency and one.value is not None:
            whole += abs(one.value)
            fresh += abs(one.value)
    for holding in priced:
        value = abs(holding.value or ZERO)
        whole += value
        if not holding.stale:
            fresh += value
    score = average(fresh, whole) if whole else ONE
    if holdings:
        score = average(score * len(priced), Decimal(len(holdings)))
    return round_down(score, QUALITY_PLACES), len(priced), len(holdings), oldest
