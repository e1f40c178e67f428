"""Limits: what is answered to who asks without doing anything."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.nouns.limits.decision import Inputs, LimitVerdict
from ledger.nouns.limits.terms import LimitMeasure, LimitScope


class RiskCheckAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an order, or a change of one, would meet: true as of `position`. Sent now it would get
    this outcome, if nothing happens in between. `checked` counts the limits that were asked."""

    position: int
    decided_at: datetime
    allowed: bool
    code: str | None = None
    message: str | None = None
    checked: int = 0
    failed: tuple[LimitVerdict, ...] = ()
    warned: tuple[LimitVerdict, ...] = ()
    inputs: Inputs | None = None


class LimitUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit and what it is at. `measured` and `percent` are absent where nothing is to be
    measured without an order, or where something is `missing`."""

    limit_id: UUID
    scope: LimitScope
    reference: str | None = None
    measure: LimitMeasure
    value: Decimal
    unit: str
    window: str | None = None
    warning_threshold: Decimal | None = None
    measured: Decimal | None = None
    percent: Decimal | None = None
    exceeded: bool = False
    warning: bool = False
    missing: tuple[str, ...] = ()
    set_by: str | None = None
    approved_by: str | None = None


class LimitUseAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one account, as of `position`. `halts` are the scopes of it that are halted, and why."""

    position: int
    measured_at: datetime
    rows: tuple[LimitUse, ...] = ()
    halts: dict[str, str] = msgspec.field(default_factory=dict)
