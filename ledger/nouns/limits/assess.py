"""Limits: which apply to an order of an account, and what a decision about it looks at.

    scopes     SYSTEM always; the others as far as the SYSTEM's stream says that there is something
    halts      nothing that raises exposure, in any scope that is halted
    limits     those in force now; `check` says what of them does not hold
    marks      the equity that losses are compared with is noted when a decision first needs it

Where nothing was ever said this costs a look into a state that is there. What else is read joins
what the decision was made on: who changes a limit, or halts, meanwhile has it decided again.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from ledger.kernel.money import ZERO
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.equity.events import Baseline, EquityMarked, LimitTripped
from ledger.nouns.equity.state import EQUITY, EquityState
from ledger.nouns.equity.state import stream_id as equity_stream
from ledger.nouns.instruments.state import INSTRUMENT, InstrumentState
from ledger.nouns.instruments.state import stream_id as instrument_stream
from ledger.nouns.limits.check import ALLOWED, Assessment, check, message
from ledger.nouns.limits.decision import RiskDecision
from ledger.nouns.limits.in_force import NONE_IN_FORCE, LimitsInForce
from ledger.nouns.limits.market_graph import Assets
from ledger.nouns.limits.measures import OrderToCheck
from ledger.nouns.limits.meter import Listed, Meter, Missing, Scene
from ledger.nouns.limits.rejections import LimitRejection
from ledger.nouns.limits.risk_book import RiskBook
from ledger.nouns.limits.state import (
    LIMITS,
    MAX_REMEMBERED_IDS,
    SYSTEM_STREAM,
    LimitBook,
    scope_key,
    stream_id,
)
from ledger.nouns.limits.terms import LimitMeasure, LimitScope
from ledger.nouns.positions import exposure
from ledger.nouns.prices.state import PRICES, VenuePrices
from ledger.nouns.prices.state import stream_id as price_stream
from ledger.nouns.prices.valuation import Kinds


class LimitExceeded(Rejection):
    """A limit refuses. `decision` has all of them, with their numbers; `tripped` are the losses
    that have reached theirs just now."""

    def __init__(self, decision: RiskDecision, tripped: Sequence[LimitTripped] = ()) -> None:
        is_self_match = all(one.measure is LimitMeasure.SELF_MATCH for one in decision.failed)
        code = LimitRejection.SELF_MATCH if is_self_match else LimitRejection.RISK_LIMIT_EXCEEDED
        super().__init__(code, message(decision.failed))
        self.decision = decision
        self.tripped = tripped


def assess(
    work: UnitOfWork,
    account: AccountState,
    order: OrderToCheck,
    books: Sequence[LimitBook],
    multiplier: Callable[[], Decimal | None],
) -> Assessment:
    """Whether an order may be placed, by all that is limited and halted in its scopes. `multiplier`
    gives that of the order's strategy on the account. Raises Rejection where trading is halted."""
    _check_halts(books, account, order)
    if not any(book.limits for book in books):
        return ALLOWED
    book = work.risk_book(account.account_id)
    limits = in_force_of(work, book, books, multiplier)
    if order.reduce_only and not limits.of_every_order:
        return ALLOWED
    meter = Meter(scene_of(work, account, limits, book))
    mark_equity(work, meter, limits.baselines)
    return check(order, meter, limits.groups)


def said_of(
    work: UnitOfWork, account: AccountState, strategy_id: str | None, instrument: str
) -> list[LimitBook]:
    """Of the scopes that an order is in, those with something that it has to hold to."""
    system = work.state(LIMITS, SYSTEM_STREAM)
    if system is None:
        return []
    books = _books(work, system, account, strategy_id, instrument)
    return [book for book in books if book.limits or book.halt is not None]


def _books(
    work: UnitOfWork,
    system: LimitBook,
    account: AccountState,
    strategy_id: str | None,
    instrument: str | None,
) -> Iterator[LimitBook]:
    """What is said of every scope that an order is in."""
    yield system
    if not system.scopes:
        return
    for key, stream in _scopes_of(account.user_id, account.account_id, strategy_id, instrument):
        if key in system.scopes:
            book = work.look(LIMITS, stream)
            if book is not None:
                yield book


@lru_cache(MAX_REMEMBERED_IDS)
def _scopes_of(
    user_id: UUID, account_id: UUID, strategy_id: str | None, instrument: str | None
) -> tuple[tuple[str, UUID], ...]:
    """Those besides SYSTEM, each with the id of its stream."""
    scopes: list[tuple[LimitScope, str]] = [
        (LimitScope.USER, str(user_id)),
        (LimitScope.ACCOUNT, str(account_id)),
    ]
    if strategy_id is not None:
        scopes.append((LimitScope.STRATEGY, strategy_id))
    if instrument is not None:
        scopes.append((LimitScope.INSTRUMENT, instrument))
    return tuple([(scope_key(*one), stream_id(*one)) for one in scopes])


def _check_halts(books: Sequence[LimitBook], account: AccountState, order: OrderToCheck) -> None:
    for book in books:
        if book.halt is None:
            continue
        rest = None if order.quantity is None else order.quantity - order.filled
        if rest is not None and not exposure.raises_exposure(
            account,
            key=order.key,
            side=order.side,
            quantity=rest,
            order_id=order.order_id,
            base_asset=order.base_asset if order.contract is None else None,
        ):
            return
        raise Rejection(
            LimitRejection.TRADING_HALTED,
            f"{scope_key(book.scope, book.reference)} is halted by {book.halt.by} "
            f"({book.halt.reason})",
        )


def in_force_of(
    work: UnitOfWork,
    account_book: RiskBook,
    books: Sequence[LimitBook],
    multiplier: Callable[[], Decimal | None],
) -> LimitsInForce:
    """All that are in force now."""
    known: dict[str, LimitsInForce] = account_book.limits
    found = NONE_IN_FORCE
    for book in books:
        if not book.limits:
            continue
        key = scope_key(book.scope, book.reference)
        here = known.get(key)
        if here is None or not here.holds(book, work.now):
            here = known[key] = LimitsInForce.of(book, work.now)
        if book.scope is LimitScope.STRATEGY:
            here = here.scaled(multiplier())
        found = here if found is NONE_IN_FORCE else found.with_those_of(here)
    return found


def books_of(work: UnitOfWork, account: AccountState) -> list[LimitBook]:
    """What is said of every scope that an account has to do with: those of its strategies, and of
    the instruments that it has something of, too."""
    system = work.look(LIMITS, SYSTEM_STREAM)
    if system is None:
        return []
    keys = Meter(scene_of(work, account)).open_keys()
    instruments = dict.fromkeys(key.instrument for key in keys)
    found = {id(book): book for book in _books(work, system, account, None, None)}
    for strategy in account.balances:
        found |= {id(book): book for book in _books(work, system, account, strategy, None)}
    for instrument in instruments:
        found |= {id(book): book for book in _books(work, system, account, None, instrument)}
    return list(found.values())


def limits_of(
    work: UnitOfWork,
    account: AccountState,
    strategy_id: str | None = None,
    instrument: str | None = None,
    multiplier: Callable[[], Decimal | None] = lambda: None,
) -> LimitsInForce:
    """All that are in force for an account, its user and the whole; with a strategy's and an
    instrument's where one is named."""
    system = work.look(LIMITS, SYSTEM_STREAM)
    if system is None:
        return NONE_IN_FORCE
    books = list(_books(work, system, account, strategy_id, instrument))
    return in_force_of(work, work.risk_book(account.account_id), books, multiplier)


# --- what there is to look at -------------------------------------------------------------


class WorkScene:
    """What a unit of work lets a decision about an account look at (`Scene`)."""

    __slots__ = ("_work", "account", "book", "max_age", "now")

    def __init__(self, work: UnitOfWork, account: AccountState, book: RiskBook) -> None:
        self._work = work
        self.now = work.now
        self.account = account
        self.book = book
        self.max_age = work.price_max_age

    def equity(self) -> EquityState | None:
        return self._work.look(EQUITY, equity_stream(self.account.account_id))

    def prices(self, venue: str) -> VenuePrices | None:
        return self._work.look(PRICES, price_stream(venue))

    def assets_of(self, kinds: Kinds, names: Collection[str]) -> Mapping[str, Assets]:
        self._work.look_all([instrument_stream(name) for name in names])
        found = {name: self._listing(name) for name in names}
        return {
            name: (one.base_asset, one.quote_asset)
            for name, one in found.items()
            if one is not None and one.terms.kind in kinds
        }

    def listed(self, instrument: str) -> Listed | None:
        one = self._listing(instrument)
        return None if one is None else Listed(one.base_asset, one.quote_asset, one.contract)

    def in_scope(self, scope: LimitScope, reference: str | None) -> Mapping[str, Decimal]:
        return self._work.in_scope(scope, reference, self.account)

    def books_of_owner(self) -> Iterator[tuple[UUID, RiskBook]]:
        yield self.account.account_id, self.book
        yield from self._work.books_beside(self.account)

    def _listing(self, instrument: str) -> InstrumentState | None:
        return self._work.look(INSTRUMENT, instrument_stream(instrument))


def scene_of(
    work: UnitOfWork,
    account: AccountState,
    limits: LimitsInForce = NONE_IN_FORCE,
    book: RiskBook | None = None,
) -> Scene:
    """What these limits may look at. `book` is the account's, where it is at hand."""
    since = None if limits.longest is None else work.now - limits.longest
    if book is None or not book.knows_since(since):
        book = work.risk_book(account.account_id, since)
        assert book is not None
    return WorkScene(work, account, book)


def share_of(work: UnitOfWork, account: AccountState) -> dict[tuple[str, str], Decimal]:
    """What an account has at worst, by sub-account and instrument: the larger side of each of its
    positions. Raises Missing."""
    meter = Meter(scene_of(work, account))
    shares: dict[tuple[str, str], Decimal] = {}
    for key in meter.open_keys():
        worst = meter.worst(key)
        of = (key.sub_account, key.instrument)
        shares[of] = shares.get(of, ZERO) + max(worst.long, worst.short)
    return shares


# --- the equity that losses are compared with ---------------------------------------------


def mark_equity(work: UnitOfWork, meter: Meter, wanted: Collection[Baseline]) -> None:
    """Notes what the account is worth for the baselines that are not there yet for this time, and
    for a new peak. What cannot be reckoned is not noted: whoever needs it will say what is
    missing."""
    if not wanted:
        return
    scene = meter.scene
    try:
        due = tuple(sorted([one for one in wanted if _is_due(one, meter)]))
    except Missing:
        return
    if not due:
        return
    account = scene.account
    explaining = Meter(scene, explains=True)
    try:
        equity = explaining.equity()
    except Missing:
        return
    noted = explaining.noted
    assert noted is not None
    marked = EquityMarked(
        account_id=account.account_id,
        at=scene.now,
        currency=account.base_currency,
        equity=equity,
        baselines=due,
        flows=dict(account.flows),
        reckoned=noted.equities[None],
        prices=tuple(noted.prices.values()),
        rates=tuple(noted.rates.values()),
    )
    work.record(EQUITY, equity_stream(account.account_id), (marked,))
    meter.mark_again()


def _is_due(baseline: Baseline, meter: Meter) -> bool:
    """Raises Missing."""
    mark = meter.baseline(baseline)
    if mark is None:
        return True
    if baseline is not Baseline.PEAK:
        return False
    return meter.equity() > mark.equity + meter.flows(mark)


def record_trips(
    work: UnitOfWork, account_id: UUID, tripped: Sequence[LimitTripped], cause: UUID | None = None
) -> None:
    work.record(EQUITY, equity_stream(account_id), tripped, cause)
