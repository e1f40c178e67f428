"""The value of an asset in another: along the shortest way of markets that have a price.

    BTC in EUR    BTC → USDT by BINANCE:BTCUSDT at 60000, USDT → EUR by KRAKEN:EURUSDT, inverse
    at most three markets; of ways as short, the one whose markets come first by name

The way and the oldest of its prices stand in what is told, so that a number can be checked and
one that rests on an old price is known for it. No way is None: unvalued, which is not zero.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from ledger.kernel.money import average
from ledger.nouns.prices.price import Price

MAX_HOPS = 3
"""Markets on the way: an asset against a coin, that against dollars, those against the currency."""


class PricedMarket(msgspec.Struct, frozen=True, gc=False):
    """What an instrument exchanges, and its price: one unit of `base` for `price` of `quote`."""

    base: str
    quote: str
    price: Price


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


HopsFrom = Callable[[str], Iterable[tuple[str, Hop]]]
"""Where ways lead from an asset: to which other, by which market, in the order of their names."""


def way(asset: str, currency: str, hops_from: HopsFrom) -> Valuation | None:
    """The way from the asset to the currency; None where there is none."""
    if asset == currency:
        return Valuation(asset, currency, (), None, stale=False)
    path = _shortest(asset, currency, hops_from)
    if path is None:
        return None
    oldest = min(hop.price.time for hop in path)
    return Valuation(asset, currency, path, oldest, any(hop.price.stale for hop in path))


def _shortest(asset: str, currency: str, hops_from: HopsFrom) -> tuple[Hop, ...] | None:
    """Ways are gone in the order of their names, so the first that arrives is the one."""
    seen = {asset}
    ways: list[tuple[str, tuple[Hop, ...]]] = [(asset, ())]
    for _ in range(MAX_HOPS):
        longer: list[tuple[str, tuple[Hop, ...]]] = []
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
        self._from: dict[str, list[tuple[str, Hop]]] = {}
        for market in sorted(markets, key=lambda one: one.price.instrument):
            if market.price.price > 0 and market.base != market.quote:
                self._add(market.base, market.quote, Hop(market.price, inverse=False))
                self._add(market.quote, market.base, Hop(market.price, inverse=True))

    def _add(self, from_asset: str, to_asset: str, hop: Hop) -> None:
        self._from.setdefault(from_asset, []).append((to_asset, hop))

    def valuation(self, asset: str, currency: str) -> Valuation | None:
        """The way from the asset to the currency; None where there is none."""
        return way(asset, currency, lambda at: self._from.get(at, ()))
