"""Breakers: they trip at their threshold, once, and stay so until a person resumes them."""

from msgspec.structs import replace

from ledger.kernel.event import Event
from ledger.kernel.money import shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.breakers.events import (
    BreakerKind,
    BreakerRemoved,
    BreakerResumed,
    BreakerSet,
    BreakerTerms,
    BreakerTripped,
)
from ledger.nouns.breakers.rejections import BreakerRejection
from ledger.nouns.breakers.state import BreakerState, subject_of
from ledger.nouns.limits.terms import LimitScope

SCOPES = {
    BreakerKind.DRAWDOWN: (LimitScope.SYSTEM, LimitScope.USER, LimitScope.ACCOUNT),
    BreakerKind.LOSS_STREAK: (
        *(LimitScope.SYSTEM, LimitScope.USER, LimitScope.ACCOUNT, LimitScope.STRATEGY),
    ),
    BreakerKind.VOLATILITY_SPIKE: (LimitScope.INSTRUMENT,),
    BreakerKind.REPEATED_EXECUTION: (
        *(LimitScope.SYSTEM, LimitScope.USER, LimitScope.ACCOUNT, LimitScope.STRATEGY),
    ),
}
"""Of what each can be measured. What is of SYSTEM or USER is measured of each account."""
MOST_EXECUTIONS = 1_000
"""That a breaker counts up to: whoever measures remembers the time of each, of every subject."""


def set_breaker(state: BreakerState | None, given: BreakerSet) -> tuple[Event, ...]:
    terms = given.terms
    _check(terms)
    if state is None:
        return (given,)
    before = state.terms
    if (before.kind, before.scope, before.reference) != (terms.kind, terms.scope, terms.reference):
        raise Rejection(
            BreakerRejection.BREAKER_FIXED,
            f"breaker {given.breaker_id} is {before.kind} of {before.scope} {before.reference}",
        )
    return () if before == terms and not state.removed else (given,)


def _check(terms: BreakerTerms) -> None:
    wrong: str | None = None
    if terms.scope not in SCOPES[terms.kind]:
        wrong = f"{terms.kind} is measured of {', '.join(SCOPES[terms.kind])}, not {terms.scope}"
    elif (terms.reference is None) != (terms.scope is LimitScope.SYSTEM):
        wrong = "every scope but SYSTEM has a reference: which one"
    elif terms.kind is BreakerKind.LOSS_STREAK and terms.threshold % 1:
        wrong = f"a LOSS_STREAK counts positions: {shown(terms.threshold)} is no number of them"
    elif terms.kind is BreakerKind.REPEATED_EXECUTION and (
        terms.threshold % 1 or terms.threshold > MOST_EXECUTIONS
    ):
        most = f"1 to {MOST_EXECUTIONS}"
        wrong = f"a REPEATED_EXECUTION counts {most} trades, not {shown(terms.threshold)}"
    elif terms.kind is BreakerKind.REPEATED_EXECUTION and terms.window_seconds is None:
        wrong = "a REPEATED_EXECUTION has a window_seconds"
    elif terms.kind is BreakerKind.DRAWDOWN and terms.threshold > 1:
        wrong = "a DRAWDOWN is a share: 10 % is 0.1"
    elif terms.kind is BreakerKind.VOLATILITY_SPIKE and terms.window_seconds is None:
        wrong = "a VOLATILITY_SPIKE has a window_seconds"
    if wrong is not None:
        raise Rejection(GeneralRejection.INVALID_COMMAND, wrong, "correct it")


def remove(state: BreakerState, removed: BreakerRemoved) -> tuple[Event, ...]:
    return () if state.removed else (removed,)


def trip(state: BreakerState, seen: BreakerTripped) -> tuple[Event, ...]:
    """Once for each subject until it is resumed. Whoever measured it gives the numbers; that they
    reach the threshold is looked at here."""
    terms = state.terms
    if state.removed or subject_of(seen.scope, seen.reference) in state.tripped:
        return ()
    if seen.measured < terms.threshold:
        raise Rejection(
            BreakerRejection.BREAKER_NOT_REACHED,
            f"{shown(seen.measured)} does not reach {shown(terms.threshold)}",
        )
    return (replace(seen, terms=terms, number=state.number + 1),)


def resume(state: BreakerState, resumed: BreakerResumed) -> tuple[Event, ...]:
    subject = subject_of(resumed.scope, resumed.reference)
    number = state.tripped.get(subject)
    if number is None:
        tripped = ", ".join(sorted(state.tripped)) or "nothing"
        raise Rejection(
            BreakerRejection.BREAKER_NOT_TRIPPED,
            f"breaker {resumed.breaker_id} is not tripped for {subject} (it is for {tripped})",
        )
    return (replace(resumed, number=number),)
