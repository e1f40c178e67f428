"""The value of an asset in another: along the shortest way of markets that have a price. Decisions
and read models find it here.

    BTC in EUR    BTC → USDT by BINANCE:BTCUSDT at 60000, USDT → EUR by KRAKEN:EURUSDT, inverse
    at most three markets; of ways as short, the one whose markets come first by name
    kinds         where assets change hands (SPOT); if no way of these leads there, with what
                  follows the price of its asset (PERPETUAL, FUTURE); an OPTION's price is its
                  premium, and never its asset's

The price of a contract, whatever its size, inverse or not, is one unit of its base in its quote, as
that of what is SPOT: so a way by it is gone alike. What it is settled in is no matter.

The way and the oldest of its prices stand in what is told, so that a number can be checked and
one that rests on an old price is known for it. No way is None: unvalued, which is not zero.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TypeVar

import msgspec

from ledger.kernel.money import average
from ledger.nouns.instruments.contract import InstrumentKind
from ledger.nouns.prices.price import Price

MAX_HOPS = 3
"""Markets on the way: an asset against a coin, that against dollars, those against the currency."""

T = TypeVar("T")

Kinds = tuple[InstrumentKind, ...]
VALUING: tuple[Kinds, ...] = (
    (InstrumentKind.SPOT,),
    (InstrumentKind.SPOT, InstrumentKind.PERPETUAL, InstrumentKind.FUTURE),
)
"""The kinds of instruments that tell what an asset is worth; the later where the earlier lead
nowhere. By name alone a perpetual could come before the market of its own coin."""


class PricedMarket(msgspec.Struct, frozen=True, gc=False):
    """What an instrument exchanges, and its price: one unit of `base` for `price` of `quote`."""

    base: str
    quote: str
    price: Price
    kind: InstrumentKind


class Hop(msgspec.Struct, frozen=True, gc=False):
    """A market on the way. `inverse`: from its quote to its base."""

    price: Price
    inverse: bool


class Valuation(msgspec.Struct, frozen=True, gc=False):
    """What one asset is worth in another. `oldest` is the time of the oldest price on the way,
    None where there is no way to go."""

    asset: str
    currency: str
    path: tuple[Hop, ...]
    oldest: datetime | None
    stale: bool

    def value(self, amount: Decimal) -> Decimal:
        """The amount in the currency: exact, or rounded once where a price had to be inverted.
        Within `exact()`."""
        divisor = Decimal(1)
        for hop in self.path:
            if hop.inverse:
                divisor *= hop.price.price
            else:
                amount *= hop.price.price
        return amount if divisor == 1 else average(amount, divisor)


def first_of_kinds(find: Callable[[Kinds], T | None]) -> T | None:
    """What is found among the first kinds of instruments that anything is found among."""
    for kinds in VALUING:
        found = find(kinds)
        if found is not None:
            return found
    return None


def way(
    asset: str, currency: str, hops_from: Callable[[Kinds, str], Iterable[tuple[str, Hop]]]
) -> Valuation | None:
    """The way from the asset to the currency; None where there is none. `hops_from` as of
    `shortest`, by instruments of these kinds."""
    if asset == currency:
        return Valuation(asset, currency, (), None, stale=False)
    path = first_of_kinds(lambda kinds: shortest(asset, currency, partial(hops_from, kinds)))
    if path is None:
        return None
    oldest = min(hop.price.time for hop in path)
    return Valuation(asset, currency, path, oldest, any(hop.price.stale for hop in path))


def shortest(
    asset: str, currency: str, hops_from: Callable[[str], Iterable[tuple[str, T]]]
) -> tuple[T, ...] | None:
    """The markets on the way. `hops_from` tells where ways lead from an asset: to which other, by
    which market, in the order of their names; so the first way that arrives is the one."""
    seen = {asset}
    ways: list[tuple[str, tuple[T, ...]]] = [(asset, ())]
    for _ in range(MAX_HOPS):
        longer: list[tuple[str, tuple[T, ...]]] = []
        for at, path in ways:
            for to_asset, hop in hops_from(at):
                if to_asset == currency:
                    return (*path, hop)
                if to_asset not in seen:
                    seen.add(to_asset)
                    longer.append((to_asset, (*path, hop)))
        ways = longer
    return None


class Markets:
    """Markets to find ways along. Those whose price is not above zero lead nowhere."""

    def __init__(self, markets: Iterable[PricedMarket]) -> None:
        self._from: dict[str, list[tuple[InstrumentKind, str, Hop]]] = {}
        for market in sorted(markets, key=lambda one: one.price.instrument):
            if market.price.price > 0 and market.base != market.quote:
                base, quote, kind = market.base, market.quote, market.kind
                direct, inverse = (Hop(market.price, inverse=one) for one in (False, True))
                self._from.setdefault(base, []).append((kind, quote, direct))
                self._from.setdefault(quote, []).append((kind, base, inverse))

    def valuation(self, asset: str, currency: str) -> Valuation | None:
        """The way from the asset to the currency; None where there is none."""
        return way(asset, currency, self._hops)

    def _hops(self, kinds: Kinds, asset: str) -> Iterable[tuple[str, Hop]]:
        return ((to, hop) for kind, to, hop in self._from.get(asset, ()) if kind in kinds)
