"""Some weeks of an account with two strategies, told in seconds: times are the messages' own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid5

from ledger.write.ledger import Ledger
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.commands import command, list_instrument, open_account, submit_order
from tests.projections.workers import caught_up, running

NAMESPACE = UUID("6dd0e2a2-2a0c-5d5c-9a1c-3d3f6f0b7a11")
ACCOUNT = uuid5(NAMESPACE, "weeks")
BEGAN = datetime(2026, 8, 29, tzinfo=UTC)
DAYS = 36
LOOKS = 3
"""Snapshots of a day."""


def trade_some_weeks(database_url: str, days: int = DAYS) -> None:
    """Executes the story and waits for the read models."""
    with Ledger(database_url) as ledger:
        for commands in _story(Random(11), days):
            outcomes = ledger.execute(commands)
            assert all(one.status == "ACCEPTED" for one in outcomes), outcomes
    projections = all_projections(ProjectionSettings())
    with running(database_url, projections):
        caught_up(database_url)


def _story(random: Random, days: int) -> Iterator[list[Any]]:
    yield [
        list_instrument(),
        list_instrument(instrument="BINANCE:ETHUSDT", base_asset="ETH"),
        list_instrument(instrument="BINANCE:USDTUSD", base_asset="USDT", quote_asset="USD"),
        open_account(ACCOUNT, name="Trend and grid"),
    ]
    for name in ("trend", "grid"):
        share = {"allocation_percent": "50"}
        yield [command("AssignStrategy", ACCOUNT, strategy_id=name, **share)]
    yield [command("SetReporting", ACCOUNT, benchmark="BINANCE:BTCUSDT")]
    prices = {"BINANCE:BTCUSDT": Decimal(60_000), "BINANCE:ETHUSDT": Decimal(3_000)}
    for name in ("trend", "grid"):
        yield [_money("Deposit", "25000", BEGAN, name)]
    for number in range(days * LOOKS):
        now = BEGAN + timedelta(days=1) / LOOKS * (number + 1)
        for instrument, price in prices.items():
            drift = 0.0012 if instrument.endswith("BTCUSDT") else 0.0004
            moved = price * Decimal(str(1 + random.gauss(drift, 0.011)))
            prices[instrument] = moved.quantize(Decimal("0.01"))
        yield [_prices(now, prices)]
        if number == 40:
            yield [_money("Deposit", "20000", now, "trend")]
        if number == 80:
            yield [_money("RecordWithdrawal", "8000", now, "grid")]
        if number % 5 == 1:
            yield from _trade(random, number, now, prices)
        yield [command("TakeSnapshots", "clock", time=now.isoformat(), kind="SCHEDULED")]


def _trade(
    random: Random, number: int, now: datetime, prices: dict[str, Decimal]
) -> Iterator[list[Any]]:
    """A strategy goes in, or out again."""
    turn = number // 5
    instrument, base = ("BINANCE:BTCUSDT", "0.2") if turn % 4 < 2 else ("BINANCE:ETHUSDT", "3")
    strategy = "trend" if turn % 4 < 2 else "grid"
    side = "BUY" if turn % 2 == 0 else "SELL"
    order_id = uuid5(NAMESPACE, f"order {number}")
    price = str(prices[instrument])
    terms = {"instrument": instrument, "side": side, "quantity": base, "price": price}
    yield [submit_order(ACCOUNT, order_id, strategy_id=strategy, **terms)]
    fill = {"trade_id": f"t-{number}", "last_qty": base, "last_px": price}
    fee = {"commission": str(random.randint(3, 9)), "commission_asset": "USDT"}
    told = {"order_id": order_id, "occurred_at": now.isoformat()}
    yield [command("RecordFill", ACCOUNT, **told, **fill, **fee)]


def _money(kind: str, amount: str, at: datetime, sub_account: str) -> Any:
    told = {"asset": "USDT", "amount": amount, "sub_account": sub_account}
    return command(kind, ACCOUNT, occurred_at=at.isoformat(), **told)


def _prices(now: datetime, prices: dict[str, Decimal]) -> Any:
    told = {name: str(price) for name, price in prices.items()} | {"BINANCE:USDTUSD": "1"}
    feed = {"source": "feed", "kind": "MARK", "time": now.isoformat()}
    return command("RecordPrices", "prices", prices=told, **feed)
