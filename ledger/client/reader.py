"""What a client reads beside the outcomes of its commands: events and read models."""

from collections.abc import AsyncGenerator
from typing import Literal
from uuid import UUID
from weakref import WeakSet

from ledger.bus.connection import Connection
from ledger.bus.events import LedgerEvent
from ledger.bus.permission_errors import Denials
from ledger.client.follower import LEASE_SECONDS, EventFilter, Follower, Unknown, forget
from ledger.client.questions import Queries


class Reader:
    """The reading half of `LedgerClient`."""

    _nats: Connection
    _denials: Denials
    _user: str | None
    _followers: WeakSet[Follower]

    def events(
        self,
        *,
        name: str | None = None,
        after: int | Literal["now"] | None = None,
        incarnation: UUID | None = None,
        account_id: UUID | str | None = None,
        event_type: str | None = None,
        unknown: Unknown = "raise",
        lease_seconds: float = LEASE_SECONDS,
    ) -> AsyncGenerator[LedgerEvent, None]:
        """The ledger's events in order, without end; see `event_consumer`. With a `name` the place
        is remembered under it; `after` says where to begin the first time: behind a position, or
        "now"; else with the oldest that is kept. Who keeps positions keeps the `incarnation` of
        their events too, and gives it with `after`. An event is done when the next is asked for. A
        process that died loses its name to the next after `lease_seconds`. An event that this
        version cannot decode raises UnreadableEvent, unless `unknown` says "skip", or "raw": then
        its data is an UnknownEvent. Raises EventsMissing, EventsTaken, LogRestored, PositionAhead,
        UnreadableEvent, NotPermitted."""
        follower = Follower(
            self._nats,
            EventFilter(account_id, event_type),
            user=self._user,
            name=name,
            after=after,
            incarnation=incarnation,
            unknown=unknown,
            lease_seconds=lease_seconds,
            denials=self._denials,
        )
        self._followers.add(follower)
        return follower.events()

    @property
    def queries(self) -> Queries:
        """The read models, to be asked."""
        return Queries(self._nats, self._denials)

    async def forget_events(self, name: str) -> None:
        """Forgets the place in the events that is remembered under the name. A process that
        follows under it gets EventsTaken."""
        await forget(self._nats, self._user, name, self._denials)
