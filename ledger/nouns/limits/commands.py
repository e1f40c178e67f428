"""Limits: the data of their commands."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Self, TypeAlias

from pydantic import PlainValidator, WithJsonSchema, model_validator

from ledger.kernel.command import CommandClass, CommandData
from ledger.kernel.fields import Choice, Id, Rate, Text, TimeOrNone, default
from ledger.nouns.limits.terms import (
    LimitMeasure,
    LimitScope,
    LimitTerms,
    check_terms,
    reference_of,
    unit_of,
    window_of,
)

if TYPE_CHECKING:
    from ledger.kernel.fields import AmountOrNone

    Unit: TypeAlias = str
    WindowOrNone: TypeAlias = str | None
    RateOrNone: TypeAlias = AmountOrNone
else:
    _TEXT = WithJsonSchema({"type": "string", "minLength": 1})
    Unit = Annotated[str, PlainValidator(unit_of), _TEXT]
    WindowOrNone = Annotated[str, PlainValidator(window_of), _TEXT] | None
    RateOrNone = Rate | None


class LimitsCommandData(CommandData, abstract=True):
    command_class: ClassVar[CommandClass] = "admin"


class ScopedCommandData(LimitsCommandData, abstract=True):
    """`reference` says which user, account, strategy or instrument; of the SYSTEM there is one."""

    scope: Choice[LimitScope]
    reference: Text | None = None

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        reference_of(self.scope, self.reference)
        return self

    @property
    def of(self) -> str | None:
        """The reference as it is kept."""
        return reference_of(self.scope, self.reference)


class SetLimit(ScopedCommandData):
    """A new limit, or another value of one. What would allow more waits for `ApproveLimit`."""

    limit_id: Id
    measure: Choice[LimitMeasure]
    value: Rate
    unit: Unit
    warning_threshold: RateOrNone = default(None)
    window: WindowOrNone = None
    effective_from: TimeOrNone = default(None)
    effective_until: TimeOrNone = default(None)
    description: Text | None = None

    @model_validator(mode="after")
    def _can_be_measured(self) -> Self:
        check_terms(self.terms, self.scope)
        return self

    @property
    def terms(self) -> LimitTerms:
        return LimitTerms(
            measure=self.measure,
            value=self.value,
            unit=self.unit,
            warning_threshold=self.warning_threshold,
            window=self.window,
            effective_from=self.effective_from,
            effective_until=self.effective_until,
            description=self.description,
        )


class ApproveLimit(LimitsCommandData):
    """What waits takes effect: sent by another person than who asked for it."""

    limit_id: Id


class RemoveLimit(LimitsCommandData):
    """Waits for `ApproveLimit`, as everything that allows more."""

    limit_id: Id


class Halt(ScopedCommandData):
    """Nothing that raises exposure in the scope is accepted from the next batch on."""

    reason: Text


class Resume(ScopedCommandData):
    reason: Text
