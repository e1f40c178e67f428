"""Limits: how they come about, change and end, and how trading is halted.

set       at once if it allows nothing that was not allowed: a new limit, or a tighter one
          else it waits, and what was in force stays so
approve   by somebody else than who asked
remove    waits too
halt      at once; resumed by a person, with a reason
"""

from datetime import datetime
from uuid import UUID

from ledger.kernel.rejection import Rejection
from ledger.nouns.limits.events import (
    Halted,
    LimitProposed,
    LimitRegistered,
    LimitRemovalProposed,
    LimitRemoved,
    LimitSet,
    LimitsEvent,
    Resumed,
    ScopeLimited,
)
from ledger.nouns.limits.rejections import LimitRejection
from ledger.nouns.limits.state import Limit, LimitAuthor, LimitBook, scope_key
from ledger.nouns.limits.terms import LimitScope, LimitTerms, is_looser


def register(
    known: LimitBook | None,
    *,
    limit_id: UUID,
    scope: LimitScope,
    reference: str | None,
    by: LimitAuthor,
) -> tuple[LimitRegistered, ...]:
    """The limit is known by its id; what it is of never changes."""
    if known is None:
        return (
            LimitRegistered(
                limit_id=limit_id,
                scope=scope,
                reference=reference,
                by=by.name,
                by_user=by.user_id,
            ),
        )
    if (known.scope, known.reference) != (scope, reference):
        raise Rejection(
            LimitRejection.LIMIT_ID_TAKEN,
            f"limit {limit_id} is of {scope_key(known.scope, known.reference)}",
        )
    return ()


def note_scope(
    system: LimitBook | None, *, scope: LimitScope, reference: str | None, sums: bool = False
) -> tuple[ScopeLimited, ...]:
    """Told once to everybody: there is something to ask of this scope."""
    known = system is not None and scope_key(scope, reference) in system.scopes
    if known and (not sums or (system is not None and system.sums)):
        return ()
    return (ScopeLimited(scope=scope, reference=reference, sums=sums),)


def set_limit(
    book: LimitBook | None,
    *,
    limit_id: UUID,
    scope: LimitScope,
    reference: str | None,
    terms: LimitTerms,
    by: LimitAuthor,
    now: datetime,
) -> tuple[LimitsEvent, ...]:
    known = None if book is None else book.limits.get(limit_id)
    if known is not None and known.measure is not terms.measure:
        raise Rejection(LimitRejection.LIMIT_ID_TAKEN, f"limit {limit_id} is of {known.measure}")
    if known is not None and known.proposal is None:
        newest = known.versions[-1]
        if len(known.versions) == 1 and newest.terms == terms:
            return ()
    waits = known is not None and is_looser(terms, _compared(known, terms, now))
    event = LimitProposed if waits else LimitSet
    return (
        event(
            limit_id=limit_id,
            scope=scope,
            reference=reference,
            terms=terms,
            by=by.name,
            by_user=by.user_id,
        ),
    )


def _compared(known: Limit, terms: LimitTerms, now: datetime) -> LimitTerms | None:
    """What would be in force, without the new terms, when these begin."""
    begins = now if terms.effective_from is None else max(now, terms.effective_from)
    version = known.at(begins)
    return None if version is None else version.terms


def approve(book: LimitBook, *, limit_id: UUID, by: LimitAuthor) -> tuple[LimitsEvent, ...]:
    known = _known(book, limit_id)
    waiting = known.proposal
    if waiting is None:
        raise Rejection(LimitRejection.NOTHING_TO_APPROVE, f"no change of limit {limit_id} waits")
    if not by.is_other_than(waiting.by):
        raise Rejection(
            LimitRejection.APPROVER_IS_SETTER,
            f"{waiting.by.name!r} has asked for this change of limit {limit_id}",
        )
    if waiting.terms is None:
        return (
            LimitRemoved(
                limit_id=limit_id,
                scope=book.scope,
                reference=book.reference,
                by=waiting.by.name,
                by_user=waiting.by.user_id,
                approved_by=by.name,
            ),
        )
    return (
        LimitSet(
            limit_id=limit_id,
            scope=book.scope,
            reference=book.reference,
            terms=waiting.terms,
            by=waiting.by.name,
            by_user=waiting.by.user_id,
            approved_by=by.name,
        ),
    )


def remove(book: LimitBook, *, limit_id: UUID, by: LimitAuthor) -> tuple[LimitsEvent, ...]:
    _known(book, limit_id)
    return (
        LimitRemovalProposed(
            limit_id=limit_id,
            scope=book.scope,
            reference=book.reference,
            by=by.name,
            by_user=by.user_id,
        ),
    )


def _known(book: LimitBook, limit_id: UUID) -> Limit:
    known = book.limits.get(limit_id)
    if known is None:
        raise Rejection(LimitRejection.UNKNOWN_LIMIT, f"there is no limit {limit_id}")
    return known


def halt(
    book: LimitBook | None,
    *,
    scope: LimitScope,
    reference: str | None,
    reason: str,
    by: LimitAuthor,
) -> tuple[LimitsEvent, ...]:
    if book is not None and book.halt is not None:
        raise Rejection(
            LimitRejection.HALTED_ALREADY,
            f"{scope_key(scope, reference)} is halted by {book.halt.by}: {book.halt.reason}",
        )
    return (
        Halted(scope=scope, reference=reference, reason=reason, by=by.name, by_user=by.user_id),
    )


def resume(
    book: LimitBook | None,
    *,
    scope: LimitScope,
    reference: str | None,
    reason: str,
    by: LimitAuthor,
) -> tuple[LimitsEvent, ...]:
    if book is None or book.halt is None:
        raise Rejection(LimitRejection.NOT_HALTED, f"{scope_key(scope, reference)} is not halted")
    return (
        Resumed(scope=scope, reference=reference, reason=reason, by=by.name, by_user=by.user_id),
    )
