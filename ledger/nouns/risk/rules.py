"""Risk events: opened once, told anew only where it matters, over when it is below its warning."""

from msgspec.structs import replace

from ledger.kernel.event import Event
from ledger.kernel.rejection import Rejection
from ledger.nouns.risk.events import RiskOpened, RiskResolved, RiskUpdated
from ledger.nouns.risk.rejections import RiskRejection
from ledger.nouns.risk.state import RiskState


def report(state: RiskState | None, seen: RiskOpened) -> tuple[Event, ...]:
    """It is beyond a threshold, as `seen` says."""
    if state is None or not state.is_open:
        return (replace(seen, number=1 if state is None else state.number + 1),)
    if (state.severity, state.threshold) == (seen.severity, seen.threshold):
        return ()
    return (
        RiskUpdated(
            risk_id=seen.risk_id,
            number=state.number,
            value=seen.value,
            severity=seen.severity,
            message=seen.message,
            threshold=seen.threshold,
            limit=seen.limit,
            cause=seen.cause,
        ),
    )


def clear(state: RiskState | None, resolved: RiskResolved) -> tuple[Event, ...]:
    """It is below its warning: what is not open does not become so by that."""
    if state is None or not state.is_open:
        return ()
    return (replace(resolved, number=state.number, by_itself=True),)


def resolve(state: RiskState | None, resolved: RiskResolved) -> tuple[Event, ...]:
    """A person says so."""
    if state is None:
        raise Rejection(
            RiskRejection.UNKNOWN_RISK_EVENT, f"there is no risk event {resolved.risk_id}"
        )
    if not state.is_open:
        raise Rejection(
            RiskRejection.RISK_EVENT_NOT_OPEN, f"risk event {resolved.risk_id} is resolved"
        )
    return (replace(resolved, number=state.number),)
