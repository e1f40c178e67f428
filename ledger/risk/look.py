"""What an account is at, asked of the states that decisions are made on, as of one position."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from ledger.kernel.money import ZERO, average, exact
from ledger.nouns.accounts.events import AccountType
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.equity.state import EquityMark
from ledger.nouns.instruments.events import InstrumentTerms
from ledger.nouns.instruments.state import INSTRUMENT, InstrumentState
from ledger.nouns.instruments.state import stream_id as instrument_stream
from ledger.nouns.limits.assess import books_of, in_force_of, scene_of
from ledger.nouns.limits.check import Utilisation, utilisation
from ledger.nouns.limits.meter import Meter, Missing, base_of_loss
from ledger.nouns.positions import margin
from ledger.nouns.positions.margin import MarginMode, Marked
from ledger.nouns.positions.position import Position
from ledger.risk import gauges
from ledger.write import stream_reader
from ledger.write.preview import Preview, PreviewWork, asking
from ledger.write.stream_reader import Stream


class MarginLook(NamedTuple):
    """Of what is settled in one asset."""

    asset: str
    equity: Decimal
    maintenance: Decimal
    ratio: Decimal | None
    """None where there is no equity left, and something to be kept."""


class LiquidationLook(NamedTuple):
    """How far the mark of a position is from the estimated liquidation price, as a share of it."""

    position: Position
    mark: Decimal
    liquidation: Decimal
    distance: Decimal


class DrawdownLook(NamedTuple):
    """Of an account since its peak; `peak` is the newer one where this is it."""

    share: Decimal
    peak: EquityMark
    equity: Decimal
    flows: Decimal


class AccountLook(NamedTuple):
    position: int
    account: AccountState
    limits: list[Utilisation]
    margins: list[MarginLook]
    liquidations: list[LiquidationLook]
    drawdowns: dict[str, DrawdownLook]
    """By key, of the peaks that were asked for; what cannot be reckoned is not there."""
    overdrawn: tuple[str, ...]
    """Assets of a CASH account of which less than nothing is available."""
    unmarked: tuple[str, ...]

    def of_open(self) -> list[str]:
        return sorted({one.instrument for one in self.account.positions.values() if one.is_open})


class RiskLook(Preview):
    """Looks at one account at a time."""

    def at(self, account_id: UUID, peaks: Mapping[str, EquityMark | None]) -> AccountLook | None:
        """None where there is no such account. Raises psycopg.Error."""
        now = datetime.now(UTC)
        with self._one_asks, exact():
            connection = self._opened()
            with connection.transaction():
                position = self._refresh(connection)
                work = PreviewWork(asking(account_id), self._around(connection))
                work.now = work.occurred_at = now
                account = work.look(ACCOUNT, account_id)
                found = None if account is None else _looked(work, account, position, peaks)
                self._aggregates.committed(())
        if found is not None:
            gauges.tell(account_id, found.limits)
        return found


def opened(database_url: str, *, price_max_age_seconds: float) -> RiskLook:
    return RiskLook(
        database_url,
        clock_tolerance=timedelta(0),
        price_max_age=timedelta(seconds=price_max_age_seconds),
    )


def terms_of(connection: psycopg.Connection[Any], instrument: str) -> InstrumentTerms | None:
    """Of an instrument, as it is listed now."""
    stream_id = instrument_stream(instrument)
    stream = stream_reader.read(connection, [stream_id]).get(stream_id)
    state = stream.state if isinstance(stream, Stream) else None
    return state.terms if isinstance(state, InstrumentState) else None


def _looked(
    work: PreviewWork,
    account: AccountState,
    position: int,
    peaks: Mapping[str, EquityMark | None],
) -> AccountLook:
    limits = in_force_of(
        work, work.risk_book(account.account_id), books_of(work, account), lambda: None
    )
    scene = scene_of(work, account, limits)
    meter = Meter(scene)
    marked, unmarked = _marked(work, account, meter)
    return AccountLook(
        position=position,
        account=account,
        limits=utilisation(scene, limits.all),
        margins=list(_margins(account, marked)),
        liquidations=list(_liquidations(account, marked)),
        drawdowns=_drawdowns(account, meter, peaks, work.now),
        overdrawn=_overdrawn(account),
        unmarked=unmarked,
    )


def _marked(
    work: PreviewWork, account: AccountState, meter: Meter
) -> tuple[list[Marked], tuple[str, ...]]:
    """Open positions of contracts with their marks, and instruments that have none."""
    found: list[Marked] = []
    missing: list[str] = []
    for position in account.positions.values():
        if not position.is_open or position.contract is None:
            continue
        try:
            mark = meter.mark(position.instrument)
        except Missing:
            missing.append(position.instrument)
            continue
        listing = work.look(INSTRUMENT, instrument_stream(position.instrument))
        rate = None if listing is None else listing.terms.maintenance_margin_rate
        leverage = account.leverages.get(position.instrument)
        mode = MarginMode.CROSS if leverage is None else leverage.mode
        found.append(Marked(position, mark, rate or ZERO, mode))
    return found, tuple(missing)


def _balance(account: AccountState, asset: str) -> Decimal:
    return sum(
        (assets[asset].total for assets in account.balances.values() if asset in assets), ZERO
    )


def _margins(account: AccountState, marked: list[Marked]) -> list[MarginLook]:
    if account.account_type is not AccountType.MARGIN:
        return []
    found = []
    for asset in sorted({one.position.settlement_asset for one in marked}):
        of_asset = [one for one in marked if one.position.settlement_asset == asset]
        measured = margin.measures(_balance(account, asset), of_asset)
        found.append(
            MarginLook(asset, measured.equity, measured.maintenance_margin, measured.margin_ratio)
        )
    return found


def _liquidations(account: AccountState, marked: list[Marked]) -> list[LiquidationLook]:
    found = []
    for one in marked:
        asset = one.position.settlement_asset
        others = [
            other
            for other in marked
            if other is not one and other.position.settlement_asset == asset
        ]
        price = margin.liquidation_price(one, _balance(account, asset), others)
        if price is None or one.mark <= 0:
            continue
        away = one.mark - price if one.position.quantity > 0 else price - one.mark
        found.append(LiquidationLook(one.position, one.mark, price, average(away, one.mark)))
    return found


def _drawdowns(
    account: AccountState,
    meter: Meter,
    peaks: Mapping[str, EquityMark | None],
    now: datetime,
) -> dict[str, DrawdownLook]:
    """What cannot be reckoned, because a price is missing, is left out: it trips nothing, and the
    peak stays."""
    found: dict[str, DrawdownLook] = {}
    if not peaks:
        return found
    try:
        equity = meter.equity()
        for key, peak in peaks.items():
            here = EquityMark(now, equity, dict(account.flows))
            flows = ZERO if peak is None else meter.flows(peak)
            if peak is None or equity > peak.equity + flows:
                found[key] = DrawdownLook(ZERO, here, equity, ZERO)
                continue
            base = base_of_loss(peak.equity, flows)
            if base > 0:
                share = average(peak.equity + flows - equity, base)
                found[key] = DrawdownLook(share, peak, equity, flows)
    except Missing:
        return {}
    return found


def _overdrawn(account: AccountState) -> tuple[str, ...]:
    if account.account_type is not AccountType.CASH:
        return ()
    return tuple(
        sorted(
            {
                asset
                for assets in account.balances.values()
                for asset, balance in assets.items()
                if balance.available < 0
            }
        )
    )
