"""Positions: what a split or another name does to them.

followed    every position of the instrument, n for m; the fraction that was paid for with cash
            is sold for it; under another name the same cost and the same beginning go on
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import CorporateActionRecorded
from ledger.nouns.positions import rules
from ledger.nouns.positions.position import Position, PositionKey


def followed(
    newest: Mapping[PositionKey, Position], event: CorporateActionRecorded, at: datetime
) -> Iterator[Position]:
    """The positions that the action makes of the newest ones."""
    for key, position in sorted(newest.items()):
        if key.instrument == event.instrument and position.is_open:
            yield from _of_one(newest, position, event, at)


def _of_one(
    newest: Mapping[PositionKey, Position],
    position: Position,
    event: CorporateActionRecorded,
    at: datetime,
) -> Iterable[Position]:
    after = rules.split(position, event.numerator, event.denominator, at=at)
    if event.fraction and event.sub_account == position.sub_account and after.is_open:
        after = _without_fraction(after, event.fraction, event.cash_in_lieu or ZERO, at)
    if event.new_instrument is None or not after.is_open:
        return (after,)
    gone = replace(after, quantity=ZERO, cost=ZERO, closed_at=at)
    before = newest.get(after.key._replace(instrument=event.new_instrument))
    return gone, *_under_its_new_name(before, after, event.new_instrument)


def _without_fraction(
    position: Position, fraction: Decimal, cash: Decimal, at: datetime
) -> Position:
    """A position may be less than the balance, of which the fraction is."""
    most = position.quantity
    part = min(fraction, most) if most > 0 else max(fraction, most)
    sold = rules.PositionTrade(
        key=position.key,
        quantity=-part,
        value=cash,
        settlement_asset=position.settlement_asset,
        contract=position.contract,
        at=at,
    )
    return rules.trade(position, sold)[-1]


def _under_its_new_name(
    before: Position | None, moved: Position, name: str
) -> tuple[Position, ...]:
    """It goes on with its cost and its beginning. What it has realised stays where it was."""
    if before is not None and before.is_open:
        return rules.joined(before, moved)
    return (
        replace(
            moved,
            instrument=name,
            number=1 if before is None else before.number + 1,
            realized_pnl=ZERO,
            commission=ZERO,
            other_commissions={},
            funding=ZERO,
        ),
    )
