"""What an account won by what it disposed of, lot by lot, by any method: for a tax office.

The account's events are read from the log, what was taken back is left out, and the others are
taken in the order in which they happened, by the venue's clock, not in that in which they were
heard of: the answer is about what happened, as is that of `ledgerctl query gains --effective-at`.
Commissions in third assets are valued at the price that was told of then, or by one's own trade.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg

from ledger.audit.ask.events import EventCriteria, find
from ledger.eventstore import reader, repairs
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.events import AccountOpened, TradeSettled
from ledger.nouns.instruments.contract import InstrumentKind
from ledger.nouns.instruments.events import InstrumentListed, InstrumentUpdated
from ledger.nouns.positions import restatement
from ledger.nouns.positions.lot_book import LotBook, LotOccasion
from ledger.nouns.positions.lots import CostBasis, Disposal, LotPool
from ledger.nouns.positions.trades import trade_of
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from ledger.nouns.prices.price import InstrumentPrices, Quote
from ledger.nouns.prices.valuation import Markets, PricedMarket


class NoAccount(LedgerError, LookupError):
    """The log does not tell of the account."""


@dataclass(frozen=True)
class GainLine:
    """A part of one lot that was disposed of. `gain` is None where cost or proceeds are not known,
    or are not in one asset."""

    asset: str
    side: str
    quantity: Decimal
    acquired_at: datetime
    disposed_at: datetime
    proceeds: Decimal | None
    proceeds_asset: str | None
    cost: Decimal | None
    cost_asset: str | None
    gain: Decimal | None
    method: str
    unvalued_fees: str
    instrument: str | None
    trade_id: str | None
    event_id: UUID
    log_position: int
    lot_event_id: UUID
    lot: int


@dataclass
class GainsSummary:
    """Of the lines that were told: how many, what they come to in each asset, and how many have no
    gain because something is not known."""

    lines: int
    gains: dict[str, Decimal]
    unknown: int

    def add(self, line: GainLine) -> None:
        self.lines += 1
        if line.gain is None or line.proceeds_asset is None:
            self.unknown += 1
        else:
            with exact():
                sum_of = self.gains.get(line.proceeds_asset, ZERO)
                self.gains[line.proceeds_asset] = sum_of + line.gain


def gains(
    connection: psycopg.Connection[object],
    account_id: UUID,
    *,
    method: CostBasis | None,
    begin: datetime | None,
    end: datetime | None,
    max_age: timedelta,
) -> Iterator[GainLine]:
    """Disposals from `begin` up to `end`; without a method by the account's own. Raises
    NoAccount."""
    told = [
        (recorded, recorded.decoded())
        for recorded in repairs.counted(
            connection, [account_id], find(connection, EventCriteria(stream_id=account_id))
        )
    ]
    opened = next((event for _, event in told if isinstance(event, AccountOpened)), None)
    if opened is None:
        raise NoAccount(f"there is no account {account_id}: see `ledgerctl query accounts`")
    in_order = sorted(
        restatement.standing(told),
        key=lambda one: (
            not isinstance(one[1], AccountOpened),
            one[0].occurred_at,
            one[0].position,
        ),
    )
    by, pools = method or opened.cost_basis, dict[str, LotPool]()
    prices = _PricesOfThen(connection, max_age)
    book = LotBook(
        by,
        opened.base_currency,
        lambda asset: pools.setdefault(asset, LotPool()),
        prices.value,
    )
    for recorded, event in restatement.retold(in_order):
        occasion = LotOccasion(recorded.position, recorded.id, recorded.occurred_at)
        with exact():
            lines = [
                _line(movement.asset, disposal, by, event, occasion)
                for movement, moved in book.follow(event, occasion)
                for disposal in moved.disposals
            ]
            prices.see(event, recorded.occurred_at)
        if (begin is None or occasion.at >= begin) and (end is None or occasion.at < end):
            yield from lines


def _line(
    asset: str, disposal: Disposal, method: CostBasis, event: Event, occasion: LotOccasion
) -> GainLine:
    trade = event if isinstance(event, TradeSettled) else None
    return GainLine(
        asset=asset,
        side="SHORT" if disposal.is_short else "LONG",
        quantity=disposal.quantity,
        acquired_at=disposal.opened_at,
        disposed_at=occasion.at,
        proceeds=disposal.proceeds,
        proceeds_asset=disposal.proceeds_currency,
        cost=disposal.cost,
        cost_asset=disposal.cost_currency,
        gain=disposal.gain,
        method=method.value,
        unvalued_fees=" ".join(disposal.unvalued),
        instrument=None if trade is None else trade.instrument,
        trade_id=None if trade is None else trade.trade_id,
        event_id=occasion.event_id,
        log_position=occasion.number,
        lot_event_id=disposal.lot_event_id,
        lot=disposal.lot,
    )


class _PricesOfThen:
    """Prices at any moment: those that were told, and one's own trades so far. They are read when
    the first one is needed."""

    def __init__(self, connection: psycopg.Connection[object], max_age: timedelta) -> None:
        self._connection = connection
        self._max_age = max_age
        self._markets: dict[str, tuple[str, str, InstrumentKind]] = {}
        self._told: dict[tuple[str, PriceKind], list[tuple[datetime, int, Quote]]] | None = None
        self._trades: dict[str, Quote] = {}

    def see(self, event: Event, at: datetime) -> None:
        """A trade of one's own is a price, too."""
        if not isinstance(event, TradeSettled):
            return
        self._trades[event.instrument] = Quote(event.last_px, at, "TRADE")
        if event.instrument not in self._markets:
            trade = trade_of(event, at)
            if trade.base_asset is not None:
                exchanged = (trade.base_asset, trade.settlement_asset, InstrumentKind.SPOT)
                self._markets[event.instrument] = exchanged

    def value(self, asset: str, amount: Decimal, currency: str, at: datetime) -> Decimal | None:
        told = self._read() if self._told is None else self._told
        of_instrument: dict[str, InstrumentPrices] = {
            name: InstrumentPrices(trade=quote) for name, quote in self._trades.items()
        }
        for (name, kind), quotes in told.items():
            place = bisect_right(quotes, at, key=lambda one: one[0])
            if place:
                of_instrument.setdefault(name, InstrumentPrices()).tell(kind, quotes[place - 1][2])
        priced = []
        for name, prices in of_instrument.items():
            price = prices.at(name, at, self._max_age)
            if price is not None and name in self._markets:
                base, quote, of_kind = self._markets[name]
                priced.append(PricedMarket(base, quote, price, of_kind))
        valuation = Markets(priced).valuation(asset, currency)
        return None if valuation is None else valuation.value(amount)

    def _read(self) -> dict[tuple[str, PriceKind], list[tuple[datetime, int, Quote]]]:
        self._told = {}
        types = (InstrumentListed.type, InstrumentUpdated.type, PricesRecorded.type)
        up_to = reader.head(self._connection)
        for recorded in find(self._connection, EventCriteria(event_types=types, before=up_to + 1)):
            event = recorded.decoded()
            if isinstance(event, InstrumentListed | InstrumentUpdated):
                exchanged = (event.base_asset, event.quote_asset, event.kind)
                self._markets[event.instrument] = exchanged
            elif isinstance(event, PricesRecorded):
                for name, price in event.prices.items():
                    quote = Quote(price, event.time, event.source)
                    insort(
                        self._told.setdefault((name, event.kind), []),
                        (event.time, recorded.position, quote),
                        key=lambda one: one[:2],
                    )
        return self._told
