"""Equity: what can have been noted of what an account is worth."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.nouns.limits.decision import UsedEquity, UsedPrice, UsedRate
from ledger.nouns.limits.terms import LimitMeasure


class Baseline(StrEnum):
    """What later equity is compared with: that at the beginning of a period, in UTC, and the
    highest."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    PEAK = "PEAK"


class EquityEvent(Event, frozen=True, kw_only=True):
    account_id: UUID


class EquityMarked(EquityEvent, frozen=True, kw_only=True):
    """What the account was worth at a time, in its base currency, and what that is from now on the
    baseline of. `flows` is what had come in from outside by then, and had not gone out again, of
    each asset: what does so later is no profit and no loss. The prices that it was reckoned with
    are here."""

    type: ClassVar[str] = "equity.marked"
    at: datetime
    currency: str
    equity: Decimal
    baselines: tuple[Baseline, ...]
    flows: dict[str, Decimal] = msgspec.field(default_factory=dict)
    reckoned: UsedEquity | None = None
    prices: tuple[UsedPrice, ...] = ()
    rates: tuple[UsedRate, ...] = ()


class LimitTripped(EquityEvent, frozen=True, kw_only=True):
    """A loss has reached its limit. It stays so until the period is over, whatever comes."""

    type: ClassVar[str] = "equity.limit_tripped"
    limit_id: UUID
    measure: LimitMeasure
    window: Baseline
    at: datetime
    until: datetime
    measured: Decimal
    limit_value: Decimal
    unit: str


class RiskMeasureRecorded(EquityEvent, frozen=True, kw_only=True):
    """What somebody has reckoned of the account, as decisions use it. A ratio, as value at risk
    is of equity; or, with a `currency`, an amount."""

    type: ClassVar[str] = "equity.risk_measure_recorded"
    measure: LimitMeasure
    value: Decimal
    currency: str | None = None
    method: str | None = None
    time: datetime
