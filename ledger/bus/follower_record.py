"""What is kept of a follower of the events: its place, and whose it is."""

from typing import NamedTuple
from uuid import UUID

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server keeps of a name."""

    filter: str
    """The subject of the events that are followed under the name."""
    epoch: int
    """Counts the owners."""
    place: int | None
    """The position of the last event that is done; 0: none. None: the place was forgotten."""
    lease_seconds: float
    incarnation: UUID | None = None
    """Of the log that the place is in; None where no event that said so is done."""
    owner: str | None = None
    wanted_by: str | None = None
    sequence: int | None = None
    """While no event is done: go on behind this message of the stream. A version before kept the
    place so."""


class KeptRecord(NamedTuple):
    """What the server has: a record or none, and its version; 0 when there never was one."""

    record: Record | None
    version: int
