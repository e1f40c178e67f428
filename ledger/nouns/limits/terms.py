"""Limits: what one is. Words, units, windows, and when a change makes it looser.

    in units     UNITS of what is traded, ORDERS, or money: the name of an asset, like USDT
    relative     RATIO or % (5 % is 0.05): of the equity of the account, or of the strategy's share

A value of 0 means none at all. All that apply must hold, so the strictest wins, and a narrower one
can only tighten.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

import msgspec


class LimitScope(StrEnum):
    """Whose orders a limit or a halt is about, the widest first."""

    SYSTEM = "SYSTEM"
    USER = "USER"
    ACCOUNT = "ACCOUNT"
    STRATEGY = "STRATEGY"
    INSTRUMENT = "INSTRUMENT"


class LimitMeasure(StrEnum):
    """What is limited. docs/limits.md has the formula of each."""

    MAX_ORDER_QUANTITY = "MAX_ORDER_QUANTITY"
    MAX_ORDER_NOTIONAL = "MAX_ORDER_NOTIONAL"
    PRICE_BAND = "PRICE_BAND"
    MAX_OPEN_ORDERS = "MAX_OPEN_ORDERS"
    ORDER_RATE = "ORDER_RATE"
    NOTIONAL_RATE = "NOTIONAL_RATE"
    MESSAGE_RATE = "MESSAGE_RATE"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    SELF_MATCH = "SELF_MATCH"
    PRICE_WALK = "PRICE_WALK"
    MAX_POSITION = "MAX_POSITION"
    MAX_EXPOSURE = "MAX_EXPOSURE"
    MAX_LEVERAGE = "MAX_LEVERAGE"
    MAX_DAILY_LOSS = "MAX_DAILY_LOSS"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    MIN_EQUITY = "MIN_EQUITY"
    RISK_PER_TRADE = "RISK_PER_TRADE"
    MAX_VAR_95 = "MAX_VAR_95"
    MAX_CORRELATION = "MAX_CORRELATION"


UNITS, ORDERS, RATIO, PERCENT = "UNITS", "ORDERS", "RATIO", "%"
RELATIVE = frozenset({RATIO, PERCENT})
_KINDS = frozenset({UNITS, ORDERS, RATIO, PERCENT})
MONEY = "money"
"""Stands for the name of any asset."""
_ALIASES = {
    "PERCENT": PERCENT,
    "PERCENTAGE": PERCENT,
    "PCT": PERCENT,
    "X": RATIO,
    "UNIT": UNITS,
    "QUANTITY": UNITS,
    "CONTRACTS": UNITS,
    "COUNT": ORDERS,
    "MESSAGES": ORDERS,
}

_M = LimitMeasure
UNITS_OF: dict[LimitMeasure, frozenset[str]] = {
    _M.MAX_ORDER_QUANTITY: frozenset({UNITS}),
    _M.MAX_ORDER_NOTIONAL: frozenset({MONEY, *RELATIVE}),
    _M.PRICE_BAND: RELATIVE,
    _M.MAX_OPEN_ORDERS: frozenset({ORDERS}),
    _M.ORDER_RATE: frozenset({ORDERS}),
    _M.NOTIONAL_RATE: frozenset({MONEY, *RELATIVE}),
    _M.MESSAGE_RATE: frozenset({ORDERS}),
    _M.DUPLICATE_ORDER: frozenset({ORDERS}),
    _M.SELF_MATCH: frozenset({ORDERS}),
    _M.PRICE_WALK: RELATIVE,
    _M.MAX_POSITION: frozenset({UNITS, MONEY, *RELATIVE}),
    _M.MAX_EXPOSURE: frozenset({MONEY, *RELATIVE}),
    _M.MAX_LEVERAGE: frozenset({RATIO}),
    _M.MAX_DAILY_LOSS: frozenset({MONEY, *RELATIVE}),
    _M.MAX_DRAWDOWN: frozenset({MONEY, *RELATIVE}),
    _M.MIN_EQUITY: frozenset({MONEY}),
    _M.RISK_PER_TRADE: frozenset({MONEY, *RELATIVE}),
    _M.MAX_VAR_95: frozenset({MONEY, *RELATIVE}),
    _M.MAX_CORRELATION: RELATIVE,
}
"""What each may be told in."""
OF_EQUITY = frozenset({_M.MAX_DAILY_LOSS, _M.MAX_DRAWDOWN, _M.MIN_EQUITY})
"""Of an account as a whole: no strategy or instrument has an equity of its own to lose."""
TOLD = frozenset({_M.MAX_VAR_95, _M.MAX_CORRELATION})
"""Those that are reckoned elsewhere, and recorded (`RecordRiskMeasure`)."""
COUNTED = frozenset({
    _M.ORDER_RATE, _M.NOTIONAL_RATE, _M.MESSAGE_RATE, _M.DUPLICATE_ORDER, _M.PRICE_WALK,
})  # fmt: skip
"""Those that count what was asked for within a window."""
OF_EVERY_ORDER = frozenset({_M.SELF_MATCH})
"""Those that are asked of orders that only reduce, too: who trades with oneself closes nothing."""
TRIPS_AT = OF_EQUITY - {_M.MIN_EQUITY}
"""Those that are reached by being equal: a loss of the limit is the limit."""
SCALED = frozenset({
    _M.MAX_ORDER_QUANTITY, _M.MAX_ORDER_NOTIONAL, _M.MAX_POSITION, _M.MAX_EXPOSURE,
    _M.MAX_LEVERAGE, _M.RISK_PER_TRADE,
})  # fmt: skip
"""Those of a strategy's size, which its assignment's risk_multiplier scales."""

DAILY, WEEKLY, MONTHLY = "DAILY", "WEEKLY", "MONTHLY"
PERIODS = (DAILY, WEEKLY, MONTHLY)
DEFAULT_WINDOW = "1s"
"""Of what is counted, where nothing is said."""
MAX_WINDOW = timedelta(hours=1)
"""Of what is counted: what a strategy may do in a second or an hour. It is remembered, and read
again from the log after a restart."""
MAX_REMEMBERED_WINDOWS = 1_000
"""How long windows are, once reckoned."""
_WINDOW = re.compile(r"(?:PT)?([0-9]{1,6})\s*(ms|s|m|h)?", re.ASCII | re.IGNORECASE)
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


class LimitTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A limit as it was set once. `effective_until` is the first moment at which it is not in force
    any more; what was in force before is then again."""

    measure: LimitMeasure
    value: Decimal
    unit: str
    warning_threshold: Decimal | None = None
    window: str | None = None
    effective_from: datetime | None = None
    effective_until: datetime | None = None
    description: str | None = None

    def covers(self, moment: datetime) -> bool:
        begun = self.effective_from is None or self.effective_from <= moment
        return begun and (self.effective_until is None or moment < self.effective_until)


def unit_of(value: object) -> str:
    """A unit as it is kept. Raises ValueError."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be UNITS, ORDERS, RATIO, % or the name of an asset, like USDT")
    text = value.strip()
    word = text.upper()
    if word in _KINDS:
        return word
    return _ALIASES.get(word, text)


def kind_of(unit: str) -> str:
    return unit if unit in _KINDS else MONEY


def window_of(value: object) -> str:
    """A window as it is kept: `250ms`, `60s`, or a period by name. Raises ValueError."""
    text = str(value).strip()
    if text.upper() in PERIODS:
        return text.upper()
    read = _WINDOW.fullmatch(text)
    if read is None:
        raise ValueError(
            f"must be {', '.join(PERIODS)}, or a time like 1s, 5m or 1h, not {text[:40]!r}"
        )
    amount, name = int(read[1]), (read[2] or "s").lower()
    if amount == 0:
        raise ValueError("must be longer than nothing")
    return f"{amount}{name}"


@lru_cache(MAX_REMEMBERED_WINDOWS)
def length_of(window: str) -> timedelta:
    """Of a window that is no period."""
    read = _WINDOW.fullmatch(window)
    assert read is not None, window
    return timedelta(milliseconds=int(read[1]) * _MILLISECONDS[(read[2] or "s").lower()])


def is_looser(after: LimitTerms, before: LimitTerms | None) -> bool:
    """Whether something would be allowed that is not. What cannot be compared counts as looser."""
    if before is None:
        return False
    if after.unit != before.unit:
        return True
    if after.measure in COUNTED and after.window != before.window:
        longer = length_of(after.window or DEFAULT_WINDOW)
        if longer < length_of(before.window or DEFAULT_WINDOW):
            return True
    elif after.window != before.window:
        return True
    if after.measure is LimitMeasure.MIN_EQUITY:
        return after.value < before.value
    return after.value > before.value


def in_ratio(value: Decimal, unit: str) -> Decimal:
    """A relative value as a ratio."""
    return value.scaleb(-2) if unit == PERCENT else value


def of_ratio(ratio: Decimal, unit: str) -> Decimal:
    """A ratio in the unit of a limit."""
    return ratio.scaleb(2) if unit == PERCENT else ratio


def check_terms(terms: LimitTerms, scope: LimitScope) -> None:
    """Whether they say something that can be measured. Raises ValueError."""
    measure = terms.measure
    allowed = UNITS_OF[measure]
    if kind_of(terms.unit) not in allowed:
        known = ", ".join(sorted("the name of an asset" if u == MONEY else u for u in allowed))
        raise ValueError(f"{measure} is told in {known}, not in {terms.unit!r}")
    if measure in (OF_EQUITY | TOLD) and scope in (LimitScope.STRATEGY, LimitScope.INSTRUMENT):
        raise ValueError(f"{measure} is of an account as a whole, not of one {scope}")
    _check_window(measure, terms.window)
    warning = terms.warning_threshold
    if warning is not None:
        above = measure is LimitMeasure.MIN_EQUITY
        if warning < terms.value if above else warning > terms.value:
            raise ValueError("warning_threshold is beyond the value")
    if (
        terms.effective_from is not None
        and terms.effective_until is not None
        and terms.effective_until <= terms.effective_from
    ):
        raise ValueError("effective_until is not after effective_from")


def _check_window(measure: LimitMeasure, window: str | None) -> None:
    if window is None:
        return
    if measure in COUNTED:
        if window in PERIODS or length_of(window) > MAX_WINDOW:
            raise ValueError(f"the window of {measure} is a time of at most {MAX_WINDOW}")
    elif window not in PERIODS or measure is not LimitMeasure.MAX_DAILY_LOSS:
        raise ValueError(f"{measure} has no window {window!r}")


def is_summed(scope: LimitScope, terms: LimitTerms) -> bool:
    """Whether it is about what several accounts have together."""
    return (
        scope is not LimitScope.ACCOUNT
        and terms.measure is LimitMeasure.MAX_EXPOSURE
        and kind_of(terms.unit) == MONEY
    )


def reference_of(scope: LimitScope, reference: str | None) -> str | None:
    """The reference as it is kept. Raises ValueError."""
    if scope is LimitScope.SYSTEM:
        if reference is not None:
            raise ValueError("the scope SYSTEM is one, and has no reference")
        return None
    if reference is None:
        raise ValueError(f"reference is missing: which {scope}?")
    if scope in (LimitScope.USER, LimitScope.ACCOUNT):
        return str(UUID(reference))
    if scope is LimitScope.INSTRUMENT and ":" not in reference:
        raise ValueError("must be VENUE:SYMBOL, like 'BINANCE:BTCUSDT'")
    return reference
