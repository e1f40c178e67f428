"""`ledgerctl serve risk`: measures what the log leaves, tells what is too risky, trips breakers.

    handle      each event is folded into what is remembered; the accounts that it concerns are
                looked at, and what that opens, resolves and trips is decided before the place
                moves on
    meanwhile   what tripped breakers have to do still: halts, cancels, exits, one after the other

Two of these have one effect, and so has one that is killed: what it says has an id of its own
(log_service.py), and a breaker's action is to be done until the log says that it was.
"""

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import structlog

from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.consequence import Said
from ledger.kernel.event import Event
from ledger.nouns import EVENTS
from ledger.nouns.accounts.events import FundsHeld, FundsReleased
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.breakers.events import BreakerAction
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.orders.events import OrderEvent, OrderFillConflicted
from ledger.operate.roles import PROJECTOR
from ledger.programs.log_service import LogService
from ledger.programs.readiness import followed
from ledger.programs.registry import Places, Program
from ledger.risk import actions, look
from ledger.risk.flags import FLAGS
from ledger.risk.fold import WATCHED, fold
from ledger.risk.judgement import judged, peaks_of
from ledger.risk.memory import RESUME, Holder, RiskMemory, Task

NAME = "risk"
"""Of its subscription."""
SOURCE = "risk"
MOST_LOOKS = 500
"""Accounts that are looked at for one batch of events: a few seconds. Others wait for the next."""
_ACCOUNTS: LiteralString = """
    SELECT stream_id, id, event_data->>'user_id' FROM public.event_store
    WHERE event_type = 'account.opened' ORDER BY position"""

_log = structlog.get_logger(__name__)


def _is_watched(event: type[Event]) -> bool:
    """Open orders are held against limits where they are decided; of what is told of orders only
    that counts which may be flagged."""
    if issubclass(event, FundsHeld | FundsReleased):
        return False
    if issubclass(event, OrderEvent) and event is not OrderFillConflicted:
        return any(name in FLAGS for name in event.__struct_fields__)
    return issubclass(event, WATCHED)


EVENT_TYPES = sorted(name for name, event in EVENTS.items() if _is_watched(event))


class RiskService(LogService[RiskMemory]):
    """Until `stop`."""

    def __init__(self, places: Places, stop: threading.Event) -> None:
        super().__init__(
            places, stop, name=NAME, source=SOURCE, event_types=EVENT_TYPES, memory=RiskMemory
        )
        self._look = look.opened(
            places.database_url, price_max_age_seconds=places.settings.price_max_age_seconds
        )

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._look.close()

    # --- as the owner -----------------------------------------------------------------------

    def _claimed(self, connection: psycopg.Connection[Any]) -> None:
        super()._claimed(connection)
        if not self._memory.holders:  # it begins: what is there already is looked at, too
            for account_id, event_id, user_id in connection.execute(_ACCOUNTS):
                self._memory.holders[account_id] = Holder(UUID(user_id))
                self._memory.dirty[account_id] = event_id

    def _fold(self, memory: RiskMemory, events: Sequence[RecordedEvent]) -> None:
        for recorded in events:
            self._say(fold(memory, recorded, recorded.decoded()))
        for account_id, cause in list(memory.dirty.items())[:MOST_LOOKS]:
            self._say(self._judged(memory, account_id, cause))
            memory.dirty.pop(account_id)

    def _judged(self, memory: RiskMemory, account_id: UUID, cause: UUID) -> Iterator[Said]:
        found = self._look.at(account_id, peaks_of(memory, account_id))
        if found is None:
            return
        holder = memory.holders.setdefault(account_id, Holder(found.account.user_id))
        holder.instruments, holder.looked = found.of_open(), True
        yield from judged(memory, account_id, found, cause)

    # --- what breakers do -------------------------------------------------------------------

    def _meanwhile(self, connection: psycopg.Connection[Any]) -> None:
        now = datetime.now(UTC)
        for key, task in list(self._memory.tasks.items()):
            if task.not_before is not None and now < task.not_before:
                continue
            if self._done(connection, task, now):
                self._memory.tasks.pop(key, None)

    def _done(self, connection: psycopg.Connection[Any], task: Task, now: datetime) -> bool:
        """Whether nothing more is to be done; what came of it is in the log then."""
        if task.action == RESUME:
            self._say([actions.resume(task)])
            return True
        if task.action == BreakerAction.EXIT:
            return self._exited(connection, task, now)
        said = (
            [actions.halt(task)]
            if task.action == BreakerAction.HALT
            else list(actions.cancels(connection, task))
        )
        outcomes = self._say(said)
        refused = [
            one for one in outcomes if not one.accepted and one.code not in actions.DONE_ALREADY
        ]
        error = refused[-1].message if refused else None
        accepted = len(outcomes) - len(refused)
        if task.action == BreakerAction.HALT and refused:
            self._say([actions.failed(task, str(error))])
        self._say(
            [actions.recorded(task, accepted=accepted, refused=len(refused), error=_short(error))]
        )
        _log.warning("risk.breaker_acted", action=task.action, reference=task.reference)
        return True

    def _exited(self, connection: psycopg.Connection[Any], task: Task, now: datetime) -> bool:
        asked = dict(actions.exits(task, self._accounts(task), self._terms_of(connection)))
        outcomes = self._say(list(asked.values()))
        refused = [one for one in outcomes if not one.accepted]
        task.done += [name for name, one in zip(asked, outcomes, strict=True) if one.accepted]
        if refused and task.attempt < actions.EXIT_ATTEMPTS:
            task.not_before = now + actions.EXIT_PAUSE * task.attempt
            task.attempt += 1
            return False
        error = refused[-1].message if refused else None
        if refused:
            self._say([actions.failed(task, str(error))])
        self._say(
            [
                actions.recorded(
                    task, accepted=len(task.done), refused=len(refused), error=_short(error)
                )
            ]
        )
        return True

    def _accounts(self, task: Task) -> Iterator[AccountState]:
        """Those that the subject is, or may have something of."""
        if task.scope is LimitScope.ACCOUNT:
            ids = [UUID(task.reference)]
        elif task.scope is LimitScope.INSTRUMENT:
            ids = self._memory.holds(task.reference)
        else:
            ids = [one for one, holder in self._memory.holders.items() if holder.instruments]
        for one in ids:
            found = self._look.at(one, {})
            if found is not None:
                yield found.account

    def _terms_of(self, connection: psycopg.Connection[Any]) -> actions.Terms:
        return lambda instrument: look.terms_of(connection, instrument)


def _short(error: str | None) -> str | None:
    return None if error is None else error[:500]


def _serve(places: Places, stop: threading.Event) -> None:
    RiskService(places, stop).run()


PROGRAM = Program(
    name="risk",
    summary="measures what the log leaves, tells what is too risky, trips breakers",
    role=PROJECTOR,
    ready=lambda places: followed(places, [NAME]),
    run=_serve,
    port=9472,
)
