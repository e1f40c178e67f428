"""One command being decided: what it may look at, and what it has recorded so far.

A handler reads states, asks the domain for events, and records them. Recording evolves the
state at once, so what a handler asks next is answered on the state its own events have left.
If the decision is abandoned, `recorded_counts` tells what there is to take back.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from ledger.command_data import TIMED, is_fact
from ledger.commands import Command
from ledger.eventstore.codec import encode
from ledger.eventstore.store import NewEvent
from ledger.kernel.event import Event, Rejection
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts.invariants import check_event
from ledger.nouns.accounts.rules import AccountEvent, AccountState
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.allocations.rules import AllocationState
from ledger.nouns.instruments import rules as instrument_rules
from ledger.nouns.instruments.rules import InstrumentState
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders.rules import OrderState
from ledger.write.aggregates import Aggregates


class Work:
    def __init__(self, command: Command, aggregates: Aggregates) -> None:
        self.command = command
        self.occurred_at: datetime
        self.events: list[NewEvent] = []
        self.denied: Rejection | None = None
        """Why the command is rejected although it left a record."""
        self._aggregates = aggregates
        self._user_id: UUID | None = command.user_id
        self._metadata = _metadata(command)

    def set_time(self, now: datetime, tolerance: timedelta) -> None:
        """When it happened: as the data says, else as the message says, else now. Raises
        Rejection for a time that cannot have come yet."""
        data = self.command.data
        told: datetime | None = getattr(data, "occurred_at", None) if type(data) in TIMED else None
        when = told or self.command.time or now
        if when > now + tolerance:
            raise Rejection(
                "OCCURRED_IN_FUTURE",
                f"{when.isoformat()} is more than {tolerance} ahead of the ledger's clock "
                f"({now.isoformat(timespec='seconds')}): set the sender's clock and send again "
                "under a new command id",
            )
        self.occurred_at = when

    # --- looking --------------------------------------------------------------------------

    def account(self) -> AccountState:
        """The account of the command. Raises Rejection if there is none, or if the command's
        user is not the account's."""
        state = self.account_if_known()
        if state is None:
            raise Rejection(
                "UNKNOWN_ACCOUNT",
                f"there is no account {self.command.subject}: open it first (OpenAccount)",
            )
        if self.command.user_id not in {None, state.user_id}:
            raise Rejection(
                "NOT_YOUR_ACCOUNT",
                f"account {self.command.subject} is not user {self.command.user_id}'s: "
                "send the account's own user, or none",
            )
        self._user_id = state.user_id
        return state

    def account_if_known(self) -> AccountState | None:
        state: AccountState | None = self._state(account_rules.STREAM_TYPE, self.account_id)
        return state

    def order_if_known(self, order_id: UUID) -> OrderState | None:
        state: OrderState | None = self._state(order_rules.STREAM_TYPE, order_id)
        return state

    def allocations(self) -> AllocationState | None:
        state: AllocationState | None = self._state(
            allocation_rules.STREAM_TYPE, allocation_rules.stream_id(self.account_id)
        )
        return state

    def instrument_if_known(self, name: str) -> InstrumentState | None:
        state: InstrumentState | None = self._state(
            instrument_rules.STREAM_TYPE, instrument_rules.stream_id(name)
        )
        return state

    def instrument(self, name: str) -> InstrumentState:
        state = self.instrument_if_known(name)
        if state is None:
            raise Rejection(
                "UNKNOWN_INSTRUMENT",
                f"there is no instrument {name}: list it first (ListInstrument)",
            )
        return state

    @property
    def account_id(self) -> UUID:
        assert self.command.account_id is not None, "commands about instruments have no account"
        return self.command.account_id

    def _state(self, stream_type: str, stream_id: UUID) -> Any:
        return self._aggregates.get(stream_type, stream_id)

    # --- recording ------------------------------------------------------------------------

    def opened_by(self, user_id: UUID) -> None:
        """The account's user, of an account that this command opens."""
        self._user_id = user_id

    def on_account(self, events: Iterable[Event], cause: UUID | None = None) -> None:
        """`cause` is the event behind them; without it, the command itself."""
        self._record(account_rules.STREAM_TYPE, self.account_id, events, cause)

    def on_order(self, order_id: UUID, events: Iterable[Event]) -> UUID | None:
        """Returns the id of the last event, the cause of what follows from it."""
        return self._record(order_rules.STREAM_TYPE, order_id, events, None)

    def on_allocations(self, events: Iterable[Event]) -> UUID | None:
        stream_id = allocation_rules.stream_id(self.account_id)
        return self._record(allocation_rules.STREAM_TYPE, stream_id, events, None)

    def on_instrument(self, name: str, events: Iterable[Event]) -> None:
        self._record(instrument_rules.STREAM_TYPE, instrument_rules.stream_id(name), events, None)

    def _record(
        self, stream_type: str, stream_id: UUID, events: Iterable[Event], cause: UUID | None
    ) -> UUID | None:
        command = self.command
        event_id = None
        for event in events:
            event_id = uuid7()
            self._check(event)
            version, state_digest = self._aggregates.record(stream_type, stream_id, event)
            self.events.append(
                NewEvent(
                    id=event_id,
                    stream_id=stream_id,
                    stream_type=stream_type,
                    event_type=event.type,
                    event_version=version,
                    data=encode(event).decode(),
                    metadata=self._metadata_of(event, state_digest),
                    correlation_id=command.correlation_id,
                    causation_id=cause or command.id,
                    user_id=self._user_id,
                    occurred_at=self.occurred_at,
                )
            )
        return event_id

    def _check(self, event: Event) -> None:
        """Raises BrokenInvariant."""
        if isinstance(event, AccountEvent):
            check_event(self.account_if_known(), event, request=not is_fact(self.command.data))

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
