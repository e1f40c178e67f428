"""Positions as they would have been told: without what was taken back, in whichever order.

    standing    the events of an account that count: no trade that was taken back, nor that deed
    retold      the same events in the order given, each with the positions that it makes in it

Whoever folds events folds these as well: so read models, questions about the past by the venue's
clock, and explanations need no second way to reckon.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from msgspec.structs import replace

from ledger.kernel.event import Event
from ledger.nouns.accounts.events import MoneyEvent, TradeSettled, TradeVoided
from ledger.nouns.positions import history, rules
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.positions.trades import trade_of


class Envelope(Protocol):
    """What is known of an event beside its content."""

    @property
    def occurred_at(self) -> datetime: ...


E = TypeVar("E", bound=Envelope)


def standing(told: Sequence[tuple[E, Event]]) -> list[tuple[E, Event]]:
    """Those of an account's events, in the order of recording, that count in the end."""
    taken_back: Counter[tuple[UUID, str]] = Counter()
    left: list[tuple[E, Event]] = []
    for one in reversed(told):
        event = one[1]
        if isinstance(event, TradeVoided):
            taken_back[event.order_id, event.trade_id] += 1
            continue
        if isinstance(event, TradeSettled):
            name = (event.order_id, event.trade_id)
            if taken_back[name]:
                taken_back[name] -= 1
                continue
        left.append(one)
    return left[::-1]


def retold(told: Iterable[tuple[E, Event]]) -> Iterator[tuple[E, Event]]:
    """The events with the positions that they make in this order."""
    newest: dict[PositionKey, Position] = {}
    for recorded, event in told:
        if not isinstance(event, MoneyEvent):
            yield recorded, event
            continue
        made = made_by(newest, event, recorded.occurred_at)
        newest |= {position.key: position for position in made}
        yield recorded, replace(event, positions=made)


def made_by(
    newest: dict[PositionKey, Position], event: MoneyEvent, at: datetime
) -> tuple[Position, ...]:
    """What an event makes of the newest positions."""
    if isinstance(event, TradeSettled):
        trade = trade_of(event, at)
        return rules.trade(newest.get(trade.key), trade)
    keys = dict.fromkeys(position.key for position in event.positions)
    return tuple(position for key in keys for position in history.after(newest.get(key), event, at))
