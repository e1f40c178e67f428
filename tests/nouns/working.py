"""The commands of all nouns, decided in memory: handlers and rules as they are, no database."""

from collections.abc import Collection, Iterable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

from ledger.kernel.command import Command
from ledger.kernel.event import Event
from ledger.kernel.money import exact
from ledger.kernel.noun import Aggregate
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns import TIMED
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import AccountEvent
from ledger.write.deciders import AGGREGATES, COMMANDS
from tests.commands import command, open_account
from tests.nouns.without_limits import WithoutLimits

State = TypeVar("State")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Working:
    """Decides commands one by one and keeps what they left."""

    def __init__(self) -> None:
        self.states: dict[UUID, Any] = {}
        self.log: list[tuple[UUID, Event, datetime]] = []

    def open(self, account_type: str = "CASH", **deposits: str) -> UUID:
        account_id = uuid4()
        self.do(open_account(account_id, account_type=account_type))
        for asset, amount in deposits.items():
            self.tell("Deposit", account_id, asset=asset, amount=amount)
        return account_id

    def tell(self, command_type: str, subject: UUID | str, **data: Any) -> Any:
        return self.do(command(command_type, subject, **data))

    def do(self, command: Command) -> tuple[Event, ...]:
        """The events that it left. Raises Rejection; one that left a record has its `events`."""
        work = _Work(self, command)
        before = {stream: deepcopy(self.states.get(stream)) for stream in work.read}
        begun = len(self.log)
        try:
            with exact():
                COMMANDS[command.type].handler(work, command.data)
        except Rejection:
            self.states |= before
            del self.log[begun:]
            raise
        events = tuple(event for _, event, _ in self.log[begun:])
        if work.denied is not None:
            work.denied.events = events  # type: ignore[attr-defined]
            raise work.denied
        return events

    def books(self, account_id: UUID) -> dict[tuple[str, str], Any]:
        """What each book of an account has of each asset, of all that was recorded."""
        found: dict[tuple[str, str], Any] = {}
        for stream, event, _ in self.log:
            if stream == account_id and isinstance(event, AccountEvent):
                for key, change in changes(event.postings).items():
                    found[key] = found.get(key, 0) + change.total
        return {key: total for key, total in found.items() if total}

    def refolded(self) -> dict[UUID, Any]:
        """The states that the log tells of."""
        states: dict[UUID, Any] = {}
        for stream, event, _ in self.log:
            aggregate = AGGREGATES[event.type.partition(".")[0]]
            states[stream] = aggregate.evolve(states.get(stream), event, stream)
        return states


class _Work(WithoutLimits):
    """The unit of work of one command. Only what it says it reads may be looked at."""

    def __init__(self, ledger: Working, command: Command) -> None:
        self._ledger = ledger
        self.command = command
        self.denied: Rejection | None = None
        handled = COMMANDS[command.type]
        self.read = set(handled.reads(command, command.data))
        if handled.reads_behind is not None:
            self.read |= set(handled.reads_behind(command, command.data, ledger.states.get))
        field = TIMED.get(type(command.data))
        told = None if field is None else getattr(command.data, field)
        self.occurred_at: datetime = told or NOW

    @property
    def account_id(self) -> UUID:
        assert self.command.account_id is not None
        return self.command.account_id

    def state(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        assert stream_id in self.read, f"{self.command.type} does not say that it reads this"
        state: State | None = self._ledger.states.get(stream_id)
        return state

    def past(self, stream_id: UUID, instruments: Collection[str]) -> Iterator[PastEvent]:
        for stream, event, at in reversed(self._ledger.log):
            if stream == stream_id and getattr(event, "instrument", None) in instruments:
                yield PastEvent(event, at)

    def record(
        self,
        aggregate: Aggregate[State],
        stream_id: UUID,
        events: Iterable[Event],
        cause: UUID | None = None,
    ) -> UUID | None:
        recorded = None
        for event in events:
            before = self.state(aggregate, stream_id)
            if aggregate.check is not None:
                aggregate.check(before, event, self.command.data.command_kind)
            self._ledger.states[stream_id] = aggregate.evolve(before, event, stream_id)
            self._ledger.log.append((stream_id, event, self.occurred_at))
            recorded = uuid4()
        return recorded

    @property
    def last_event(self) -> UUID | None:
        return None

    def of_user(self, user_id: UUID) -> None:
        pass
