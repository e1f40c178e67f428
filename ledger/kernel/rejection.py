"""Refusals: a stable code, what is wrong, and what to do about it.

Each noun has its codes in an enumeration of its own, the remedy beside the code; a refusal that
knows a better remedy than the usual one says it. The codes below are those of no noun.
"""

from enum import StrEnum
from typing import Self

from ledger.kernel.errors import LedgerError


class RejectionCode(StrEnum):
    """Base of the closed sets of codes: `CODE = "CODE", "what to do about it"`."""

    remedy: str

    def __new__(cls, code: str, remedy: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.remedy = remedy
        return member


class GeneralRejection(RejectionCode):
    """Why a command of any noun may be refused."""

    INVALID_COMMAND = "INVALID_COMMAND", "send what the schema of the command says"
    WRONG_CLASS = "WRONG_CLASS", "send it to the subject of its own class"
    COMMAND_ID_REUSED = "COMMAND_ID_REUSED", "give each command an id of its own"
    OCCURRED_IN_FUTURE = (
        "OCCURRED_IN_FUTURE",
        "set the sender's clock and send again under a new command id",
    )
    ID_TAKEN = "ID_TAKEN", "choose another"
    INTERNAL_ERROR = "INTERNAL_ERROR", "it was set aside"
    NOT_RECORDED = "NOT_RECORDED", "it was set aside"
    STREAM_HELD = "STREAM_HELD", "it was set aside, and is decided when the stream is repaired"
    RATE_LIMITED = "RATE_LIMITED", "send fewer, and this one again under a new command id"


class Undecided(RejectionCode):
    """Why nobody can say yet what became of a command."""

    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE", "send it again under the same id"
    OUTCOME_TIMEOUT = "OUTCOME_TIMEOUT", "ask for its outcome, or send it again under the same id"


class Rejection(LedgerError):
    """A request that the rules refuse. `message` is one sentence: what is wrong, then the
    remedy."""

    def __init__(self, code: RejectionCode, problem: str, remedy: str | None = None) -> None:
        super().__init__(code, problem)
        self.code = code
        self.message = f"{problem}: {remedy or code.remedy}"
