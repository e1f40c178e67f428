"""Limits: what each of their commands means."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.limits import rules
from ledger.nouns.limits.assess import mark_equity, scene_of
from ledger.nouns.limits.commands import (
    ApproveLimit,
    Halt,
    RemoveLimit,
    Resume,
    ScopedCommandData,
    SetLimit,
)
from ledger.nouns.limits.in_force import baseline_of
from ledger.nouns.limits.meter import Meter
from ledger.nouns.limits.rejections import LimitRejection
from ledger.nouns.limits.state import (
    LIMITS,
    SYSTEM_STREAM,
    LimitBook,
    author,
    stream_id,
)
from ledger.nouns.limits.terms import LimitScope, LimitTerms, is_summed


def _reads(_: Command, data: ScopedCommandData) -> Iterator[UUID]:
    yield SYSTEM_STREAM
    yield stream_id(data.scope, data.of)
    if isinstance(data, SetLimit):
        yield data.limit_id


def _reads_limit(_: Command, data: ApproveLimit | RemoveLimit) -> Iterator[UUID]:
    yield data.limit_id


def _scope_of_limit(
    _: Command, data: ApproveLimit | RemoveLimit, state_of: Callable[[UUID], Any]
) -> Iterator[UUID]:
    where = state_of(data.limit_id)
    if isinstance(where, LimitBook):
        yield stream_id(where.scope, where.reference)


@handles(SetLimit, reads=_reads)
def set_limit(work: UnitOfWork, data: SetLimit) -> None:
    by, stream, terms = author(work.command), stream_id(data.scope, data.of), data.terms
    registered = rules.register(
        work.state(LIMITS, data.limit_id),
        limit_id=data.limit_id,
        scope=data.scope,
        reference=data.of,
        by=by,
    )
    events = rules.set_limit(
        work.state(LIMITS, stream),
        limit_id=data.limit_id,
        scope=data.scope,
        reference=data.of,
        terms=terms,
        by=by,
        now=work.now,
    )
    work.record(LIMITS, data.limit_id, registered)
    _note_scope(work, data, sums=is_summed(data.scope, terms))
    work.record(LIMITS, stream, events)
    if data.scope is LimitScope.ACCOUNT:
        _mark_equity(work, UUID(data.of), terms)


def _mark_equity(work: UnitOfWork, account_id: UUID, terms: LimitTerms) -> None:
    """A loss is counted from when it was limited, and not from the first order after that."""
    wanted = baseline_of(terms)
    account = None if wanted is None else work.look(ACCOUNT, account_id)
    if wanted is not None and account is not None:
        mark_equity(work, Meter(scene_of(work, account)), (wanted,))


def _note_scope(work: UnitOfWork, data: ScopedCommandData, *, sums: bool = False) -> None:
    if data.scope is LimitScope.SYSTEM and not sums:
        return
    noted = rules.note_scope(
        work.state(LIMITS, SYSTEM_STREAM), scope=data.scope, reference=data.of, sums=sums
    )
    work.record(LIMITS, SYSTEM_STREAM, noted)


def _book_of(work: UnitOfWork, limit_id: UUID) -> tuple[UUID, LimitBook]:
    where = work.state(LIMITS, limit_id)
    if where is None:
        raise Rejection(LimitRejection.UNKNOWN_LIMIT, f"there is no limit {limit_id}")
    stream = stream_id(where.scope, where.reference)
    book = work.state(LIMITS, stream)
    assert book is not None, "a limit that is registered was set"
    return stream, book


@handles(ApproveLimit, reads=_reads_limit, reads_behind=_scope_of_limit)
def approve_limit(work: UnitOfWork, data: ApproveLimit) -> None:
    stream, book = _book_of(work, data.limit_id)
    events = rules.approve(book, limit_id=data.limit_id, by=author(work.command))
    work.record(LIMITS, stream, events)


@handles(RemoveLimit, reads=_reads_limit, reads_behind=_scope_of_limit)
def remove_limit(work: UnitOfWork, data: RemoveLimit) -> None:
    stream, book = _book_of(work, data.limit_id)
    events = rules.remove(book, limit_id=data.limit_id, by=author(work.command))
    work.record(LIMITS, stream, events)


@handles(Halt, reads=_reads)
def halt(work: UnitOfWork, data: Halt) -> None:
    stream = stream_id(data.scope, data.of)
    events = rules.halt(
        work.state(LIMITS, stream),
        scope=data.scope,
        reference=data.of,
        reason=data.reason,
        by=author(work.command),
    )
    _note_scope(work, data)
    work.record(LIMITS, stream, events)


@handles(Resume, reads=_reads)
def resume(work: UnitOfWork, data: Resume) -> None:
    stream = stream_id(data.scope, data.of)
    events = rules.resume(
        work.state(LIMITS, stream),
        scope=data.scope,
        reference=data.of,
        reason=data.reason,
        by=author(work.command),
    )
    work.record(LIMITS, stream, events)
