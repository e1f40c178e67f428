"""A ledger with a few days of trading in it, by commands: fills that come late, after the cancel,
out of order, or are taken back; transfers and corrections. The same seed gives the same story."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

from msgspec.structs import replace

from ledger.kernel.command import Command
from ledger.write.ledger import Ledger
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.commands import command, list_instrument, open_account, submit_order
from tests.projections.workers import caught_up, running

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NAMESPACE = UUID("4b9ad2a4-6d53-5a53-8d0b-d6a3f1f5b7a1")
ACCOUNTS = tuple(uuid5(NAMESPACE, name) for name in ("one", "two"))
PROJECTIONS = all_projections(ProjectionSettings())


def trade(database_url: str, *, orders: int, seed: int = 1) -> None:
    """Executes the story and waits for the read models."""
    with Ledger(database_url) as ledger:
        for batch in _story(Random(seed), orders):
            outcomes = ledger.execute(batch)
            assert all(outcome.status == "ACCEPTED" for outcome in outcomes), outcomes
    with running(database_url, PROJECTIONS):
        caught_up(database_url)


def _story(random: Random, orders: int) -> Iterator[list[Command]]:
    now = START
    yield [list_instrument(), *(open_account(account) for account in ACCOUNTS)]
    for account in ACCOUNTS:
        yield [
            command("Deposit", account, asset="USDT", amount="1000000", occurred_at=_text(now)),
            command("Deposit", account, asset="BTC", amount="1000", occurred_at=_text(now)),
            command("AssignStrategy", account, strategy_id="grid", allocation_percent="50"),
        ]
        transfer = {"asset": "USDT", "from_sub_account": "main", "to_sub_account": "grid"}
        yield [command("Transfer", account, amount="300000", **transfer)]
    for number in range(orders):
        now += timedelta(minutes=random.randint(1, 30))
        yield from _order(random, random.choice(ACCOUNTS), number, now)


def _order(random: Random, account: UUID, number: int, now: datetime) -> Iterator[list[Command]]:
    order_id = uuid5(NAMESPACE, f"order {number}")
    side = random.choice(("BUY", "SELL"))
    terms: dict[str, Any] = {"quantity": "0.9", "price": "100", "side": side}
    if side == "BUY" and random.random() < 0.5:
        terms["strategy_id"] = "grid"
    yield [replace(submit_order(account, order_id, **terms), time=now)]

    def of(kind: str, minutes: int, **data: Any) -> Command:
        when = _text(now + timedelta(minutes=minutes))
        return command(kind, account, order_id=order_id, occurred_at=when, **data)

    fills = [
        of(
            "RecordFill",
            random.randint(1, 240),
            trade_id=f"t-{number}-{n}",
            last_qty="0.3",
            last_px=f"{random.randint(95, 100)}.{random.randint(0, 99):02}",
            commission="0.01",
            commission_asset="USDT",
        )
        for n in range(random.randint(0, 3))
    ]
    told = [of("AcceptOrder", 0, venue_order_id=f"v-{number}"), *fills]
    if random.random() < 0.4:
        told.insert(random.randint(1, len(told)), of("CancelOrder", random.randint(1, 240)))
    yield told[: len(told) // 2]
    yield told[len(told) // 2 :]
    if fills and random.random() < 0.3:
        yield [of("VoidFill", 300, trade_id=f"t-{number}-0")]


def _text(time: datetime) -> str:
    return time.isoformat()
