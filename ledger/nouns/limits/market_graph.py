"""Limits: which markets of a venue, of some kinds of instruments, lead from one asset to another.

The rule is that of `prices/valuation.py`. What an instrument exchanges never changes, so ways are
found once and kept; the prices on them are those of the moment.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from ledger.nouns.prices.valuation import shortest

Assets = tuple[str, str]
"""What an instrument exchanges: base and quote."""


class Way(NamedTuple):
    """A market on the way. `inverse`: from its quote to its base."""

    instrument: str
    inverse: bool

    @property
    def text(self) -> str:
        return f"-{self.instrument}" if self.inverse else self.instrument


Path = tuple[Way, ...]


class MarketGraph:
    """Of one venue."""

    def __init__(self) -> None:
        self._known: dict[str, Assets | None] = {}
        self._from: dict[str, list[tuple[str, Way]]] = {}
        self._paths: dict[tuple[str, str], tuple[Path, set[str]]] = {}
        """And the instruments that had no price when the way was found: with one, they may lead
        there before it."""
        self._seen = 0

    def path(
        self,
        asset: str,
        currency: str,
        priced: Mapping[str, object],
        assets_of: Callable[[Collection[str]], Mapping[str, Assets]],
        has_price: Callable[[str], bool],
    ) -> Path | None:
        """The way from the asset to the currency, over instruments of which there is a price."""
        if len(priced) != self._seen:
            self._learn(priced, assets_of, again=False)
            self._seen = len(priced)
        known = self._paths.get((asset, currency))
        if known is not None:
            path, unpriced = known
            if _holds(path, unpriced, has_price):
                return path
        found = self._find(asset, currency, has_price)
        if found is None and self._learn(priced, assets_of, again=True):
            found = self._find(asset, currency, has_price)
        return found

    def _learn(
        self,
        priced: Mapping[str, object],
        assets_of: Callable[[Collection[str]], Mapping[str, Assets]],
        *,
        again: bool,
    ) -> bool:
        """Asks what those exchange that were not known; or not listed, when they were asked for."""
        asked = [
            name
            for name in priced
            if name not in self._known or (again and self._known[name] is None)
        ]
        if not asked:
            return False
        assets = assets_of(asked)
        self._known |= dict.fromkeys(asked)
        self._known |= assets
        for name, (base, quote) in assets.items():
            if base != quote:
                self._from.setdefault(base, []).append((quote, Way(name, inverse=False)))
                self._from.setdefault(quote, []).append((base, Way(name, inverse=True)))
        for ways in self._from.values():
            ways.sort(key=lambda one: one[1].instrument)
        if assets:
            self._paths.clear()
        return bool(assets)

    def _find(self, asset: str, currency: str, has_price: Callable[[str], bool]) -> Path | None:
        unpriced: set[str] = set()

        def hops_from(at: str) -> Iterator[tuple[str, Way]]:
            for to_asset, way in self._from.get(at, ()):
                if has_price(way.instrument):
                    yield to_asset, way
                else:
                    unpriced.add(way.instrument)

        found = shortest(asset, currency, hops_from)
        if found is not None:
            self._paths[asset, currency] = found, unpriced
        return found


def _holds(path: Path, unpriced: set[str], has_price: Callable[[str], bool]) -> bool:
    """Whether a way would be found again."""
    for way in path:
        if not has_price(way.instrument):
            return False
    return not unpriced or not any(map(has_price, unpriced))


def along(
    path: Path, amount: Decimal, price_of: Callable[[str], Decimal]
) -> tuple[Decimal, Decimal]:
    """The amount at the other end, as a product and what it is to be divided by."""
    divisor = Decimal(1)
    for way in path:
        price = price_of(way.instrument)
        if way.inverse:
            divisor *= price
        else:
            amount *= price
    return amount, divisor
