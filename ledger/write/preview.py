"""What a command would meet, without deciding it: the same handlers on the same states.

    refresh    lead states on by what was appended since the last question; after much of it,
               forget those of the streams that were appended to
    look       in one snapshot of the database: what is answered was true at one position
    decide     by the command's own handler, on a unit of work that records nothing
    answer     allowed or refused, with the limits and their numbers

Of what a handler records, only marks of equity are looked at again by the same decision; they are
laid over the states for the time of the question.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, LiteralString, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg import IsolationLevel
from uuid_utils.compat import uuid7

from ledger.eventstore import reader, store
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.command import Command
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.known_types import known
from ledger.kernel.money import exact
from ledger.kernel.noun import Aggregate
from ledger.kernel.rejection import Rejection
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.equity.commands import MarkEquity
from ledger.nouns.equity.state import EQUITY
from ledger.nouns.limits.answers import LimitUse, LimitUseAnswer, RiskCheckAnswer
from ledger.nouns.limits.assess import books_of, in_force_of, scene_of
from ledger.nouns.limits.check import Utilisation, utilisation
from ledger.nouns.limits.decision import RiskDecision
from ledger.nouns.limits.state import LIMITS, SYSTEM_STREAM, scope_key
from ledger.nouns.orders.commands import RequestReplace, SubmitOrder
from ledger.nouns.orders.events import OrderEvent
from ledger.nouns.orders.state import ORDER
from ledger.operate.database import connect
from ledger.write.aggregates import Aggregates
from ledger.write.deciders import COMMANDS
from ledger.write.risk_books import RiskBooks
from ledger.write.scope_sums import ScopeSums
from ledger.write.unit_of_work import CommandWork, Surroundings

MAX_CACHED_STREAMS = 20_000
"""Streams whose states are kept from question to question, some 40 MB."""
SNAPSHOT_NEVER = 2**31
MOST_TO_FOLLOW = 1_000
"""Events since the last question that states are led on by: some ten milliseconds. After more of
them, most of which would be of nobody who is asked about, states are forgotten."""
LATELY = 10_000
"""Events, the newest, whose accounts are read ahead: whoever is at work is asked about next."""
MOST_READ_AHEAD = MAX_CACHED_STREAMS // 2
"""Streams that are read ahead. The others are left to what is asked about."""
MOST_TO_FORGET_ONE_BY_ONE = 20_000
"""Events since the last question; beyond them all states are read anew as they are needed."""

_LATELY: LiteralString = """
    SELECT stream_id FROM public.event_store WHERE stream_type = 'account' AND position >
        (SELECT max(position) FROM public.event_store WHERE position >= public.log_kept_from())
        - %(lately)s AND position >= public.log_kept_from()
    GROUP BY stream_id ORDER BY max(position) DESC"""

State = TypeVar("State")


class NotPreviewable(LedgerError):
    """The command is none that limits have to do with."""


class PreviewWork(CommandWork):
    """Records nothing."""

    def __init__(self, command: Command, around: Surroundings) -> None:
        super().__init__(command, around)
        self.told: list[Event] = []
        self._laid_over: dict[UUID, Any] = {}

    def state(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        if stream_id in self._laid_over:
            state: State = self._laid_over[stream_id]
            return state
        return super().state(aggregate, stream_id)

    def look(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        found = super().look(aggregate, stream_id)
        return self._laid_over.get(stream_id, found)

    def record(
        self,
        aggregate: Aggregate[State],
        stream_id: UUID,
        events: Iterable[Event],
        cause: UUID | None = None,  # noqa: ARG002 - nothing is recorded that could have one
    ) -> UUID | None:
        last = None
        for event in events:
            before = self.state(aggregate, stream_id)
            if aggregate.check is not None:
                aggregate.check(before, event, self.command.data.command_kind)
            if aggregate is EQUITY:
                copied = (
                    None
                    if before is None
                    else msgspec.convert(msgspec.to_builtins(before), type=known(aggregate.state))
                )
                self._laid_over[stream_id] = aggregate.evolve(copied, event, stream_id)
            self.told.append(event)
            last = uuid7()
        return last


class Preview:
    """Answers one question at a time; any thread may ask."""

    def __init__(
        self, database_url: str, *, clock_tolerance: timedelta, price_max_age: timedelta
    ) -> None:
        self._url = database_url
        self._clock_tolerance = clock_tolerance
        self._price_max_age = price_max_age
        self._one_asks = Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._known_head: int | None = None
        self._aggregates = Aggregates(MAX_CACHED_STREAMS, SNAPSHOT_NEVER)
        self._books = RiskBooks(
            lambda ids: self._aggregates.load(self._opened(), ids), self._aggregates.peek
        )
        self._sums = ScopeSums()
        self._is_closing = False

    def close(self) -> None:
        self._is_closing = True
        with self._one_asks:
            if self._connection is not None:
                self._connection.close()

    def _opened(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, "risk checks")
            self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
            self._forget_all()
        return self._connection

    # --- questions ----------------------------------------------------------------------------

    def check(self, command: Command, now: datetime | None = None) -> RiskCheckAnswer:
        """What the command would meet now. Raises NotPreviewable, psycopg.Error."""
        if not isinstance(command.data, SubmitOrder | RequestReplace):
            raise NotPreviewable(f"{command.type} is no order: SubmitOrder and RequestReplace are")
        now = now or datetime.now(UTC)
        with self._one_asks, exact():
            connection = self._opened()
            with connection.transaction():
                position = self._refresh(connection)
                work = PreviewWork(command, self._around(connection))
                refused, told = self._decided(work, now)
                self._aggregates.committed(())  # drops what is beyond the capacity
        risk = next((event.risk for event in told if getattr(event, "risk", None)), None)
        return _answer(position, now, refused, risk)

    def _decided(self, work: PreviewWork, now: datetime) -> tuple[Rejection | None, list[Any]]:
        command = work.command
        handled = COMMANDS[command.type]
        work.now = now
        try:
            work.look_all(list(handled.reads(command, command.data)))
            if handled.reads_behind is not None:
                peek = self._aggregates.peek
                work.look_all(list(handled.reads_behind(command, command.data, peek)))
            work.set_time(now, self._clock_tolerance)
            handled.handler(work, command.data)
        except Rejection as rejection:
            return rejection, work.told
        return work.denied, work.told

    def use(self, account_id: UUID, now: datetime | None = None) -> LimitUseAnswer | None:
        """What the limits of an account, its user and the whole are at; of its strategies and the
        instruments that it has something of too. None where there is no such account. Raises
        psycopg.Error."""
        now = now or datetime.now(UTC)
        with self._one_asks, exact():
            connection = self._opened()
            with connection.transaction():
                position = self._refresh(connection)
                work = PreviewWork(asking(account_id), self._around(connection))
                work.now = work.occurred_at = now
                found = self._used(work, account_id)
                self._aggregates.committed(())
        if found is None:
            return None
        halts, used = found
        return LimitUseAnswer(
            position=position, measured_at=now, halts=halts, rows=tuple(map(_row, used))
        )

    def _used(
        self, work: PreviewWork, account_id: UUID
    ) -> tuple[dict[str, str], list[Utilisation]] | None:
        account = work.look(ACCOUNT, account_id)
        if account is None:
            return None
        books = books_of(work, account)
        limits = in_force_of(work, work.risk_book(account_id), books, lambda: None)
        scene = scene_of(work, account, limits)
        halts = {
            scope_key(book.scope, book.reference): book.halt.reason
            for book in books
            if book.halt is not None
        }
        return halts, utilisation(scene, limits.all)

    def read_ahead(self) -> None:
        """Reads what first questions will be about: the accounts that something happened to last,
        with their open orders, of which there may be hundreds. One at a time: who asks meanwhile
        waits for one. Raises psycopg.Error."""
        with self._one_asks:
            connection = self._opened()
            with connection.transaction():
                lately = list(connection.execute(_LATELY, {"lately": LATELY}))
        for (account_id,) in lately:
            if self._is_closing or self._aggregates.count >= MOST_READ_AHEAD:
                break
            with self._one_asks, exact():
                connection = self._opened()
                with connection.transaction():
                    self._refresh(connection)
                    work = PreviewWork(asking(account_id), self._around(connection))
                    if work.look(LIMITS, SYSTEM_STREAM) is None:
                        break  # nothing is said of anybody: who asks will read next to nothing
                    if work.look(ACCOUNT, account_id) is not None:
                        work.risk_book(account_id)

    # --- states -------------------------------------------------------------------------------

    def _around(self, connection: psycopg.Connection[Any]) -> Surroundings:
        self._sums.begin_batch()
        return Surroundings(
            self._aggregates, self._books, self._sums, connection, self._price_max_age
        )

    def _refresh(self, connection: psycopg.Connection[Any]) -> int:
        """The position that is answered as of; no state is older."""
        head, known = reader.head(connection), self._known_head
        if known is None or not 0 <= head - known <= MOST_TO_FORGET_ONE_BY_ONE:
            self._forget_all()
        elif 0 < head - known <= MOST_TO_FOLLOW:
            self._follow(reader.read(connection, after=known, up_to=head))
        elif head != known:
            with connection.cursor() as cursor:
                changed = store.streams_changed(cursor, after=known, up_to=head)
            self._sums.changed(self._books.accounts_of(changed))
            self._books.forget(changed)
            self._aggregates.forget(changed)
        self._known_head = head
        return head

    def _follow(self, events: Iterable[RecordedEvent]) -> None:
        """What was asked for before is there again without being read again, and so are the new
        orders of whom it was about."""
        lost = set[UUID]()
        for recorded in events:
            of_order = recorded.stream_type == ORDER.stream_type
            event = self._aggregates.follow(
                recorded, begin=of_order and self._books.know_account_of(recorded)
            )
            if event is None:
                lost.add(recorded.stream_id)
            elif isinstance(event, OrderEvent):
                self._books.told(event.account_id, recorded.stream_id, event, recorded.recorded_at)
                self._sums.changed((event.account_id,))
            else:
                self._sums.changed((recorded.stream_id,))
        self._sums.changed(self._books.accounts_of(lost))
        self._books.forget(lost)
        self._aggregates.forget(lost)

    def _forget_all(self) -> None:
        self._aggregates.clear()
        self._books.clear()
        self._sums.all_changed()


def asking(account_id: UUID) -> Command:
    """The question in the form of a command, which is never decided."""
    return Command(
        id=account_id,
        type=MarkEquity.__name__,
        subject=str(account_id),
        source="risk checks",
        account_id=account_id,
        time=None,
        correlation_id=account_id,
        causation_id=None,
        user_id=None,
        fingerprint=b"",
        data=MarkEquity(),
    )


def _answer(
    position: int, now: datetime, refused: Rejection | None, risk: RiskDecision | None
) -> RiskCheckAnswer:
    return RiskCheckAnswer(
        position=position,
        decided_at=now,
        allowed=refused is None,
        code=None if refused is None else refused.code.value,
        message=None if refused is None else refused.message,
        checked=0 if risk is None else risk.checked,
        failed=() if risk is None else risk.failed,
        warned=() if risk is None else risk.warned,
        inputs=None if risk is None else risk.inputs,
    )


def _row(used: Utilisation) -> LimitUse:
    limit, terms = used.limit, used.limit.terms
    return LimitUse(
        limit_id=limit.limit_id,
        scope=limit.scope,
        reference=limit.reference,
        measure=terms.measure,
        value=limit.value,
        unit=terms.unit,
        window=terms.window,
        warning_threshold=terms.warning_threshold,
        measured=used.measured,
        percent=used.percent,
        exceeded=used.exceeded,
        warning=used.warning,
        missing=used.missing,
        set_by=limit.version.by,
        approved_by=limit.version.approved_by,
    )
