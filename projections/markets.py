"""What markets are told to be at, for folds that value by it: kept in a table of the read model
that needs it, and priced by the rules of ledger/nouns/prices."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain

from ledger.nouns.instruments.contract import InstrumentKind
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from ledger.nouns.prices.price import InstrumentPrices, Price, Quote
from ledger.nouns.prices.valuation import Markets, PricedMarket
from projections.engine.live.rows import Rows
from projections.engine.projection import Row

KEPT_OF_A_KIND = 2
"""The newest price and the one before it: what happened a moment before the newest was told, and is
heard of a moment later, has the price of then."""
OWN_TRADE = "TRADE"
"""The kind of a price that is one's own trade's."""


class QuotedMarket(Row):
    """What is told of an instrument. What it exchanges is known of one that is listed, or was
    traded; the price of one that is not known to be anything values nothing."""

    instrument: str
    base_asset: str | None
    quote_asset: str | None
    told: dict[PriceKind, list[Quote]]
    kind: InstrumentKind | None


def market(markets: Rows[QuotedMarket], instrument: str) -> QuotedMarket:
    """The row of an instrument, to be changed."""
    row = markets.change(instrument)
    if row is None:
        row = QuotedMarket(instrument, None, None, {}, None)
        markets.insert(row)
    return row


def tell(row: QuotedMarket, event: PricesRecorded, kept: int = KEPT_OF_A_KIND) -> None:
    """A price of the instrument; the newest of its kind are kept."""
    quote = Quote(event.prices[row.instrument], event.time, event.source)
    quotes = [*row.told.get(event.kind, ()), quote]
    quotes.sort(key=lambda one: one.time)  # of one time the one that was told last is the last
    row.told[event.kind] = quotes[-kept:]


def price_at(
    row: QuotedMarket | None,
    trade: Quote | None,
    instrument: str,
    moment: datetime,
    max_age: timedelta,
) -> Price | None:
    """The price of the instrument at a moment; None where there is none."""
    told = {} if row is None else row.told
    prices = InstrumentPrices(trade=trade)
    for kind, quotes in told.items():
        for quote in quotes:
            if quote.time <= moment:
                prices.tell(kind, quote)
    return prices.at(instrument, moment, max_age)


def newest_price(
    row: QuotedMarket | None, trade: Quote | None, instrument: str, max_age: timedelta
) -> Price | None:
    """The price of the instrument now: at the moment of the newest that is known of it."""
    told = () if row is None else chain.from_iterable(row.told.values())
    times = [quote.time for quote in told]
    if trade is not None:
        times.append(trade.time)
    return price_at(row, trade, instrument, max(times), max_age) if times else None


def value_at(
    markets: Rows[QuotedMarket],
    amount: Decimal,
    asset: str,
    currency: str,
    *,
    trade_in: Callable[[str], Quote | None],
    moment: datetime,
    max_age: timedelta,
) -> Decimal | None:
    """What an amount was worth at a moment; None where no way of markets leads to the currency.
    `trade_in` gives one's own last trade in an instrument."""
    priced = []
    for row in markets.all():
        if row.base_asset is None or row.quote_asset is None or row.kind is None:
            continue
        trade = trade_in(row.instrument)
        price = price_at(row, trade, row.instrument, moment, max_age)
        if price is not None:
            priced.append(PricedMarket(row.base_asset, row.quote_asset, price, row.kind))
    valuation = Markets(priced).valuation(asset, currency)
    return None if valuation is None else valuation.value(amount)
