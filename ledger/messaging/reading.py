"""What a client reads beside the outcomes of its commands: events and read models."""

from collections.abc import AsyncGenerator
from typing import Literal
from uuid import UUID

from ledger.messaging import event_consumer
from ledger.messaging.bus import Connection
from ledger.messaging.denials import Denials
from ledger.messaging.events import LedgerEvent
from ledger.messaging.query_client import Queries


class Reading:
    """The reading half of `LedgerClient`."""

    _nats: Connection
    _denials: Denials

    def events(
        self,
        *,
        name: str | None = None,
        after: int | Literal["now"] | None = None,
        account_id: UUID | str | None = None,
        event_type: str | None = None,
    ) -> AsyncGenerator[LedgerEvent, None]:
        """The ledger's events in order, without end; see `event_consumer`. With a `name` the place
        is remembered under it; `after` says where to begin the first time: behind a position, or
        "now"; else with the oldest that is kept. An event is done when the next is asked for.
        Raises EventsMissing, EventsTaken, UnreadableEvent, NotPermitted."""
        wanted = event_consumer.EventFilter(account_id, event_type)
        follower = event_consumer.Follower(
            self._nats, wanted, name=name, after=after, denials=self._denials
        )
        return follower.events()

    @property
    def queries(self) -> Queries:
        """The read models, to be asked."""
        return Queries(self._nats, self._denials)

    async def forget_events(self, name: str) -> None:
        """Forgets the place in the events that is remembered under the name."""
        await event_consumer.forget(self._nats, name)
