"""What is known of an account between its events: its books, its positions, what it made so far.

    books      what each sub-account has of an asset, and how much of it is locked
    positions  the newest of each key, as the events tell it (a row each)
    totals     realised profit, commissions, funding and external flows since the account began,
               each at its value when it happened. Differences of positions are added up, so what is
               told late of an earlier position, or taken back, counts once
    unseen     what was traded since performance was last looked at: most events change nothing
               of a curve but this, and so none of its rows

What has no value when it happens: a flow waits, and counts at its value when its asset has the
first one, so that a price that comes late is no profit; a cost is named in `unvalued`, and in no
sum.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import (
    EXTERNAL,
    AccountOpened,
    CashFlowKind,
    CashFlowRecorded,
    CommissionCorrected,
    MoneyEvent,
    OrderMoney,
    OuterMovement,
    Reason,
    TradeSettled,
    TradeVoided,
    is_own_book,
)
from ledger.nouns.positions import restatement, rules
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.positions.trades import trade_of
from ledger.nouns.prices.price import Quote
from projections.engine.live.rows import RowSet
from projections.engine.projection import Recorded, Row, Table
from projections.markets import OWN_TRADE
from projections.portfolio.performance import UnseenTrades

_BETWEEN_BOOKS = frozenset(
    {
        *(Reason.DEPOSIT, Reason.WITHDRAWAL, Reason.ADJUSTMENT),
        *(Reason.TRANSFER, Reason.REBALANCE),
    }
)
"""Why money comes to a sub-account, or leaves it, that it has neither won nor lost."""
_CHARGES = (CashFlowKind.FEE, CashFlowKind.REBATE, CashFlowKind.LIQUIDATION_FEE)
_TRANSIT = "transit:"


WHOLE = ""
"""In place of a strategy: the account."""


class Totals(msgspec.Struct):
    """See the module's text: in the account's currency, but for what waits and what has no value,
    which is by asset."""

    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    funding: Decimal = ZERO
    flows: Decimal = ZERO
    waiting: dict[str, Decimal] = {}
    unvalued: dict[str, Decimal] = {}
    strategy_flows: dict[str, Decimal] = {}
    strategy_waiting: dict[str, dict[str, Decimal]] = {}


class Portfolio(Row):
    """An account. `open` are the slots of its open positions, `trades` its own last trades by
    instrument, `newest` the latest time of what happened to it."""

    account_id: UUID
    user_id: UUID
    exchange: str
    environment: str
    base_currency: str
    books: dict[str, dict[str, list[Decimal]]]
    open: list[str]
    trades: dict[str, Quote]
    totals: Totals
    newest: datetime
    shows: bool
    """Whether there was something at its newest snapshot."""
    unseen: dict[str, UnseenTrades]
    """Of the account (WHOLE), and of each of its strategies."""


class PortfolioPosition(Row):
    """The newest position of a key."""

    account_id: UUID
    slot: str
    position: Position


PORTFOLIOS = Table(
    "portfolio_accounts", Portfolio, key=("account_id",), private=True, resident=True
)
POSITIONS = Table(
    "portfolio_positions",
    PortfolioPosition,
    key=("account_id", "slot"),
    private=True,
    resident=True,
)


class MadeOf(msgspec.Struct, frozen=True):
    """What an event has made, by asset: more of it realised, paid, got. `changes` are the positions
    that it changed, each as it was and as it is."""

    realized: Mapping[str, Decimal]
    paid: Mapping[str, Decimal]
    funded: Mapping[str, Decimal]
    changes: Sequence["Change"]


Change = tuple[Position | None, Position | None]


def opened(recorded: Recorded, event: AccountOpened) -> Portfolio:
    return Portfolio(
        recorded.stream_id,
        event.user_id,
        event.exchange,
        event.environment.value,
        event.base_currency,
        {},
        [],
        {},
        Totals(),
        recorded.occurred_at,
        False,
        {},
    )


def flows_of(event: MoneyEvent) -> dict[str, Decimal]:
    """What came from outside the account, by asset; below zero what left. No order brings any."""
    if isinstance(event, OrderMoney):
        return {}
    found: dict[str, Decimal] = {}
    for posting in event.postings:
        if posting.book == EXTERNAL or posting.book.startswith(_TRANSIT):
            found[posting.asset] = found.get(posting.asset, ZERO) - posting.amount
    return {asset: amount for asset, amount in found.items() if amount}


def strategy_flows_of(event: MoneyEvent) -> Iterator[tuple[str, str, Decimal]]:
    """(sub-account, asset, amount) of what was moved to or from one, by no order."""
    if isinstance(event, OrderMoney):
        return
    for posting in event.postings:
        if posting.reason in _BETWEEN_BOOKS and is_own_book(posting.book):
            yield posting.book, posting.asset, posting.amount


def move(portfolio: Portfolio, event: MoneyEvent) -> None:
    """The books after an event. What is nothing any more is not kept."""
    may_be_nothing = []
    for posting in event.postings:
        if is_own_book(posting.book):
            held = _held(portfolio, posting.book, posting.asset)
            held[0] += posting.amount
            if not held[0]:
                may_be_nothing.append((posting.book, posting.asset))
    for hold in event.holds:
        held = _held(portfolio, hold.sub_account, hold.asset)
        held[1] += hold.amount
        if not held[0]:
            may_be_nothing.append((hold.sub_account, hold.asset))
    for book, asset in may_be_nothing:
        _let_go(portfolio, book, asset)


def _held(portfolio: Portfolio, book: str, asset: str) -> list[Decimal]:
    """Total and locked, to be changed."""
    of_book = portfolio.books.get(book)
    if of_book is None:
        of_book = portfolio.books[book] = {}
    held = of_book.get(asset)
    if held is None:
        held = of_book[asset] = [ZERO, ZERO]
    return held


def _let_go(portfolio: Portfolio, book: str, asset: str) -> None:
    of_book = portfolio.books.get(book, {})
    if asset in of_book and not any(of_book[asset]):
        del of_book[asset]
        if not of_book:
            del portfolio.books[book]


def follow(recorded: Recorded, event: MoneyEvent, portfolio: Portfolio, rows: RowSet) -> MadeOf:
    """The positions after an event, and what it has made of them."""
    if isinstance(event, TradeSettled):
        quote = Quote(event.last_px, recorded.occurred_at, OWN_TRADE)
        known = portfolio.trades.get(event.instrument)
        if known is None or quote.time >= known.time:
            portfolio.trades[event.instrument] = quote
    made = _Sums()
    if isinstance(event, TradeVoided):
        _take_back(recorded, event, portfolio, rows, made)
    else:
        for before, after in _changed(recorded, event, portfolio, rows):
            made.add(before, after)
    made.add_others(event)
    return made.taken()


class _Sums:
    """What is made, under way."""

    def __init__(self) -> None:
        self.realized: dict[str, Decimal] = {}
        self.paid: dict[str, Decimal] = {}
        self.funded: dict[str, Decimal] = {}
        self.changes: list[Change] = []

    def add(self, before: Position | None, after: Position | None) -> None:
        """A position has become another."""
        if before == after:
            return
        self.changes.append((before, after))
        if before is not None and after is not None and _differ_in_amounts_alone(before, after):
            self._add_difference(before, after)
            return
        for position, sign in ((before, -1), (after, 1)):
            if position is None or position.withdrawn:
                continue
            asset = position.settlement_asset
            _add(self.realized, asset, sign * position.realized_pnl)
            _add(self.paid, asset, sign * position.commission)
            _add(self.funded, asset, sign * position.funding)
            for other, amount in position.other_commissions.items():
                _add(self.paid, other, sign * amount)

    def _add_difference(self, before: Position, after: Position) -> None:
        """Of a position that goes on, which nearly all do."""
        asset = after.settlement_asset
        _add(self.realized, asset, after.realized_pnl - before.realized_pnl)
        _add(self.paid, asset, after.commission - before.commission)
        _add(self.funded, asset, after.funding - before.funding)

    def add_others(self, event: MoneyEvent) -> None:
        """What belongs to no position."""
        if isinstance(event, CashFlowRecorded) and not event.positions:
            if event.kind in _CHARGES:
                _add(self.paid, event.asset, -event.amount)
            elif event.kind is not CashFlowKind.CONVERSION:
                _add(self.funded, event.asset, event.amount)
        elif isinstance(event, OuterMovement) or (
            isinstance(event, CommissionCorrected) and not event.positions
        ):
            for posting in event.postings:
                if posting.reason is Reason.FEE and is_own_book(posting.book):
                    _add(self.paid, posting.asset, -posting.amount)

    def taken(self) -> MadeOf:
        return MadeOf(_some(self.realized), _some(self.paid), _some(self.funded), self.changes)


def _differ_in_amounts_alone(before: Position, after: Position) -> bool:
    others = before.other_commissions or after.other_commissions
    withdrawn = before.withdrawn or after.withdrawn
    return not others and not withdrawn and before.settlement_asset == after.settlement_asset


def _add(sums: dict[str, Decimal], asset: str, amount: Decimal) -> None:
    if amount:
        sums[asset] = sums.get(asset, ZERO) + amount


def _some(sums: dict[str, Decimal]) -> dict[str, Decimal]:
    return {asset: amount for asset, amount in sums.items() if amount}


def _changed(
    recorded: Recorded, event: MoneyEvent, portfolio: Portfolio, rows: RowSet
) -> Iterator[tuple[Position | None, Position]]:
    """Each position that an event changed, as it was and as it is."""
    for after in _positions_of(recorded, event, rows):
        slot = after.key.text
        row = rows[POSITIONS].change((recorded.stream_id, slot))
        if row is None:
            rows[POSITIONS].insert(PortfolioPosition(recorded.stream_id, slot, after))
            _note(portfolio, after, slot)
            yield None, after
            continue
        newest = row.position
        if after.number < newest.number:
            yield _told_before(recorded, after, rows), after
            continue
        row.position = after
        _note(portfolio, after, slot)
        yield newest if newest.number == after.number else None, after


def _positions_of(recorded: Recorded, event: MoneyEvent, rows: RowSet) -> tuple[Position, ...]:
    if event.positions or not isinstance(event, TradeSettled):
        return event.positions
    trade = trade_of(event, recorded.occurred_at)  # of a log older than positions
    row = rows[POSITIONS].find((recorded.stream_id, trade.key.text))
    return rules.trade(None if row is None else row.position, trade)


def _told_before(recorded: Recorded, position: Position, rows: RowSet) -> Position | None:
    """What was last told of a position after which others came."""
    found = None
    for _, event in rows.earlier(recorded):
        for one in event.positions if isinstance(event, MoneyEvent) else ():
            if one.key == position.key and one.number == position.number:
                found = one
    return found


def _keep(portfolio: Portfolio, position: Position, rows: RowSet) -> None:
    slot = position.key.text
    row = rows[POSITIONS].change((portfolio.account_id, slot))
    if row is None:
        rows[POSITIONS].insert(PortfolioPosition(portfolio.account_id, slot, position))
    else:
        row.position = position
    _note(portfolio, position, slot)


def _note(portfolio: Portfolio, position: Position, slot: str) -> None:
    """Whether it is open."""
    if position.is_open != (slot in portfolio.open):
        others = [one for one in portfolio.open if one != slot]
        portfolio.open = sorted((*others, slot)) if position.is_open else others


def _take_back(
    recorded: Recorded, event: TradeVoided, portfolio: Portfolio, rows: RowSet, made: _Sums
) -> None:
    """The positions without a trade: all of them reckoned with it and without it."""
    earlier = rows.earlier(recorded)
    before = _all_of(restatement.standing(earlier))
    after = _all_of(restatement.standing([*earlier, (recorded, event)]))
    for place in {*before, *after}:
        made.add(before.get(place), after.get(place))
    newest: dict[PositionKey, Position] = {}
    for (key, number), position in sorted(after.items(), key=lambda one: one[0][1]):
        newest[key] = position
        assert number == position.number
    for position in newest.values():
        _keep(portfolio, position, rows)
    for key in {key for key, _ in before} - newest.keys():
        rows[POSITIONS].remove((portfolio.account_id, key.text))
        portfolio.open = [one for one in portfolio.open if one != key.text]


def _all_of(
    told: Iterable[tuple[Recorded, Event]],
) -> dict[tuple[PositionKey, int], Position]:
    found: dict[tuple[PositionKey, int], Position] = {}
    for _, event in restatement.retold(told):
        for position in event.positions if isinstance(event, MoneyEvent) else ():
            found[position.key, position.number] = position
    return found
