"""What went wrong, and whether an event is to blame.

poison        the event does not decode, its type is unknown, its fold raised, or the database
              refuses its rows: tried again it fails again, so it may be parked
everything    the connection, a lock, the disk, a missing privilege or table: the event is
else          innocent; the batch is tried again until it works
"""

import traceback
from enum import StrEnum

import msgspec
import psycopg

from projections.engine.live.build import FoldFailed


class Kind(StrEnum):
    """Why an event is parked, or left out."""

    DECODE = "decode"
    UNKNOWN_TYPE = "unknown type"
    FOLD = "fold"
    DATABASE = "database"
    BEHIND = "behind"
    PASSED_OVER = "passed over"
    """Decisions are made without it, and it was not folded yet (passed_over.py)."""
    FOLDED = "folded"
    """Decisions are made without it, and the build has folded it."""


_REFUSALS = frozenset({"22", "23", "44", "54", "P0"})
"""Classes of SQLSTATE that say something of the values: data exception, integrity constraint,
check option, a limit of the program (a key too long for its index), raised by a trigger."""


def is_poison(error: Exception) -> bool:
    """Whether the cause lies in an event, and not around it."""
    if isinstance(error, FoldFailed):
        return True
    if isinstance(error, psycopg.Error):
        if error.sqlstate is None:  # refused by the driver: a text that cannot be sent
            return isinstance(error, psycopg.DataError)
        return error.sqlstate[:2] in _REFUSALS
    # Rows that cannot even be written as text.
    return isinstance(error, msgspec.MsgspecError | TypeError | ValueError | OverflowError)


def kind_of(error: Exception) -> Kind:
    """The kind of a poison."""
    if isinstance(error, FoldFailed):
        return Kind(error.kind)
    return Kind.DATABASE if isinstance(error, psycopg.Error) else Kind.FOLD


def text_of(error: Exception) -> str:
    """What a person is told."""
    if isinstance(error, FoldFailed):
        return error.reason
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        parts = (error.diag.message_primary, error.diag.message_detail)
        return f"{type(error).__name__}: " + ". ".join(part for part in parts if part)
    return f"{type(error).__name__}: {error}".strip()


def traceback_of(error: Exception) -> str:
    """Where it was raised: for a fold, the error of its own and not what we said of it."""
    cause = error.__cause__ if isinstance(error, FoldFailed) else None
    return "".join(traceback.format_exception(cause or error))
