"""Commands from services: `python -m benchmarks.commands [--json] [--orders N] [--history N]`.

    ours   a load generator in this process sends commands through NATS with `LedgerClient`; a
           worker process decides and commits them; an outcome counts when it is back here
    peer   the stock library doing the same aggregates' work in this process, without a bus
           (`peer_trading.py`), its aggregate cache on and nothing looked up twice

The mix is an order's life: submit, accept, a partial fill, then the rest filled or cancelled,
dealt to `--accounts` accounts, and again to one (`hot_account`). Both run on the same cores and the
same PostgreSQL, in turns. Then commands are sent at half of the rate found, evenly, for
`--latency-seconds`: `p50_ms` and `p99_ms` are from sending to the outcome.

`--history N` also compares an account with N past events to a fresh one, on a worker that began
cold and has loaded both. `worker_memory_mib` is the worker's after all of it; `--memory N` sends N
more commands, in tenths, and shows it after each.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from uuid_utils.compat import uuid7

from benchmarks.harness import directory, peer_environment, quiet, report, take_turns
from benchmarks.peer_trading import PeerTrading
from ledger.bus import envelope
from ledger.client.client import LedgerClient, Sent
from ledger.kernel.command import Command, InvalidCommand
from ledger.kernel.money import exact
from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.schema import migrate
from ledger.write.ledger import Ledger
from ledger.write.parser import parse

COMMANDS_PER_ORDER = 4
PEER_SHARE = 10
"""The peer is timed on a tenth of the orders: rates are compared."""
GARBAGE_THRESHOLD = 20_000
READY_TIMEOUT_SECONDS = 60.0
MEMORY_STEPS = 10
PAST_GROUP = 5_000
"""Commands at once when a past is made up."""
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


def listing() -> Iterator[Message]:
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


def setting_up(accounts: list[UUID]) -> Iterator[Message]:
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


async def latencies(client: LedgerClient, messages: list[Message], per_s: float) -> list[float]:
    """Sends at an even rate; the seconds from each command to its outcome."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    sent: list[Sent] = []
    started = loop.time()
    for number, (command, subject, data) in enumerate(messages):
        due = started + number / per_s
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        one = await client.send(command, data, account_id=subject)

        def note(_: object, due: float = due) -> None:
            took.append(loop.time() - due)

        one.outcome.add_done_callback(note)
        sent.append(one)
    for one in sent:
        await one
    return took


@contextmanager
def worker(database_url: str, nats_url: str, path: Path) -> Iterator[psutil.Process]:
    with (path / "worker.log").open("wb") as log:
        process = psutil.Popen(
            [Path(sys.executable).with_name("ledgerctl"), "serve", "commands"],
            env={
                "LEDGER_DATABASE_URL": database_url,
                "LEDGER_NATS_URL": nats_url,
                "PATH": "/usr/bin:/bin",
            },
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(READY_TIMEOUT_SECONDS)


class Scene:
    """Servers, a worker and a client that sends to it; the peer beside them."""

    def __init__(self, runner: asyncio.Runner, client: LedgerClient, peer: PeerTrading) -> None:
        self._runner = runner
        self._client = client
        self._peer = peer
        self._numbers = count()
        self._peer_numbers = count()

    def list_instrument(self) -> None:
        self._runner.run(drive(self._client, list(listing())))

    def open_accounts(self, accounts: int) -> list[UUID]:
        opened = [uuid7() for _ in range(accounts)]
        self._runner.run(drive(self._client, list(setting_up(opened))))
        return opened

    def messages(self, orders: int, accounts: list[UUID]) -> list[Message]:
        first = next(self._numbers) * orders
        return list(orders_in_rounds(first, orders, accounts))

    def ours(self, orders: int, accounts: list[UUID]) -> float:
        return self._runner.run(drive(self._client, self.messages(orders, accounts)))

    def compared(self, options: argparse.Namespace, accounts: list[UUID]) -> dict[str, Any]:
        peer_accounts = [self._peer.open_account(USER) for _ in accounts]

        def stock() -> float:
            orders = options.orders // PEER_SHARE
            return peer_rate(self._peer, peer_accounts, self._peer_numbers, orders)

        ours_per_s, peer_per_s = take_turns(
            options.turns, lambda: self.ours(options.orders, accounts), stock
        )
        return {
            "ours_per_s": round(ours_per_s, 2),
            "peer_per_s": round(peer_per_s, 2),
            "ratio": round(ours_per_s / peer_per_s, 2),
            "accounts": len(accounts),
            "commands": options.orders * COMMANDS_PER_ORDER,
        }

    def memory(self, process: psutil.Process, commands: int, accounts: list[UUID]) -> list[float]:
        """MiB of the worker after each tenth of so many commands."""
        orders = commands // COMMANDS_PER_ORDER // MEMORY_STEPS
        used = []
        for _ in range(MEMORY_STEPS):
            self.ours(orders, accounts)
            used.append(round(process.memory_info().rss / 2**20, 1))
        return used

    def latency(self, per_s: float, seconds: float, accounts: list[UUID]) -> dict[str, Any]:
        orders = max(1, int(per_s * seconds / COMMANDS_PER_ORDER))
        messages = self.messages(orders, accounts)
        took = sorted(self._runner.run(latencies(self._client, messages, per_s)))
        return {
            "latency_at_per_s": per_s,
            "p50_ms": 1000 * took[len(took) // 2],
            "p99_ms": 1000 * took[len(took) * 99 // 100],
        }


@contextmanager
def scene(postgres_url: str, nats_url: str) -> Iterator[Scene]:
    with asyncio.Runner() as runner:
        client = runner.run(LedgerClient.connect(nats_url, source="benchmark"))
        peer = PeerTrading(env=peer_environment(postgres_url) | FASTEST_PEER)
        try:
            yield Scene(runner, client, peer)
        finally:
            runner.run(client.close())
            peer.close()


def with_past(database_url: str, events: int) -> UUID:
    """A new account with so many events, recorded without a bus."""
    account_id = uuid7()
    with Ledger(database_url) as ledger, exact():
        opening, deposit, *_ = list(setting_up([account_id]))
        messages = [opening, *(deposit for _ in range(events - 1))]
        for start in range(0, events, PAST_GROUP):
            group = [as_command(one) for one in messages[start : start + PAST_GROUP]]
            refused = [o for o in ledger.execute(group) if o.status != "ACCEPTED"]
            if refused:
                raise SystemExit(f"the past was not accepted: {refused[0]}")
    return account_id


def as_command(message: Message) -> Command | InvalidCommand:
    command, subject, data = message
    given = {"type": command, "subject": str(subject), "data": data}
    return parse(envelope.encoded(envelope.completed(given, "benchmark")))


def history(path: Path, postgres_url: str, nats_url: str, options: argparse.Namespace) -> Any:
    """In turns, on a worker that begins cold; a first turn each is not counted."""
    with worker(postgres_url, nats_url, path), scene(postgres_url, nats_url) as here:
        (fresh,) = here.open_accounts(1)
    aged = with_past(postgres_url, options.history)
    with worker(postgres_url, nats_url, path), scene(postgres_url, nats_url) as here:
        accounts = {"aged_per_s": [aged], "fresh_per_s": [fresh]}
        turns = [partial(here.ours, options.orders, one) for one in accounts.values()]
        take_turns(1, *turns)
        rates = dict(zip(accounts, take_turns(options.turns, *turns), strict=True))
    ratio = rates["aged_per_s"] / rates["fresh_per_s"]
    return {"past_events": options.history, **rates, "ratio": round(ratio, 3)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with directory() as path, EmbeddedPostgres(path) as postgres, EmbeddedNats(path) as bus:
        migrate(postgres.url)
        with (
            worker(postgres.url, bus.url, path) as process,
            scene(postgres.url, bus.url) as here,
        ):
            here.list_instrument()
            accounts = here.open_accounts(options.accounts)
            figures = here.compared(options, accounts)
            half = figures["ours_per_s"] / 2
            figures |= here.latency(half, options.latency_seconds, accounts)
            figures["hot_account"] = here.compared(options, here.open_accounts(1))
            if options.memory:
                figures["memory_mib"] = here.memory(process, options.memory, accounts)
            figures["worker_memory_mib"] = process.memory_info().rss / 2**20
        if options.history:
            figures["history"] = history(path, postgres.url, bus.url, options)
    return figures


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
    # Thousands of outcomes are kept here until the end of a turn; neither side pays for that.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--orders", type=int, default=5_000)
    arguments.add_argument("--accounts", type=int, default=200)
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--latency-seconds", type=float, default=5.0)
    arguments.add_argument("--history", type=int, default=0)
    arguments.add_argument("--memory", type=int, default=0)
    report("commands", measure(arguments.parse_args()))


if __name__ == "__main__":
    main()
