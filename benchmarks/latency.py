"""What a command costs when few are sent: `python -m benchmarks.latency [--json] [--turns N]`.

    full    as many as the worker takes; its rate is the median of the turns
    alone   each command is sent when the outcome of the one before is there: what one alone costs,
            whatever else the machine does
    300     commands sent evenly, so many a second: mostly one at a time
    1000    a few at a time
    half    at half of the full rate

For each: processor time per command in microseconds, of all processes together and of each (this
one is the client), `p50_ms` and `p99_ms` from the moment that a command was due to its outcome.
All are medians of the turns; in each turn all rates are driven, one after the other.

Processor time is told because it is what a busy machine leaves alone: every batch costs some
milliseconds of it whatever is in it, so few commands can keep a machine as busy as many. It has the
resolution of the system's clock ticks, a hundredth of a second over a whole drive.
"""

import argparse
import asyncio
import gc
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import psutil
from uuid_utils.compat import uuid7

from benchmarks.commands import (
    COMMANDS_PER_ORDER,
    GARBAGE_THRESHOLD,
    Message,
    drive,
    latencies,
    listing,
    orders_in_rounds,
    setting_up,
    worker,
)
from benchmarks.harness import directory, quiet, report
from ledger.client.client import LedgerClient
from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.schema import migrate

RATES_PER_S = (300.0, 1_000.0)
WARM_UP_ORDERS = 1_000
ALONE_ORDERS = 250
"""A thousand commands one after the other take some seconds."""

Figures = dict[str, float]


class Processors:
    """Processor seconds of the client, the worker and the servers."""

    def __init__(self, **processes: psutil.Process) -> None:
        self._processes = processes

    def seconds(self) -> Figures:
        return {name: _seconds(process) for name, process in self._processes.items()}

    def per_command(self, before: Figures, commands: int) -> Figures:
        """Microseconds since `before`, of each and of all."""
        spent = {
            f"{name}_us": (now - before[name]) * 1e6 / commands
            for name, now in self.seconds().items()
        }
        return {"processor_us": sum(spent.values()), **spent}


def _seconds(process: psutil.Process) -> float:
    """User's and system's; of a server with its children: PostgreSQL has one for each session."""
    if process.pid == os.getpid():  # whose children are the others
        return sum(process.cpu_times()[:2])
    spent = sum(process.cpu_times()[:4])  # with those of children that have ended
    return spent + sum(sum(one.cpu_times()[:2]) for one in process.children(recursive=True))


class Drives:
    """Ways to send commands, each of which says what it cost."""

    def __init__(self, runner: asyncio.Runner, client: LedgerClient, accounts: int) -> None:
        self._runner = runner
        self._client = client
        self._accounts = [uuid7() for _ in range(accounts)]
        self._numbers = count()
        runner.run(drive(client, [*listing(), *setting_up(self._accounts)]))
        self.full(WARM_UP_ORDERS)

    def full(self, orders: int) -> Figures:
        messages = self._messages(orders)
        return {"per_s": self._runner.run(drive(self._client, messages))}

    def alone(self, orders: int) -> Figures:
        async def one_by_one() -> float:
            started = time.perf_counter()
            for command, subject, data in messages:
                await self._client.submit(command, data, account_id=subject)
            return len(messages) / (time.perf_counter() - started)

        messages = self._messages(orders)
        return {"per_s": self._runner.run(one_by_one())}

    def evenly(self, per_s: float, orders: int) -> Figures:
        messages = self._messages(orders)
        took = sorted(self._runner.run(latencies(self._client, messages, per_s)))
        return {
            "per_s": per_s,
            "p50_ms": 1000 * took[len(took) // 2],
            "p99_ms": 1000 * took[len(took) * 99 // 100],
        }

    def _messages(self, orders: int) -> list[Message]:
        accounts: list[UUID] = self._accounts
        return list(orders_in_rounds(next(self._numbers) * orders, orders, accounts))


def turn(drives: Drives, processors: Processors, options: argparse.Namespace) -> dict[str, Figures]:
    def measured(driving: Callable[[int], Figures], orders: int) -> Figures:
        before = processors.seconds()
        figures = driving(orders)
        return figures | processors.per_command(before, orders * COMMANDS_PER_ORDER)

    figures = {"full": measured(drives.full, options.orders)}
    figures["alone"] = measured(drives.alone, ALONE_ORDERS)
    rates = {f"{rate:g}": rate for rate in options.rates}
    for name, rate in (rates | {"half": figures["full"]["per_s"] / 2}).items():
        orders = max(1, int(rate * options.seconds / COMMANDS_PER_ORDER))
        figures[name] = measured(partial(drives.evenly, rate), orders)
    return figures


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with directory() as path, EmbeddedPostgres(path) as postgres, EmbeddedNats(path) as bus:
        migrate(postgres.url)
        with worker(postgres.url, bus.url, path) as process, asyncio.Runner() as runner:
            client = runner.run(LedgerClient.connect(bus.url, source="benchmark"))
            processors = Processors(
                client=psutil.Process(),
                worker=process,
                nats=psutil.Process(bus.pid),
                postgresql=psutil.Process(postgres.pid),
            )
            drives = Drives(runner, client, options.accounts)
            turns = [turn(drives, processors, options) for _ in range(options.turns)]
            runner.run(client.close())
    return {
        name: {
            figure: round(statistics.median(one[name][figure] for one in turns), 1)
            for figure in turns[0][name]
        }
        for name in turns[0]
    }


def main() -> None:
    quiet()
    # Outcomes are kept until the end of a drive, which is not what is measured.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--orders", type=int, default=5_000, help="of the drive at full rate")
    arguments.add_argument("--accounts", type=int, default=200)
    arguments.add_argument("--turns", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=5.0, help="of each even drive")
    arguments.add_argument("--rates", type=float, nargs="+", default=RATES_PER_S)
    report("latency", measure(arguments.parse_args()))


if __name__ == "__main__":
    main()
