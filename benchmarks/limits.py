"""What limits cost: `python -m benchmarks.limits [--json] [--orders N] [--limits N]`.

    ours   an order's life (submit, accept, fill, rest filled or cancelled), decided and committed
           in batches by `Ledger.execute`, on accounts with so many limits each
    peer   the same on accounts without any

Both in one process and on one PostgreSQL, in turns; no bus, so that only deciding and committing is
compared. `processor_ratio` is of this process's own time, which the neighbours of a shared machine
disturb less; PostgreSQL's is not in it. The interpreter is set as the worker's.
"""

import argparse
import statistics
import time
from itertools import islice
from uuid import UUID

from uuid_utils.compat import uuid7

from benchmarks.commands import (
    COMMANDS_PER_ORDER,
    INSTRUMENT,
    Message,
    as_command,
    listing,
    orders_in_rounds,
    setting_up,
)
from benchmarks.harness import migrated_database, quiet, report, take_turns
from ledger.operate import interpreter
from ledger.write.ledger import Ledger

BATCH = 250
LIMITS = (
    ("MAX_ORDER_QUANTITY", "1000000", "UNITS"),
    ("MAX_ORDER_NOTIONAL", "100000000000", "USDT"),
    ("PRICE_BAND", "90", "%"),
    ("MAX_OPEN_ORDERS", "1000000", "ORDERS"),
    ("ORDER_RATE", "1000000", "ORDERS"),
    ("DUPLICATE_ORDER", "1000000", "ORDERS"),
    ("MAX_POSITION", "100000000", "UNITS"),
    ("MAX_POSITION", "100000000000000", "USDT"),
    ("MAX_EXPOSURE", "100000000000000", "USDT"),
    ("MAX_EXPOSURE", "1000", "%"),
    ("MAX_LEVERAGE", "10", "RATIO"),
    ("MAX_DAILY_LOSS", "90", "%"),
    ("MAX_DRAWDOWN", "90", "%"),
    ("MIN_EQUITY", "1", "USDT"),
    ("RISK_PER_TRADE", "100", "%"),
)


def limits_of(account_id: UUID, wanted: int) -> list[Message]:
    messages: list[Message] = []
    for number in range(wanted):
        measure, value, unit = LIMITS[number % len(LIMITS)]
        data = {"limit_id": str(uuid7()), "scope": "ACCOUNT", "reference": str(account_id)}
        data |= {"measure": measure, "value": value, "unit": unit}
        messages.append(("SetLimit", "limits", data))
    return messages


def priced() -> Message:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = {"source": "benchmark", "kind": "MARK", "time": now, "prices": {INSTRUMENT: "50000"}}
    return "RecordPrices", "prices", data


def run(ledger: Ledger, messages: list[Message]) -> float:
    """Commands per second. Every one must be accepted."""
    commands = [as_command(one) for one in messages]
    started = time.perf_counter()
    left = iter(commands)
    while batch := list(islice(left, BATCH)):
        refused = [one for one in ledger.execute(batch) if not one.accepted]
        if refused:
            raise SystemExit(f"{len(refused)} commands were not accepted, the first: {refused[0]}")
    return len(commands) / (time.perf_counter() - started)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--orders", type=int, default=1_000)
    options.add_argument("--limits", type=int, default=30)
    options.add_argument("--accounts", type=int, default=20)
    options.add_argument("--turns", type=int, default=5)
    asked = options.parse_args()
    quiet()
    interpreter.for_deciding()
    with migrated_database() as url, Ledger(url) as ledger:
        run(ledger, list(listing()))
        limited = [uuid7() for _ in range(asked.accounts)]
        free = [uuid7() for _ in range(asked.accounts)]
        run(ledger, [*setting_up(limited), *setting_up(free), priced()])
        for account_id in limited:
            run(ledger, limits_of(account_id, asked.limits))

        def turn(accounts: list[UUID]) -> float:
            run(ledger, [priced()])
            messages = list(orders_in_rounds(0, asked.orders, accounts))
            begun = time.process_time()
            rate = run(ledger, messages)
            seconds[accounts is limited].append(time.process_time() - begun)
            return rate

        seconds: dict[bool, list[float]] = {True: [], False: []}
        take_turns(1, lambda: turn(limited), lambda: turn(free))
        ours, peer = take_turns(asked.turns, lambda: turn(limited), lambda: turn(free))
    report(
        "limits",
        {
            "ours_per_s": ours,
            "peer_per_s": peer,
            "ratio": round(ours / peer, 3),
            "processor_ratio": round(
                statistics.median(seconds[False]) / statistics.median(seconds[True]), 3
            ),
            "limits": asked.limits,
            "commands": asked.orders * COMMANDS_PER_ORDER,
        },
    )


if __name__ == "__main__":
    main()
