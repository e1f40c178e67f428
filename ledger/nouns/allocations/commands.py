"""Allocations: the data of their commands."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, StrictBool, model_validator

from ledger.kernel.command import AccountCommandData
from ledger.kernel.fields import PositiveAmount, StrategyId, Text
from ledger.nouns.allocations.terms import check_multiplier, check_name, check_percent

Percent = Annotated[PositiveAmount, AfterValidator(check_percent)]
Multiplier = Annotated[PositiveAmount, AfterValidator(check_multiplier)]


class AllocationCommandData(AccountCommandData):
    command_class = "admin"

    strategy_id: StrategyId

    @model_validator(mode="after")
    def _strategy_is_no_reserved_name(self) -> Self:
        check_name(self.strategy_id)
        return self


class AssignStrategy(AllocationCommandData):
    allocation_percent: Percent
    risk_multiplier: Multiplier = Decimal(1)
    auto_rebalance: StrictBool = False


class ChangeAllocation(AllocationCommandData):
    """What is absent stays as it is."""

    allocation_percent: Percent | None = None
    risk_multiplier: Multiplier | None = None
    auto_rebalance: StrictBool | None = None


class DeactivateStrategy(AllocationCommandData):
    reason: Text | None = None


class RebalanceAllocations(AccountCommandData):
    command_class = "admin"
