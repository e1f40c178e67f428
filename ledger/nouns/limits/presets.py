"""Limits: sets of them that are known by a name."""

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid5

from ledger.nouns.limits.commands import SetLimit
from ledger.nouns.limits.state import scope_key
from ledger.nouns.limits.terms import (
    DAILY,
    PERCENT,
    RATIO,
    LimitMeasure,
    LimitScope,
)

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a07")
CURRENCY = "currency"
"""Stands for the currency that a preset is asked for in."""


class PresetLimit(NamedTuple):
    measure: LimitMeasure
    value: Decimal
    unit: str
    warning: Decimal
    window: str | None
    description: str


PRESETS: dict[str, tuple[PresetLimit, ...]] = {
    "patriot": (
        PresetLimit(
            LimitMeasure.MAX_POSITION,
            Decimal(50_000),
            CURRENCY,
            Decimal(40_000),
            None,
            "the largest position of an account in one instrument",
        ),
        PresetLimit(
            LimitMeasure.MAX_DAILY_LOSS,
            Decimal(5),
            PERCENT,
            Decimal(4),
            DAILY,
            "of the equity at 00:00 UTC",
        ),
        PresetLimit(
            LimitMeasure.MAX_DRAWDOWN,
            Decimal(20),
            PERCENT,
            Decimal(15),
            None,
            "of the highest equity",
        ),
        PresetLimit(
            LimitMeasure.MAX_LEVERAGE,
            Decimal(10),
            RATIO,
            Decimal(8),
            None,
            "exposure by equity",
        ),
        PresetLimit(
            LimitMeasure.MAX_VAR_95,
            Decimal(10),
            PERCENT,
            Decimal(8),
            None,
            "value at risk of a day, of the equity",
        ),
        PresetLimit(
            LimitMeasure.MAX_CORRELATION,
            Decimal("0.80"),
            RATIO,
            Decimal("0.70"),
            None,
            "the largest between two positions",
        ),
    ),
}
"""By name. What is told from elsewhere (value at risk, correlation) refuses as long as nobody has:
`told=False` leaves it out."""


def of_preset(
    name: str,
    currency: str,
    scope: LimitScope,
    reference: str | None,
    *,
    told: bool = True,
) -> list[SetLimit]:
    """The commands of a preset, with the same ids each time: who sends it again changes nothing."""
    return [
        SetLimit(
            limit_id=uuid5(_NAMESPACE, f"{name} {scope_key(scope, reference)} {one.measure}"),
            scope=scope,
            reference=reference,
            measure=one.measure,
            value=one.value,
            unit=currency if one.unit == CURRENCY else one.unit,
            warning_threshold=one.warning,
            window=one.window,
            description=f"{name}: {one.description}",
        )
        for one in PRESETS[name]
        if told or one.measure not in (LimitMeasure.MAX_VAR_95, LimitMeasure.MAX_CORRELATION)
    ]
