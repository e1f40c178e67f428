"""Events that decisions are made without, left out of a read model as well.

Where a stream cannot be read, an operator may go on past an event of it (`ledgerctl streams
repair`), and the log tells of that by an event of its own. It says that what the other tells did
not happen, so no read model may show it. Whoever follows the log meets what tells of it, and does
what an operator would have to do otherwise:

    not folded yet    it never is: SKIPPED before its turn comes
    parked            SKIPPED, and the later ones of its key go on
    folded            this fold could take what decisions could not. Nobody knows what the rows
                      would be without it: SKIPPED as FOLDED, which the status shows until they are
                      made anew (`ledgerctl projections rebuild`)

Whoever waits before the event, because nothing may be folded around it, never meets what is behind
it: so what is ahead is looked for when a projection is claimed, and while it stands still.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg

from ledger.nouns import EVENTS
from ledger.nouns.streams.events import StreamEventPassedOver
from projections.engine.letters import dead_letters, retry
from projections.engine.letters.failures import Kind
from projections.engine.live.source import LogEvent
from projections.engine.projection import Projection

# By the index of uncommon types, and of archives only where they are ahead.
_AHEAD = f"""
    SELECT event_data ->> 'position', event_data ->> 'actor', event_data ->> 'reason'
    FROM public.event_store
    WHERE event_type = '{StreamEventPassedOver.type}' AND position > %s ORDER BY position"""
# Without its times and its payload: it may be passed over because the database cannot give them.
_EVENTS = """
    SELECT position, id, stream_id, event_type, stream_type FROM public.event_store
    WHERE position = ANY(%s) ORDER BY position"""


class PassedOver(NamedTuple):
    """What an operator said of the event at a position of the log."""

    position: int
    actor: str
    reason: str


class _Event(NamedTuple):
    position: int
    id: UUID
    stream_id: UUID
    event_type: str
    stream_type: str

    def concerns(self, projection: Projection) -> bool:
        """Whether its worker is given it (log_reader.py)."""
        return self.event_type in projection.fold_of or (
            self.event_type not in EVENTS and self.stream_type in projection.stream_types
        )


def ahead(connection: psycopg.Connection[Any], position: int) -> list[PassedOver]:
    """What the log tells behind a position."""
    return [
        PassedOver(int(of), actor, reason)
        for of, actor, reason in connection.execute(_AHEAD.encode(), [position])
    ]


def told_by(repairs: Sequence[LogEvent]) -> list[PassedOver]:
    """What these events tell."""
    decoded = [cast(StreamEventPassedOver, event.decoded()) for event in repairs]
    return [PassedOver(event.position, event.actor, event.reason) for event in decoded]


def heed(
    connection: psycopg.Connection[Any],
    projection: Projection,
    told: Sequence[PassedOver],
    *,
    rows_in_memory: int,
) -> bool:
    """Leaves the events out, as far as that is not done. Whether anything was: what the owner has
    in memory is then not right any more, and it is fenced. Raises OtherCodeVersion,
    NotInstalled."""
    of = {one.position: one for one in told}
    events = [
        event
        for row in (connection.execute(_EVENTS, [list(of)]) if of else ())
        if (event := _Event(*row)).concerns(projection)
    ]
    if not events:
        return False
    with connection.transaction():
        at = retry.lock(connection, projection)
        left_out = dead_letters.skipped(connection, projection.name)
        parked = dead_letters.find(connection, name=projection.name)
        letters = {letter.position: letter for letter in parked}
        due = [event for event in events if event.position not in left_out]
        keys = set[str]()
        for event in due:
            said, letter = of[event.position], letters.get(event.position)
            if letter is not None:
                dead_letters.skip(connection, letter.id, who=said.actor, reason=said.reason)
                keys.add(letter.partition_key)
                continue
            kind = Kind.FOLDED if event.position <= at.position else Kind.PASSED_OVER
            dead_letters.leave_out(
                connection,
                projection,
                at.generation,
                event,
                kind,
                who=said.actor,
                reason=said.reason,
            )
        for key in sorted(keys):
            retry.fold_key(connection, projection, at, key, rows_in_memory)
        if due and not keys:
            retry.fence(connection, projection)
    return bool(due)
