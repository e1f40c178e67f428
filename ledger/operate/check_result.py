"""What an examination finds: one line for a person, with its remedy."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class CheckResult:
    """What one check found."""

    check: str
    status: Status
    message: str
    remedy: str | None = None
