"""Positions: what happens to them, whole. Pure and exact.

    trade      opens, adds, closes a part or all, or turns round: then two parts, close and open
    fund       funding, dividends, interest: what comes or goes because of holding it
    split      n for m

Average cost: an open position carries its cost, not an average. Closing a part takes
cost x part / whole, rounded half to even to 18 places; closing all takes the rest. So flat means
cost exactly 0, and what was realised sums to what was paid and got, to the last unit. A trade that
turns a position round is split by quantity in the same manner: the opening part gets the rest.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from ledger.kernel.money import ZERO
from ledger.nouns.instruments.contract import Contract, share
from ledger.nouns.positions.position import Position, PositionKey, gain

_NONE: dict[str, Decimal] = {}


class PositionTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a trade means to a position. `quantity` is signed (negative: sold) and `value` what it
    was traded for, in the settlement asset. `fees` by asset, positive when paid. `base_asset` is
    that of a SPOT instrument, of which a fee makes the position smaller. `margin_rate` is that of
    the order: what a position locks is by the rate that it was last added to."""

    key: PositionKey
    quantity: Decimal
    value: Decimal
    settlement_asset: str
    base_asset: str | None = None
    contract: Contract | None = None
    margin_rate: Decimal | None = None
    fees: dict[str, Decimal] = {}
    at: datetime | None = None


def trade(before: Position | None, trade: PositionTrade) -> tuple[Position, ...]:
    """The positions that a trade makes: one, or two when it turns the position round (the one that
    it closes, and the one that it opens). `before` is the newest, open or closed."""
    fees = dict(trade.fees)
    taken = fees.pop(trade.base_asset, ZERO) if trade.base_asset is not None else ZERO
    made = _traded(before, trade, fees)
    return _taken(made, taken, trade) if taken else made


def _traded(
    before: Position | None, trade: PositionTrade, fees: dict[str, Decimal]
) -> tuple[Position, ...]:
    size = abs(trade.quantity)
    if before is None or not before.is_open:
        return (_added(_new(before, trade), trade.quantity, trade.value, fees),)
    if (before.quantity > 0) is (trade.quantity > 0):
        if before.margin_rate != trade.margin_rate:
            before = replace(before, margin_rate=trade.margin_rate)
        return (_added(before, trade.quantity, trade.value, fees),)
    held = abs(before.quantity)
    if size <= held:
        return (_closed(before, size, trade.value, fees, trade.at),)
    value = share(trade.value, held, size)
    parts = {asset: share(fee, held, size) for asset, fee in fees.items()}
    closed = _closed(before, held, value, parts, trade.at)
    rest = {asset: fee - parts[asset] for asset, fee in fees.items()}
    opened = _added(
        _new(closed, trade), trade.quantity + before.quantity, trade.value - value, rest
    )
    return closed, opened


def _new(before: Position | None, trade: PositionTrade) -> Position:
    sub_account, instrument, position_side = trade.key
    return Position(
        sub_account=sub_account,
        instrument=instrument,
        position_side=position_side,
        number=1 if before is None else before.number + 1,
        settlement_asset=trade.settlement_asset,
        contract=trade.contract,
        margin_rate=trade.margin_rate,
        opened_at=trade.at,
    )


def _added(
    position: Position, quantity: Decimal, value: Decimal, fees: dict[str, Decimal]
) -> Position:
    commission, others = _paid(position, fees)
    return replace(
        position,
        quantity=position.quantity + quantity,
        cost=position.cost + value,
        commission=commission,
        other_commissions=others,
    )


def _closed(
    position: Position,
    size: Decimal,
    value: Decimal,
    fees: dict[str, Decimal],
    at: datetime | None,
) -> Position:
    held = abs(position.quantity)
    cost = position.cost if size == held else share(position.cost, size, held)
    commission, others = _paid(position, fees)
    return replace(
        position,
        quantity=position.quantity - size if position.quantity > 0 else position.quantity + size,
        cost=position.cost - cost,
        realized_pnl=position.realized_pnl + gain(position, cost, value),
        commission=commission,
        other_commissions=others,
        closed_at=at if size == held else None,
    )


def _taken(
    made: tuple[Position, ...], amount: Decimal, trade: PositionTrade
) -> tuple[Position, ...]:
    """A fee in the base asset: what is held is less by it, for the same cost. One that takes more
    than is held has lost that cost, and what is missing is a short position that brought
    nothing."""
    *closed, last = made
    left = last.quantity - amount
    if last.is_open and (left > 0) is (last.quantity > 0) and left != 0:
        return (*closed, replace(last, quantity=left))
    if last.is_open:
        last = _closed(last, abs(last.quantity), ZERO, _NONE, trade.at)
    if left == 0:
        return (*closed, last)
    return (*closed, last, _added(_new(last, trade), left, ZERO, _NONE))


def _paid(position: Position, fees: dict[str, Decimal]) -> tuple[Decimal, dict[str, Decimal]]:
    commission, others = position.commission, position.other_commissions
    for asset, fee in fees.items():
        if asset == position.settlement_asset:
            commission += fee
        elif fee:
            others = others | {asset: others.get(asset, ZERO) + fee}
    return commission, others


def fund(position: Position, asset: str, amount: Decimal) -> Position:
    """What holding it brought (negative: cost). It goes to the newest position, also when that is
    closed: venues tell of funding seconds later. In another asset than the settlement asset it
    stands among the commissions, so that nothing is added up that is not one currency."""
    if asset == position.settlement_asset:
        return replace(position, funding=position.funding + amount)
    _, others = _paid(position, {asset: -amount})
    return replace(position, other_commissions=others)


def split(
    position: Position, numerator: int, denominator: int, *, at: datetime | None = None
) -> Position:
    """`numerator` for each `denominator` held; the cost is the same. What is too little to be told
    in 18 places is lost."""
    quantity = share(position.quantity, Decimal(numerator), Decimal(denominator))
    if not quantity:
        return _closed(position, abs(position.quantity), ZERO, _NONE, at)
    return replace(position, quantity=quantity)


def joined(position: Position, moved: Position) -> tuple[Position, ...]:
    """What is held of one instrument, once another one has been renamed to it: the moved quantity
    is added for its cost, or closes as much."""
    return trade(
        position,
        PositionTrade(
            key=position.key,
            quantity=moved.quantity,
            value=moved.cost,
            settlement_asset=position.settlement_asset,
            contract=position.contract,
            margin_rate=position.margin_rate,
            at=moved.opened_at,
        ),
    )


def newest(positions: Iterable[Position], known: Position | None = None) -> Position | None:
    """The one that goes on, of those of one key, when these have been told and `known` before."""
    there = []
    for position in positions:
        if not position.withdrawn:
            there.append(position)
        elif known is not None and known.number >= position.number:
            known = None
    if known is not None:
        there.insert(0, known)
    return max(reversed(there), key=lambda position: position.number, default=None)


def realized(positions: Iterable[Position]) -> Decimal:
    return sum((position.realized_pnl for position in positions), ZERO)
