"""The business: one folder per noun, each with the same files (`ledger/kernel/noun.py`).

Here they are listed, once, and all other lists are derived. Everything below is pure: no I/O, no
clock, no randomness, no float.
"""

from ledger.kernel.command import CommandData
from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate, HandledCommand, Noun, Upcaster
from ledger.kernel.rejection import GeneralRejection, RejectionCode, Undecided
from ledger.nouns.accounts.noun import NOUN as ACCOUNTS
from ledger.nouns.allocations.noun import NOUN as ALLOCATIONS
from ledger.nouns.instruments.noun import NOUN as INSTRUMENTS
from ledger.nouns.orders.noun import NOUN as ORDERS
from ledger.nouns.projections.noun import NOUN as PROJECTIONS

__all__ = [
    "ACCOUNTS",
    "AGGREGATES",
    "COMMANDS",
    "COMMAND_DATA",
    "EVENTS",
    "FAMILIES",
    "FAMILY_OF_COMMAND",
    "NOUNS",
    "NOUN_OF_STREAM",
    "REJECTIONS",
    "TIMED",
    "UPCASTERS",
]

NOUNS: tuple[Noun, ...] = (ACCOUNTS, ORDERS, ALLOCATIONS, INSTRUMENTS, PROJECTIONS)

NOUN_OF_STREAM: dict[str, Noun] = {noun.stream_type: noun for noun in NOUNS}
COMMANDS: dict[str, HandledCommand] = {
    command.name: command for noun in NOUNS for command in noun.commands
}
"""Every command type, in the order of the contract."""
COMMAND_DATA: dict[str, type[CommandData]] = {
    name: command.data for name, command in COMMANDS.items()
}
TIMED: frozenset[type[CommandData]] = frozenset(
    data for data in COMMAND_DATA.values() if "occurred_at" in data.model_fields
)
"""The commands that may say when it happened."""
FAMILY_OF_COMMAND: dict[str, str | None] = {
    command.name: noun.family for noun in NOUNS for command in noun.commands
}
"""The subject of a command type; None where it is the account's id."""
FAMILIES: frozenset[str] = frozenset(noun.family for noun in NOUNS if noun.family is not None)
AGGREGATES: dict[str, Aggregate[object]] = {
    noun.stream_type: noun.aggregate for noun in NOUNS if noun.aggregate is not None
}
EVENTS: dict[str, type[Event]] = {
    name: event for noun in NOUNS for name, event in noun.events.items()
}
"""Every event type the ledger knows, by its stable name."""
UPCASTERS: dict[tuple[str, int], Upcaster] = {
    step: upcaster for noun in NOUNS for step, upcaster in noun.upcasters.items()
}
REJECTIONS: tuple[RejectionCode, ...] = (
    *GeneralRejection,
    *Undecided,
    *(code for noun in NOUNS if noun.rejections is not None for code in noun.rejections),
)
"""Every code that an outcome may have."""
