"""What things are worth at a moment, for whoever values accounts: of what was told of markets, and
of an account's own trades, by the rules of ledger/nouns/prices.

Which markets an asset is exchanged in is kept beside them, so that a way is found without looking
at all there are. What was told is looked up once for a moment, however many accounts are valued.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from ledger.nouns.instruments.contract import InstrumentKind
from ledger.nouns.instruments.events import InstrumentListed, InstrumentUpdated
from ledger.nouns.prices.events import PricesRecorded
from ledger.nouns.prices.price import InstrumentPrices, Price, Quote
from ledger.nouns.prices.valuation import VALUING, Hop, Kinds, Valuation, way
from projections.engine.live.rows import RowSet
from projections.engine.projection import Row, Table
from projections.markets import OWN_TRADE, QuotedMarket, tell

KEPT_OF_A_KIND = 24
"""Prices of each kind that are remembered of an instrument: at the pace of `serve prices`, more
than the moments that the clock makes up for (ledger/clock/jobs.py)."""


class SnapshotMarket(QuotedMarket):
    maintenance_margin_rate: Decimal | None


class AssetMarkets(Row):
    """The instruments that may tell what an asset is worth, by name: of options there are many, and
    none does."""

    asset: str
    instruments: list[str]


MARKETS = Table(
    "snapshot_markets", SnapshotMarket, key=("instrument",), private=True, resident=True
)
ASSET_MARKETS = Table(
    "snapshot_asset_markets", AssetMarkets, key=("asset",), private=True, resident=True
)


def listed(rows: RowSet, event: InstrumentListed | InstrumentUpdated) -> None:
    know(rows, event.instrument, event.base_asset, event.quote_asset, event.kind)
    _market(rows, event.instrument).maintenance_margin_rate = event.maintenance_margin_rate


def told(rows: RowSet, event: PricesRecorded) -> None:
    for instrument in event.prices:
        tell(_market(rows, instrument), event, KEPT_OF_A_KIND)


def know(
    rows: RowSet, instrument: str, base_asset: str, quote_asset: str, kind: InstrumentKind
) -> None:
    """What is exchanged in an instrument; the first to say so is believed."""
    known = rows[MARKETS].find(instrument)
    if known is not None and known.base_asset is not None:
        if known.kind != kind:  # it was traded before it was listed
            _market(rows, instrument).kind = kind
        return
    row = _market(rows, instrument)
    row.base_asset, row.quote_asset, row.kind = base_asset, quote_asset, kind
    if kind not in VALUING[-1]:
        return
    for asset in {base_asset, quote_asset}:
        of_asset = rows[ASSET_MARKETS].change(asset)
        if of_asset is None:
            of_asset = AssetMarkets(asset, [])
            rows[ASSET_MARKETS].insert(of_asset)
        of_asset.instruments = sorted((*of_asset.instruments, instrument))


def _market(rows: RowSet, instrument: str) -> SnapshotMarket:
    row = rows[MARKETS].change(instrument)
    if row is None:
        row = SnapshotMarket(instrument, None, None, {}, None, None)
        rows[MARKETS].insert(row)
    return row


class MomentPrices:
    """The prices of a moment. `own` are an account's own last trades, by instrument."""

    def __init__(self, rows: RowSet, moment: datetime, max_age: timedelta) -> None:
        self.moment = moment
        self._markets = rows[MARKETS]
        self._asset_markets = rows[ASSET_MARKETS]
        self._max_age = max_age
        self._told: dict[str, Price | None] = {}

    def price(self, instrument: str, own: Mapping[str, Quote]) -> Price | None:
        """Of an instrument; None where there is none."""
        if instrument in self._told:
            known = self._told[instrument]
        else:
            known = self._told[instrument] = self._told_at(instrument)
        trade = own.get(instrument)
        if trade is None or trade.time > self.moment:
            return known
        if known is not None and trade.time <= known.time:
            return known
        stale = self.moment - trade.time > self._max_age
        return Price(instrument, trade.price, trade.time, None, OWN_TRADE, stale)

    def valuation(self, asset: str, currency: str, own: Mapping[str, Quote]) -> Valuation | None:
        """What the asset is worth in the currency; None where no way leads to it."""
        if asset != currency and self._asset_markets.find(currency) is None:
            return None
        return way(asset, currency, lambda kinds, at: self._hops(kinds, at, own))

    def maintenance_rate(self, instrument: str) -> Decimal | None:
        row = self._markets.find(instrument)
        return None if row is None else row.maintenance_margin_rate

    def _told_at(self, instrument: str) -> Price | None:
        row = self._markets.find(instrument)
        if row is None or not row.told:
            return None
        prices = InstrumentPrices()
        for kind, quotes in row.told.items():
            for quote in quotes:
                if quote.time <= self.moment:
                    prices.tell(kind, quote)
        return prices.at(instrument, self.moment, self._max_age)

    def _hops(
        self, kinds: Kinds, asset: str, own: Mapping[str, Quote]
    ) -> Iterator[tuple[str, Hop]]:
        of_asset = self._asset_markets.find(asset)
        for instrument in () if of_asset is None else of_asset.instruments:
            market = self._markets.find(instrument)
            assert market is not None
            if market.kind not in kinds:
                continue
            price = self.price(instrument, own)
            if price is None or price.price <= 0 or market.base_asset == market.quote_asset:
                continue
            assert market.base_asset is not None
            assert market.quote_asset is not None
            if market.base_asset == asset:
                yield market.quote_asset, Hop(price, inverse=False)
            else:
                yield market.base_asset, Hop(price, inverse=True)
