"""Prices of venues, asked by the real ccxt of a venue on this machine."""

import sys
from decimal import Decimal
from typing import Any

import pytest

from ledger.nouns.prices.events import PriceKind
from ledger.venues.tickers import (
    TickerFeed,
    Traded,
    UnknownVenue,
    VenuesNotInstalled,
    opened,
    venues_of,
)
from tests.venues.standing import BINANCE_FUTURES, KRAKEN, standing_exchange

D = Decimal


async def test_prices_are_those_that_the_venue_sent_to_the_last_digit() -> None:
    wanted = [
        Traded("KRAKEN:XBTUSD", "XBTUSD", "BTC", "USD"),
        Traded("KRAKEN:ETH/USD", "ETH/USD", "ETH", "USD"),
    ]
    async with standing_exchange("kraken", KRAKEN) as exchange:
        found = await TickerFeed(exchange).prices(wanted)
    assert found == {
        PriceKind.LAST: {"KRAKEN:XBTUSD": D("60000.1"), "KRAKEN:ETH/USD": D("123E-18")}
    }


async def test_a_perpetual_has_its_mark_and_its_index() -> None:
    wanted = [Traded("BINANCE:BTCUSDT", "BTCUSDT", "BTC", "USDT")]
    async with standing_exchange("binanceusdm", BINANCE_FUTURES) as exchange:
        found = await TickerFeed(exchange).prices(wanted)
    assert found == {
        PriceKind.LAST: {"BINANCE:BTCUSDT": D("60001.5")},
        PriceKind.MARK: {"BINANCE:BTCUSDT": D("60002.25")},
        PriceKind.INDEX: {"BINANCE:BTCUSDT": D("60000.75")},
    }


async def test_what_the_venue_does_not_have_is_named_and_not_guessed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    wanted = [Traded("KRAKEN:DOGEUSD", "DOGEUSD", "DOGE", "USD")]
    async with standing_exchange("kraken", KRAKEN) as exchange:
        assert await TickerFeed(exchange).prices(wanted) == {}
    assert "KRAKEN:DOGEUSD" in capfd.readouterr().err


def test_venues_have_the_names_of_ccxt_unless_told_others() -> None:
    assert venues_of(" KRAKEN, BINANCE=binanceusdm ,") == (
        ("KRAKEN", "kraken"),
        ("BINANCE", "binanceusdm"),
    )
    assert venues_of("") == ()
    with pytest.raises(UnknownVenue, match="names no venue"):
        venues_of("=kraken")


async def test_an_exchange_that_ccxt_does_not_have_is_named_with_the_setting() -> None:
    with pytest.raises(UnknownVenue, match="'moon': write VENUE=exchange in LEDGER_PRICE_VENUES"):
        async with opened("moon"):
            pass


async def test_without_ccxt_the_message_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "ccxt.async_support", missing)
    with pytest.raises(VenuesNotInstalled, match=r"pip install 'trading-ledger\[venues\]'"):
        async with opened("kraken"):
            pass
