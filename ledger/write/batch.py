"""The bookkeeping of one batch: which commands are decided here, which were before, and the
outcome that each gets.

The first command with an id is decided; later ones with the same id are resends, or a re-used id
when their content differs. A message whose id could not be read is decided on its own, and its
outcome is not recorded: there is no id to record it under.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from ledger.eventstore.inbox import InboxEntry
from ledger.eventstore.store import Appended, NewEvent
from ledger.kernel.command import FAILED, REJECTED, Command, EventReference, InvalidCommand, Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.write.stream_reader import HeldStream

Message = Command | InvalidCommand
_REUSED = GeneralRejection.COMMAND_ID_REUSED


class Decided(NamedTuple):
    """A command with what was decided of it, not yet committed. `held` is the stream that cannot be
    read and is needed: trying again would not help."""

    command: Message
    status: str
    code: str | None
    message: str | None
    events: list[NewEvent]
    held: HeldStream | None = None


class Batch:
    """`known` are the commands of the batch that the inbox already has."""

    def __init__(self, commands: Sequence[Message], known: dict[UUID, tuple[bytes, str]]) -> None:
        self._commands = commands
        self._known = known
        self._decided: dict[int, Decided] = {}
        first: dict[UUID, int] = {}
        self._place_of_answer = [
            place if command.id is None else first.setdefault(command.id, place)
            for place, command in enumerate(commands)
        ]
        self._outcomes: dict[int, Outcome] = {}

    def to_decide(self) -> list[tuple[int, Message]]:
        """(place, command) of each command that is not a resend, in order."""
        return [
            (place, command)
            for place, command in enumerate(self._commands)
            if self._place_of_answer[place] == place and command.id not in self._known
        ]

    def decided(self, place: int, decided: Decided) -> None:
        self._decided[place] = decided

    def events(self) -> Iterator[NewEvent]:
        """What was decided, in order."""
        return (event for decided in self._decided.values() for event in decided.events)

    def events_of(self, places: Collection[int]) -> Iterator[NewEvent]:
        """What was decided of the commands there."""
        return (event for place in places for event in self._decided[place].events)

    def to_record(self, last_tries: frozenset[UUID]) -> list[tuple[int, Decided]]:
        """What belongs into the log and the inbox, in order."""
        return [
            (place, decided)
            for place, decided in self._decided.items()
            if decided.command.id is not None
            and (
                decided.status != FAILED
                or decided.held is not None
                or decided.command.id in last_tries
            )
        ]

    def to_append(
        self, last_tries: frozenset[UUID]
    ) -> tuple[list[tuple[int, Decided]], list[NewEvent]]:
        """The same, with all events of it."""
        to_record = self.to_record(last_tries)
        return to_record, [event for _, decided in to_record for event in decided.events]

    def held(self) -> dict[HeldStream, int]:
        """The streams that cannot be read, with the number of commands that need each."""
        return Counter(one.held for one in self._decided.values() if one.held is not None)

    def recorded(
        self, to_record: Sequence[tuple[int, Decided]], appended: Appended
    ) -> list[InboxEntry]:
        """The inbox rows, now that the positions are known; the same outcomes are answered."""
        head = appended.head + sum(len(decided.events) for _, decided in to_record)
        before = appended.head
        entries = []
        for place, decided in to_record:
            outcome = self._outcomes[place] = _outcome(decided, before, head)
            before += len(decided.events)
            entries.append(_entry(decided.command, outcome, appended))
        return entries

    def outcomes(self) -> list[Outcome]:
        """One per command, in order."""
        for place, decided in self._decided.items():
            if place not in self._outcomes:  # it was not recorded
                self._outcomes[place] = _outcome(decided, None, None)
        return [self._answer(place, command) for place, command in enumerate(self._commands)]

    def _answer(self, place: int, command: Message) -> Outcome:
        if command.id in self._known:
            fingerprint, text = self._known[command.id]
            first = Outcome.from_json(text)
        else:
            answered_at = self._place_of_answer[place]
            first = self._outcomes[answered_at]
            if answered_at == place:
                return first
            fingerprint = self._commands[answered_at].fingerprint
        return (
            replace(first, replayed=True)
            if fingerprint == command.fingerprint
            else _reused(command)
        )


def _outcome(decided: Decided, before: int | None, head: int | None) -> Outcome:
    """`before` is the position before the command's first event, `head` that after the batch."""
    events = tuple(
        [
            EventReference(
                id=event.id,
                type=event.event_type,
                stream_id=event.stream_id,
                version=event.event_version,
                position=position,
            )
            for position, event in enumerate(decided.events, (before or 0) + 1)
        ]
    )
    return Outcome(
        command_id=decided.command.id,
        status=decided.status,
        code=decided.code,
        message=decided.message,
        events=events,
        position=events[-1].position if events else head,
    )


def _entry(command: Message, outcome: Outcome, appended: Appended) -> InboxEntry:
    assert command.id is not None
    return InboxEntry(
        command_id=command.id,
        command_type=command.type,
        subject=command.subject,
        source=command.source,
        sender=command.sender,
        user_id=command.user_id if isinstance(command, Command) else None,
        fingerprint=command.fingerprint,
        status=outcome.status,
        code=outcome.code,
        outcome=outcome.to_json(),
        decided_at=appended.recorded_at,
    )


def _reused(command: Message) -> Outcome:
    return Outcome(
        command_id=command.id,
        status=REJECTED,
        code=_REUSED.value,
        message=f"command id {command.id} was used before with another content: {_REUSED.remedy}",
    )
