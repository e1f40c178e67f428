"""Allocations: the data of their commands."""

from decimal import Decimal
from typing import Self

from pydantic import StrictBool, model_validator

from ledger.kernel.command import AccountCommandData
from ledger.kernel.fields import (
    Multiplier,
    MultiplierOrNone,
    Percent,
    PercentOrNone,
    StrategyId,
    Text,
    default,
)
from ledger.nouns.allocations.terms import check_name


class AllocationCommandData(AccountCommandData, abstract=True):
    command_class = "admin"

    strategy_id: StrategyId

    @model_validator(mode="after")
    def _strategy_is_no_reserved_name(self) -> Self:
        check_name(self.strategy_id)
        return self


class AssignStrategy(AllocationCommandData):
    allocation_percent: Percent
    risk_multiplier: Multiplier = default(Decimal(1))
    auto_rebalance: StrictBool = False


class ChangeAllocation(AllocationCommandData):
    """What is absent stays as it is."""

    allocation_percent: PercentOrNone = default(None)
    risk_multiplier: MultiplierOrNone = default(None)
    auto_rebalance: StrictBool | None = None


class DeactivateStrategy(AllocationCommandData):
    reason: Text | None = None


class RebalanceAllocations(AccountCommandData):
    command_class = "admin"
