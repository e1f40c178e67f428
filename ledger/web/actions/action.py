"""An action as it is declared: what it is called, what it is told, what it would do, its doing."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.web.person import Person

if TYPE_CHECKING:
    from ledger.web.answers import Reading
    from ledger.web.application import Web


class ArgumentKind(StrEnum):
    """How an argument is asked for and read."""

    ID = "ID"
    TEXT = "TEXT"
    AMOUNT = "AMOUNT"
    CHOICE = "CHOICE"
    POSITION = "POSITION"


@dataclass(frozen=True)
class ActionArgument:
    """What an action is told."""

    name: str
    label: str
    kind: ArgumentKind = ArgumentKind.TEXT
    choices: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class ActionPreview:
    """What would happen. `effect` is sentences for a person, `sends` the commands as they would be
    sent; `confirm` is what is to be typed first, where it cannot be taken back."""

    effect: Sequence[str]
    sends: Sequence[Mapping[str, Any]] = ()
    confirm: str | None = None
    needs_approval: bool = False


@dataclass(frozen=True)
class ActionResult:
    """What became of it: `status` is ACCEPTED, REJECTED, UNKNOWN or FAILED of a command, DONE of a
    deed, WAITING for another person."""

    status: str
    command_id: UUID
    position: int | None = None
    message: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ActionRequest:
    """An action that somebody asked for: who, with which arguments, why, under which id."""

    person: Person
    arguments: Mapping[str, Any]
    reason: str
    command_id: UUID
    approved_by: str | None = None

    @property
    def reasons(self) -> str:
        """The reason, with who approved it."""
        if self.approved_by is None:
            return self.reason
        return f"{self.reason} (approved by {self.approved_by})"


Foresees = Callable[["Reading", Mapping[str, Any]], ActionPreview]
Does = Callable[["Web", ActionRequest], Awaitable[ActionResult]]


@dataclass(frozen=True)
class Action:
    """Something that a person does."""

    name: str
    title: str
    about: str
    arguments: tuple[ActionArgument, ...]
    foresees: Foresees
    does: Does
