"""`limits`: every limit there was, as it was set last, and what waits for somebody's approval.
`limit_history`: every change of one, and every halt, which never change.

What is in force at a moment, and what each limit is at, says the ledger itself (`limit-use`): these
rows tell what was said of them, by whom, and who approved it. The scope SYSTEM has the reference
`SYSTEM`, so that there is always one to ask by.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from ledger.nouns.limits.events import (
    Halted,
    LimitEvent,
    LimitProposed,
    LimitRemovalProposed,
    LimitRemoved,
    LimitSet,
    LimitsEvent,
    Resumed,
)
from ledger.nouns.limits.terms import LimitMeasure, LimitScope, LimitTerms
from projections.engine.live.row_change import changed
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Past, Question, ascending, exactly, newest_first


class LimitStatus(StrEnum):
    ACTIVE = "ACTIVE"
    PROPOSED = "PROPOSED"
    """In force as the row says; what is proposed waits for somebody else."""
    REMOVED = "REMOVED"


class LimitChange(StrEnum):
    SET = "SET"
    PROPOSED = "PROPOSED"
    REMOVAL_PROPOSED = "REMOVAL_PROPOSED"
    REMOVED = "REMOVED"
    HALTED = "HALTED"
    RESUMED = "RESUMED"


class LimitRow(Row, kw_only=True):
    limit_id: UUID
    scope: LimitScope
    reference: str
    measure: LimitMeasure
    value: Decimal
    unit: str
    warning_threshold: Decimal | None
    time_window: str | None
    effective_from: datetime | None
    effective_until: datetime | None
    description: str | None
    status: LimitStatus
    proposed_value: Decimal | None
    proposed_by: str | None
    set_by: str
    approved_by: str | None
    set_at: datetime
    updated_at: datetime
    last_position: int


class LimitHistoryRow(Row, kw_only=True):
    position: int
    limit_id: UUID | None
    scope: LimitScope
    reference: str
    change: LimitChange
    measure: LimitMeasure | None
    value: Decimal | None
    unit: str | None
    warning_threshold: Decimal | None
    time_window: str | None
    effective_from: datetime | None
    effective_until: datetime | None
    description: str | None
    sent_by: str
    approved_by: str | None
    occurred_at: datetime
    recorded_at: datetime


LIMITS = Table("limits", LimitRow, key=("limit_id",))
HISTORY = Table("limit_history", LimitHistoryRow, key=("position",), insert_only=True)

_CHANGES: dict[type[LimitsEvent], LimitChange] = {
    LimitSet: LimitChange.SET,
    LimitProposed: LimitChange.PROPOSED,
    LimitRemovalProposed: LimitChange.REMOVAL_PROPOSED,
    LimitRemoved: LimitChange.REMOVED,
    Halted: LimitChange.HALTED,
    Resumed: LimitChange.RESUMED,
}


def _reference(event: LimitsEvent) -> str:
    return event.scope.value if event.reference is None else event.reference


def _noted(recorded: Recorded, event: LimitsEvent, rows: RowSet) -> None:
    terms = event.terms if isinstance(event, LimitSet | LimitProposed) else None
    rows[HISTORY].insert(
        LimitHistoryRow(
            position=recorded.position,
            limit_id=event.limit_id if isinstance(event, LimitEvent) else None,
            scope=event.scope,
            reference=_reference(event),
            change=_CHANGES[type(event)],
            measure=None if terms is None else terms.measure,
            value=None if terms is None else terms.value,
            unit=None if terms is None else terms.unit,
            warning_threshold=None if terms is None else terms.warning_threshold,
            time_window=None if terms is None else terms.window,
            effective_from=None if terms is None else terms.effective_from,
            effective_until=None if terms is None else terms.effective_until,
            description=event.reason
            if isinstance(event, Halted | Resumed)
            else None
            if terms is None
            else terms.description,
            sent_by=event.by,
            approved_by=event.approved_by if isinstance(event, LimitSet | LimitRemoved) else None,
            occurred_at=recorded.occurred_at,
            recorded_at=recorded.recorded_at,
        )
    )


def _set(recorded: Recorded, event: LimitSet, rows: RowSet) -> None:
    _noted(recorded, event, rows)
    if rows[LIMITS].find(event.limit_id) is None:
        rows[LIMITS].insert(_begun(recorded, event))
        return
    row = changed(recorded, LIMITS, event.limit_id, rows)
    terms = event.terms
    row.value, row.unit, row.time_window = terms.value, terms.unit, terms.window
    row.warning_threshold, row.description = terms.warning_threshold, terms.description
    row.effective_from, row.effective_until = terms.effective_from, terms.effective_until
    row.status, row.set_by, row.approved_by = LimitStatus.ACTIVE, event.by, event.approved_by
    row.proposed_value = row.proposed_by = None
    row.set_at = recorded.occurred_at


def _begun(recorded: Recorded, event: LimitSet) -> LimitRow:
    terms: LimitTerms = event.terms
    return LimitRow(
        limit_id=event.limit_id,
        scope=event.scope,
        reference=_reference(event),
        measure=terms.measure,
        value=terms.value,
        unit=terms.unit,
        warning_threshold=terms.warning_threshold,
        time_window=terms.window,
        effective_from=terms.effective_from,
        effective_until=terms.effective_until,
        description=terms.description,
        status=LimitStatus.ACTIVE,
        proposed_value=None,
        proposed_by=None,
        set_by=event.by,
        approved_by=event.approved_by,
        set_at=recorded.occurred_at,
        updated_at=recorded.recorded_at,
        last_position=recorded.position,
    )


def _proposed(
    recorded: Recorded, event: LimitProposed | LimitRemovalProposed, rows: RowSet
) -> None:
    """What is in force stays; of a removal no value is proposed."""
    _noted(recorded, event, rows)
    row = changed(recorded, LIMITS, event.limit_id, rows)
    row.status, row.proposed_by = LimitStatus.PROPOSED, event.by
    row.proposed_value = event.terms.value if isinstance(event, LimitProposed) else None


def _removed(recorded: Recorded, event: LimitRemoved, rows: RowSet) -> None:
    _noted(recorded, event, rows)
    row = changed(recorded, LIMITS, event.limit_id, rows)
    row.status, row.approved_by = LimitStatus.REMOVED, event.approved_by
    row.proposed_value = row.proposed_by = None


def _keys(recorded: Recorded, event: LimitsEvent) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    return ((LIMITS, event.limit_id),) if isinstance(event, LimitEvent) else ()


PROJECTION = Projection(
    name="limits",
    version=1,
    tables=(LIMITS, HISTORY),
    folds={
        LimitSet: _set,
        LimitProposed: _proposed,
        LimitRemovalProposed: _proposed,
        LimitRemoved: _removed,
        Halted: _noted,
        Resumed: _noted,
    },
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="limits",
        table=LIMITS,
        about="A limit as it was set last, of one account, user, strategy, instrument or SYSTEM.",
        paths=(ascending("reference", "limit_id"), ascending(None, "limit_id")),
        filters=(exactly("limit_id"), exactly("scope"), exactly("measure"), exactly("status")),
        argument="reference",
        shown=("measure", "value", "unit", "scope", "reference", "status", "set_by"),
        past=Past("projections.past.limits:limits_at", begins_with="rows"),
    ),
    Question(
        name="limit_history",
        table=HISTORY,
        read_model="limits",
        about="A change of a limit, or a halt; the newest first.",
        paths=(newest_first("reference", "position"), newest_first(None, "position")),
        filters=(exactly("limit_id"), exactly("scope"), exactly("change"), exactly("measure")),
        argument="reference",
        shown=("recorded_at", "change", "measure", "value", "unit", "sent_by", "approved_by"),
    ),
)
