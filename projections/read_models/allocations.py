"""`user_strategy_assignments`: which strategy may use which share of which account.

One row per account and strategy, also after it was deactivated; assigned again, it is the same
row with a new `assigned_at`.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.nouns.allocations.events import (
    AllocationChanged,
    AllocationEvent,
    AllocationsRebalanced,
    StrategyAssigned,
    StrategyDeactivated,
)
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, ascending, exactly


class Assignment(Row, kw_only=True):
    account_id: UUID
    strategy_id: str
    user_id: UUID | None
    allocation_percent: Decimal
    risk_multiplier: Decimal
    is_active: bool
    auto_rebalance: bool
    assigned_at: datetime
    deactivated_at: datetime | None
    last_rebalanced_at: datetime | None
    updated_at: datetime
    last_position: int


class AccountAssignments(Row):
    """All assignments of an account together: a rebalance touches every active one."""

    account_id: UUID
    assignments: dict[str, Assignment]


ASSIGNMENTS = Table("user_strategy_assignments", Assignment, key=("account_id", "strategy_id"))
BY_ACCOUNT = Table("account_assignments", AccountAssignments, key=("account_id",), private=True)


def _assigned(recorded: Recorded, event: StrategyAssigned, rows: RowSet) -> None:
    of_account = rows[BY_ACCOUNT].change(event.account_id)
    if of_account is None:
        of_account = AccountAssignments(event.account_id, {})
        rows[BY_ACCOUNT].insert(of_account)
    earlier = of_account.assignments.get(event.strategy_id)
    row = Assignment(
        account_id=event.account_id,
        strategy_id=event.strategy_id,
        user_id=recorded.user_id,
        allocation_percent=event.allocation_percent,
        risk_multiplier=event.risk_multiplier,
        is_active=True,
        auto_rebalance=event.auto_rebalance,
        assigned_at=recorded.occurred_at,
        deactivated_at=None,
        last_rebalanced_at=earlier.last_rebalanced_at if earlier else None,
        updated_at=recorded.recorded_at,
        last_position=recorded.position,
    )
    of_account.assignments[event.strategy_id] = row
    rows[ASSIGNMENTS].put(row)


def _changed(recorded: Recorded, event: AllocationChanged, rows: RowSet) -> None:
    row = _assignment(recorded, event.account_id, event.strategy_id, rows)
    row.allocation_percent = event.allocation_percent
    row.risk_multiplier = event.risk_multiplier
    row.auto_rebalance = event.auto_rebalance


def _deactivated(recorded: Recorded, event: StrategyDeactivated, rows: RowSet) -> None:
    row = _assignment(recorded, event.account_id, event.strategy_id, rows)
    row.is_active = False
    row.deactivated_at = recorded.occurred_at


def _rebalanced(recorded: Recorded, event: AllocationsRebalanced, rows: RowSet) -> None:
    of_account = rows[BY_ACCOUNT].change(event.account_id)
    for row in of_account.assignments.values() if of_account else ():
        if row.is_active:
            row.last_rebalanced_at = recorded.occurred_at
            _put(recorded, row, rows)


def _assignment(recorded: Recorded, account_id: UUID, strategy_id: str, rows: RowSet) -> Assignment:
    of_account = rows[BY_ACCOUNT].change(account_id)
    row = of_account.assignments.get(strategy_id) if of_account else None
    if row is None:
        raise LookupError(f"strategy {strategy_id!r} was never assigned to account {account_id}")
    _put(recorded, row, rows)
    return row


def _put(recorded: Recorded, row: Assignment, rows: RowSet) -> None:
    row.updated_at = recorded.recorded_at
    row.last_position = recorded.position
    rows[ASSIGNMENTS].put(row)


def _keys(
    recorded: Recorded,  # noqa: ARG001
    event: AllocationEvent,
) -> Iterable[tuple[Table[Any], Key]]:
    return ((BY_ACCOUNT, event.account_id),)


PROJECTION = Projection(
    name="user_strategy_assignments",
    version=1,
    tables=(ASSIGNMENTS, BY_ACCOUNT),
    folds={
        StrategyAssigned: _assigned,
        AllocationChanged: _changed,
        StrategyDeactivated: _deactivated,
        AllocationsRebalanced: _rebalanced,
    },
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="allocations",
        table=ASSIGNMENTS,
        about="A strategy that is assigned to an account, and its share.",
        paths=(
            ascending("account_id", "strategy_id"),
            ascending("user_id", "account_id", "strategy_id"),
            ascending("strategy_id", "account_id"),
        ),
        filters=(exactly("is_active"),),
        shown=(
            *("strategy_id", "allocation_percent", "risk_multiplier", "is_active"),
            *("auto_rebalance", "assigned_at", "account_id"),
        ),
    ),
)
