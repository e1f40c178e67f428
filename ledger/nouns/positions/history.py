"""Positions: reckoned anew where something in their past is not as it was told.

A trade that is taken back is taken out: what follows it is gone through again without it, by the
same rules, and never an inverse trade, which would leave another average and another number. What a
trade was charged, told later, is put in its place likewise. It is read backwards, from the newest
event to the trade in question and on to the first event before it that tells what the position was
then: what a trade of yesterday costs is yesterday's events.

    without()      the positions as they are without a trade
    with_fees()    the positions as they are if a trade had been charged otherwise
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts.events import (
    CorporateActionRecorded,
    LeverageSet,
    MoneyEvent,
    TradeSettled,
    TradeVoided,
)
from ledger.nouns.positions import corporate_actions, rules
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.positions.trades import trade_of

Fees = Mapping[str, Decimal]
Positions = dict[tuple[PositionKey, int], Position]
"""By key and number."""


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


class _Past(NamedTuple):
    """From where on all is gone through again: the newest of each key at that point; the events
    since, oldest first, of trades those that stand, with the fees that they are known to have had;
    and the one in question."""

    start: dict[PositionKey, Position | None]
    since: list[tuple[PastEvent, Fees | None]]
    changed: Event | None


def without(
    past: Iterable[PastEvent],
    current: Mapping[PositionKey, Position | None],
    name: TradeName,
) -> Reckoned:
    """The positions as if the trade had never been. `past` are the events about its instrument,
    newest first; `current` are those that they have led to: of its key, and of the keys that this
    was renamed to."""
    return _reckoned(past, current, name, None)


def with_fees(
    past: Iterable[PastEvent],
    current: Mapping[PositionKey, Position | None],
    name: TradeName,
    fees: Fees,
) -> Reckoned:
    """The positions as if the trade had been charged this."""
    return _reckoned(past, current, name, fees)


def _reckoned(
    past: Iterable[PastEvent],
    current: Mapping[PositionKey, Position | None],
    name: TradeName,
    fees: Fees | None,
) -> Reckoned:
    found = _back_to(past, current, name)
    before = _run(found, None, None)
    after = _run(found, found.changed, fees)
    _check(current, before)
    return _changed(before, after)


def _back_to(past: Iterable[PastEvent], keys: Collection[PositionKey], name: TradeName) -> _Past:
    """As far back as it takes: to the trade, to those that were taken back after it, and on to what
    was before all of them."""
    taken_back: dict[TradeName, int] = defaultdict(int)
    charged: dict[TradeName, Fees] = {}
    since: list[tuple[PastEvent, Fees | None]] = []
    start: dict[PositionKey, Position | None] = {}
    changed: Event | None = None
    for event, at in _of_keys(past, keys):
        if changed is not None and not any(taken_back.values()) and event.positions:
            for key in keys:
                if key not in start and any(p.key == key for p in event.positions):
                    start[key] = rules.newest(p for p in event.positions if p.key == key)
            if len(start) == len(keys):
                break
            continue
        fees: Fees | None = None
        if isinstance(event, TradeVoided):
            taken_back[TradeName(event.order_id, event.trade_id)] += 1
            continue
        if isinstance(event, TradeSettled):
            this = TradeName(event.order_id, event.trade_id)
            fees = charged.pop(this, None)
            if taken_back[this]:
                taken_back[this] -= 1
                continue
            if changed is None and this == name:
                changed = event
        since.append((PastEvent(event, at), fees))
    return _Past(start, since[::-1], changed)


def _of_keys(
    past: Iterable[PastEvent], keys: Collection[PositionKey]
) -> Iterator[tuple[MoneyEvent, datetime]]:
    for event, at in past:
        if not isinstance(event, MoneyEvent):
            continue
        if event.positions:
            if any(position.key in keys for position in event.positions):
                yield event, at
        elif isinstance(event, TradeSettled | TradeVoided) and trade_of(event).key in keys:
            yield event, at


def _run(found: _Past, changed: Event | None, fees: Fees | None) -> Positions:
    """The positions from the start on: with the changed trade charged `fees`, or left out."""
    newest = {key: position for key, position in found.start.items() if position is not None}
    positions = {(key, position.number): position for key, position in newest.items()}
    for (event, at), known_fees in found.since:
        if event is changed and fees is None:
            continue
        told = fees if event is changed else known_fees
        for position in _after(newest, event, at, told):
            newest[position.key] = position
            positions[position.key, position.number] = position
    return positions


def _after(
    newest: Mapping[PositionKey, Position], event: Event, at: datetime, fees: Fees | None
) -> Iterable[Position]:
    """The positions that an event makes."""
    match event:
        case TradeSettled():
            trade = trade_of(event, at)
            if fees is not None:
                trade = replace(trade, fees=dict(fees))
            return rules.trade(newest.get(trade.key), trade)
        case LeverageSet():
            return [
                replace(position, margin_rate=event.margin_rate)
                for position in newest.values()
                if position.instrument == event.instrument and position.is_open
            ]
        case CorporateActionRecorded():
            return corporate_actions.followed(newest, event, at)
        case _:
            raise HistoryDiffers(f"{event.type} changed a position, and it is not known how")


def _check(current: Mapping[PositionKey, Position | None], before: Positions) -> None:
    for key, told in current.items():
        reckoned = rules.newest(p for p in before.values() if p.key == key)
        if _numbers(told) != _numbers(reckoned):
            raise HistoryDiffers(f"the position {key.text} is {told}; its events say {reckoned}")


def _numbers(position: Position | None) -> Position | None:
    """All but times, which a log from before positions does not tell."""
    return None if position is None else replace(position, opened_at=None, closed_at=None)


def _changed(before: Positions, after: Positions) -> Reckoned:
    changed = {place: p for place, p in after.items() if p != before.get(place)}
    for place, position in before.items():
        if place in after:
            continue
        changed[place] = replace(position, withdrawn=True)
        newest = rules.newest(p for p in after.values() if p.key == position.key)
        if newest is not None:  # it goes on again
            changed[newest.key, newest.number] = newest
    realized = _realized(after) - _realized(before)
    return Reckoned(tuple(changed[place] for place in sorted(changed)), realized)


def _realized(positions: Positions) -> Decimal:
    return sum((position.realized_pnl for position in positions.values()), ZERO)
