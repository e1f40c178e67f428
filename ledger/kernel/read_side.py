"""The read side as `ledger` finds it: its questions, by the entry point "ledger.questions".

What may be asked, with which filters and with which rows, is declared where the read models are.
The client, the contract and the audit use those declarations and know no table and no column; only
the types of rows are imported, for the type checker.
"""

import importlib.metadata
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ledger.kernel.errors import LedgerError

if TYPE_CHECKING:
    from projections.claims import ReadModelClaim
    from projections.questions.question import Question

QUESTIONS, CLAIMS, DEEDS = "ledger.questions", "ledger.claims", "ledger.deeds"
"""The groups of entry points: a function each, of all questions by name, of all claims, and of all
that operators do with read models, by name."""
REPORTS = "ledger.reports"
"""A group of functions, by what they report: a connection, an account, from, to; the report."""

Deed = Callable[..., dict[str, Any]]
"""What an operator does: the database's URL, what with, who and why by name; what became of it."""


class UnknownQuestion(LedgerError, LookupError):
    """Nothing that is installed answers the question."""


class InvalidQuestion(LedgerError, ValueError):
    """The question is not one that can be answered; the message says why."""


class ReadModelBehind(LedgerError):
    """A read model has not come to the position that was asked about."""


@cache
def questions() -> "dict[str, Question[Any]]":
    """Every question by its name."""
    found: dict[str, Question[Any]] = {}
    for entry_point in importlib.metadata.entry_points(group=QUESTIONS):
        found |= entry_point.load()()
    return found


def question(name: str) -> "Question[Any]":
    """The question of this name. Raises UnknownQuestion."""
    found = questions().get(name)
    if found is None:
        raise UnknownQuestion(
            f"there is no question {name!r}; there are: {', '.join(questions()) or 'none'}. "
            "If one is missing, install trading-ledger again."
        )
    return found


def report(name: str) -> Callable[..., Any]:
    """What makes the report of this name. Raises UnknownQuestion."""
    for entry_point in importlib.metadata.entry_points(group=REPORTS, name=name):
        made: Callable[..., Any] = entry_point.load()
        return made
    raise UnknownQuestion(f"there is no report {name!r}: install trading-ledger again")


def deeds() -> dict[str, Deed]:
    """What operators do with read models, by name."""
    found: dict[str, Deed] = {}
    for entry_point in importlib.metadata.entry_points(group=DEEDS):
        found |= entry_point.load()()
    return found


def claims() -> "list[ReadModelClaim]":
    """What must hold of the read models, with the queries that would find the faults."""
    found: list[ReadModelClaim] = []
    for entry_point in importlib.metadata.entry_points(group=CLAIMS):
        found += entry_point.load()()
    return found
