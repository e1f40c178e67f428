"""`breakers`, `circuit_breaker_events`: what stops trading by itself, and when it did."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.nouns.breakers.events import (
    BreakerActed,
    BreakerAction,
    BreakerKind,
    BreakerRemoved,
    BreakerResumed,
    BreakerSet,
    BreakerTripped,
)
from ledger.nouns.limits.terms import LimitScope
from projections.engine.live.row_change import changed
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, ascending, between, exactly, newest_first


class Breaker(Row, kw_only=True):
    breaker_id: UUID
    kind: BreakerKind
    scope: LimitScope
    reference: str | None
    threshold: Decimal
    window_seconds: int | None
    actions: list[str]
    is_active: bool
    trips: int
    set_by: str | None
    reason: str | None
    set_at: datetime
    removed_at: datetime | None
    updated_at: datetime
    last_position: int


class BreakerTrip(Row, kw_only=True):
    breaker_id: UUID
    number: int
    kind: BreakerKind
    scope: LimitScope
    reference: str
    account_id: UUID | None
    user_id: UUID | None
    threshold: Decimal
    actual: Decimal
    window_seconds: int | None
    inputs: dict[str, Any]
    actions: list[str]
    pause_trading: bool
    close_positions: bool
    triggered_at: datetime
    event_id: UUID
    cause_event_id: UUID | None
    halted: bool
    cancels_requested: int
    exits_requested: int
    refused: int
    error: str | None
    resolved: bool
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None
    updated_at: datetime
    last_position: int


BREAKERS = Table("breakers", Breaker, key=("breaker_id",), shared=True)
TRIPS = Table("circuit_breaker_events", BreakerTrip, key=("breaker_id", "number"))


def _set(recorded: Recorded, event: BreakerSet, rows: RowSet) -> None:
    terms = event.terms
    row = rows[BREAKERS].find(event.breaker_id)
    rows[BREAKERS].put(
        Breaker(
            breaker_id=event.breaker_id,
            kind=terms.kind,
            scope=terms.scope,
            reference=terms.reference,
            threshold=terms.threshold,
            window_seconds=terms.window_seconds,
            actions=[one.value for one in terms.actions],
            is_active=True,
            trips=0 if row is None else row.trips,
            set_by=event.actor,
            reason=event.reason,
            set_at=recorded.occurred_at,
            removed_at=None,
            updated_at=recorded.recorded_at,
            last_position=recorded.position,
        )
    )


def _removed(recorded: Recorded, event: BreakerRemoved, rows: RowSet) -> None:
    row = changed(recorded, BREAKERS, event.breaker_id, rows)
    row.is_active, row.removed_at = False, recorded.occurred_at


def _tripped(recorded: Recorded, event: BreakerTripped, rows: RowSet) -> None:
    changed(recorded, BREAKERS, event.breaker_id, rows).trips += 1
    terms = event.terms
    rows[TRIPS].insert(
        BreakerTrip(
            breaker_id=event.breaker_id,
            number=event.number,
            kind=terms.kind,
            scope=event.scope,
            reference=event.reference,
            account_id=event.account_id,
            user_id=event.user_id,
            threshold=terms.threshold,
            actual=event.measured,
            window_seconds=terms.window_seconds,
            inputs=event.inputs,
            actions=[one.value for one in terms.actions],
            pause_trading=BreakerAction.HALT in terms.actions,
            close_positions=BreakerAction.EXIT in terms.actions,
            triggered_at=recorded.occurred_at,
            event_id=recorded.id,
            cause_event_id=event.cause,
            halted=False,
            cancels_requested=0,
            exits_requested=0,
            refused=0,
            error=None,
            resolved=False,
            resolved_at=None,
            resolved_by=None,
            resolution=None,
            updated_at=recorded.recorded_at,
            last_position=recorded.position,
        )
    )


def _trip(recorded: Recorded, event: BreakerActed | BreakerResumed, rows: RowSet) -> BreakerTrip:
    return changed(recorded, TRIPS, (event.breaker_id, event.number), rows)


def _acted(recorded: Recorded, event: BreakerActed, rows: RowSet) -> None:
    row = _trip(recorded, event, rows)
    row.refused += event.refused
    row.error = event.error or row.error
    match event.action:
        case BreakerAction.HALT:
            row.halted = event.accepted > 0
        case BreakerAction.CANCEL:
            row.cancels_requested += event.accepted
        case BreakerAction.EXIT:
            row.exits_requested += event.accepted


def _resumed(recorded: Recorded, event: BreakerResumed, rows: RowSet) -> None:
    row = _trip(recorded, event, rows)
    row.resolved, row.resolved_at = True, recorded.occurred_at
    row.resolved_by, row.resolution = event.actor, event.reason


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    if isinstance(event, BreakerActed | BreakerResumed):
        return ((TRIPS, (event.breaker_id, event.number)),)
    return ((BREAKERS, event.breaker_id),)


PROJECTION = Projection(
    name="breakers",
    version=1,
    tables=(BREAKERS, TRIPS),
    folds={
        BreakerSet: _set,
        BreakerRemoved: _removed,
        BreakerTripped: _tripped,
        BreakerActed: _acted,
        BreakerResumed: _resumed,
    },
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="breakers",
        table=BREAKERS,
        about="What stops trading by itself, and at what.",
        paths=(ascending("breaker_id", "breaker_id"), ascending(None, "breaker_id")),
        filters=(exactly("kind"), exactly("scope"), exactly("reference"), exactly("is_active")),
        argument="breaker_id",
        shown=("kind", "scope", "reference", "threshold", "is_active", "trips", "breaker_id"),
    ),
    Question(
        name="breaker_trips",
        table=TRIPS,
        read_model="breakers",
        about="When a breaker stopped trading, by which numbers, who resumed; the newest first.",
        paths=(
            ascending("breaker_id", "number"),
            newest_first("account_id", "triggered_at", "breaker_id", "number"),
            newest_first("user_id", "triggered_at", "breaker_id", "number"),
            newest_first(None, "triggered_at", "breaker_id", "number"),
        ),
        filters=(
            exactly("kind"),
            exactly("scope"),
            exactly("reference"),
            exactly("resolved"),
            *between("triggered_at"),
        ),
        shown=(
            *("triggered_at", "kind", "scope", "reference", "actual", "threshold", "resolved"),
            "breaker_id",
        ),
    ),
)
