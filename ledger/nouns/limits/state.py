"""Limits: what decisions know of those of one scope, and how events change it.

A stream is what is said of one scope and reference: of an account, a user, an instrument. So a
decision reads at most five. Which of them exist at all is told on the stream of the SYSTEM scope:
where nothing was ever said, nothing is read. A limit has a stream of its own besides, which says
where it is.
"""

from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.command import Command
from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.limits.events import (
    Halted,
    LimitEvent,
    LimitProposed,
    LimitRegistered,
    LimitRemovalProposed,
    LimitRemoved,
    LimitSet,
    LimitsEvent,
    Resumed,
    ScopeLimited,
)
from ledger.nouns.limits.terms import LimitMeasure, LimitScope, LimitTerms

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a05")
MAX_REMEMBERED_IDS = 50_000
"""Ids of streams that are kept once reckoned: of the accounts, users and instruments in use, some
300 bytes each."""
MAX_VERSIONS = 20
"""Of one limit, those whose time has not come or not gone."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(scope: LimitScope, reference: str | None) -> UUID:
    """The id of the stream of a scope: UUIDv5, the same for ever."""
    return uuid5(_NAMESPACE, scope_key(scope, reference))


@lru_cache(MAX_REMEMBERED_IDS)
def scope_key(scope: LimitScope, reference: str | None) -> str:
    return scope.value if reference is None else f"{scope.value} {reference}"


SYSTEM_STREAM = stream_id(LimitScope.SYSTEM, None)


class LimitAuthor(msgspec.Struct, frozen=True, gc=False):
    """Who sent a command, and for which user."""

    name: str
    user_id: UUID | None = None

    def is_other_than(self, other: "LimitAuthor") -> bool:
        """Whether two people have seen it. Who sends for the same user is the same."""
        same_user = self.user_id is not None and self.user_id == other.user_id
        return self.name != other.name and not same_user


def author(command: Command) -> LimitAuthor:
    """Who sent a command: as the bus vouches for, or who of the console; where it has no users, as
    it says itself."""
    return LimitAuthor(command.author, command.user_id)


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """What waits for somebody else; without terms, that the limit goes."""

    by: LimitAuthor
    terms: LimitTerms | None


class Version(msgspec.Struct, frozen=True, gc=False):
    """LimitTerms that were set, with who answers for them."""

    terms: LimitTerms
    by: str
    approved_by: str | None = None


class Limit(msgspec.Struct, gc=False, kw_only=True):
    """One limit. Of its `versions` the newest that covers a moment is in force: so a change for a
    while ends by itself."""

    limit_id: UUID
    measure: LimitMeasure
    versions: list[Version] = msgspec.field(default_factory=list)
    proposal: Proposal | None = None

    def at(self, moment: datetime) -> Version | None:
        """What is in force."""
        for version in reversed(self.versions):
            if version.terms.covers(moment):
                return version
        return None


class HaltInForce(msgspec.Struct, frozen=True, gc=False):
    by: str
    reason: str


class LimitBook(EvolvingState, gc=False, kw_only=True):
    """What is said of one scope. `scopes`, told to the SYSTEM scope alone, are the others of which
    something is said; `sums`, that some limit is about several accounts together."""

    scope: LimitScope
    reference: str | None = None
    limits: dict[UUID, Limit] = msgspec.field(default_factory=dict)
    halt: HaltInForce | None = None
    scopes: set[str] = msgspec.field(default_factory=set)
    sums: bool = False
    changes: int = 0
    """How often something was said: what was made of it before is out of date."""


def evolve(state: LimitBook | None, event: Event, stream_id: UUID) -> LimitBook:
    """The state after an event."""
    if isinstance(event, ScopeLimited):
        if state is None:
            state = LimitBook(scope=LimitScope.SYSTEM)
        state.scopes.add(scope_key(event.scope, event.reference))
        state.sums = state.sums or event.sums
        state.changes += 1
        return state
    if not isinstance(event, LimitsEvent):
        raise TypeError(f"{type(event).__name__} is not how the limits {stream_id} can go on")
    if state is None:
        state = LimitBook(scope=event.scope, reference=event.reference)
    state.changes += 1
    if isinstance(event, LimitEvent):
        _change(state, event)
    elif isinstance(event, Halted):
        state.halt = HaltInForce(event.by, event.reason)
    elif isinstance(event, Resumed):
        state.halt = None
    return state


def _change(state: LimitBook, event: LimitEvent) -> None:
    known = state.limits.get(event.limit_id)
    match event:
        case LimitSet():
            if known is None:
                known = state.limits[event.limit_id] = Limit(
                    limit_id=event.limit_id, measure=event.terms.measure
                )
            version = Version(event.terms, event.by, event.approved_by)
            known.versions = _kept(known.versions, version)
            known.proposal = None
        case LimitProposed():
            assert known is not None, "only what is there can become looser"
            known.proposal = Proposal(LimitAuthor(event.by, event.by_user), event.terms)
        case LimitRemovalProposed():
            assert known is not None
            known.proposal = Proposal(LimitAuthor(event.by, event.by_user), None)
        case LimitRemoved():
            state.limits.pop(event.limit_id, None)
        case LimitRegistered():
            pass  # where the limit is, is in the state already
        case _:
            raise TypeError(f"{type(event).__name__} is not of limits")


def _kept(versions: list[Version], newest: Version) -> list[Version]:
    """One that is for good and from now on hides all before it."""
    if newest.terms.effective_from is None and newest.terms.effective_until is None:
        return [newest]
    return [*versions, newest][-MAX_VERSIONS:]


LIMITS = Aggregate("limits", LimitBook, 1, evolve)
