"""Risk events: what decisions know of one thing that is watched."""

from uuid import UUID, uuid5

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.risk.events import (
    RiskEventType,
    RiskOpened,
    RiskResolved,
    RiskSeverity,
    RiskThreshold,
    RiskUpdated,
)

_NAMESPACE = UUID("c1f4a3de-7b1e-5f0a-8a6c-2f8e8b2d9a41")


def stream_id(
    event_type: RiskEventType, scope: LimitScope, reference: str | None, what: str = ""
) -> UUID:
    """The id of what is watched, and of the stream: the same for ever. `what` tells two of a type
    and scope apart: the limit, the instrument."""
    return uuid5(_NAMESPACE, f"{event_type} {scope} {reference or ''} {what}")


class RiskState(EvolvingState, gc=False, kw_only=True):
    """Of the newest opening."""

    number: int
    is_open: bool
    severity: RiskSeverity
    threshold: RiskThreshold | None
    user_id: UUID | None = None


def evolve(state: RiskState | None, event: Event, stream_id: UUID) -> RiskState:
    """The state after an event."""
    if isinstance(event, RiskOpened):
        return RiskState(
            number=event.number,
            is_open=True,
            severity=event.severity,
            threshold=event.threshold,
            user_id=event.user_id,
        )
    if state is not None and isinstance(event, RiskUpdated):
        state.severity, state.threshold = event.severity, event.threshold
        return state
    if state is not None and isinstance(event, RiskResolved):
        state.is_open = False
        return state
    raise TypeError(f"{type(event).__name__} is not how the risk {stream_id} can begin or go on")


RISK = Aggregate("risk", RiskState, 1, evolve)
