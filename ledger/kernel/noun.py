"""A noun of the business, and what it registers.

    ledger/nouns/<noun>/
        events.py      what can have happened: a class per event, upcasters beside it
        state.py       what decisions need to know, how events change it, its AGGREGATE
        rules.py       requests, which may be refused       (facts.py: facts, which never are)
        rejections.py  why they are refused: a closed set of codes, each with its remedy
        commands.py    the data of each command, as it is sent
        handlers.py    what each command means: @handles(Command, reads=which streams)
        noun.py        NOUN = Noun(…): its words, which everybody knows
        decider.py     DECIDER = Decider(…): how it is decided, which the write side alone loads

Whatever needs a list of events, commands or codes derives it from the nouns
(`ledger/nouns/__init__.py`), of handlers or states from the deciders (`ledger/write/deciders.py`):
adding a noun is one folder, and one line in `ledger/__init__.py` by which type checkers know its
commands (docs/nouns.md). All of a noun is pure; it imports the kernel and, where its rules need
them, other nouns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from ledger.kernel.event import Event

if TYPE_CHECKING:
    from ledger.kernel.command import Command, CommandData, CommandKind
    from ledger.kernel.rejection import RejectionCode
    from ledger.kernel.unit_of_work import UnitOfWork

State = TypeVar("State")
Data = TypeVar("Data", bound="CommandData")

Handler = Callable[["UnitOfWork", Any], None]
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the payload of one schema version and returns that of the next."""
Reads = Callable[["Command", Any], Iterable[UUID]]
"""The streams that deciding a command may look at, of its message alone."""
ReadsBehind = Callable[["Command", Any, Callable[[UUID], Any]], Iterable[UUID]]
"""The streams that only the state of another one names, given that state by its id."""


@dataclass(frozen=True)
class Aggregate(Generic[State]):
    """A kind of stream. `evolve(state, event, stream_id)` may change the state that it is given and
    returns the one after the event. `state_version` is the shape of `state` in snapshots: a change
    of shape is a new number. `check(state, event, kind)` asserts, where an event is made, what
    promises rest on, given the state before it and whether a request or a fact made it; what it
    raises is a fault of ours, and nothing is recorded."""

    stream_type: str
    state: type[State]
    state_version: int
    evolve: Callable[[State | None, Event, UUID], State]
    check: Callable[[State | None, Event, CommandKind], None] | None = None

    @property
    def topic(self) -> str:
        """What snapshots of its states, in their shape of today, are kept under."""
        return f"{self.stream_type}.{self.state_version}"


@dataclass(frozen=True)
class HandledCommand:
    """A command type: its data, its handler, and which streams the handler reads."""

    data: type[CommandData]
    handler: Handler
    reads: Reads
    reads_behind: ReadsBehind | None

    @property
    def name(self) -> str:
        return self.data.__name__


@dataclass(frozen=True)
class Noun:
    """The words of a noun. `family` is the subject of the commands and events of a noun of no
    account; one of an account has None, and its commands and events go under the account's id.
    `stream_type` is None where all that can happen happens on streams of others."""

    name: str
    stream_type: str | None
    events: Mapping[str, type[Event]]
    upcasters: Mapping[tuple[str, int], Upcaster] = field(default_factory=dict)
    family: str | None = None
    commands: tuple[type[CommandData], ...] = ()
    rejections: type[RejectionCode] | None = None


@dataclass(frozen=True)
class Decider:
    """How a noun is decided: what its streams come to, None where all that happens happens on
    streams of others, and what each of its commands means."""

    aggregate: Aggregate[Any] | None = None
    commands: tuple[HandledCommand, ...] = ()


_HANDLED = "handled_command"


def handles(
    data: type[Data], *, reads: Reads, reads_behind: ReadsBehind | None = None
) -> Callable[[Callable[[UnitOfWork, Data], None]], Callable[[UnitOfWork, Data], None]]:
    """Says of a function that it is the handler of a command."""

    def marked(handler: Callable[[UnitOfWork, Data], None]) -> Callable[[UnitOfWork, Data], None]:
        setattr(handler, _HANDLED, HandledCommand(data, handler, reads, reads_behind))
        return handler

    return marked


def handled_in(handlers: ModuleType) -> tuple[HandledCommand, ...]:
    """The commands whose handlers a module has, in its order."""
    return tuple(
        getattr(member, _HANDLED)
        for member in vars(handlers).values()
        if hasattr(member, _HANDLED) and member.__module__ == handlers.__name__
    )


def commands_in(commands: ModuleType) -> tuple[type[CommandData], ...]:
    """The commands that a module defines, in its order."""
    from ledger.kernel.command import CommandData

    return tuple(
        member
        for member in vars(commands).values()
        if isinstance(member, type)
        and issubclass(member, CommandData)
        and not member.is_abstract
        and member.__module__ == commands.__name__
    )


def events_in(events: ModuleType) -> dict[str, type[Event]]:
    """The events that a module defines, by their stable names."""
    return {
        member.type: member
        for member in vars(events).values()
        if isinstance(member, type)
        and issubclass(member, Event)
        and "type" in vars(member)
        and member.__module__ == events.__name__
    }
