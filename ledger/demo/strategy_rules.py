"""What the strategies want: a list of intentions, drawn by chance from each strategy's habits.

A strategy knows nothing of the market but the price it is told; how far from it the order lies is
part of the intention. Some intentions are mistakes, which the ledger must refuse.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ledger.demo.market import on_grid
from ledger.demo.plan import (
    CONTRACTS,
    FEE_RATE,
    RETIRED_STRATEGY,
    SEED,
    SPOT,
    Listing,
    listing,
    tradable,
)
from ledger.nouns.accounts.events import AccountType
from ledger.nouns.orders.events import Side

MISTAKES = 0.06
"""Share of the intentions that are mistakes."""
REPLACES = 0.25
"""Share of resting orders that get other terms."""
CANCELS = 0.7
"""Share of resting orders that their strategy does not want to keep."""
LARGEST_OFFSET_TICKS = 200
MARKET_ESTIMATE = Decimal("1.02")
"""What a market buy may cost at most, as a multiple of the price seen."""


class Mistake(StrEnum):
    """What is wrong with an order, and what the ledger must say to it."""

    OFF_TICK = "PRICE_OFF_TICK"
    OFF_STEP = "QUANTITY_OFF_STEP"
    TOO_EXPENSIVE = "INSUFFICIENT_FUNDS"
    TOO_LARGE = "QUANTITY_TOO_LARGE"
    FLOAT_QUANTITY = "INVALID_COMMAND"
    WRONG_STRATEGY = "STRATEGY_NOT_ASSIGNED"
    REUSED_ID = "COMMAND_ID_REUSED"
    """The order is right; then its command id is used for another one."""


class Habit(StrEnum):
    """Kinds of orders."""

    LIMIT = "LIMIT"
    POST_ONLY = "POST_ONLY"
    IOC = "IOC"
    FOK = "FOK"
    STOP_LIMIT = "STOP_LIMIT"
    MARKET = "MARKET"
    BUDGET = "BUDGET"
    """A market buy for so much money."""


_RESTING = frozenset({Habit.LIMIT, Habit.POST_ONLY, Habit.STOP_LIMIT})

HABITS: Mapping[str, Mapping[Habit, int]] = {
    "maker": {Habit.POST_ONLY: 5, Habit.LIMIT: 4, Habit.FOK: 1},
    "trend": {Habit.MARKET: 4, Habit.BUDGET: 2, Habit.IOC: 3, Habit.STOP_LIMIT: 1},
    "dip": {Habit.LIMIT: 5, Habit.STOP_LIMIT: 2, Habit.IOC: 2, Habit.BUDGET: 1},
}
"""How often each strategy places which kind, relative to the others."""


@dataclass(frozen=True)
class Intention:
    """One order that a strategy wants, and what it will do if the order rests."""

    strategy: str
    client_order_id: str
    step: int
    instrument: str
    habit: Habit
    side: Side
    quantity: Decimal
    offset_ticks: int
    replaces: bool
    cancels: bool
    mistake: Mistake | None


def intentions(
    strategy: str, account: str, account_type: AccountType, orders: int
) -> Iterator[Intention]:
    """What the strategy wants on an account, in order; the same in every run."""
    chance = random.Random(f"{SEED}:{strategy}:{account}")
    habits = HABITS[strategy]
    for step in range(orders):
        traded = chance.choice(tradable(account_type))
        (habit,) = chance.choices(list(habits), weights=list(habits.values()))
        if habit is Habit.BUDGET and traded in CONTRACTS:  # a contract is no thing to pay for
            traded = SPOT[0]
        share = Decimal(chance.randint(5, 150)) / 100
        yield Intention(
            strategy=strategy,
            client_order_id=f"{strategy}-{account}-{step}",
            step=step,
            instrument=traded.instrument,
            habit=habit,
            side=Side.BUY if habit is Habit.BUDGET else chance.choice((Side.BUY, Side.SELL)),
            quantity=on_grid(traded.lot * share, traded.step_size),
            offset_ticks=chance.randint(0, LARGEST_OFFSET_TICKS),
            replaces=chance.random() < REPLACES and habit in _RESTING,
            cancels=chance.random() < CANCELS,
            mistake=_mistake(chance, habit, account_type),
        )


def _mistake(chance: random.Random, habit: Habit, account_type: AccountType) -> Mistake | None:
    """Some mistakes are none for every kind: a market order has no tick, a margin account may
    lack funds, a budget has no quantity."""
    mistaken, mistake = chance.random() < MISTAKES, chance.choice(list(Mistake))
    if not mistaken or habit is Habit.BUDGET:
        return None
    if mistake is Mistake.OFF_TICK and habit is Habit.MARKET:
        return None
    if mistake is Mistake.TOO_EXPENSIVE and account_type is not AccountType.CASH:
        return None
    return mistake


def order_data(intention: Intention, order_id: str, price: Decimal) -> dict[str, Any]:
    """The SubmitOrder of an intention, at a market price; mistaken if the intention is."""
    traded = listing(intention.instrument)
    data: dict[str, Any] = {
        "order_id": order_id,
        "client_order_id": intention.client_order_id,
        "instrument": intention.instrument,
        "side": intention.side.value,
        "strategy_id": intention.strategy,
        "fee_rate": str(FEE_RATE),
    }
    data |= _terms(intention, traded, price)
    return data | _mistaken(intention, traded, data)


def _terms(intention: Intention, traded: Listing, price: Decimal) -> dict[str, Any]:
    limit = str(_limit(intention, traded, price))
    quantity = str(intention.quantity)
    match intention.habit:
        case Habit.MARKET:
            estimate = str(on_grid(price * MARKET_ESTIMATE, traded.tick_size))
            return {"order_type": "MARKET", "quantity": quantity, "price": estimate}
        case Habit.BUDGET:
            budget = on_grid(intention.quantity * price, traded.tick_size)
            return {"order_type": "MARKET", "quote_quantity": str(budget)}
        case Habit.STOP_LIMIT:
            stop = str(on_grid(price, traded.tick_size))
            return {
                "order_type": "STOP_LIMIT",
                "quantity": quantity,
                "price": limit,
                "stop_price": stop,
            }
        case Habit.POST_ONLY:
            return {
                "order_type": "LIMIT_MAKER",
                "quantity": quantity,
                "price": limit,
                "post_only": True,
            }
        case Habit.IOC | Habit.FOK:
            killed = intention.habit.value
            return {
                "order_type": "LIMIT",
                "quantity": quantity,
                "price": limit,
                "time_in_force": killed,
            }
        case Habit.LIMIT:
            return {"order_type": "LIMIT", "quantity": quantity, "price": limit}


def _limit(intention: Intention, traded: Listing, price: Decimal) -> Decimal:
    offset = traded.tick_size * intention.offset_ticks
    away = price - offset if intention.side is Side.BUY else price + offset
    return on_grid(away, traded.tick_size)


def _mistaken(intention: Intention, traded: Listing, data: dict[str, Any]) -> dict[str, Any]:
    match intention.mistake:
        case Mistake.OFF_TICK:
            return {"price": str(Decimal(data["price"]) + traded.tick_size / 2)}
        case Mistake.OFF_STEP:
            return {"quantity": str(intention.quantity + traded.step_size / 4)}
        case Mistake.TOO_EXPENSIVE:
            return {"quantity": str(traded.max_quantity)}
        case Mistake.TOO_LARGE:
            return {"quantity": str(traded.max_quantity * 2)}
        case Mistake.FLOAT_QUANTITY:
            return {"quantity": float(intention.quantity)}
        case Mistake.WRONG_STRATEGY:
            return {"strategy_id": RETIRED_STRATEGY}
        case Mistake.REUSED_ID | None:
            return {}


def new_terms(intention: Intention, data: Mapping[str, Any]) -> dict[str, str]:
    """What a strategy asks for when it replaces an order: a little more, a little closer."""
    traded = listing(intention.instrument)
    closer = traded.tick_size if intention.side is Side.BUY else -traded.tick_size
    return {
        "quantity": str(intention.quantity + traded.step_size),
        "price": str(Decimal(data["price"]) + closer),
    }
