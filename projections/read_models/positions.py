"""`positions`: what every account holds, at which price, and what it made.
`round_trips`: those that are over, from flat to flat.

Events tell what a position is after them, whole, so a row is written over and never added up. Of a
log older than positions the same rules tell it. A trade that is taken back is left out and what
came after it is gone through again (`rows.earlier`): rows of numbers that there never were go.

    mark        the price by the rule of ledger/nouns/prices/price.py: of what was told of the
                instrument and of the position's own last trade; so a price changes the rows of who
                is open in that instrument, and no others
    commission  what was paid in the settlement asset, and what was paid in others at their price
                then; what had none is named in `unvalued_commissions` and in no sum
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import (
    MONEY_EVENTS,
    FundsHeld,
    FundsReleased,
    MoneyEvent,
    TradeSettled,
    TradeVoided,
)
from ledger.nouns.instruments.contract import InstrumentKind, share
from ledger.nouns.instruments.events import InstrumentListed, InstrumentUpdated
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions import restatement, rules
from ledger.nouns.positions.position import Position, PositionKey, position_id
from ledger.nouns.positions.round_trip import TripSums, slippage
from ledger.nouns.positions.trades import trade_of
from ledger.nouns.prices.events import PricesRecorded
from ledger.nouns.prices.price import Price, Quote
from projections.engine.live.rows import RowSet
from projections.engine.projection import Fold, Key, Projection, Recorded, Row, Table
from projections.markets import OWN_TRADE, QuotedMarket, market, newest_price, tell, value_at
from projections.questions.question import (
    Filter,
    Past,
    Question,
    between,
    exactly,
    newest_first,
)

if TYPE_CHECKING:
    from projections.settings import ProjectionSettings


class PositionStatus(StrEnum):
    OPEN = "OPEN"
    CLOSED = "CLOSED"


class AccountPosition(Row):
    position_id: UUID
    account_id: UUID
    user_id: UUID | None
    sub_account: str
    instrument: str
    position_side: PositionSide
    number: int
    side: PositionSide
    quantity: Decimal
    average_entry_price: Decimal | None
    cost: Decimal
    settlement_asset: str
    realized_pnl: Decimal
    commission: Decimal
    valued_commissions: dict[str, Decimal]
    unvalued_commissions: dict[str, Decimal]
    funding: Decimal
    net_pnl: Decimal
    unrealized_pnl: Decimal | None
    mark_price: Decimal | None
    mark_kind: str | None
    mark_time: datetime | None
    status: PositionStatus
    opened_at: datetime
    closed_at: datetime | None
    updated_at: datetime
    last_position: int


class RoundTrip(Row):
    position_id: UUID
    account_id: UUID
    user_id: UUID | None
    sub_account: str
    instrument: str
    number: int
    side: PositionSide
    settlement_asset: str
    opened_at: datetime
    closed_at: datetime
    duration_seconds: Decimal
    largest_quantity: Decimal
    entry_quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    gross_pnl: Decimal
    commission: Decimal
    unvalued_commissions: dict[str, Decimal]
    funding: Decimal
    net_pnl: Decimal
    best_unrealized_pnl: Decimal
    worst_unrealized_pnl: Decimal
    slippage: Decimal | None
    close_reason: str | None
    signal_id: str | None
    updated_at: datetime
    last_position: int


class PositionSlot(Row):
    """Where positions follow each other: the newest one, and what its rows are made of. `traded` is
    its own last trade; `valued` and `unvalued` are commissions in other assets, by asset: what they
    were worth, or how much they are."""

    account_id: UUID
    slot: str
    user_id: UUID | None
    position: Position
    opened_at: datetime
    sums: TripSums
    traded: Quote | None
    valued: dict[str, Decimal]
    unvalued: dict[str, Decimal]
    updated_at: datetime
    last_position: int


class Holders(Row):
    """Whose positions in an instrument are open: the slots of each account."""

    instrument: str
    open: dict[UUID, list[str]]


POSITIONS = Table("positions", AccountPosition, key=("position_id",))
ROUND_TRIPS = Table("round_trips", RoundTrip, key=("position_id",))
MARKETS = Table("position_markets", QuotedMarket, key=("instrument",), private=True, resident=True)
HOLDERS = Table("position_holders", Holders, key=("instrument",), private=True, resident=True)
SLOTS = Table(
    "position_slots", PositionSlot, key=("account_id", "slot"), private=True, resident=True
)


# --- folds ------------------------------------------------------------------------------


def projection(settings: "ProjectionSettings") -> Projection:
    """With the age from which a price is stale as it is set."""
    return positions(timedelta(seconds=settings.price_max_age_seconds))


def positions(max_age: timedelta) -> Projection:
    """The projection with prices that are stale from this age on."""

    def moved(recorded: Recorded, event: MoneyEvent, rows: RowSet) -> None:
        for position in _positions_of(recorded, event, rows):
            _follow(recorded, event, position, rows, max_age)

    def taken_back(recorded: Recorded, event: TradeVoided, rows: RowSet) -> None:
        _take_back(recorded, event, rows, max_age)

    def priced(_: Recorded, event: PricesRecorded, rows: RowSet) -> None:
        for instrument in event.prices:
            tell(market(rows[MARKETS], instrument), event)
            holders = rows[HOLDERS].find(instrument)
            for account_id, slots in () if holders is None else holders.open.items():
                for text in slots:
                    slot = rows[SLOTS].change((account_id, text))
                    assert slot is not None
                    _see(slot, rows, max_age)

    def finish(rows: RowSet) -> None:
        """An open position is shown as it is at the end of a batch."""
        for slot in rows[SLOTS].touched():
            if slot.position.is_open:
                _show(slot, rows, max_age)

    folds: dict[type[Event], Fold] = {
        InstrumentListed: _listed,
        InstrumentUpdated: _listed,
        PricesRecorded: priced,
    }
    holds = (FundsHeld, FundsReleased)
    moving = [event for event in MONEY_EVENTS if event not in holds]
    return Projection(
        name="positions",
        version=2,
        tables=(POSITIONS, ROUND_TRIPS, SLOTS, MARKETS, HOLDERS),
        folds=folds | dict.fromkeys(moving, moved) | {TradeVoided: taken_back},
        keys=_keys,
        finish=finish,
    )


def _listed(_: Recorded, event: InstrumentListed | InstrumentUpdated, rows: RowSet) -> None:
    row = market(rows[MARKETS], event.instrument)
    row.base_asset, row.quote_asset, row.kind = event.base_asset, event.quote_asset, event.kind


def _positions_of(recorded: Recorded, event: MoneyEvent, rows: RowSet) -> tuple[Position, ...]:
    if not isinstance(event, TradeSettled):
        return event.positions
    if event.positions and event.positions[0].number > 1:
        return event.positions  # the market is known from the first
    _know_market(recorded, event, rows)
    if event.positions:
        return event.positions
    trade = trade_of(event, recorded.occurred_at)  # of a log older than positions
    slot = rows[SLOTS].find((recorded.stream_id, trade.key.text))
    return rules.trade(None if slot is None else slot.position, trade)


def _know_market(recorded: Recorded, event: TradeSettled, rows: RowSet) -> None:
    """What is exchanged in an instrument that nobody listed."""
    known = rows[MARKETS].find(event.instrument)
    if known is not None and known.base_asset is not None:
        return
    trade = trade_of(event, recorded.occurred_at)
    if trade.base_asset is not None:
        row = market(rows[MARKETS], event.instrument)
        row.base_asset, row.quote_asset = trade.base_asset, trade.settlement_asset
        row.kind = InstrumentKind.SPOT  # of others a trade does not tell the base asset


def _follow(
    recorded: Recorded, event: MoneyEvent, position: Position, rows: RowSet, max_age: timedelta
) -> None:
    """An event has made this of a position."""
    key = (recorded.stream_id, position.key.text)
    slot = rows[SLOTS].change(key)
    if slot is not None and position.number < slot.position.number:
        _change_earlier(recorded, position, rows)
        return
    before = None if slot is None else slot.position
    if slot is None or before is None or before.number != position.number:
        before = None
        slot = _begun(recorded, position)
        rows[SLOTS].put(slot)
    if position.other_commissions or slot.valued or slot.unvalued:
        _value_commissions(recorded, slot, before, position, rows, max_age)
    _step(recorded, event, slot, before, position)
    if before is None or before.is_open != position.is_open:
        _hold(slot, rows, is_open=position.is_open)
    if not position.is_open:
        _show(slot, rows, max_age)
        trip = _round_trip(slot, recorded.occurred_at)
        if before is None or before.is_open:
            rows[ROUND_TRIPS].insert(trip)
        else:
            rows[ROUND_TRIPS].put(trip)


def _change_earlier(recorded: Recorded, position: Position, rows: RowSet) -> None:
    """What was told late of a position after which others came: funding, another fee."""
    which = position_id(recorded.stream_id, position.key, position.number)
    row, trip = rows[POSITIONS].change(which), rows[ROUND_TRIPS].change(which)
    if row is not None:
        others = position.other_commissions
        row.valued_commissions = {
            asset: value for asset, value in row.valued_commissions.items() if asset in others
        }
        row.unvalued_commissions = {
            asset: amount for asset, amount in others.items() if asset not in row.valued_commissions
        }
        row.realized_pnl = position.realized_pnl
        row.commission = position.commission + sum(row.valued_commissions.values(), ZERO)
        row.funding = position.funding
        row.net_pnl = row.realized_pnl - row.commission + row.funding
        row.updated_at, row.last_position = recorded.recorded_at, recorded.position
        if trip is not None:
            trip.gross_pnl, trip.commission = row.realized_pnl, row.commission
            trip.unvalued_commissions = row.unvalued_commissions
            trip.funding, trip.net_pnl = row.funding, row.net_pnl
            trip.updated_at, trip.last_position = row.updated_at, row.last_position


# --- slots ------------------------------------------------------------------------------


def _begun(recorded: Recorded, position: Position) -> PositionSlot:
    return PositionSlot(
        recorded.stream_id,
        position.key.text,
        recorded.user_id,
        position,
        position.opened_at or recorded.occurred_at,
        TripSums(is_long=position.quantity > 0),
        None,
        {},
        {},
        recorded.recorded_at,
        recorded.position,
    )


def _step(
    recorded: Recorded,
    event: MoneyEvent,
    slot: PositionSlot,
    before: Position | None,
    position: Position,
) -> None:
    """The position goes on; `before` is None when it begins."""
    if isinstance(event, TradeSettled):
        slot.traded = _own_trade(event, recorded.occurred_at)
        for one in (before, position):
            unrealized = None if one is None else _unrealized(one, event.last_px)
            if unrealized is not None:
                slot.sums.see(unrealized)
        slot.sums.trade(before, position, event, _slipped(event, before, position))
    slot.sums.follow(before, position)
    slot.position = position
    slot.updated_at, slot.last_position = recorded.recorded_at, recorded.position


def _slipped(event: TradeSettled, before: Position | None, after: Position) -> Decimal | None:
    """The part of a trade's slippage that is this position's: one that turns it round is two's."""
    whole = slippage(after, event)
    if whole is None or len(event.positions) < 2:
        return whole
    moved = abs(after.quantity) - (ZERO if before is None else abs(before.quantity))
    return share(whole, abs(moved), event.last_qty)


def _value_commissions(
    recorded: Recorded,
    slot: PositionSlot,
    before: Position | None,
    position: Position,
    rows: RowSet,
    max_age: timedelta,
) -> None:
    """What was paid in other assets, at its price when it was paid."""

    def trade_in(instrument: str) -> Quote | None:
        of_this = PositionKey(position.sub_account, instrument).text
        traded = rows[SLOTS].find((slot.account_id, of_this))
        return None if traded is None else traded.traded

    paid = {} if before is None else before.other_commissions
    for asset in {*paid, *position.other_commissions}:
        amount = position.other_commissions.get(asset, ZERO)
        more = amount - paid.get(asset, ZERO)
        if not more:
            continue
        if not amount:  # it was charged in another asset after all
            slot.valued.pop(asset, None)
            slot.unvalued.pop(asset, None)
            continue
        value = value_at(
            rows[MARKETS],
            more,
            asset,
            position.settlement_asset,
            trade_in=trade_in,
            moment=recorded.occurred_at,
            max_age=max_age,
        )
        if value is None:
            slot.unvalued[asset] = slot.unvalued.get(asset, ZERO) + more
        else:
            slot.valued[asset] = slot.valued.get(asset, ZERO) + value


def _hold(slot: PositionSlot, rows: RowSet, *, is_open: bool) -> None:
    """Keeps who is open in the instrument."""
    instrument = slot.position.instrument
    holders = rows[HOLDERS].find(instrument)
    slots = () if holders is None else holders.open.get(slot.account_id, ())
    if is_open == (slot.slot in slots):
        return
    holders = rows[HOLDERS].change(instrument)
    if holders is None:
        holders = Holders(instrument, {})
        rows[HOLDERS].insert(holders)
    if is_open:
        holders.open[slot.account_id] = [*slots, slot.slot]
        return
    holders.open[slot.account_id] = [one for one in slots if one != slot.slot]
    if not holders.open[slot.account_id]:
        del holders.open[slot.account_id]


def _own_trade(event: TradeSettled, at: datetime) -> Quote:
    return Quote(event.last_px, at, OWN_TRADE)


# --- what is shown ----------------------------------------------------------------------


def _mark(slot: PositionSlot, rows: RowSet, max_age: timedelta) -> Price | None:
    known = rows[MARKETS].find(slot.position.instrument)
    return newest_price(known, slot.traded, slot.position.instrument, max_age)


def _see(slot: PositionSlot, rows: RowSet, max_age: timedelta) -> None:
    """A price was told of what is held."""
    mark = _mark(slot, rows, max_age)
    unrealized = None if mark is None else _unrealized(slot.position, mark.price)
    if unrealized is not None:
        slot.sums.see(unrealized)


def _show(slot: PositionSlot, rows: RowSet, max_age: timedelta) -> None:
    """Writes the row of the slot's position, at the price of now."""
    position = slot.position
    mark = _mark(slot, rows, max_age) if position.is_open else None
    unrealized = None if mark is None else _unrealized(position, mark.price)
    commission = position.commission + sum(slot.valued.values(), ZERO)
    rows[POSITIONS].put(
        AccountPosition(
            position_id(slot.account_id, position.key, position.number),
            slot.account_id,
            slot.user_id,
            position.sub_account,
            position.instrument,
            position.position_side,
            position.number,
            PositionSide.LONG if slot.sums.is_long else PositionSide.SHORT,
            position.quantity,
            position.average_entry_price,
            position.cost,
            position.settlement_asset,
            position.realized_pnl,
            commission,
            dict(slot.valued),
            dict(slot.unvalued),
            position.funding,
            position.realized_pnl - commission + position.funding,
            unrealized if position.is_open else ZERO,
            None if mark is None else mark.price,
            None if mark is None else OWN_TRADE if mark.kind is None else mark.kind.value,
            None if mark is None else mark.time,
            PositionStatus.OPEN if position.is_open else PositionStatus.CLOSED,
            slot.opened_at,
            position.closed_at,
            slot.updated_at,
            slot.last_position,
        )
    )


def _unrealized(position: Position, price: Decimal) -> Decimal | None:
    """None at a price at which an inverse contract has no value."""
    inverse = position.contract is not None and position.contract.inverse
    return None if inverse and not price else position.unrealized_pnl(price)


def _round_trip(slot: PositionSlot, at: datetime) -> RoundTrip:
    position, sums = slot.position, slot.sums
    closed_at = position.closed_at or at
    commission = position.commission + sum(slot.valued.values(), ZERO)
    return RoundTrip(
        position_id(slot.account_id, position.key, position.number),
        slot.account_id,
        slot.user_id,
        position.sub_account,
        position.instrument,
        position.number,
        PositionSide.LONG if sums.is_long else PositionSide.SHORT,
        position.settlement_asset,
        slot.opened_at,
        closed_at,
        _seconds(closed_at - slot.opened_at),
        sums.largest,
        sums.entry_quantity,
        sums.entry_price(position),
        sums.exit_price(position),
        position.realized_pnl,
        commission,
        dict(slot.unvalued),
        position.funding,
        position.realized_pnl - commission + position.funding,
        sums.best,
        sums.worst,
        sums.slippage,
        sums.close_reason,
        sums.signal_id,
        slot.updated_at,
        slot.last_position,
    )


def _seconds(duration: timedelta) -> Decimal:
    """Negative where the venue's clock went back between the two."""
    return Decimal(duration // timedelta(microseconds=1)).scaleb(-6)


# --- taking back ------------------------------------------------------------------------


def _take_back(recorded: Recorded, event: TradeVoided, rows: RowSet, max_age: timedelta) -> None:
    """The rows of the account's positions without a trade: those that are others, anew."""
    earlier = rows.earlier(recorded)
    before = _run(restatement.standing(earlier))
    after = _run(restatement.standing([*earlier, (recorded, event)]))
    newest = {again.position.key: again for again in after.values()}
    for place in before.keys() - after.keys():
        gone = position_id(recorded.stream_id, *place)
        rows[POSITIONS].remove(gone)
        rows[ROUND_TRIPS].remove(gone)
    changed = {place for place, again in after.items() if _differs(before.get(place), again)}
    changed |= {(key, newest[key].position.number) for key, _ in before.keys() - after.keys()
                if key in newest}  # fmt: skip
    for place in changed:
        _rewrite(recorded, event, before.get(place), after[place], rows, max_age)
    for key, again in newest.items():
        if (key, again.position.number) in changed:
            rows[SLOTS].put(again)
            _hold(again, rows, is_open=again.position.is_open)
    for key in {key for key, _ in before} - newest.keys():
        slot = rows[SLOTS].find((recorded.stream_id, key.text))
        if slot is not None:
            _hold(slot, rows, is_open=False)
            rows[SLOTS].remove((recorded.stream_id, key.text))


def _differs(before: PositionSlot | None, again: PositionSlot) -> bool:
    return before is None or before.position != again.position


def _rewrite(
    recorded: Recorded,
    event: TradeVoided,
    before: PositionSlot | None,
    again: PositionSlot,
    rows: RowSet,
    max_age: timedelta,
) -> None:
    key, number = again.position.key, again.position.number
    again.updated_at, again.last_position = recorded.recorded_at, recorded.position
    if before is not None:
        slot = rows[SLOTS].find((recorded.stream_id, key.text))
        again.valued, again.unvalued = _values(again, before, slot, event, rows)
    else:
        again.unvalued = dict(again.position.other_commissions)
    _show(again, rows, max_age)
    if not again.position.is_open:
        rows[ROUND_TRIPS].put(_round_trip(again, recorded.occurred_at))
    elif before is not None and not before.position.is_open:
        rows[ROUND_TRIPS].remove(position_id(recorded.stream_id, key, number))


def _run(
    told: Iterable[tuple[Recorded, Event]],
) -> dict[tuple[PositionKey, int], PositionSlot]:
    """The positions of an account that events make, by key and number."""
    slots: dict[tuple[PositionKey, int], PositionSlot] = {}
    for recorded, event in restatement.retold(told):
        assert isinstance(event, MoneyEvent)
        for position in event.positions:
            place = (position.key, position.number)
            slot = slots.get(place)
            before = None if slot is None else slot.position
            if slot is None:
                slot = slots[place] = _begun(recorded, position)
            _step(recorded, event, slot, before, position)
    return slots


def _values(
    again: PositionSlot, then: PositionSlot, slot: PositionSlot | None, event: TradeVoided,
    rows: RowSet,
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:  # fmt: skip
    """What commissions in other assets were worth, of those that are left: as much of it as of the
    commissions. What is not known any more is named as unvalued."""
    known = None
    if slot is not None and slot.position.number == then.position.number:
        known = (slot.valued, slot.unvalued)
    elif event.positions:
        which = position_id(again.account_id, again.position.key, again.position.number)
        row = rows[POSITIONS].find(which)
        known = None if row is None else (row.valued_commissions, row.unvalued_commissions)
    left = again.position.other_commissions
    if known is None:
        return {}, dict(left)
    paid = then.position.other_commissions
    valued, unvalued = (
        {
            asset: share(of_asset[asset], amount, paid[asset])
            for asset, amount in left.items()
            if of_asset.get(asset) and paid.get(asset)
        }
        for of_asset in known
    )
    return valued, unvalued


def _keys(recorded: Recorded, event: Event) -> Iterator[tuple[Table[Any], Key]]:
    if not isinstance(event, MoneyEvent):
        return
    if isinstance(event, TradeSettled):
        return  # it makes the newest of its key, which is in a slot
    for position in event.positions:
        which = position_id(recorded.stream_id, position.key, position.number)
        yield POSITIONS, which
        yield ROUND_TRIPS, which


# --- questions --------------------------------------------------------------------------

_STRATEGY = Filter("strategy_id", "sub_account")
"""A strategy trades in the sub-account of its name."""

QUESTIONS = (
    Question(
        name="positions",
        table=POSITIONS,
        about="What an account holds and has held, at which price, and what it made; newest first.",
        paths=(
            newest_first("account_id", "opened_at", "position_id"),
            newest_first("user_id", "opened_at", "position_id"),
        ),
        filters=(
            exactly("instrument"),
            exactly("sub_account"),
            _STRATEGY,
            exactly("side"),
            exactly("status"),
            *between("opened_at"),
        ),
        shown=(
            *("instrument", "quantity", "average_entry_price", "mark_price"),
            *("unrealized_pnl", "net_pnl", "sub_account"),
        ),
        past=Past("projections.past.positions:positions_at"),
    ),
    Question(
        name="round_trips",
        table=ROUND_TRIPS,
        read_model="positions",
        about="Positions that are over, from flat to flat, and what each made; newest first.",
        paths=(
            newest_first("account_id", "closed_at", "position_id"),
            newest_first("user_id", "closed_at", "position_id"),
        ),
        filters=(
            exactly("instrument"),
            exactly("sub_account"),
            _STRATEGY,
            exactly("side"),
            *between("closed_at"),
        ),
        shown=(
            *("closed_at", "instrument", "side", "largest_quantity", "entry_price"),
            *("exit_price", "net_pnl"),
        ),
        past=Past("projections.past.positions:round_trips_at"),
    ),
)
