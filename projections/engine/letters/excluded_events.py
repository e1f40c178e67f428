"""What a build beside the live one must not fold, so that the two can be compared.

    skipped    by an operator's decision: left out for ever, in every build
    parked     in the live build, which lacks them. Comparing says something of all other rows then.
               A rebuild tries them before it becomes live, which it does not if one of them still
               cannot be handled; becomes live without them; and then they are retried (retry.py).
               So what a build lacks is in the table of dead letters at every moment

Rows of one stream do not depend on other streams (a projection of which that is not true parks
nothing), so folding a stream's last events later than others' gives the same rows.
"""

from typing import Any

import psycopg

from ledger.kernel.errors import LedgerError
from projections.engine.letters import dead_letters
from projections.engine.live import source
from projections.engine.live.source import LogEvent
from projections.engine.projection import Projection


class ParkedMeanwhile(LedgerError):
    """Parked events were tried again or skipped while a build was compared with the live one."""


class LeftOut:
    """The positions that one build leaves out."""

    def __init__(self, connection: psycopg.Connection[Any], projection: Projection) -> None:
        self._connection = connection
        self._name = projection.name
        self._skipped: frozenset[int] = frozenset()
        self.parked: frozenset[int] = frozenset()
        self.refresh(folded_to=0)

    def refresh(self, *, folded_to: int) -> None:
        """Looks what the live build lacks by now. Raises ParkedMeanwhile where that has changed
        for events that the build has folded already."""
        skipped = dead_letters.skipped(self._connection, self._name)
        parked = dead_letters.parked_live(self._connection, self._name)
        parked -= skipped
        changed = (skipped | parked) ^ (self._skipped | self.parked)
        if any(position <= folded_to for position in changed):
            raise ParkedMeanwhile(
                f"parked events of {self._name} were tried again or skipped meanwhile: "
                "run this command again"
            )
        self._skipped, self.parked = skipped, parked

    def without(self, events: list[LogEvent]) -> list[LogEvent]:
        """Those of the events that are to be folded."""
        if not self._skipped and not self.parked:
            return events
        return [
            event
            for event in events
            if event.position not in self._skipped and event.position not in self.parked
        ]

    def parked_events(self) -> list[LogEvent]:
        """The parked events, in order."""
        return source.read_at(self._connection, sorted(self.parked)) if self.parked else []

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self._skipped or self.parked)
