"""Positions: reckoned anew where something in their past is not as it was told.

A trade that is taken back is taken out: what follows it is gone through again without it, by the
same rules, and never an inverse trade, which would leave another average and another number. What a
trade was charged, told later, is put in its place likewise. It is read backwards, from the newest
event to the trade in question and on to the first event before it that tells what the position was
then: what a trade of yesterday costs is yesterday's events.

    without()      the positions as they are without a trade
    recharged()    the positions as they are if a trade had been charged otherwise
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from ledger.kernel.errors import LedgerError
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts.events import (
    CashFlowRecorded,
    CommissionCorrected,
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
    `realized_pnl` is how much more is realised in all, `held` how much more is held of each
    instrument: after it was renamed, that is of its new name."""

    positions: tuple[Position, ...]
    realized_pnl: Decimal
    held: dict[str, Decimal]


class _Step(NamedTuple):
    """An event to go through again; `fees` are those of a trade that were corrected later."""

    event: MoneyEvent
    at: datetime
    fees: Fees | None = None


class _Past(NamedTuple):
    """From where on all is gone through again: the newest of each key at that point; the events
    since, oldest first, of trades those that stand; and the place of the trade in question among
    them."""

    start: dict[PositionKey, Position | None]
    since: list[_Step]
    place: int

    def but(self, *instead: _Step) -> list[_Step]:
        """The events with others in place of the trade in question."""
        return [*self.since[: self.place], *instead, *self.since[self.place + 1 :]]


def without(
    past: Iterable[PastEvent],
    current: Mapping[PositionKey, Position | None],
    name: TradeName,
) -> Reckoned:
    """The positions as if the trade had never been. `past` are the events about its instrument,
    newest first; `current` are those that they have led to: of its key, and of the keys that this
    was renamed to."""
    found = _back_to(past, current, name)
    return _reckoned(found, found.but(), current)


def recharged(
    past: Iterable[PastEvent],
    current: Mapping[PositionKey, Position | None],
    name: TradeName,
    fees: Fees,
) -> Reckoned:
    """The positions as if the trade had been charged this."""
    found = _back_to(past, current, name)
    step = found.since[found.place]
    return _reckoned(found, found.but(step._replace(fees=fees)), current)


def _reckoned(
    found: _Past, steps: list[_Step], current: Mapping[PositionKey, Position | None]
) -> Reckoned:
    before = _run(found.start, found.since)
    after = _run(found.start, steps)
    _check(current, before)
    return _changed(before, after)


def _back_to(past: Iterable[PastEvent], keys: Collection[PositionKey], name: TradeName) -> _Past:
    """As far back as it takes: to the trade, to those that were taken back or charged otherwise
    after it, and on to what was before all of them."""
    taken_back: dict[TradeName, int] = defaultdict(int)
    charged: dict[TradeName, Fees] = {}
    since: list[_Step] = []
    start: dict[PositionKey, Position | None] = {}
    place: int | None = None
    for event, at in _of_keys(past, keys):
        if place is not None and event.positions and not charged and not any(taken_back.values()):
            _begin_with(start, event, keys)
            if len(start) == len(keys):
                break
            continue
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
                if place is None and this == name:
                    place = len(since)
                since.append(_Step(event, at, corrected))
            case _:
                since.append(_Step(event, at))
    if place is None:
        raise HistoryDiffers(f"no event has settled the trade {name.trade_id!r}")
    return _Past(start, since[::-1], len(since) - 1 - place)


def _begin_with(
    start: dict[PositionKey, Position | None], event: MoneyEvent, keys: Collection[PositionKey]
) -> None:
    """What an event tells of the keys is what they begin with, unless a later one told it."""
    for key in keys:
        if key not in start and any(position.key == key for position in event.positions):
            start[key] = rules.newest(p for p in event.positions if p.key == key)


def _of_keys(
    past: Iterable[PastEvent], keys: Collection[PositionKey]
) -> Iterator[tuple[MoneyEvent, datetime]]:
    for event, at in past:
        if isinstance(event, MoneyEvent) and _is_of(event, keys):
            yield event, at


def _is_of(event: MoneyEvent, keys: Collection[PositionKey]) -> bool:
    """Whether an event is about one of the keys: also when there was nothing that it could change.
    Without the trade in question there might have been."""
    match event:
        case CorporateActionRecorded() | LeverageSet():
            return any(key.instrument == event.instrument for key in keys)
        case TradeSettled() | TradeVoided() if not event.positions:
            return trade_of(event).key in keys
        case _:
            return any(position.key in keys for position in event.positions)


def _run(start: Mapping[PositionKey, Position | None], steps: Iterable[_Step]) -> Positions:
    """The positions from the start on."""
    newest = {key: position for key, position in start.items() if position is not None}
    positions = {(key, position.number): position for key, position in newest.items()}
    for step in steps:
        for position in _after(newest, step):
            newest[position.key] = positions[position.key, position.number] = position
    return positions


def made_by(
    newest: Mapping[PositionKey, Position], event: MoneyEvent, at: datetime
) -> tuple[Position, ...]:
    """The positions that an event makes of the newest ones."""
    return tuple(_after(newest, _Step(event, at)))


def _after(newest: Mapping[PositionKey, Position], step: _Step) -> Iterable[Position]:
    """The positions that an event makes."""
    event, at, fees = step
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
        case CorporateActionRecorded() if event.conflicts:
            return ()
        case CashFlowRecorded():
            funded = [newest[p.key] for p in event.positions if p.key in newest]
            return [rules.fund(position, event.asset, event.amount) for position in funded]
        case CorporateActionRecorded():
            return list(corporate_actions.followed(newest, event, at))
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
        if place not in after:
            changed[place] = replace(position, withdrawn=True)
    for key in {key for key, _ in changed}:
        # Also where it is the same: who goes back to this event has to know where the key was.
        newest = rules.newest(p for p in after.values() if p.key == key)
        if newest is not None:
            changed[key, newest.number] = newest
    positions = tuple(changed[place] for place in sorted(changed))
    won = rules.realized(after.values()) - rules.realized(before.values())
    held: dict[str, Decimal] = defaultdict(Decimal)
    for sign, told in ((1, after), (-1, before)):
        for position in told.values():
            held[position.instrument] += sign * position.quantity
    return Reckoned(positions, won, {name: more for name, more in held.items() if more})
