"""The price of an instrument at a moment: one rule, for whoever decides or shows by a price.

    of what was told, the kind that is believed first (MARK, INDEX, LAST, CLOSE) and is fresh;
    if nothing is fresh, the newest
    of that and of one's own newest trade, the newer by its own time
    never one from after the moment; one older than it may be is given, and says that it is stale

A price that somebody needs and that is not there is None: never zero, never a guess.
"""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from ledger.nouns.prices.events import PriceKind


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A price, and when and by whom it was told: `time` is the price's own."""

    price: Decimal
    time: datetime
    source: str


class Price(msgspec.Struct, frozen=True, gc=False):
    """The price of an instrument at a moment. `kind` is None for one's own trade."""

    instrument: str
    price: Decimal
    time: datetime
    kind: PriceKind | None
    source: str
    stale: bool


_BELIEVED = tuple(PriceKind)


class InstrumentPrices(msgspec.Struct, gc=False, omit_defaults=True):
    """The newest prices of one instrument: of each kind, and of one's own trades. What is as old
    as what is known is a correction of it."""

    told: dict[PriceKind, Quote] = msgspec.field(default_factory=dict)
    trade: Quote | None = None

    def tell(self, kind: PriceKind, quote: Quote) -> None:
        known = self.told.get(kind)
        if known is None or quote.time >= known.time:
            self.told[kind] = quote

    def trade_at(self, quote: Quote) -> None:
        if self.trade is None or quote.time >= self.trade.time:
            self.trade = quote

    def at(self, instrument: str, moment: datetime, max_age: timedelta) -> Price | None:
        """The price at a moment, of what is here."""
        kind, quote = self._told_at(moment, max_age)
        trade = self.trade if self.trade is not None and self.trade.time <= moment else None
        if trade is not None and (quote is None or trade.time > quote.time):
            kind, quote = None, trade
        if quote is None:
            return None
        stale = moment - quote.time > max_age
        return Price(instrument, quote.price, quote.time, kind, quote.source, stale)

    def _told_at(
        self, moment: datetime, max_age: timedelta
    ) -> tuple[PriceKind | None, Quote | None]:
        newest: tuple[PriceKind | None, Quote | None] = (None, None)
        for kind in _BELIEVED:
            quote = self.told.get(kind)
            if quote is None or quote.time > moment:
                continue
            if moment - quote.time <= max_age:
                return kind, quote
            if newest[1] is None or quote.time > newest[1].time:
                newest = (kind, quote)
        return newest
