"""Positions restated: as they would have been told without what was taken back, in whichever order.

    standing    the events of an account that count: no trade that was taken back, nor that deed,
                and trades charged as they were corrected to be
    retold      the same events in the order given, each with the positions that it makes in it, and
                a contract's trade with what is won by it then

Whoever folds events folds these as well: so read models, questions about the past by the venue's
clock, and explanations need no second way to reckon.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar
from uuid import UUID

from msgspec.structs import replace

from ledger.kernel.event import Event
from ledger.nouns.accounts.events import (
    CommissionCorrected,
    CorporateActionRecorded,
    LeverageSet,
    MoneyEvent,
    Posting,
    Reason,
    TradeSettled,
    TradeVoided,
    fees_book,
    is_own_book,
    venue_book,
)
from ledger.nouns.positions import history, rules
from ledger.nouns.positions.position import Position, PositionKey


class Envelope(Protocol):
    """What is known of an event beside its content."""

    @property
    def occurred_at(self) -> datetime: ...


E = TypeVar("E", bound=Envelope)

_MAKERS = (TradeSettled, LeverageSet, CorporateActionRecorded)
"""What makes positions by itself, whatever it made when it was recorded."""


def standing(told: Sequence[tuple[E, Event]]) -> list[tuple[E, Event]]:
    """Those of an account's events, in the order of recording, that count in the end."""
    taken_back: Counter[tuple[UUID, str]] = Counter()
    charged: dict[tuple[UUID, str], CommissionCorrected] = {}
    left: list[tuple[E, Event]] = []
    for recorded, event in reversed(told):
        match event:
            case TradeVoided():
                taken_back[event.order_id, event.trade_id] += 1
            case CommissionCorrected():
                charged.setdefault((event.order_id, event.trade_id), event)
            case TradeSettled():
                name = (event.order_id, event.trade_id)
                corrected = charged.pop(name, None)
                if taken_back[name]:
                    taken_back[name] -= 1
                elif corrected is None:
                    left.append((recorded, event))
                else:
                    left.append((recorded, _charged(event, corrected)))
            case _:
                left.append((recorded, event))
    return left[::-1]


def retold(told: Iterable[tuple[E, Event]]) -> Iterator[tuple[E, Event]]:
    """The events with the positions that they make in this order."""
    newest: dict[PositionKey, Position] = {}
    for recorded, event in told:
        if not isinstance(event, MoneyEvent):
            yield recorded, event
            continue
        made = made_by(newest, event, recorded.occurred_at)
        again = replace(event, positions=made)
        if isinstance(again, TradeSettled) and made and made[0].contract is not None:
            again = _settled(again, newest.get(made[0].key))
        for position in made:
            newest[position.key] = position
        yield recorded, again


def made_by(
    newest: dict[PositionKey, Position], event: MoneyEvent, at: datetime
) -> tuple[Position, ...]:
    """What an event makes of the newest positions."""
    if isinstance(event, CorporateActionRecorded) and event.conflicts:
        return ()
    if not event.positions and not isinstance(event, _MAKERS):
        return ()
    return history.made_by(newest, event, at)


def _settled(event: TradeSettled, before: Position | None) -> TradeSettled:
    """A contract's trade with the money that it moves in this order: what is won by it."""
    made = event.positions
    contract = made[0].contract
    if contract is None or contract.premium_paid:
        return event
    won = rules.realized(made)
    if before is not None and before.number == made[0].number:
        won -= before.realized_pnl
    kept = [posting for posting in event.postings if posting.reason is Reason.FEE]
    venue = venue_book(event.instrument.partition(":")[0])
    legs = ((made[0].sub_account, won), (venue, -won)) if won else ()
    moved = [
        _posting(book, made[0].settlement_asset, leg, Reason.REALIZED_PNL) for book, leg in legs
    ]
    return replace(event, postings=(*moved, *kept))


def _charged(event: TradeSettled, corrected: CommissionCorrected) -> TradeSettled:
    """The trade as if it had been charged this from the beginning."""
    kept = [posting for posting in event.postings if posting.reason is not Reason.FEE]
    books = [posting.book for posting in event.postings if is_own_book(posting.book)]
    own = books[0] if books else corrected.sub_account
    venue = fees_book(event.instrument.partition(":")[0])
    for fee in corrected.fees:
        for book, amount in ((own, -fee.amount), (venue, fee.amount)):
            kept.append(_posting(book, fee.asset, amount, Reason.FEE))
    return replace(event, postings=tuple(kept))


def _posting(book: str, asset: str, amount: Decimal, reason: Reason) -> Posting:
    return Posting(book=book, asset=asset, amount=amount, reason=reason)
