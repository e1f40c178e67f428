"""Limits: the numbers of a decision, as the event of it carries them.

Whoever has the event has all that it takes to reckon the decision again: the terms of the order are
the event's own, everything else that was looked at is here. Sections that no limit needed are
absent. A number that somebody told has its source, its time, and its age at the decision.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.nouns.limits.terms import LimitMeasure, LimitScope


class UsedPrice(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """`kind` is that of the price, `age_seconds` its age at the decision."""

    instrument: str
    price: Decimal
    kind: str
    source: str
    time: datetime
    age_seconds: Decimal
    stale: bool = False


class UsedRate(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one unit of an asset is worth: along these markets, a `-` before those that are gone
    from their quote to their base. The prices are among those used."""

    asset: str
    currency: str
    path: tuple[str, ...] = ()


class UsedExposure(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What is held of an instrument, and what may still be bought and sold of it, the order that
    was decided included. `held` is what there is of the base asset of what is SPOT,
    `sold_elsewhere` what orders of other instruments may sell of it. Quantities and values are of
    orders with a price of their own, in `asset`; `…_at_market` are quantities of orders that have
    none, `…_budget` the money of those that are sized by it. `value` is the worst case."""

    sub_account: str
    instrument: str
    position_side: str = "BOTH"
    position: Decimal = Decimal(0)
    held: Decimal | None = None
    sold_elsewhere: Decimal = Decimal(0)
    buy_quantity: Decimal = Decimal(0)
    buy_value: Decimal = Decimal(0)
    buy_at_market: Decimal = Decimal(0)
    buy_budget: Decimal = Decimal(0)
    sell_quantity: Decimal = Decimal(0)
    sell_value: Decimal = Decimal(0)
    sell_at_market: Decimal = Decimal(0)
    sell_budget: Decimal = Decimal(0)
    contract_size: Decimal = Decimal(1)
    inverse: bool = False
    asset: str
    long: Decimal
    short: Decimal
    value: Decimal | None = None


class UsedBalance(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    asset: str
    total: Decimal


class UsedContract(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An open position of a contract, for what it has won or lost and is not in a balance yet."""

    instrument: str
    quantity: Decimal
    cost: Decimal
    asset: str
    unrealized: Decimal


class UsedEquity(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Of an account, or of one of its sub-accounts."""

    sub_account: str | None = None
    currency: str
    equity: Decimal
    balances: tuple[UsedBalance, ...] = ()
    contracts: tuple[UsedContract, ...] = ()


class UsedBaseline(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What equity is compared with: that at the beginning of a period, or the highest. `flows` is
    what came in (or went out) since, in the currency: no profit, and no loss."""

    of: str
    at: datetime
    equity: Decimal
    flows: Decimal
    flows_of: tuple[UsedBalance, ...] = ()


class UsedCount(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What was asked for within a window before this, of the strategy or instrument that the limit
    is about; of open orders how many there are, with this one. In the unit of the limit."""

    measure: LimitMeasure
    reference: str | None = None
    unit: str
    window: str | None = None
    since: datetime | None = None
    count: Decimal


class UsedScope(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What all accounts of a scope have of an instrument together, in its worst case: of others as
    it was committed when the batch was begun."""

    scope: LimitScope
    reference: str | None = None
    instrument: str
    quantity: Decimal
    contract_size: Decimal = Decimal(1)
    inverse: bool = False
    asset: str


class UsedMatch(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Orders of one's own that lie on the other side within reach: how many of an account, on which
    `side`, and the `best` of their limits; `at` is what the order that was decided may trade at."""

    account_id: UUID
    instrument: str
    side: str
    orders: Decimal
    best: Decimal
    at: Decimal


class UsedWalk(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """How far one's own orders have moved their price against the market within a window before
    this: Σ of what each asked for more than the one before (sold for less), and the `last` price;
    `at` is that of the order that was decided."""

    reference: str | None = None
    instrument: str
    side: str
    window: str
    since: datetime
    walked: Decimal
    last: Decimal | None = None
    at: Decimal


class UsedMeasure(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What somebody reckoned and recorded."""

    measure: LimitMeasure
    value: Decimal
    unit: str
    method: str | None = None
    time: datetime


class Inputs(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """All that was looked at."""

    instrument: str
    order_quantity: Decimal | None = None
    """The whole of it, as it was asked for or would become."""
    order_prices: tuple[Decimal, ...] = ()
    """Those that it names: its limit or estimate, and what sets it off."""
    order_price: Decimal | None = None
    """What the order was valued at."""
    order_value: Decimal | None = None
    """In `order_asset`."""
    order_asset: str | None = None
    contract_size: Decimal = Decimal(1)
    inverse: bool = False
    stop_loss: Decimal | None = None
    prices: tuple[UsedPrice, ...] = ()
    rates: tuple[UsedRate, ...] = ()
    exposures: tuple[UsedExposure, ...] = ()
    equities: tuple[UsedEquity, ...] = ()
    baselines: tuple[UsedBaseline, ...] = ()
    counts: tuple[UsedCount, ...] = ()
    scopes: tuple[UsedScope, ...] = ()
    matches: tuple[UsedMatch, ...] = ()
    walks: tuple[UsedWalk, ...] = ()
    measures: tuple[UsedMeasure, ...] = ()


class LimitVerdict(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One limit, and how the order stands to it. `value` is what was in force: scaled by the
    `multiplier` of the strategy where there is one. `before` is what was measured without the
    order, `after` what it would be with it; `missing` is what could not be known. `tripped_at`: it
    was reached earlier in the period."""

    limit_id: UUID
    measure: LimitMeasure
    scope: LimitScope
    reference: str | None = None
    value: Decimal
    unit: str
    window: str | None = None
    warning_threshold: Decimal | None = None
    multiplier: Decimal | None = None
    before: Decimal | None = None
    after: Decimal | None = None
    missing: tuple[str, ...] = ()
    tripped_at: datetime | None = None
    set_by: str | None = None
    approved_by: str | None = None


class RiskDecision(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a decision about an order rests on. `checked` counts the limits that were asked."""

    decided_at: datetime
    checked: int
    failed: tuple[LimitVerdict, ...] = ()
    warned: tuple[LimitVerdict, ...] = ()
    inputs: Inputs | None = None
