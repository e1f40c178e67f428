"""What a venue says its instruments are worth, by ccxt: one question for all of them.

ccxt knows some hundred venues and gives their answers one shape. Its numbers are taken as the text
that the venue sent, never as floats. An instrument is found by the symbol that it has in the ledger
(the venue's own, BTCUSDT, or ccxt's, BTC/USDT:USDT), else by its assets; one that the venue does
not have is named, and not guessed.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import structlog

from ledger.kernel.errors import LedgerError
from ledger.kernel.money import trimmed
from ledger.nouns.prices.events import PriceKind

TIMEOUT_MILLISECONDS = 10_000
"""Of one request to a venue: one that has not answered is asked again at the next turn."""
FIELDS = {PriceKind.LAST: "last", PriceKind.MARK: "markPrice", PriceKind.INDEX: "indexPrice"}
"""Of a ticker in ccxt's shape. What a venue does not tell is not told."""

_log = structlog.get_logger(__name__)


class VenuesNotInstalled(LedgerError):
    """ccxt is missing."""


class UnknownVenue(LedgerError, LookupError):
    """ccxt has no such exchange, or the setting does not name one."""


class VenueName(NamedTuple):
    """A venue as instruments name it, and as ccxt does."""

    venue: str
    exchange_id: str


class Traded(NamedTuple):
    """An instrument to price. `instrument` is `VENUE:SYMBOL`."""

    instrument: str
    symbol: str
    base_asset: str
    quote_asset: str


TickerPrices = dict[PriceKind, dict[str, Decimal]]


def venues_of(setting: str) -> tuple[VenueName, ...]:
    """The venues of "BINANCE, KRAKEN=kraken": without a name of ccxt's it is the same in small
    letters. Raises UnknownVenue."""
    found = []
    for one in filter(None, (part.strip() for part in setting.split(","))):
        venue, _, exchange_id = one.partition("=")
        if not venue.strip():
            raise UnknownVenue(f"{one!r} names no venue: write VENUE or VENUE=exchange of ccxt")
        found.append(VenueName(venue.strip(), exchange_id.strip() or venue.strip().lower()))
    return tuple(found)


@asynccontextmanager
async def opened(exchange_id: str) -> AsyncIterator[Any]:
    """An exchange of ccxt, to be asked without keys. Raises VenuesNotInstalled, UnknownVenue."""
    try:
        import ccxt.async_support as ccxt
    except ImportError as error:
        raise VenuesNotInstalled(
            f"prices of {exchange_id} are asked for with ccxt, which is not installed: "
            "pip install 'trading-ledger[venues]'"
        ) from error
    if exchange_id not in ccxt.exchanges:
        raise UnknownVenue(
            f"ccxt {ccxt.__version__} has no exchange {exchange_id!r}: write VENUE=exchange in "
            "LEDGER_PRICE_VENUES"
        )
    exchange = getattr(ccxt, exchange_id)(
        {"enableRateLimit": True, "timeout": TIMEOUT_MILLISECONDS}
    )
    exchange.number = str
    try:
        yield exchange
    finally:
        await exchange.close()


class TickerFeed:
    """Asks one exchange."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._unknown: frozenset[str] = frozenset()

    async def prices(self, wanted: Sequence[Traded]) -> TickerPrices:
        """What the venue says now. Raises what ccxt raises."""
        await self._exchange.load_markets()
        symbols = {one.instrument: self._symbol(one) for one in wanted}
        self._name_unknown(name for name, symbol in symbols.items() if symbol is None)
        instruments = {symbol: name for name, symbol in symbols.items() if symbol is not None}
        found: TickerPrices = defaultdict(dict)
        for tickers in await asyncio.gather(*self._questions(list(instruments))):
            for symbol, ticker in tickers.items():
                if symbol in instruments:
                    _read(instruments[symbol], ticker, found)
        return dict(found)

    def _questions(self, symbols: Sequence[str]) -> list[Any]:
        """One for each kind of market, because venues tell those apart; one for each symbol where
        a venue does not answer for several."""
        if not self._exchange.has.get("fetchTickers"):
            return [self._ticker(symbol) for symbol in symbols]
        by_type: dict[str, list[str]] = defaultdict(list)
        for symbol in symbols:
            by_type[self._exchange.market(symbol)["type"]].append(symbol)
        questions = [self._exchange.fetch_tickers(some) for some in by_type.values()]
        derivatives = [one for kind, some in by_type.items() if kind != "spot" for one in some]
        if derivatives and self._exchange.has.get("fetchMarkPrices"):
            questions.append(self._exchange.fetch_mark_prices(derivatives))
        return questions

    async def _ticker(self, symbol: str) -> Mapping[str, Any]:
        return {symbol: await self._exchange.fetch_ticker(symbol)}

    def _symbol(self, one: Traded) -> str | None:
        """ccxt's symbol."""
        markets = self._exchange.markets
        if one.symbol in markets:
            return one.symbol
        of_id = self._exchange.markets_by_id.get(one.symbol, ())
        pair = f"{one.base_asset}/{one.quote_asset}"
        named = [market["symbol"] for market in of_id]
        if pair in named or (not named and pair in markets):
            return pair
        return named[0] if named else None

    def _name_unknown(self, names: Iterable[str]) -> None:
        unknown = frozenset(names)
        if unknown - self._unknown:
            _log.warning(
                "prices.unknown_instruments",
                exchange=self._exchange.id,
                instruments=sorted(unknown),
                reason="the venue has no such symbol and no market of these assets: they are not "
                "priced",
            )
        self._unknown = unknown


def _read(instrument: str, ticker: Mapping[str, Any], found: TickerPrices) -> None:
    for kind, field in FIELDS.items():
        told = ticker.get(field)
        if told is None:
            continue
        try:
            price = Decimal(str(told))
        except InvalidOperation:
            continue
        if price.is_finite():
            found[kind][instrument] = trimmed(price)
