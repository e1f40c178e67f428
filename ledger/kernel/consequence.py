"""What follows from something: a command under an id that is made of what it follows from.

Whoever follows the log and says something about it says the same again after a restart, or beside
another one who does; the id makes of all that one effect.
"""

from typing import NamedTuple
from uuid import UUID, uuid5

from ledger.kernel.command import CommandData

_NAMESPACE = UUID("b62a3c0d-6a1e-5cc3-8e58-1d2b7b0a9f15")


class Said(NamedTuple):
    """`cause` is the event that it follows from, where it is one."""

    command_id: UUID
    data: CommandData
    cause: UUID | None = None
    correlation: UUID | None = None


def id_of(*parts: object) -> UUID:
    """The same for all who say the same of the same."""
    return uuid5(_NAMESPACE, " ".join(map(str, parts)))
