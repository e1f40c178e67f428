"""Limits: what is measured, of an account as it is and would be.

`Meter` reckons what a limit asks for and no more, each number once. What it lacks it names
(`Missing`): a price that is not there or is stale, an equity that nobody can tell. It never takes
zero for what it does not know. What it used it can tell, so that an event can carry it.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from ledger.kernel.errors import LedgerError
from ledger.kernel.money import ZERO, average, shown
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.equity.events import Baseline
from ledger.nouns.equity.state import EquityMark, EquityState
from ledger.nouns.instruments.contract import Contract
from ledger.nouns.limits.decision import (
    UsedBalance,
    UsedBaseline,
    UsedContract,
    UsedCount,
    UsedEquity,
    UsedExposure,
    UsedMatch,
    UsedMeasure,
    UsedPrice,
    UsedRate,
    UsedScope,
    UsedWalk,
)
from ledger.nouns.limits.market_graph import Assets, MarketGraph, Path, along
from ledger.nouns.limits.risk_book import OrdersOfKey, RiskBook, SideOfKey, value_of
from ledger.nouns.limits.terms import LimitMeasure, LimitScope
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.prices.price import InstrumentPrices, Price
from ledger.nouns.prices.state import VenuePrices, venue_of
from ledger.nouns.prices.valuation import VALUING, Kinds


class Missing(LedgerError):
    """What a limit needs is not known. `what` names it, all of it."""

    def __init__(self, *what: str) -> None:
        super().__init__(", ".join(what))
        self.what = what


class Listed(NamedTuple):
    """What an instrument is, as far as it matters to what it is worth."""

    base_asset: str
    quote_asset: str
    contract: Contract | None

    @property
    def asset(self) -> str:
        """What its value is in."""
        return self.quote_asset if self.contract is None else self.contract.settlement_asset


class Scene(Protocol):
    """What there is to look at. The functions read what is asked for, when it is."""

    now: datetime
    account: AccountState
    book: RiskBook
    max_age: timedelta
    """Of a price that decides."""

    def equity(self) -> EquityState | None: ...

    def prices(self, venue: str) -> VenuePrices | None: ...

    def assets_of(self, kinds: Kinds, names: Collection[str]) -> Mapping[str, Assets]:
        """What instruments exchange, of those that are listed and of these kinds."""

    def listed(self, instrument: str) -> Listed | None: ...

    def in_scope(self, scope: LimitScope, reference: str | None) -> Mapping[str, Decimal]:
        """By instrument, what all accounts of a scope have at worst."""

    def books_of_owner(self) -> Iterable[tuple[UUID, RiskBook]]:
        """Of the account, and of the others of its user, as they are known."""


class Worst(NamedTuple):
    """The most that may come of one position: how much long, how much short."""

    key: PositionKey
    position: Position | None
    orders: OrdersOfKey | None
    asset: str
    contract: Contract | None
    quantity: Decimal
    """What is held of it, signed."""
    held: Decimal | None
    sold_elsewhere: Decimal
    long: Decimal
    short: Decimal


_NO_ORDERS = SideOfKey()
_NO_PRICES: Mapping[str, InstrumentPrices] = {}


class Noted:
    """What was used, as an event carries it: for a refusal, and not for the many orders that
    pass."""

    def __init__(self) -> None:
        self.prices: dict[str, UsedPrice] = {}
        self.rates: dict[tuple[str, str], UsedRate] = {}
        self.exposures: dict[PositionKey, UsedExposure] = {}
        self.equities: dict[str | None, UsedEquity] = {}
        self.baselines: dict[Baseline, UsedBaseline] = {}
        self.scopes: dict[tuple[LimitScope, str | None, str], UsedScope] = {}
        self.counts: dict[Hashable, UsedCount] = {}
        self.measures: dict[LimitMeasure, UsedMeasure] = {}
        self.matches: dict[UUID, UsedMatch] = {}
        self.walks: dict[Hashable, UsedWalk] = {}

    def sections(self) -> dict[str, Any]:
        """Those of `Inputs`, by name."""
        return {name: tuple(found.values()) for name, found in vars(self).items()}


class Meter:
    """See the module's text."""

    def __init__(self, scene: Scene, *, explains: bool = False) -> None:
        self.scene = scene
        self.noted = Noted() if explains else None
        self.currency = scene.account.base_currency
        """What the account's worth is told in."""
        self._venues: dict[str, VenuePrices | None] = {}
        self._marks: dict[str, Price | None] = {}
        self._equity: dict[str | None, Decimal] = {}
        self._marked: tuple[EquityState | None] | None = None
        self._baselines: dict[Baseline, EquityMark | None] = {}
        self._paths: dict[tuple[str, str, str], Path] = {}
        self.orders_changed()

    def orders_changed(self) -> None:
        """What follows from open orders is reckoned anew."""
        self._open: dict[tuple[str | None, str | None], list[PositionKey]] = {}
        self._worst: dict[PositionKey, Worst] = {}
        self._values: dict[PositionKey, tuple[Decimal, Decimal]] = {}
        self._totals: dict[tuple[str, str | None, str | None], Decimal] = {}
        self.order_value: Decimal | None = None
        """Of the order that is asked about, once it is reckoned (`measures.py`)."""

    # --- prices -----------------------------------------------------------------------------

    def _price(self, instrument: str) -> Price | None:
        if instrument in self._marks:
            return self._marks[instrument]
        known = self._priced(venue_of(instrument)).get(instrument)
        price = None
        if known is not None:
            price = known.at(instrument, self.scene.now, self.scene.max_age)
        self._marks[instrument] = price
        return price

    def _priced(self, venue: str) -> Mapping[str, InstrumentPrices]:
        """All that has a price there."""
        if venue in self._venues:
            state = self._venues[venue]
        else:
            state = self._venues[venue] = self.scene.prices(venue)
        return _NO_PRICES if state is None else state.instruments

    def mark(self, instrument: str) -> Decimal:
        """What the instrument is at now. Raises Missing."""
        price = self._price(instrument)
        if price is None:
            raise Missing(f"a price of {instrument}")
        if self.noted is not None and instrument not in self.noted.prices:
            self.noted.prices[instrument] = UsedPrice(
                instrument=instrument,
                price=price.price,
                kind="TRADE" if price.kind is None else price.kind.value,
                source=price.source,
                time=price.time,
                age_seconds=_seconds(self.scene.now - price.time),
                stale=price.stale,
            )
        if price.stale:
            raise Missing(
                f"a fresh price of {instrument} (the newest, {shown(price.price)} of "
                f"{price.source}, is {shown(_seconds(self.scene.now - price.time))} s old, more "
                f"than {shown(_seconds(self.scene.max_age))} s)"
            )
        return price.price

    def worth(self, amount: Decimal, asset: str, currency: str, venue: str) -> Decimal:
        """An amount in a currency. Raises Missing."""
        if asset == currency or not amount:
            return amount
        path = self._path(asset, currency, venue)
        product, divisor = along(path, amount, self.mark)
        return product if divisor == 1 else average(product, divisor)

    def _path(self, asset: str, currency: str, venue: str) -> Path:
        known = self._paths.get((asset, currency, venue))
        if known is not None:
            return known
        scene = self.scene
        priced = self._priced(venue)
        graphs = scene.book.graphs
        path = None
        for kinds in VALUING:
            graph = graphs.get((venue, kinds))
            if graph is None:
                graph = graphs[venue, kinds] = MarketGraph()
            assets_of = partial(scene.assets_of, kinds)
            path = graph.path(asset, currency, priced, assets_of, self._has_price)
            if path is not None:
                break
        if path is None:
            raise Missing(f"what {asset} is worth in {currency}: no prices of {venue} lead there")
        self._paths[asset, currency, venue] = path
        if self.noted is not None:
            self.noted.rates[asset, currency] = UsedRate(
                asset=asset, currency=currency, path=tuple(way.text for way in path)
            )
        return path

    def _has_price(self, instrument: str) -> bool:
        price = self._price(instrument)
        return price is not None and price.price > 0

    # --- positions and open orders ------------------------------------------------------------

    def open_keys(
        self, *, instrument: str | None = None, strategy: str | None = None
    ) -> list[PositionKey]:
        """Those with something open, of an instrument or of a strategy's sub-account."""
        found = self._open.get((instrument, strategy))
        if found is None:
            if instrument is None and strategy is None:
                keys = dict.fromkeys(self.scene.book.keys)
                for position in self.scene.account.positions.values():
                    if position.quantity:
                        keys[position.key] = None
                found = list(keys)
            else:
                found = [
                    key
                    for key in self.open_keys()
                    if (instrument is None or key.instrument == instrument)
                    and (strategy is None or key.sub_account == strategy)
                ]
            self._open[instrument, strategy] = found
        return found

    def worst(self, key: PositionKey) -> Worst:
        """Raises Missing."""
        known = self._worst.get(key)
        if known is None:
            known = self._worst[key] = self._reckon_worst(key)
        return known

    def worst_of(
        self, key: PositionKey, base_asset: str, asset: str, contract: Contract | None
    ) -> Worst:
        """The same, of one that need not have anything open. Raises Missing."""
        known = self._worst.get(key)
        if known is None:
            nature = contract, asset, None if contract is not None else base_asset
            known = self._worst[key] = self._reckon_worst(key, nature)
        return known

    def use(self, worst: Worst) -> None:
        """It decides by its quantity, whatever that is worth."""
        if self.noted is not None and worst.key not in self.noted.exposures:
            self.noted.exposures[worst.key] = _used(worst, None)

    def _reckon_worst(
        self, key: PositionKey, nature: tuple[Contract | None, str, str | None] | None = None
    ) -> Worst:
        account, book = self.scene.account, self.scene.book
        position, orders = account.position(key), book.keys.get(key)
        if orders is not None and orders.unknown:
            raise Missing(f"the quantity of {orders.unknown} open orders of {key.instrument}")
        contract, asset, base = nature or self._nature(key, position, orders)
        quantity = ZERO if position is None else position.quantity
        buys = self._quantity(key, _NO_ORDERS if orders is None else orders.buys, contract)
        sells = self._quantity(key, _NO_ORDERS if orders is None else orders.sells, contract)
        if base is None:
            long, short = _above(quantity + buys), _above(sells - quantity)
            return Worst(key, position, orders, asset, contract, quantity, None, ZERO, long, short)
        # What is there of a coin can be sold, however it came: only what is not there is short.
        held = account.balance(key.sub_account, base).total
        if quantity > ZERO:
            quantity = _above(min(quantity, held))
        elif quantity:
            quantity = -_above(-max(quantity, held))
        elsewhere = book.spot_sells.get((key.sub_account, base), ZERO)
        if orders is not None:
            elsewhere -= orders.sells.quantity
        free = _above(held - elsewhere)
        long, short = _above(quantity + buys), _above(sells - free) + _above(-quantity)
        return Worst(key, position, orders, asset, contract, quantity, held, elsewhere, long, short)

    def _nature(
        self, key: PositionKey, position: Position | None, orders: OrdersOfKey | None
    ) -> tuple[Contract | None, str, str | None]:
        """Contract, what its value is in, and what is held of what is SPOT."""
        if orders is not None:
            return orders.contract, orders.asset, orders.base_asset
        assert position is not None
        if position.contract is not None:
            return position.contract, position.settlement_asset, None
        listed = self.scene.listed(key.instrument)
        base = None if listed is None else listed.base_asset
        return None, position.settlement_asset, base

    def _quantity(self, key: PositionKey, side: SideOfKey, contract: Contract | None) -> Decimal:
        if not side.budget:
            return side.quantity
        mark = self.mark(key.instrument)
        if mark <= 0 or contract is not None:
            raise Missing(f"a price of {key.instrument} above zero")
        return side.quantity + average(side.budget, mark)

    def values(self, key: PositionKey) -> tuple[Decimal, Decimal]:
        """What the worst is worth, long and short, in the asset that its value is in. Raises
        Missing."""
        known = self._values.get(key)
        if known is None:
            worst = self.worst(key)
            known = self._values[key] = (self._long_value(worst), self._short_value(worst))
            if self.noted is not None:
                self.noted.exposures[key] = _used(worst, max(known))
        return known

    def value(self, key: PositionKey, currency: str) -> Decimal:
        """The worst case of a position in a currency."""
        long, short = self.values(key)
        asset = self.worst(key).asset
        value = long if long > short else short
        return value if asset == currency else self.worth(value, asset, currency, key.venue)

    def _long_value(self, worst: Worst) -> Decimal:
        if not worst.long:
            return ZERO
        side = _NO_ORDERS if worst.orders is None else worst.orders.buys
        inverse = worst.contract is not None and worst.contract.inverse
        closes = _above(-worst.quantity)
        own = _above(worst.quantity)
        return self._side_value(worst, side, own, closes, at_least_mark=inverse)

    def _short_value(self, worst: Worst) -> Decimal:
        """What is sold short trades at its limit or better: at the mark, if that is higher."""
        if not worst.short:
            return ZERO
        side = _NO_ORDERS if worst.orders is None else worst.orders.sells
        own = max(-worst.quantity, ZERO)
        if worst.held is None:
            closes = max(worst.quantity, ZERO)
        else:
            closes = max(worst.held - worst.sold_elsewhere, ZERO)
        return self._side_value(worst, side, own, closes, at_least_mark=True)

    def _side_value(
        self, worst: Worst, side: SideOfKey, own: Decimal, closes: Decimal, *, at_least_mark: bool
    ) -> Decimal:
        instrument, contract = worst.key.instrument, worst.contract
        total = value_of(contract, own, self.mark(instrument)) if own else ZERO
        ordered = self._quantity(worst.key, side, contract)
        opens = ordered - closes
        if opens <= 0:
            return total
        orders = side.value + side.budget
        if at_least_mark and side.priced:
            orders = max(side.value, value_of(contract, side.priced, self.mark(instrument)))
            orders += side.budget
        if side.at_market:
            orders += value_of(contract, side.at_market, self.mark(instrument))
        return total + (orders if opens >= ordered else average(orders * opens, ordered))

    def exposure(
        self, currency: str, *, instrument: str | None = None, strategy: str | None = None
    ) -> Decimal:
        """The worst case of all positions in a currency. Raises Missing, of all that is."""
        known = self._totals.get((currency, instrument, strategy))
        if known is not None:
            return known
        total, missing = ZERO, list[str]()
        for key in self.open_keys(instrument=instrument, strategy=strategy):
            try:
                total += self.value(key, currency)
            except Missing as lacks:
                missing += lacks.what
        if missing:
            raise Missing(*dict.fromkeys(missing))
        self._totals[currency, instrument, strategy] = total
        return total

    def exposure_in_scope(self, scope: LimitScope, reference: str | None, currency: str) -> Decimal:
        """Of all accounts of a scope together, at the marks. Raises Missing."""
        total, missing = ZERO, list[str]()
        for instrument, quantity in self.scene.in_scope(scope, reference).items():
            listed = self.scene.listed(instrument)
            try:
                if listed is None:
                    raise Missing(f"what {instrument} is")
                value = value_of(listed.contract, quantity, self.mark(instrument))
                total += self.worth(value, listed.asset, currency, venue_of(instrument))
            except Missing as lacks:
                missing += lacks.what
                continue
            if self.noted is None:
                continue
            self.noted.scopes[scope, reference, instrument] = UsedScope(
                scope=scope,
                reference=reference,
                instrument=instrument,
                quantity=quantity,
                contract_size=Decimal(1)
                if listed.contract is None
                else listed.contract.contract_size,
                inverse=listed.contract is not None and listed.contract.inverse,
                asset=listed.asset,
            )
        if missing:
            raise Missing(*dict.fromkeys(missing))
        return total

    # --- equity -------------------------------------------------------------------------------

    def equity(self, strategy: str | None = None) -> Decimal:
        """What the account, or a strategy's part of it, is worth. Raises Missing."""
        known = self._equity.get(strategy)
        if known is None:
            known = self._equity[strategy] = self._reckon_equity(strategy)
        return known

    def marked(self) -> EquityState | None:
        """What is known of what the account was worth."""
        if self._marked is None:
            self._marked = (self.scene.equity(),)
        return self._marked[0]

    def baseline(self, baseline: Baseline) -> EquityMark | None:
        """What is compared with now; None where nobody has marked it."""
        if baseline in self._baselines:
            return self._baselines[baseline]
        known = self.marked()
        mark = None if known is None else known.mark(baseline, self.scene.now)
        self._baselines[baseline] = mark
        return mark

    @property
    def has_trips(self) -> bool:
        """Whether a loss ever reached its limit."""
        known = self.marked()
        return known is not None and bool(known.trips)

    def mark_again(self) -> None:
        """Something was marked just now."""
        self._marked = None
        self._baselines.clear()

    def _reckon_equity(self, strategy: str | None) -> Decimal:
        account = self.scene.account
        venue = account.exchange
        balances = _totals(account, strategy)
        total, missing = balances.get(self.currency, ZERO), list[str]()
        for asset, amount in balances.items():
            if not amount or asset == self.currency:
                continue
            try:
                total += self.worth(amount, asset, self.currency, venue)
            except Missing as lacks:
                missing += lacks.what
        contracts = []
        for position in account.positions.values():
            if position.contract is None or not position.is_open:
                continue
            if strategy is not None and position.sub_account != strategy:
                continue
            try:
                used = self._unrealized(position)
                total += self.worth(used.unrealized, used.asset, self.currency, venue)
                contracts.append(used)
            except Missing as lacks:
                missing += lacks.what
        if missing:
            raise Missing(*dict.fromkeys(missing))
        if self.noted is not None:
            self.noted.equities[strategy] = UsedEquity(
                sub_account=strategy,
                currency=self.currency,
                equity=total,
                balances=tuple(UsedBalance(asset=a, total=t) for a, t in balances.items() if t),
                contracts=tuple(contracts),
            )
        return total

    def _unrealized(self, position: Position) -> UsedContract:
        """What is in no balance: what closing would win, or, of a premium that was paid, bring."""
        mark = self.mark(position.instrument)
        contract = position.contract
        assert contract is not None
        if contract.premium_paid:
            worth = position.value(mark)
            open_value = worth if position.quantity > 0 else -worth
        else:
            open_value = position.unrealized_pnl(mark)
        return UsedContract(
            instrument=position.instrument,
            quantity=position.quantity,
            cost=position.cost,
            asset=position.settlement_asset,
            unrealized=open_value,
        )

    def above_zero(self, strategy: str | None = None) -> Decimal:
        """Equity to divide by. Raises Missing."""
        equity = self.equity(strategy)
        if equity <= 0:
            raise Missing(f"equity above zero (it is {shown(equity)} {self.currency})")
        return equity

    # --- losses -------------------------------------------------------------------------------

    def flows(self, mark: EquityMark) -> Decimal:
        """What came in since, less what went out, at the prices of now. Raises Missing."""
        now = self.scene.account.flows
        if now == mark.flows:
            return ZERO
        total = ZERO
        for asset in dict.fromkeys((*now, *mark.flows)):
            more = now.get(asset, ZERO) - mark.flows.get(asset, ZERO)
            total += self.worth(more, asset, self.currency, self.scene.account.exchange)
        return total

    def loss(self, baseline: Baseline) -> tuple[Decimal, Decimal]:
        """What was lost since the baseline, and the equity that it is a share of. Below zero it is
        a profit. Raises Missing."""
        mark = self.baseline(baseline)
        if mark is None:
            raise Missing(f"the equity to compare with ({baseline})")
        flows = self.flows(mark)
        if self.noted is not None and baseline not in self.noted.baselines:
            self.noted.baselines[baseline] = self._used_baseline(baseline, mark, flows)
        lost = mark.equity + flows - self.equity()
        return lost, base_of_loss(mark.equity, flows)

    def _used_baseline(self, baseline: Baseline, mark: EquityMark, flows: Decimal) -> UsedBaseline:
        now = self.scene.account.flows
        changed = {
            asset: now.get(asset, ZERO) - mark.flows.get(asset, ZERO)
            for asset in dict.fromkeys((*now, *mark.flows))
        }
        return UsedBaseline(
            of=baseline.value,
            at=mark.at,
            equity=mark.equity,
            flows=flows,
            flows_of=tuple(UsedBalance(asset=a, total=t) for a, t in changed.items() if t),
        )


def _totals(account: AccountState, strategy: str | None) -> dict[str, Decimal]:
    """By asset, what there is of it in all sub-accounts, or in a strategy's."""
    totals = dict[str, Decimal]()
    for sub_account, assets in account.balances.items():
        if strategy is None or sub_account == strategy:
            for asset, balance in assets.items():
                there = totals.get(asset)
                totals[asset] = balance.total if there is None else there + balance.total
    return totals


def _above(amount: Decimal) -> Decimal:
    """The amount, or zero where it is below."""
    return amount if amount > ZERO else ZERO


def _seconds(time: timedelta) -> Decimal:
    return Decimal(time // timedelta(microseconds=1)).scaleb(-6)


def base_of_loss(equity: Decimal, flows: Decimal) -> Decimal:
    """What a loss is a share of: the equity at the baseline. What came in since does not make the
    loss smaller, what went out leaves less to lose. Of an account without any: what came in."""
    if equity <= 0:
        return flows
    return min(equity, equity + flows) if equity + flows > 0 else equity


def _used(worst: Worst, value: Decimal | None) -> UsedExposure:
    buys = _NO_ORDERS if worst.orders is None else worst.orders.buys
    sells = _NO_ORDERS if worst.orders is None else worst.orders.sells
    contract = worst.contract
    return UsedExposure(
        sub_account=worst.key.sub_account,
        instrument=worst.key.instrument,
        position_side=worst.key.position_side.value,
        position=worst.quantity,
        held=worst.held,
        sold_elsewhere=worst.sold_elsewhere,
        buy_quantity=buys.priced,
        buy_value=buys.value,
        buy_at_market=buys.at_market,
        buy_budget=buys.budget,
        sell_quantity=sells.priced,
        sell_value=sells.value,
        sell_at_market=sells.at_market,
        sell_budget=sells.budget,
        contract_size=Decimal(1) if contract is None else contract.contract_size,
        inverse=contract is not None and contract.inverse,
        asset=worst.asset,
        long=worst.long,
        short=worst.short,
        value=value,
    )
