"""Applying events around those that cannot be handled.

A batch that failed because of an event (failures.is_poison) comes here, in a new transaction:

    a fold raised        it names its event: what is before it is applied, it is parked, and the
                         rest goes on without its key
    the database         does not say which row came of which event: the events are halved until
    refused              a single one is left; that one is parked

Each piece is folded and written in a savepoint of its own. What a failed piece did in memory is
dropped with the build; the next one loads its rows from the same transaction, so it sees the
pieces that worked. Parked events and applied ones commit together.

A projection that must not go on around an event stops before it: then only the events before the
first that cannot be handled are applied.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from projections.engine.letters.dead_letters import HeldBack, NewLetter, key_of
from projections.engine.letters.failures import is_poison, kind_of, text_of, traceback_of
from projections.engine.live.build import Build, FoldFailed
from projections.engine.live.source import LogEvent


@dataclass
class Applied:
    """What became of some events. `letters`: those to be parked, in order of position."""

    events: list[LogEvent] = field(default_factory=list)
    letters: list[NewLetter] = field(default_factory=list)
    stopped_at: NewLetter | None = None


def apply(
    connection: psycopg.Connection[Any],
    open_build: Callable[[], Build],
    events: Sequence[LogEvent],
    held: HeldBack,
    *,
    stop: bool,
    alive: Callable[[], object],
) -> Applied:
    """Folds and writes what can be handled, inside the caller's transaction. Adds to the parked
    keys of `held`. `stop`: not beyond the first event that cannot be handled. `alive` is called
    after each piece. Raises whatever no event is to blame for."""
    result = Applied()
    build = open_build()
    pieces = deque([list(events)])
    while pieces:
        piece, behind = held.sort(pieces.popleft())
        result.letters += behind
        if not piece:
            continue
        try:
            with connection.transaction():
                build.fold(piece)
                build.write()
            build.settle()
            result.events += piece
        except Exception as error:
            if not is_poison(error):
                raise
            build = open_build()
            failed_at = _failed_at(piece, error)
            if failed_at > 0:
                # What comes before is applied first: it may be refused, too, and be of its key.
                pieces.extendleft([piece[failed_at:], piece[:failed_at]])
            else:
                letter = NewLetter(
                    piece[0],
                    key_of(piece[0]),
                    kind_of(error),
                    text_of(error),
                    traceback_of(error),
                )
                result.letters.append(letter)
                if stop:
                    result.stopped_at = letter
                    break
                held.parked_keys.add(letter.partition_key)
                pieces.appendleft(piece[1:])
        alive()
    result.letters.sort(key=lambda letter: letter.recorded.position)
    return result


def _failed_at(piece: Sequence[LogEvent], error: Exception) -> int:
    """Where to cut: before the event that failed, or in the middle where nobody says which."""
    return piece.index(error.recorded) if isinstance(error, FoldFailed) else len(piece) // 2
