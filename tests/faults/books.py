"""What must be true of the ledger, kept by the one who sends: a second set of books.

The effect of every command is written down when the command is made; it counts once its outcome
says ACCEPTED and names events. Amounts add up in any order, so the books need not know in which
order the ledger decided.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.kernel.command import Outcome

Key = tuple[UUID, str]
"""Account and asset."""
Effect = dict[Key, Decimal]


@dataclass
class Command:
    """A command that was sent, once or more often, and everything that came back."""

    id: UUID
    type: str
    account_id: UUID
    data: dict[str, Any]
    time: str
    effect: Effect = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def envelope(self) -> dict[str, Any]:
        """The message; the same each time it is sent."""
        return {
            "id": str(self.id),
            "type": self.type,
            "subject": str(self.account_id),
            "time": self.time,
            "data": self.data,
        }


class Books:
    """All commands of a run."""

    def __init__(self) -> None:
        self.commands: dict[UUID, Command] = {}

    def add(self, command: Command) -> None:
        self.commands[command.id] = command

    def statuses(self) -> Counter[str]:
        """How many commands have which outcome; those without one count as NONE."""
        return Counter(
            command.outcomes[0].status if command.outcomes else "NONE"
            for command in self.commands.values()
        )

    def balances(self) -> Effect:
        """What each account has of each asset, by the outcomes."""
        balances: Counter[Key] = Counter()
        for command in self.commands.values():
            if _had_effect(command):
                for key, amount in command.effect.items():
                    balances[key] += amount  # type: ignore[assignment]  # Decimals add as ints do
        return dict(balances)  # type: ignore[arg-type]

    def contradictions(self) -> Iterator[str]:
        """Commands without an outcome, with one that is our fault, or with two."""
        for command in self.commands.values():
            if not command.outcomes:
                yield f"{command.type} {command.id} has no outcome"
                continue
            first = command.outcomes[0]
            if first.status == "FAILED":
                yield f"{command.type} {command.id} FAILED: {first.message}"
            for other in command.outcomes[1:]:
                if _said(first) != _said(other):
                    yield f"{command.type} {command.id} has two outcomes: {first} and {other}"


def _had_effect(command: Command) -> bool:
    return any(one.status == "ACCEPTED" and bool(one.events) for one in command.outcomes)


def _said(outcome: Outcome) -> tuple[object, ...]:
    """What must be the same each time; `replayed` may differ."""
    return outcome.status, outcome.code, tuple(event.id for event in outcome.events)
