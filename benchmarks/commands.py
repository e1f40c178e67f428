"""Commands from services: `python -m benchmarks.commands [--json] [--orders N] [--accounts N]`.

    ours   a load generator in this process sends commands through NATS with `LedgerClient`; a
           worker process decides and commits them; an outcome counts when it is back here
    peer   the stock library doing the same aggregates' work in this process, without a bus
           (`peer_trading.py`), its aggregate cache on and nothing looked up twice

The mix is an order's life: submit, accept, a partial fill, then the rest filled or cancelled,
dealt to `--accounts` accounts. Both run on the same cores and the same PostgreSQL, in turns.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from benchmarks.harness import directory, peer_environment, quiet, report, take_turns
from benchmarks.peer_trading import PeerTrading
from ledger.database import migrate
from ledger.embedded import EmbeddedNats, EmbeddedPostgres
from ledger.messaging.client import LedgerClient

COMMANDS_PER_ORDER = 4
PEER_SHARE = 10
"""The peer is timed on a tenth of the orders: rates are compared."""
READY_TIMEOUT_SECONDS = 60.0
FASTEST_PEER = {
    "AGGREGATE_CACHE_MAXSIZE": "0",  # unlimited
    "AGGREGATE_CACHE_FASTFORWARD": "n",  # it is the only writer
    "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
}
"""Settings under which the stock library is fastest at this."""
USER = uuid7()
INSTRUMENT = "BINANCE:BTCUSDT"

Message = tuple[str, UUID | str, dict[str, Any]]


def order_life(number: int, account_id: UUID) -> Iterator[Message]:
    """The four commands of an order; every other one is cancelled after a partial fill."""
    order_id = str(uuid7())
    terms = {"instrument": INSTRUMENT, "side": "BUY", "order_type": "LIMIT"}
    yield (
        "SubmitOrder",
        account_id,
        {"order_id": order_id, **terms, "quantity": "1", "price": "50000.12"},
    )
    yield "AcceptOrder", account_id, {"order_id": order_id, "venue_order_id": f"v{number}"}
    fill = {"order_id": order_id, "last_px": "50000.12", "commission_asset": "USDT"}
    yield (
        "RecordFill",
        account_id,
        {**fill, "trade_id": "1", "last_qty": "0.4", "commission": "20.000048"},
    )
    if number % 2:
        yield (
            "RecordFill",
            account_id,
            {**fill, "trade_id": "2", "last_qty": "0.6", "commission": "30.000072"},
        )
    else:
        yield "CancelOrder", account_id, {"order_id": order_id}


def setting_up(accounts: list[UUID]) -> Iterator[Message]:
    yield (
        "ListInstrument",
        "instruments",
        {
            "instrument": INSTRUMENT,
            "base_asset": "BTC",
            "quote_asset": "USDT",
            "tick_size": "0.01",
            "step_size": "0.00001",
        },
    )
    for account_id in accounts:
        yield (
            "OpenAccount",
            account_id,
            {
                "account_id": str(account_id),
                "user_id": str(USER),
                "exchange": "BINANCE",
                "name": "benchmark",
                "account_type": "CASH",
                "environment": "BACKTEST",
                "base_currency": "USDT",
            },
        )
        yield "Deposit", account_id, {"asset": "USDT", "amount": "1000000000000"}


def orders_in_rounds(first: int, orders: int, accounts: list[UUID]) -> Iterator[Message]:
    """Orders of all accounts advance side by side, as on a busy day."""
    for start in range(first, first + orders, len(accounts)):
        numbers = range(start, min(start + len(accounts), first + orders))
        lives = [list(order_life(n, accounts[n % len(accounts)])) for n in numbers]
        for step in range(COMMANDS_PER_ORDER):
            for life in lives:
                yield life[step]


async def drive(client: LedgerClient, messages: list[Message]) -> float:
    """Sends all, awaits all outcomes; commands per second. Every one must be accepted."""
    started = time.perf_counter()
    sent = [
        await client.send(command, data, account_id=subject) for command, subject, data in messages
    ]
    outcomes = [await one for one in sent]
    rate = len(messages) / (time.perf_counter() - started)
    refused = [outcome for outcome in outcomes if outcome.status != "ACCEPTED"]
    if refused:
        raise SystemExit(f"{len(refused)} commands were not accepted, the first: {refused[0]}")
    return rate


@contextmanager
def worker(database_url: str, nats_url: str, path: Path) -> Iterator[None]:
    with (path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("ledgerctl"), "serve", "commands"],
            env={
                "LEDGER_DATABASE_URL": database_url,
                "LEDGER_NATS_URL": nats_url,
                "PATH": "/usr/bin:/bin",
            },
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(READY_TIMEOUT_SECONDS)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    accounts = [uuid7() for _ in range(options.accounts)]
    with (
        directory() as path,
        EmbeddedPostgres(path) as postgres,
        EmbeddedNats(path) as nats_server,
        asyncio.Runner() as runner,
    ):
        migrate(postgres.url)
        with worker(postgres.url, nats_server.url, path):
            client = runner.run(LedgerClient.connect(nats_server.url, source="benchmark"))
            runner.run(drive(client, list(setting_up(accounts))))
            peer = PeerTrading(env=peer_environment(postgres.url) | FASTEST_PEER)
            peer_accounts = [peer.open_account(USER) for _ in accounts]
            numbers = count(0, options.orders)
            peer_numbers = count()

            def ours() -> float:
                messages = list(orders_in_rounds(next(numbers), options.orders, accounts))
                return runner.run(drive(client, messages))

            def stock() -> float:
                return peer_rate(peer, peer_accounts, peer_numbers, options.orders // PEER_SHARE)

            ours_rate, peer_per_s = take_turns(options.turns, ours, stock)
            runner.run(client.close())
            peer.close()
    return {
        "ours_per_s": ours_rate,
        "peer_per_s": peer_per_s,
        "ratio": ours_rate / peer_per_s,
        "accounts": options.accounts,
        "commands": options.orders * COMMANDS_PER_ORDER,
    }


def peer_rate(
    peer: PeerTrading, accounts: list[UUID], numbers: Iterator[int], orders: int
) -> float:
    started = time.perf_counter()
    for number in (next(numbers) for _ in range(orders)):
        order_id = peer.submit(accounts[number % len(accounts)], Decimal(1), Decimal("50000.12"))
        peer.accept(order_id, f"v{number}")
        peer.fill(order_id, "1", Decimal("0.4"), Decimal("50000.12"), Decimal("20.000048"))
        if number % 2:
            peer.fill(order_id, "2", Decimal("0.6"), Decimal("50000.12"), Decimal("30.000072"))
        else:
            peer.cancel(order_id)
    return orders * COMMANDS_PER_ORDER / (time.perf_counter() - started)


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--orders", type=int, default=5_000)
    arguments.add_argument("--accounts", type=int, default=200)
    arguments.add_argument("--turns", type=int, default=3)
    report("commands", measure(arguments.parse_args()))


if __name__ == "__main__":
    main()
