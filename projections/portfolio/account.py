"""An account through its events, and what it is worth at a moment of them.

moved      an event has moved its money: flows and what was made count at their value then
reckoned   what it is worth: the one reckoning that all series are made of
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import MoneyEvent, OrderMoney, TradeSettled
from ledger.nouns.clock.events import SnapshotKind
from ledger.nouns.instruments.contract import InstrumentKind
from ledger.nouns.positions.trades import trade_of
from projections.engine.live.rows import RowSet
from projections.engine.projection import Recorded
from projections.portfolio import books, quotes, worth
from projections.portfolio.books import POSITIONS, Change, Portfolio, Totals
from projections.portfolio.quotes import MomentPrices
from projections.portfolio.worth import USD, AssetWorth, PositionWorth, Valued, Worth


def valued_at(portfolio: Portfolio, prices: MomentPrices) -> Valued:
    return Valued(prices, portfolio.base_currency, portfolio.trades)


def moved(
    recorded: Recorded, event: MoneyEvent, portfolio: Portfolio, rows: RowSet, max_age: timedelta
) -> tuple[Sequence[Change], Valued]:
    """Takes in an event that moves money; the positions that it changed, and the moment's values
    after it."""
    if isinstance(event, TradeSettled):
        _know_market(recorded, event, rows)
    made = books.follow(recorded, event, portfolio, rows)
    books.move(portfolio, event)
    portfolio.newest = max(portfolio.newest, recorded.occurred_at)
    totals = portfolio.totals
    valued = valued_at(portfolio, MomentPrices(rows, recorded.occurred_at, max_age))
    if not isinstance(event, OrderMoney):
        _flowed(event, totals, valued)
    if made.realized:
        totals.realized_pnl += _sum(made.realized, valued, totals.unvalued)
    if made.paid:
        totals.commission += _sum(made.paid, valued, totals.unvalued)
    if made.funded:
        totals.funding += _sum(made.funded, valued, totals.unvalued)
    return made.changes, valued


def _flowed(event: MoneyEvent, totals: Totals, valued: Valued) -> None:
    """What came from outside, and what went from one sub-account to another."""
    for asset, amount in books.flows_of(event).items():
        value = valued.value(asset, amount)
        if value is None:
            totals.waiting[asset] = totals.waiting.get(asset, ZERO) + amount
        else:
            totals.flows += value
    for sub_account, asset, amount in books.strategy_flows_of(event):
        value = valued.value(asset, amount)
        if value is None:
            waiting = totals.strategy_waiting.setdefault(sub_account, {})
            waiting[asset] = waiting.get(asset, ZERO) + amount
        else:
            known = totals.strategy_flows.get(sub_account, ZERO)
            totals.strategy_flows[sub_account] = known + value


def _sum(made: Mapping[str, Decimal], valued: Valued, unvalued: dict[str, Decimal]) -> Decimal:
    whole = ZERO
    for asset, amount in made.items():
        value = valued.value(asset, amount)
        if value is None:
            unvalued[asset] = unvalued.get(asset, ZERO) + amount
        else:
            whole += value
    return whole


def _know_market(recorded: Recorded, event: TradeSettled, rows: RowSet) -> None:
    """What is exchanged in an instrument that nobody listed; of a contract no trade tells it."""
    known = rows[quotes.MARKETS].find(event.instrument)
    if known is not None and known.base_asset is not None:
        return
    trade = trade_of(event, recorded.occurred_at)
    if trade.base_asset is not None:
        quotes.know(
            rows,
            event.instrument,
            trade.base_asset,
            trade.settlement_asset,
            InstrumentKind.SPOT,
        )


def settle_waiting(portfolio: Portfolio, valued: Valued) -> Decimal:
    """Flows whose assets have a value by now count at it; how much they are."""
    totals = portfolio.totals
    if not totals.waiting and not totals.strategy_waiting:
        return ZERO
    came = _valued_of(totals.waiting, valued)
    totals.flows += came
    for sub_account, waiting in list(totals.strategy_waiting.items()):
        known = totals.strategy_flows.get(sub_account, ZERO)
        totals.strategy_flows[sub_account] = known + _valued_of(waiting, valued)
        if not waiting:
            del totals.strategy_waiting[sub_account]
    return came


def _valued_of(waiting: dict[str, Decimal], valued: Valued) -> Decimal:
    whole = ZERO
    for asset, amount in list(waiting.items()):
        value = valued.value(asset, amount)
        if value is not None:
            whole += value
            del waiting[asset]
    return whole


def holds_something(portfolio: Portfolio) -> bool:
    return bool(portfolio.books or portfolio.open)


def reckoned(
    portfolio: Portfolio,
    rows: RowSet,
    valued: Valued,
    *,
    kind: SnapshotKind,
    time: datetime,
    log_position: int,
) -> Worth:
    """What the account is worth."""
    currency = portfolio.base_currency
    positions = _positions(portfolio, rows, valued)
    balances = [
        worth.asset_worth(asset, total, locked, valued)
        for asset, (total, locked) in sorted(worth.totals(portfolio.books).items())
    ]
    unvalued = {one.asset: worth.NO_WAY for one in balances if one.value is None}
    unvalued |= {one.instrument: one.reason for one in positions if one.reason is not None}
    cash = sum((one.value for one in balances if one.value is not None), ZERO)
    gross, net = worth.exposures(balances, positions, currency)
    score, priced, priceable, oldest = worth.quality(balances, positions, currency)
    to_usd = valued.prices.valuation(currency, USD, valued.own)
    totals = portfolio.totals
    return Worth(
        time=time,
        kind=kind,
        log_position=log_position,
        account_id=portfolio.account_id,
        user_id=portfolio.user_id,
        exchange=portfolio.exchange,
        environment=portfolio.environment,
        base_currency=currency,
        cash=cash,
        available=cash - _locked(balances, valued),
        equity=cash + sum((one.counts for one in positions), ZERO),
        unrealized_pnl=sum((one.unrealized_pnl or ZERO for one in positions), ZERO),
        realized_pnl=totals.realized_pnl,
        commission=totals.commission,
        funding=totals.funding,
        flows=totals.flows,
        gross_exposure=gross,
        net_exposure=net,
        initial_margin=sum((one.initial_margin for one in positions), ZERO),
        maintenance_margin=sum((one.maintenance_margin for one in positions), ZERO),
        usd_rate=None if to_usd is None else to_usd.value(worth.ONE),
        usd_rate_time=None if to_usd is None else to_usd.oldest,
        balances=tuple(balances),
        positions=tuple(positions),
        strategies=worth.strategy_worths(portfolio.books, positions, totals.strategy_flows, valued),
        unvalued=unvalued,
        priced=priced,
        priceable=priceable,
        oldest_price_time=oldest,
        data_quality_score=score,
        late=portfolio.newest > time,
    )


def _positions(portfolio: Portfolio, rows: RowSet, valued: Valued) -> list[PositionWorth]:
    found = []
    for slot in portfolio.open:
        row = rows[POSITIONS].find((portfolio.account_id, slot))
        assert row is not None
        found.append(worth.position_worth(row.position, valued))
    return found


def _locked(balances: Iterable[AssetWorth], valued: Valued) -> Decimal:
    return sum(
        (valued.value(one.asset, one.locked) or ZERO for one in balances if one.locked), ZERO
    )
