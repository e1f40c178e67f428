"""Positions: reckoned anew where something in their past is not as it was told.

A trade that is taken back is taken out: what follows it is gone through again without it, by the
same rules, and never an inverse trade, which would leave another average and another number. It is
read backwards, from the newest event to the trade in question and on to the first event before it
that tells what the position was then; what a trade of yesterday costs is yesterday's events.

    without()      the positions of a key as they are without a trade
    recharged()    the same with other fees for a trade
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from ledger.kernel.errors import LedgerError
from ledger.kernel.money import ZERO
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts.events import (
    CommissionCorrected,
    MoneyEvent,
    TradeSettled,
    TradeVoided,
)
from ledger.nouns.positions import rules
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.positions.trades import trade_of


class HistoryDiffers(LedgerError):
    """The events of a position do not lead to what the account's state has of it: a fault of the
    ledger's own."""


class TradeName(NamedTuple):
    """Which trade: the ids that venues give are unique within an order."""

    order_id: UUID
    trade_id: str


class Reckoned(NamedTuple):
    """`positions` are those that are other ones than before, by number, and the one that goes on.
    `realized_pnl` is how much more is realised in all."""

    positions: tuple[Position, ...]
    realized_pnl: Decimal


Fees = dict[str, Decimal]


class _Step(NamedTuple):
    """An event to go through again; `fees` are those of a trade that were corrected later."""

    event: MoneyEvent
    at: datetime
    fees: Fees | None = None


class _Past(NamedTuple):
    """From where on all is gone through again: the position at that point, None before the first;
    the events since, oldest first, of trades those that stand; and the place of the trade in
    question among them."""

    start: Position | None
    since: list[_Step]
    place: int | None

    def but(self, *instead: _Step) -> list[_Step]:
        """The events with others in place of the trade in question."""
        if self.place is None:
            return self.since
        return [*self.since[: self.place], *instead, *self.since[self.place + 1 :]]


def without(
    past: Iterable[PastEvent], current: Position | None, key: PositionKey, name: TradeName
) -> Reckoned:
    """The positions of a key as if the trade had never been. `past` are the events about its
    instrument, newest first; `current` is what they have led to."""
    found = _back_to(past, key, name)
    return _reckoned(found, found.but(), current, key)


def recharged(
    past: Iterable[PastEvent],
    current: Position | None,
    key: PositionKey,
    name: TradeName,
    fees: Fees,
) -> Reckoned:
    """The positions of a key as if the trade had been charged these fees."""
    found = _back_to(past, key, name)
    if found.place is None:
        raise HistoryDiffers(f"the position {key.text} has no trade {name.trade_id!r}")
    step = found.since[found.place]
    return _reckoned(found, found.but(step._replace(fees=fees)), current, key)


def _reckoned(
    found: _Past, steps: list[_Step], current: Position | None, key: PositionKey
) -> Reckoned:
    before = _run(found.start, found.since)
    after = _run(found.start, steps)
    _check(current, before, key)
    return _changed(before, after)


def _back_to(past: Iterable[PastEvent], key: PositionKey, name: TradeName) -> _Past:
    """As far back as it takes: to the trade, and to those that were taken back, or charged
    otherwise, after it."""
    taken_back: dict[TradeName, int] = defaultdict(int)
    charged: dict[TradeName, Fees] = {}
    since: list[_Step] = []
    found: int | None = None
    start: Position | None = None
    for event, at in _of_key(past, key):
        if found is not None and event.positions and not charged and not any(taken_back.values()):
            start = rules.newest(p for p in event.positions if p.key == key)
            break
        match event:
            case TradeVoided():
                taken_back[TradeName(event.order_id, event.trade_id)] += 1
            case CommissionCorrected():
                fees = {fee.asset: fee.amount for fee in event.fees}
                charged.setdefault(TradeName(event.order_id, event.trade_id), fees)
            case TradeSettled():
                this = TradeName(event.order_id, event.trade_id)
                corrected = charged.pop(this, None)
                if taken_back[this]:
                    taken_back[this] -= 1
                    continue
                if found is None and this == name:
                    found = len(since)
                since.append(_Step(event, at, corrected))
            case _:
                since.append(_Step(event, at))
    return _Past(start, since[::-1], None if found is None else len(since) - 1 - found)


def _of_key(past: Iterable[PastEvent], key: PositionKey) -> Iterator[tuple[MoneyEvent, datetime]]:
    for event, at in past:
        if not isinstance(event, MoneyEvent):
            continue
        if event.positions:
            if any(position.key == key for position in event.positions):
                yield event, at
        elif isinstance(event, TradeSettled | TradeVoided) and trade_of(event).key == key:
            yield event, at


def _run(start: Position | None, steps: Iterable[_Step]) -> dict[int, Position]:
    """The positions from the start on, by number."""
    positions = {} if start is None else {start.number: start}
    newest = start
    for step in steps:
        for position in _after(newest, step):
            newest = positions[position.number] = position
    return positions


def _after(newest: Position | None, step: _Step) -> tuple[Position, ...]:
    event, at, fees = step
    if isinstance(event, TradeSettled):
        trade = trade_of(event, at)
        return rules.trade(newest, trade if fees is None else replace(trade, fees=fees))
    raise HistoryDiffers(f"{event.type} changed a position, and it is not known how")


def _check(current: Position | None, before: dict[int, Position], key: PositionKey) -> None:
    told = None if current is None else _numbers(current)
    reckoned = None if not before else _numbers(before[max(before)])
    if told != reckoned:
        raise HistoryDiffers(f"the position {key.text} is {told}; its events say {reckoned}")


def _numbers(position: Position) -> tuple[object, ...]:
    return (
        position.number,
        position.quantity,
        position.cost,
        position.realized_pnl,
        position.commission,
        position.funding,
        position.other_commissions,
    )


def _changed(before: dict[int, Position], after: dict[int, Position]) -> Reckoned:
    last = max(after, default=None)
    changed = [position for number, position in after.items() if position != before.get(number)]
    gone = [
        replace(position, withdrawn=True)
        for number, position in before.items()
        if number not in after
    ]
    if last is not None and after[last] not in changed:
        changed.append(after[last])  # it is the one that goes on, also if an earlier one changed
    realized = sum((p.realized_pnl for p in after.values()), ZERO) - sum(
        (p.realized_pnl for p in before.values()), ZERO
    )
    positions = sorted((*changed, *gone), key=lambda position: position.number)
    return Reckoned(tuple(positions), realized)
