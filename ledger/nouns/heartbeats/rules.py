"""Heartbeats: promised, heard, missed once, ended by a person.

All times are the ledger's own: who dates a heartbeat ahead gains nothing.
"""

from datetime import datetime, timedelta

from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.heartbeats.events import (
    HeartbeatEnded,
    HeartbeatEvent,
    HeartbeatHeard,
    HeartbeatMissed,
    HeartbeatPromised,
)
from ledger.nouns.heartbeats.rejections import HeartbeatRejection
from ledger.nouns.heartbeats.state import HeartbeatState
from ledger.nouns.limits.state import LimitAuthor, scope_key
from ledger.nouns.limits.terms import LimitScope


def promise(
    state: HeartbeatState | None,
    *,
    scope: LimitScope,
    reference: str | None,
    timeout_seconds: int,
    sender: str,
    by: LimitAuthor,
    now: datetime,
) -> tuple[HeartbeatEvent, ...]:
    """It is awaited from now on: the first within the time as well."""
    if (
        state is not None
        and state.is_awaited(now)
        and (state.timeout_seconds, state.sender) == (timeout_seconds, sender)
    ):
        return ()
    return (
        HeartbeatPromised(
            scope=scope,
            reference=reference,
            until=now + timedelta(seconds=timeout_seconds),
            timeout_seconds=timeout_seconds,
            sender=sender,
            by=by.name,
            by_user=by.user_id,
        ),
    )


def hear(
    state: HeartbeatState | None,
    *,
    scope: LimitScope,
    reference: str | None,
    sender: str,
    now: datetime,
) -> tuple[HeartbeatEvent, ...]:
    """Nothing while it is paused: a pause ends at its time."""
    known = _known(state, scope, reference)
    if sender != known.sender:
        raise Rejection(
            HeartbeatRejection.NOT_ITS_SENDER,
            f"the heartbeat of {scope_key(scope, reference)} is {known.sender!r}'s, and not "
            f"{sender!r}'s",
        )
    if not known.is_awaited(now):
        return ()
    return (HeartbeatHeard(scope=scope, reference=reference, until=now + known.timeout),)


def miss(
    state: HeartbeatState | None, *, scope: LimitScope, reference: str | None, now: datetime
) -> tuple[HeartbeatEvent, ...]:
    """Once, and not before its time, whoever says so."""
    known = _known(state, scope, reference)
    if known.missed or known.until is None or now < known.until:
        return ()
    return (HeartbeatMissed(scope=scope, reference=reference, until=known.until, at=now),)


def end(
    state: HeartbeatState | None,
    *,
    scope: LimitScope,
    reference: str | None,
    reason: str,
    resumes_at: datetime | None,
    by: LimitAuthor,
    now: datetime,
) -> tuple[HeartbeatEvent, ...]:
    known = _known(state, scope, reference)
    if resumes_at is not None and resumes_at <= now:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"resumes_at {resumes_at.isoformat()} is over",
            "name a time to come, or none: it is then ended for good",
        )
    if known.until is None and resumes_at is None:
        return ()
    return (
        HeartbeatEnded(
            scope=scope,
            reference=reference,
            until=None if resumes_at is None else resumes_at + known.timeout,
            reason=reason,
            by=by.name,
            by_user=by.user_id,
            resumes_at=resumes_at,
        ),
    )


def _known(
    state: HeartbeatState | None, scope: LimitScope, reference: str | None
) -> HeartbeatState:
    if state is None:
        raise Rejection(
            HeartbeatRejection.UNKNOWN_HEARTBEAT,
            f"no heartbeat of {scope_key(scope, reference)} was promised",
        )
    return state
