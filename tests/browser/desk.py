"""A small desk to look at: ten days of trading in spot and a perpetual up to now, with what goes
wrong on such days. But for its times it is always the same, so that pictures can be compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid5

import psycopg
from msgspec.structs import replace

from ledger.kernel.command import Command
from ledger.write.ledger import Ledger
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.audit import history
from tests.commands import USER, command, list_instrument, open_account, submit_order
from tests.projections.workers import caught_up, running

DAYS = 10
AT_ONCE = 2_000
"""Events that are folded at once."""
HOURS_BETWEEN = 4
_NAMES = UUID("8f0b4a55-6b3e-4d0a-9d55-1f4b6a6f9f10")
DESK, RESERVE = uuid5(_NAMES, "desk"), uuid5(_NAMES, "reserve")
PERPETUAL = "BINANCE:BTCUSDT-PERP"
MARKETS = {
    "BINANCE:BTCUSDT": (Decimal("61240.5"), Decimal("0.1"), "0.05"),
    "BINANCE:ETHUSDT": (Decimal("2984.2"), Decimal("0.01"), "1.2"),
    "BINANCE:SOLUSDT": (Decimal("148.35"), Decimal("0.01"), "20"),
    PERPETUAL: (Decimal("61262.0"), Decimal("0.1"), "0.1"),
}
"""Price at the beginning, tick, usual size of an order."""
OPEN_ORDERS = 5
LIMITS = (
    ("MAX_OPEN_ORDERS", "6", "5", "ORDERS"),
    ("MAX_EXPOSURE", "150000", "120000", "USDT"),
    ("MAX_ORDER_NOTIONAL", "20000", "15000", "USDT"),
)


@dataclass
class Story:
    """Prices and time as they go on."""

    random: Random
    now: datetime
    prices: dict[str, Decimal]
    number: int = 0

    def walk(self) -> None:
        self.now += timedelta(hours=HOURS_BETWEEN)
        for name, (_, tick, _) in MARKETS.items():
            moved = self.prices[name] * Decimal(str(round(self.random.gauss(1.0008, 0.011), 5)))
            self.prices[name] = (moved / tick).quantize(Decimal(1)) * tick

    def at(self, minutes: float = 0) -> str:
        return (self.now + timedelta(minutes=minutes)).isoformat()


def seed_desk(database_url: str, *, days: int = DAYS) -> None:
    """Executes the story, folds it and seals it, but for the last events."""
    with Ledger(database_url) as ledger:
        batches = list(_story(days))
        for batch in batches[:-1]:
            ledger.execute(batch)
        with psycopg.connect(database_url, autocommit=True) as connection:
            history.seal(connection, block_events=64)
        ledger.execute(batches[-1])
    projections = all_projections(ProjectionSettings())
    with running(database_url, projections, batch_positions=AT_ONCE):
        caught_up(database_url, *(one.name for one in projections))


def _story(days: int) -> Iterator[list[Command]]:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    begin = end - timedelta(days=days, hours=2)
    story = Story(Random(12), begin, {name: first for name, (first, _, _) in MARKETS.items()})
    yield list(_beginning(story))
    for step in range(days * 24 // HOURS_BETWEEN):
        story.walk()
        yield [_prices(story)]
        yield from _order(story)
        if step % 2 == 0:
            yield [_funding(story)]
        yield [_snapshots(story)]
    yield from _troubles(story)
    for _ in range(OPEN_ORDERS):
        yield list(_working(story))
    yield list(_limits())
    story.now += timedelta(minutes=20)
    yield [_prices(story)]
    yield [_snapshots(story)]


def _beginning(story: Story) -> Iterator[Command]:
    tick: dict[str, Any]
    for name, (_, step, _) in MARKETS.items():
        base = name.partition(":")[2].removesuffix("-PERP").removesuffix("USDT")
        tick = {"tick_size": str(step), "step_size": "0.001", "min_quantity": "0.001"}
        kind = {"kind": "PERPETUAL", "max_leverage": "20"} if name == PERPETUAL else {}
        yield list_instrument(instrument=name, base_asset=base, **tick, **kind)
    opened = {"environment": "LIVE"}
    yield open_account(DESK, name="Momentum desk", account_type="MARGIN", **opened)
    yield open_account(RESERVE, name="Reserve", **opened)
    paid = {"asset": "USDT", "occurred_at": story.at(-50)}
    yield command("Deposit", DESK, amount="250000", reference="wire 20260803-1", **paid)
    yield command("Deposit", RESERVE, amount="80000", reference="wire 20260803-2", **paid)
    yield command("SetLeverage", DESK, instrument=PERPETUAL, leverage="5")
    yield command("AssignStrategy", DESK, strategy_id="trend", allocation_percent="40")
    moved = {"from_sub_account": "main", "to_sub_account": "trend"}
    yield command("Transfer", DESK, asset="USDT", amount="100000", **moved)


def _limits() -> Iterator[Command]:
    for measure, value, warning, unit in LIMITS:
        of = {"scope": "ACCOUNT", "reference": DESK, "measure": measure, "value": value}
        named = {"limit_id": uuid5(_NAMES, measure), "unit": unit, "warning_threshold": warning}
        yield command("SetLimit", "limits", **of, **named)


def _prices(story: Story) -> Command:
    told = {name: str(price) for name, price in story.prices.items()}
    when = {"source": "binance", "kind": "MARK", "time": story.at()}
    return command("RecordPrices", "prices", prices=told, **when)


def _snapshots(story: Story) -> Command:
    return command("TakeSnapshots", "clock", time=story.at(), kind="SCHEDULED")


def _funding(story: Story) -> Command:
    amount = Decimal(story.random.randint(-1400, 900)) / 100
    return command(
        "RecordCashFlow",
        DESK,
        flow_id=f"funding-{story.number}-{story.now:%d%H}",
        kind="FUNDING",
        asset="USDT",
        amount=str(amount),
        instrument=PERPETUAL,
        occurred_at=story.at(),
    )


def _terms(story: Story, side: str | None = None) -> tuple[UUID, dict[str, Any]]:
    story.number += 1
    name = story.random.choice(list(MARKETS))
    _, tick, size = MARKETS[name]
    side = side or story.random.choice(("BUY", "BUY", "SELL"))
    off = Decimal("0.9985") if side == "BUY" else Decimal("1.0015")
    price = (story.prices[name] * off / tick).quantize(Decimal(1)) * tick
    terms = {"instrument": name, "side": side, "quantity": size, "price": str(price)}
    if side == "BUY" and name != PERPETUAL and story.random.random() < 0.4:
        terms["strategy_id"] = "trend"
    return uuid5(_NAMES, f"order {story.number}"), terms


def _submit(story: Story, account: UUID, order_id: UUID, terms: dict[str, Any]) -> Command:
    return replace(submit_order(account, order_id, **terms), time=story.now)


def _order(story: Story) -> Iterator[list[Command]]:
    order_id, terms = _terms(story)
    account = DESK if story.random.random() < 0.85 else RESERVE
    if account is RESERVE:
        terms.pop("strategy_id", None)
        if terms["instrument"] == PERPETUAL:
            terms["instrument"], terms["price"] = (
                "BINANCE:ETHUSDT",
                str(story.prices["BINANCE:ETHUSDT"]),
            )
            terms["quantity"] = "1.2"
    yield [_submit(story, account, order_id, terms)]

    def told(kind: str, minutes: float, **data: Any) -> Command:
        return command(kind, account, order_id=order_id, occurred_at=story.at(minutes), **data)

    yield [told("AcceptOrder", 0.002, venue_order_id=f"{880_000_000 + story.number * 731}")]
    parts = story.random.choice((1, 1, 2, 3))
    whole = Decimal(terms["quantity"])
    each = (whole / parts).quantize(Decimal("0.001"))
    for part in range(parts):
        quantity = whole - each * (parts - 1) if part == parts - 1 else each
        yield [
            told(
                "RecordFill",
                0.5 + 7 * part,
                trade_id=f"{91_000_000 + story.number * 17 + part}",
                last_qty=str(quantity),
                last_px=terms["price"],
                commission=str(
                    (quantity * Decimal(terms["price"]) / 2500).quantize(Decimal("0.0001"))
                ),
                commission_asset="USDT",
            )
        ]


def _troubles(story: Story) -> Iterator[list[Command]]:
    """What a day at a venue brings: a refusal, a cancel, a fill that is late, one taken back."""
    order_id, terms = _terms(story, "BUY")
    yield [_submit(story, DESK, order_id, {**terms, "price": "2900.00001"})]
    order_id, terms = _terms(story, "BUY")
    yield [_submit(story, DESK, order_id, {**terms, "instrument": "BINANCE:ETHUSDT",
                                           "price": "2900", "quantity": "2"})]  # fmt: skip
    of = {"order_id": order_id}
    yield [
        command(
            "RejectOrder",
            DESK,
            **of,
            reason="post-only would have taken",
            occurred_at=story.at(0.01),
        )
    ]
    order_id, terms = _terms(story, "BUY")
    terms |= {
        "instrument": "BINANCE:BTCUSDT",
        "price": str(story.prices["BINANCE:BTCUSDT"]),
        "quantity": "0.2",
    }
    terms.pop("strategy_id", None)
    yield [_submit(story, DESK, order_id, terms)]
    of = {"order_id": order_id}
    fill = {"last_px": terms["price"], "commission": "1.2", "commission_asset": "USDT"}
    yield [
        command("AcceptOrder", DESK, **of, venue_order_id="880777001", occurred_at=story.at(0.003))
    ]
    yield [
        command(
            "RecordFill",
            DESK,
            **of,
            trade_id="91777001",
            last_qty="0.05",
            occurred_at=story.at(4),
            **fill,
        )
    ]
    yield [command("RequestCancel", DESK, **of, reason="risk off")]
    yield [command("CancelOrder", DESK, **of, occurred_at=story.at(9))]
    yield [
        command(
            "RecordFill",
            DESK,
            **of,
            trade_id="91777002",
            last_qty="0.03",
            occurred_at=story.at(8.9),
            **fill,
        )
    ]
    yield [command("VoidFill", DESK, **of, trade_id="91777001", occurred_at=story.at(31))]


def _working(story: Story) -> Iterator[Command]:
    order_id, terms = _terms(story)
    terms["side"] = "BUY"
    terms["price"] = str(
        (Decimal(terms["price"]) * Decimal("0.97")).quantize(MARKETS[terms["instrument"]][1])
    )
    terms["price"] = (
        terms["price"].rstrip("0").rstrip(".") if "." in terms["price"] else terms["price"]
    )
    terms.pop("strategy_id", None)
    yield _submit(story, DESK, order_id, terms)
    yield command(
        "AcceptOrder", DESK, order_id=order_id, venue_order_id=f"{889_000_000 + story.number}",
        occurred_at=story.at(0.002),
    )  # fmt: skip


WHOSE = USER
"""The user of both accounts."""
