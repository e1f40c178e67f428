"""One command being decided: the unit of work that its handler sees (`ledger/kernel`), on the
aggregates in memory.

If the decision is abandoned, `recorded_counts` tells what there is to take back.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson
import psycopg
from uuid_utils.compat import uuid7

from ledger.eventstore.codec import encode
from ledger.eventstore.store import NewEvent
from ledger.kernel.command import Command
from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.kernel.time import time_text
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns import TIMED
from ledger.nouns.accounts.events import AccountEvent
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.limits.assess import share_of
from ledger.nouns.limits.risk_book import RiskBook
from ledger.nouns.orders.events import OrderEvent
from ledger.write.aggregates import Aggregates
from ledger.write.risk_books import RiskBooks
from ledger.write.scope_sums import ScopeSums, Share
from ledger.write.stream_reader import HeldStream, StreamHeld

State = TypeVar("State")


class NeededStreamHeld(StreamHeld):
    """A stream that only states name cannot be read."""

    def __init__(self, held: HeldStream) -> None:
        super().__init__(f"stream {held.stream_id} cannot be read: {held.reason}")
        self.held = held


class Surroundings(NamedTuple):
    """What the works of a batch have in common."""

    aggregates: Aggregates
    books: RiskBooks
    sums: ScopeSums
    connection: psycopg.Connection[Any]
    price_max_age: timedelta


class CommandWork:
    def __init__(self, command: Command, around: Surroundings) -> None:
        self.command = command
        self.occurred_at: datetime
        self.now: datetime
        self.price_max_age = around.price_max_age
        self.looked: set[UUID] = set()
        """The streams that were read beside those that the command names."""
        self.book: RiskBook | None = None
        """The open orders that it was decided on."""
        self.events: list[NewEvent] = []
        self.denied: Rejection | None = None
        """Why the command is rejected although it left a record."""
        self._around = around
        self._aggregates = around.aggregates
        self._connection = around.connection
        self._user_id: UUID | None = command.user_id
        self._metadata = _metadata(command)

    def set_time(self, now: datetime, tolerance: timedelta) -> None:
        """When it happened: as the data says, else as the message says, else now. Raises
        Rejection for a time that cannot have come yet."""
        data = self.command.data
        field = TIMED.get(type(data))
        told: datetime | None = getattr(data, field) if field is not None else None
        when = told or self.command.time or now
        if when > now + tolerance:
            raise Rejection(
                GeneralRejection.OCCURRED_IN_FUTURE,
                f"{time_text(when)} is more than {tolerance} ahead of the ledger's clock "
                f"({time_text(now.replace(microsecond=0))})",
            )
        self.occurred_at = when
        self.now = now

    # --- looking --------------------------------------------------------------------------

    @property
    def account_id(self) -> UUID:
        assert self.command.account_id is not None, "a command of a noun of no account has none"
        return self.command.account_id

    def state(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        state: State | None = self._aggregates.get(aggregate.stream_type, stream_id)
        return state

    def look(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        stream = self._aggregates.used(stream_id)
        if stream is None:
            self.look_all((stream_id,))
            return self.state(aggregate, stream_id)
        self.looked.add(stream_id)
        state: State | None = stream.state_as(aggregate.stream_type, stream_id)
        return state

    def look_all(self, stream_ids: Collection[UUID]) -> None:
        """Raises StreamHeld."""
        self._aggregates.load(self._connection, stream_ids)
        self.looked.update(stream_ids)
        held = self._aggregates.held(stream_ids)
        if held is not None:
            raise NeededStreamHeld(held)

    def risk_book(self, account_id: UUID, since: datetime | None = None) -> RiskBook:
        self.book = self._around.books.of(self._connection, account_id, since)
        return self.book

    def in_scope(
        self, scope: Any, reference: str | None, own: AccountState
    ) -> Mapping[str, Decimal]:
        """Raises Missing, where what another account has cannot be told."""

        def share_of_other(account_id: UUID) -> Share:
            beside = CommandWork(self.command, self._around)  # what it reads is not read by us
            beside.now = self.now
            account = beside.look(ACCOUNT, account_id)
            return {} if account is None else share_of(beside, account)

        return self._around.sums.of(
            self._connection,
            scope,
            reference,
            (own.account_id, share_of(self, own)),
            share_of_other,
        )

    def books_beside(self, own: AccountState) -> Iterator[tuple[UUID, RiskBook]]:
        user = str(own.user_id)
        for account_id in self._around.sums.accounts_of(self._connection, user):
            if account_id == own.account_id:
                continue
            beside = CommandWork(self.command, self._around)  # what it reads is not read by us
            beside.now = self.now
            if beside.look(ACCOUNT, account_id) is not None:
                yield account_id, beside.risk_book(account_id)

    def past(self, stream_id: UUID, instruments: Collection[str]) -> Iterator[PastEvent]:
        return self._aggregates.past(self._connection, stream_id, instruments)

    # --- recording ------------------------------------------------------------------------

    def of_user(self, user_id: UUID) -> None:
        self._user_id = user_id

    @property
    def last_event(self) -> UUID | None:
        return self.events[-1].id if self.events else None

    def record(
        self,
        aggregate: Aggregate[State],
        stream_id: UUID,
        events: Iterable[Event],
        cause: UUID | None = None,
    ) -> UUID | None:
        command = self.command
        stream_type = aggregate.stream_type
        event_id = None
        for event in events:
            event_id = uuid7()
            if aggregate.check is not None:
                kind = command.data.command_kind
                aggregate.check(self.state(aggregate, stream_id), event, kind)
            version, state_digest = self._aggregates.record(
                stream_type, stream_id, PastEvent(event, self.occurred_at)
            )
            if isinstance(event, OrderEvent):
                self._around.books.told(event.account_id, stream_id, event, self.now)
                self._around.sums.changed((event.account_id,))
            elif isinstance(event, AccountEvent):
                self._around.sums.changed((stream_id,))
            self.events.append(
                NewEvent(
                    id=event_id,
                    stream_id=stream_id,
                    stream_type=stream_type,
                    event_type=event.type,
                    event_version=version,
                    data=encode(event),
                    metadata=self._metadata_of(event, state_digest),
                    correlation_id=command.correlation_id,
                    causation_id=cause or command.id,
                    user_id=self._user_id,
                    occurred_at=self.occurred_at,
                )
            )
        return event_id

    def _metadata_of(self, event: Event, state_digest: str | None) -> str:
        metadata = self._metadata
        if event.schema != 1:
            metadata = f'{metadata[:-1]},"schema":{event.schema}}}'
        if state_digest is not None:
            metadata = f'{metadata[:-1]},"state":"{state_digest}"}}'
        return metadata

    def recorded_counts(self) -> Counter[UUID]:
        """How many events of each stream this command has recorded."""
        return Counter(event.stream_id for event in self.events)


def _metadata(command: Command) -> str:
    """What the envelope's columns do not say: the command behind the event and who sent it."""
    metadata: dict[str, str | UUID] = {
        "command_id": command.id,
        "command_type": command.type,
        "source": command.source,
    }
    if command.sender is not None:
        metadata["sender"] = command.sender
    if command.causation_id is not None:
        metadata["caused_by"] = command.causation_id
    if command.traceparent is not None:
        metadata["traceparent"] = command.traceparent
    return orjson.dumps(metadata).decode()
