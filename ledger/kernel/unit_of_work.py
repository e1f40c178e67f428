"""One command being decided, as its handler sees it: what it may look at, and where it records.

A handler reads states, asks the rules for events, and records them. Recording evolves the state at
once: what is asked next is answered on the state that its own events have left. A state that was
asked for before may have been changed in place by it, or not; ask again (`ledger/write`
implements this).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.rejection import Rejection

State = TypeVar("State")


class PastEvent(NamedTuple):
    """An event of a stream, and when what it tells happened."""

    event: Event
    occurred_at: datetime


class UnitOfWork(Protocol):
    """See the module's text."""

    command: Command
    occurred_at: datetime
    now: datetime
    """The ledger's own time of the decision, which no sender can choose."""
    price_max_age: timedelta
    """From which age a price decides nothing."""
    denied: Rejection | None
    """Why the command is rejected although it left a record."""

    @property
    def account_id(self) -> UUID:
        """Of a command about an account."""

    def state(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        """None before the stream's first event. Raises Rejection when the id is that of another
        kind of aggregate."""

    def look(self, aggregate: Aggregate[State], stream_id: UUID) -> State | None:
        """As `state`, of a stream that the command does not say it reads: which it is, only what
        was read tells. It is loaded if need be, and is then among those that were read."""

    def look_all(self, stream_ids: Collection[UUID]) -> None:
        """Loads several of them at once."""

    def risk_book(self, account_id: UUID, since: datetime | None = None) -> Any:
        """The open orders of an account, added up, and what was asked for since a time, if there is
        one: a RiskBook (`ledger/nouns/limits/risk_book.py`)."""

    def in_scope(self, scope: Any, reference: str | None, own: Any) -> Mapping[str, Decimal]:
        """By instrument, what all accounts of a scope have at worst together: `own`, the state of
        the account that is decided about, and all others as they are known."""

    def books_beside(self, own: Any) -> Iterable[tuple[UUID, Any]]:
        """The risk books of the other accounts of a user, `own` being the state of one of them: as
        they are known, and not among what the decision is made on."""

    def past(self, stream_id: UUID, instruments: Collection[str]) -> Iterator[PastEvent]:
        """The events of a stream about these instruments that led to its state, newest first. For
        the rare command that needs more than the state knows; what is not iterated is not read."""

    def record(
        self,
        aggregate: Aggregate[State],
        stream_id: UUID,
        events: Iterable[Event],
        cause: UUID | None = None,
    ) -> UUID | None:
        """Records on a stream that the command reads. `cause` is the event behind them; without it,
        the command itself. Returns the id of the last one, the cause of what follows from it."""

    @property
    def last_event(self) -> UUID | None:
        """The id of the last event that was recorded."""

    def of_user(self, user_id: UUID) -> None:
        """Whose the events are that are recorded from here on."""
