"""Why an account was worth what a snapshot says: what it held, at which price, from which events.

    equity ── balances:   the postings of events, whose sum is what is held, × a price: each market
       │                  on the way, with the event that told its price and how old it was
       └── contracts:     what each open position adds, at its mark

The events of the account and of the markets, up to the snapshot's place in the log, are folded anew
and reckoned by the same function that makes snapshots; then all is held against the row.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from ledger.eventstore.moments import Moment
from ledger.kernel.errors import LedgerError
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.events import MoneyEvent, TradeSettled, is_own_book
from ledger.nouns.clock.events import SnapshotKind
from ledger.nouns.prices.events import PricesRecorded
from ledger.nouns.prices.valuation import Hop
from projections import settings
from projections.engine.projection import Recorded
from projections.past.fold import rows_told
from projections.past.positions import Told, merged_until
from projections.portfolio import account
from projections.portfolio.books import PORTFOLIOS
from projections.portfolio.quotes import MomentPrices
from projections.portfolio.series import SNAPSHOTS
from projections.portfolio.worth import PositionWorth, Valued, Worth
from projections.questions import answers
from projections.questions.catalogue import questions


class NoSnapshot(LedgerError, LookupError):
    """Nothing was seen of the account by then."""


class SourceEvent(msgspec.Struct, frozen=True):
    """An event that a number comes from; `amount` is what it added, of what was held."""

    log_position: int
    event_id: UUID
    event_type: str
    occurred_at: datetime
    amount: Decimal | None = None


class PriceSource(msgspec.Struct, frozen=True):
    """A market on the way to the currency. `event` told the price."""

    instrument: str
    price: Decimal
    is_inverse: bool
    time: datetime
    age_seconds: Decimal
    is_stale: bool
    event: SourceEvent | None


class ExplainedAsset(msgspec.Struct, frozen=True):
    asset: str
    total: Decimal
    price: Decimal | None
    value: Decimal | None
    way: Sequence[PriceSource]
    events: Sequence[SourceEvent]

    @property
    def adds_up(self) -> bool:
        """Whether the events' amounts are what is held."""
        with exact():
            return sum((one.amount or ZERO for one in self.events), ZERO) == self.total


class ExplainedContract(msgspec.Struct, frozen=True):
    """An open position that adds to equity beside cash. Its events: `audit explain position`."""

    sub_account: str
    instrument: str
    quantity: Decimal
    price: Decimal | None
    price_time: datetime | None
    is_stale: bool
    adds: Decimal
    events: Sequence[SourceEvent]


class ExplainedEquity(msgspec.Struct, frozen=True, kw_only=True):
    """`equity` is reckoned anew; `snapshot_equity` is what the row says."""

    account_id: UUID
    time: datetime
    log_position: int
    currency: str
    equity: Decimal
    snapshot_equity: Decimal
    assets: Sequence[ExplainedAsset]
    contracts: Sequence[ExplainedContract]
    unvalued: Mapping[str, str]
    data_quality_score: Decimal

    @property
    def equal(self) -> bool:
        """Whether children sum to their parents, down to the events, and to what the row says."""
        with exact():
            parts = sum((one.value or ZERO for one in self.assets), ZERO)
            parts += sum((one.adds for one in self.contracts), ZERO)
        return parts == self.equity == self.snapshot_equity and all(
            one.adds_up for one in self.assets
        )

    @property
    def stale(self) -> list[str]:
        """Whose price was older than it may be."""
        found = [one.asset for one in self.assets if any(hop.is_stale for hop in one.way)]
        return found + [one.instrument for one in self.contracts if one.is_stale]

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """A line each, drawn as one is part of another."""
        yield _line("equity", None, None, self.equity, None)
        for one in self.assets:
            yield _line(f"├ {one.asset}", one.total, one.price, one.value, None)
            for hop in one.way:
                name = f"│ ├ by {hop.instrument}{' inverse' if hop.is_inverse else ''}"
                age = f"{hop.age_seconds.normalize():f} s old{', stale' if hop.is_stale else ''}"
                yield _line(name, None, hop.price, None, hop.event, age)
            for event in one.events:
                yield _line(f"│ ├ {event.event_type}", event.amount, None, None, event)
        for contract in self.contracts:
            name = f"├ {contract.instrument} {contract.sub_account}"
            yield _line(name, contract.quantity, contract.price, contract.adds, None)
            for event in contract.events:
                yield _line(f"│ ├ {event.event_type}", None, None, None, event)

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        told = msgspec.structs.asdict(self)
        told["assets"] = [
            {**_as_dict(one), "adds_up": one.adds_up, "way": [*map(_as_dict, one.way)]}
            for one in self.assets
        ]
        told["contracts"] = [*map(_as_dict, self.contracts)]
        return {**told, "stale": self.stale, "equal": self.equal}


def _as_dict(one: msgspec.Struct) -> dict[str, Any]:
    return {
        name: [_as_dict(each) for each in value]
        if isinstance(value, list)
        else _as_dict(value)
        if isinstance(value, msgspec.Struct)
        else value
        for name, value in msgspec.structs.asdict(one).items()
    }


def _line(
    what: str,
    quantity: Decimal | None,
    price: Decimal | None,
    value: Decimal | None,
    event: SourceEvent | None,
    note: str = "",
) -> Mapping[str, Any]:
    return {
        "what": what,
        "quantity": quantity,
        "price": price,
        "value": value,
        "log_position": None if event is None else event.log_position,
        "note": note,
        "event_id": None if event is None else event.event_id,
        "occurred_at": None if event is None else event.occurred_at,
    }


def explain_equity(
    connection: psycopg.Connection[Any], account_id: UUID, at: datetime | None = None
) -> ExplainedEquity:
    """Of the newest snapshot that is not after the time. The connection must be in a transaction.
    Raises NoSnapshot."""
    row = _snapshot(connection, account_id, at)
    time, position = row["time"], row["last_position"]
    told = [
        one
        for one in merged_until(connection, Moment(position), {"account_id": account_id})
        if one[0].position < position
    ]
    rows = rows_told(SNAPSHOTS, told)
    portfolio = rows[PORTFOLIOS].find(account_id)
    assert portfolio is not None, "it has a snapshot"
    max_age = timedelta(seconds=settings.load().price_max_age_seconds)
    with exact():
        valued = account.valued_at(portfolio, MomentPrices(rows, time, max_age))
        worth = account.reckoned(
            portfolio, rows, valued, kind=SnapshotKind.MANUAL, time=time, log_position=position
        )
        return _explained(worth, row["equity"], valued, told, time)


def _snapshot(
    connection: psycopg.Connection[Any], account_id: UUID, at: datetime | None
) -> Mapping[str, Any]:
    question = questions()["snapshots"]
    asked: dict[str, Any] = {"account_id": account_id}
    if at is not None:
        asked["to_time"] = at + timedelta(microseconds=1)
    found = next(answers.rows(connection, question, asked, limit=1), None)
    if found is None:
        when = "" if at is None else f" by {at.isoformat()}"
        raise NoSnapshot(
            f"account {account_id} has no snapshot{when}: `ledgerctl query snapshots` has those "
            "there are, `ledgerctl snapshots take` takes one"
        )
    return found


def _explained(
    worth: Worth, said: Decimal, valued: Valued, told: Sequence[Told], time: datetime
) -> ExplainedEquity:
    own = [(recorded, event) for recorded, event in told if isinstance(event, MoneyEvent)]
    prices = _prices_told(told)
    return ExplainedEquity(
        account_id=worth.account_id,
        time=time,
        log_position=worth.log_position,
        currency=worth.base_currency,
        equity=worth.equity,
        snapshot_equity=said,
        assets=[
            ExplainedAsset(
                one.asset,
                one.total,
                one.price,
                one.value,
                _way(one.asset, valued, prices, time),
                list(_postings(one.asset, own)),
            )
            for one in worth.balances
        ],
        contracts=[_contract(one, own) for one in worth.positions if one.is_contract],
        unvalued=worth.unvalued,
        data_quality_score=worth.data_quality_score,
    )


def _way(
    asset: str, valued: Valued, prices: Mapping[Any, SourceEvent], time: datetime
) -> list[PriceSource]:
    way = valued.way(asset)
    return [] if way is None else [_priced(hop, prices, time) for hop in way.path]


def _priced(hop: Hop, prices: Mapping[Any, SourceEvent], time: datetime) -> PriceSource:
    price = hop.price
    age = Decimal((time - price.time) // timedelta(microseconds=1)).scaleb(-6)
    told = prices.get((price.instrument, price.time, price.kind))
    return PriceSource(
        price.instrument, price.price, hop.inverse, price.time, age, price.stale, told
    )


def _prices_told(told: Sequence[Told]) -> dict[Any, SourceEvent]:
    """By instrument, time and kind, the event that told the price last; a trade of one's own has
    none of these kinds."""
    found: dict[Any, SourceEvent] = {}
    for recorded, event in told:
        if isinstance(event, PricesRecorded):
            for instrument in event.prices:
                found[instrument, event.time, event.kind] = _source(recorded)
        elif isinstance(event, TradeSettled):
            found[event.instrument, recorded.occurred_at, None] = _source(recorded)
    return found


def _postings(asset: str, own: Sequence[tuple[Recorded, MoneyEvent]]) -> Iterator[SourceEvent]:
    for recorded, event in own:
        moved = [
            one.amount for one in event.postings if one.asset == asset and is_own_book(one.book)
        ]
        if any(moved):
            yield _source(recorded, sum(moved, ZERO))


def _contract(one: PositionWorth, own: Sequence[tuple[Recorded, MoneyEvent]]) -> ExplainedContract:
    place = (one.sub_account, one.instrument)
    changed = [
        _source(recorded)
        for recorded, event in own
        if any((each.sub_account, each.instrument) == place for each in event.positions)
    ]
    return ExplainedContract(
        *place, one.quantity, one.price, one.price_time, one.stale, one.counts, changed
    )


def _source(recorded: Recorded, amount: Decimal | None = None) -> SourceEvent:
    return SourceEvent(
        recorded.position, recorded.id, recorded.event_type, recorded.occurred_at, amount
    )
