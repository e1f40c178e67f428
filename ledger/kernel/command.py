"""Commands as the ledger decides them, and outcomes as it answers them.

A command's data is one model per command type, beside the noun that it is about. What a message
must look like to become a command is in `ledger/write/parser.py`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, get_args
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict

from ledger.kernel.errors import LedgerError
from ledger.kernel.fields import IdOrNone, default
from ledger.kernel.known_types import known
from ledger.kernel.rejection import GeneralRejection

SPECVERSION = "1.0"
ACCEPTED, REJECTED, FAILED, UNKNOWN = "ACCEPTED", "REJECTED", "FAILED", "UNKNOWN"


SPEAKING_FOR_OTHERS = frozenset({"anonymous", "web"})
"""Senders of which the `source` says who it was. On a bus without users nobody vouches for anybody;
the user `web` of one with users is the HTTP server, which vouches for who is signed in there."""


class CommandKind(StrEnum):
    """A request may be refused; a fact says what has happened, and is recorded."""

    REQUEST = "REQUEST"
    FACT = "FACT"


CommandClass = Literal["trade", "report", "money", "admin"]
"""What kind of right it takes to send a command: requests about orders; facts of venues; deposits,
withdrawals, transfers and adjustments; all else. It is a token of the subject that a command is
sent to, so the bus can grant one class and not another."""
COMMAND_CLASSES: tuple[CommandClass, ...] = get_args(CommandClass)


class CommandData(BaseModel):
    """Base of all command data. Unknown fields are errors, because a misspelt field on an order is
    money lost. What several commands have in common is declared once, `abstract=True`, and is no
    command itself."""

    is_abstract: ClassVar[bool] = True
    """Whether it is what commands have in common, and none itself."""
    schema_version: ClassVar[int] = 1
    """Of the published schema: a new number where a field goes or takes less than before."""
    command_class: ClassVar[CommandClass]
    command_kind: ClassVar[CommandKind] = CommandKind.REQUEST
    rate_limited: ClassVar[bool] = True
    """Whether too many of them in a second are refused. Facts never are."""
    occurred: ClassVar[str] = "occurred_at"
    """The field, if there is one of that name, that says when it happened."""

    # Built when it is first read: who imports the client does not wait for commands he never sends.
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    def __init_subclass__(cls, *, abstract: bool = False, **config: Any) -> None:
        super().__init_subclass__(**config)
        cls.is_abstract = abstract


class AccountCommandData(CommandData, abstract=True):
    """Data of a command about an account; the message's subject is that account."""

    account_id: IdOrNone = default(None)


class Command(msgspec.Struct, frozen=True, gc=False):
    """A well-formed command. `account_id` is None for commands of a noun of no account; `time` is
    the sender's, None when it gave none. `source` is what the message claims, `sender` the user
    that the bus vouches for (`ledger/bus/command_subjects.py`), None for a command that did not
    come by the bus. `traceparent` is its trace context, where that is carried
    (`ledger/programs/tracing.py`)."""

    id: UUID
    type: str
    subject: str
    source: str
    account_id: UUID | None
    time: datetime | None
    correlation_id: UUID
    causation_id: UUID | None
    user_id: UUID | None
    fingerprint: bytes
    data: CommandData
    sender: str | None = None
    traceparent: str | None = None

    @property
    def author(self) -> str:
        """Who answers for it, as far as anybody vouches for that."""
        if self.sender is None or self.sender in SPEAKING_FOR_OTHERS:
            return self.source
        return self.sender


class InvalidCommand(msgspec.Struct, frozen=True, gc=False):
    """A message that cannot be decided. `id` is None when not even that could be read, and then
    there is nobody's outcome to keep. `code` and `message` say why."""

    id: UUID | None
    type: str
    subject: str
    source: str
    fingerprint: bytes
    message: str
    code: str = GeneralRejection.INVALID_COMMAND.value
    sender: str | None = None


class EventReference(msgspec.Struct, frozen=True, gc=False):
    """An event that a command caused, and where it is."""

    id: UUID
    type: str
    stream_id: UUID
    version: int
    position: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of a command: ACCEPTED, REJECTED (with a stable `code`), FAILED (ours, set
    aside for an operator), or UNKNOWN (asked for, not decided yet). `position` is the log's head
    once the command was recorded: a reader at that position has seen all its effects."""

    command_id: UUID | None
    status: str
    code: str | None = None
    message: str | None = None
    events: tuple[EventReference, ...] = ()
    position: int | None = None
    replayed: bool = False

    @property
    def accepted(self) -> bool:
        return self.status == ACCEPTED

    @property
    def rejected(self) -> bool:
        """Refused for good: the same command would be refused again. Not so what FAILED."""
        return self.status == REJECTED

    def raise_for_rejection(self) -> None:
        """Raises CommandRejected, or CommandUndecided where that is not known either; nothing when
        the command was accepted."""
        if self.rejected:
            raise CommandRejected(self)
        if not self.accepted:
            raise CommandUndecided(self)

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> "Outcome":
        return _OUTCOME_DECODER.decode(text)


class CommandNotAccepted(LedgerError):
    """The command has had no effect; `outcome` says the rest."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome
        self.code = outcome.code
        self.message = outcome.message


class CommandRejected(CommandNotAccepted):
    """The ledger has refused the command. `code` is stable, `message` is for a person."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(
            outcome,
            f"command {outcome.command_id} was rejected with {outcome.code}: {outcome.message}",
        )


class CommandUndecided(CommandNotAccepted):
    """The command failed and lies with an operator, or nothing is known of it: it may still take
    effect, so it must not be sent again under another id."""

    def __init__(self, outcome: Outcome) -> None:
        why = f"{outcome.code}: {outcome.message}" if outcome.code else "no outcome is recorded"
        super().__init__(
            outcome,
            f"command {outcome.command_id} is {outcome.status} ({why}). It may still take effect: "
            "ask for its outcome later, or send it again with the same id.",
        )


_OUTCOME_DECODER = msgspec.json.Decoder(known(Outcome))
