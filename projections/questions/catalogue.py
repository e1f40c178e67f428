"""All questions there are, as the read models declare them, and what sums several of them up."""

from functools import cache
from typing import Any

from projections import read_models, summaries
from projections.questions.question import Question


@cache
def questions() -> dict[str, Question[Any]]:
    """Every question by its name. The entry point "ledger.questions" is this."""
    found: dict[str, Question[Any]] = {}
    for module in (*read_models.modules(), *summaries.modules()):
        for question in getattr(module, "QUESTIONS", ()):
            if question.name in found:
                raise ValueError(f"two questions are called {question.name}")
            found[question.name] = question
    return dict(sorted(found.items()))
