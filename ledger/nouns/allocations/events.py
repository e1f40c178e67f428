"""Allocations: what can have happened to the shares of an account."""

from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from ledger.kernel.event import Event


class AllocationEvent(Event, frozen=True, kw_only=True):
    account_id: UUID


class StrategyAssigned(AllocationEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "allocation.strategy_assigned"
    strategy_id: str
    allocation_percent: Decimal
    risk_multiplier: Decimal = Decimal(1)
    auto_rebalance: bool = False


class AllocationChanged(AllocationEvent, frozen=True, kw_only=True):
    """The assignment as it is from now on, whole."""

    type: ClassVar[str] = "allocation.changed"
    strategy_id: str
    allocation_percent: Decimal
    risk_multiplier: Decimal
    auto_rebalance: bool


class StrategyDeactivated(AllocationEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "allocation.strategy_deactivated"
    strategy_id: str
    reason: str | None = None


class AllocationsRebalanced(AllocationEvent, frozen=True, kw_only=True):
    """Funds were moved to match the percentages; the account's event says which."""

    type: ClassVar[str] = "allocation.rebalanced"
