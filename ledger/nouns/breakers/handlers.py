"""Breakers: what each of their commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.breakers import rules
from ledger.nouns.breakers.commands import (
    BreakerCommandData,
    RecordBreakerAction,
    RemoveBreaker,
    ResumeBreaker,
    SetBreaker,
    TripBreaker,
)
from ledger.nouns.breakers.events import (
    BreakerActed,
    BreakerRemoved,
    BreakerResumed,
    BreakerSet,
    BreakerTripped,
)
from ledger.nouns.breakers.rejections import BreakerRejection
from ledger.nouns.breakers.state import BREAKER, BreakerState, subject_of


def _reads(_: Command, data: BreakerCommandData) -> Iterator[UUID]:
    yield data.breaker_id


def _reads_trip(_: Command, data: TripBreaker) -> Iterator[UUID]:
    yield data.breaker_id
    if data.account_id is not None:
        yield data.account_id


@handles(SetBreaker, reads=_reads)
def set_breaker(work: UnitOfWork, data: SetBreaker) -> None:
    given = BreakerSet(
        breaker_id=data.breaker_id,
        actor=_actor(work, data),
        terms=data.terms,
        reason=data.reason,
    )
    state = work.state(BREAKER, data.breaker_id)
    work.record(BREAKER, data.breaker_id, rules.set_breaker(state, given))


@handles(RemoveBreaker, reads=_reads)
def remove_breaker(work: UnitOfWork, data: RemoveBreaker) -> None:
    removed = BreakerRemoved(
        breaker_id=data.breaker_id, actor=_actor(work, data), reason=data.reason
    )
    work.record(BREAKER, data.breaker_id, rules.remove(_known(work, data), removed))


@handles(TripBreaker, reads=_reads_trip)
def trip_breaker(work: UnitOfWork, data: TripBreaker) -> None:
    account = None if data.account_id is None else work.state(ACCOUNT, data.account_id)
    if account is not None:
        work.of_user(account.user_id)
    state = _known(work, data)
    seen = BreakerTripped(
        breaker_id=data.breaker_id,
        actor=_actor(work, data),
        terms=state.terms,
        number=0,
        scope=data.scope,
        reference=data.reference,
        measured=data.measured,
        at=work.occurred_at,
        cause=data.cause,
        account_id=data.account_id,
        user_id=None if account is None else account.user_id,
        inputs=data.inputs,
    )
    work.record(BREAKER, data.breaker_id, rules.trip(state, seen))


@handles(RecordBreakerAction, reads=_reads)
def record_breaker_action(work: UnitOfWork, data: RecordBreakerAction) -> None:
    done = BreakerActed(
        breaker_id=data.breaker_id,
        actor=_actor(work, data),
        number=data.number,
        scope=data.scope,
        reference=data.reference,
        action=data.action,
        accepted=data.accepted,
        refused=data.refused,
        error=data.error,
    )
    state = _known(work, data)
    _of_subject(work, state, data)
    work.record(BREAKER, data.breaker_id, (done,))


@handles(ResumeBreaker, reads=_reads)
def resume_breaker(work: UnitOfWork, data: ResumeBreaker) -> None:
    state = _known(work, data)
    _of_subject(work, state, data)
    resumed = BreakerResumed(
        breaker_id=data.breaker_id,
        actor=_actor(work, data),
        number=0,
        scope=data.scope,
        reference=data.reference,
        reason=data.reason,
    )
    work.record(BREAKER, data.breaker_id, rules.resume(state, resumed))


def _known(work: UnitOfWork, data: BreakerCommandData) -> BreakerState:
    """Raises Rejection."""
    state = work.state(BREAKER, data.breaker_id)
    if state is None:
        raise Rejection(BreakerRejection.UNKNOWN_BREAKER, f"there is no breaker {data.breaker_id}")
    return state


def _of_subject(
    work: UnitOfWork, state: BreakerState, data: RecordBreakerAction | ResumeBreaker
) -> None:
    user_id = state.users.get(subject_of(data.scope, data.reference))
    if user_id is not None:
        work.of_user(user_id)


def _actor(work: UnitOfWork, data: BreakerCommandData) -> str:
    return data.actor or work.command.author
