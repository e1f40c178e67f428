"""The business: one folder per noun, each with the same files (`ledger/kernel/noun.py`).

Whatever lies here is registered, and all lists are derived from the registrations: here those of
the words, which services load too; how it is decided is in `ledger/write/deciders.py`. Everything
below is pure: no I/O, no clock, no randomness, no float.
"""

from importlib import import_module
from pkgutil import iter_modules

from ledger.kernel.command import CommandData
from ledger.kernel.event import Event
from ledger.kernel.noun import Noun, Upcaster
from ledger.kernel.rejection import GeneralRejection, RejectionCode, Undecided

__all__ = [
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


def _registered(name: str) -> Noun:
    noun = import_module(f"{__name__}.{name}.noun").NOUN
    assert isinstance(noun, Noun), name
    return noun


NOUNS: tuple[Noun, ...] = tuple(
    _registered(found.name) for found in iter_modules(__path__) if found.ispkg
)
"""Every folder here, by name."""

NOUN_OF_STREAM: dict[str, Noun] = {
    noun.stream_type: noun for noun in NOUNS if noun.stream_type is not None
}
COMMAND_DATA: dict[str, type[CommandData]] = {
    data.__name__: data for noun in NOUNS for data in noun.commands
}
"""Every command type, in the order of the contract."""
TIMED: dict[type[CommandData], str] = {
    data: data.occurred for data in COMMAND_DATA.values() if data.occurred in data.model_fields
}
"""The commands that may say when it happened, and the field that says it."""
FAMILY_OF_COMMAND: dict[str, str | None] = {
    data.__name__: noun.family for noun in NOUNS for data in noun.commands
}
"""The subject of a command type; None where it is the account's id."""
FAMILIES: frozenset[str] = frozenset(noun.family for noun in NOUNS if noun.family is not None)
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
