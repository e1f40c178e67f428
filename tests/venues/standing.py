"""A venue on this machine that answers what the real ones answer, for ccxt to ask."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from ledger.venues.tickers import opened

_PAIR: dict[str, Any] = {
    "aclass_base": "currency",
    "aclass_quote": "currency",
    "lot": "unit",
    "cost_decimals": 5,
    "pair_decimals": 1,
    "lot_decimals": 8,
    "lot_multiplier": 1,
    "leverage_buy": [],
    "leverage_sell": [],
    "fees": [[0, 0.4]],
    "fees_maker": [[0, 0.25]],
    "fee_volume_currency": "ZUSD",
    "margin_call": 80,
    "margin_stop": 40,
    "ordermin": "0.0001",
    "costmin": "0.5",
    "tick_size": "0.1",
    "status": "online",
}


def _kraken_ticker(last: str) -> dict[str, Any]:
    both = [last, last]
    return {"a": [last, "1", "1"], "b": [last, "1", "1"], "c": [last, "0.1"], "v": both, "p": both,
            "t": [9, 9], "l": both, "h": both, "o": last}  # fmt: skip


KRAKEN: dict[str, Any] = {
    "/0/public/Assets": {
        "error": [],
        "result": {
            name: {"aclass": "currency", "altname": short, "decimals": 10, "display_decimals": 5}
            for name, short in (("XXBT", "XBT"), ("XETH", "ETH"), ("ZUSD", "USD"))
        },
    },
    "/0/public/AssetPairs": {
        "error": [],
        "result": {
            "XXBTZUSD": _PAIR | {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT",
                                 "quote": "ZUSD"},
            "XETHZUSD": _PAIR | {"altname": "ETHUSD", "wsname": "ETH/USD", "base": "XETH",
                                 "quote": "ZUSD"},
        },
    },
    "/0/public/Ticker": {
        "error": [],
        "result": {
            "XXBTZUSD": _kraken_ticker("60000.10000"),
            "XETHZUSD": _kraken_ticker("0.000000000000000123"),
        },
    },
}  # fmt: skip

BINANCE_FUTURES: dict[str, Any] = {
    "/fapi/v1/exchangeInfo": {
        "symbols": [
            {
                "symbol": "BTCUSDT",
                "pair": "BTCUSDT",
                "contractType": "PERPETUAL",
                "deliveryDate": 4133404800000,
                "onboardDate": 1569398400000,
                "status": "TRADING",
                "baseAsset": "BTC",
                "quoteAsset": "USDT",
                "marginAsset": "USDT",
                "pricePrecision": 2,
                "quantityPrecision": 3,
                "filters": [],
                "orderTypes": ["LIMIT"],
                "timeInForce": ["GTC"],
            }
        ]
    },
    "/fapi/v1/ticker/24hr": [
        {"symbol": "BTCUSDT", "lastPrice": "60001.5", "closeTime": 1772366400000, "volume": "1"}
    ],
    "/fapi/v1/premiumIndex": [
        {
            "symbol": "BTCUSDT",
            "markPrice": "60002.25",
            "indexPrice": "60000.75",
            "lastFundingRate": "0.0001",
            "time": 1772366400000,
        }
    ],
}


@contextmanager
def standing(answers: dict[str, Any]) -> Iterator[str]:
    """The URL of a venue that gives these answers, and has nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(urlsplit(self.path).path)
            body = json.dumps(answer if answer is not None else {}).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def standing_exchange(exchange_id: str, answers: dict[str, Any]) -> AsyncIterator[Any]:
    """The exchange of ccxt, which asks the venue on this machine."""
    with standing(answers) as url:
        async with opened(exchange_id) as exchange:
            exchange.urls["api"] = {
                name: f"{url}{'/' + there.split('/', 3)[3] if there.count('/') > 2 else ''}"
                for name, there in exchange.urls["api"].items()
            }
            yield exchange
