"""Whether events that a page shows are those that were sealed.

The leaf hash of each is made again and looked for among those kept with its seal, and those are
hashed to the seal's root: a few thousand hashes for a page, which is a few milliseconds. It says
what the seals of this database say, and nothing of who made them: that takes a key or a head from
outside (`ledgerctl audit verify`, the integrity page).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import psycopg
from starlette.applications import Starlette

from ledger.audit.prove import seals
from ledger.audit.prove.canonical import Row, leaf_hash
from ledger.audit.prove.merkle import root
from ledger.audit.prove.printed_events import rows_at
from ledger.eventstore.reader import RecordedEvent

Sealing = Literal["sealed", "unsealed", "altered"]


class SealCheck(NamedTuple):
    """Of an event: the number of its seal, if it has one, and what is wrong with it."""

    state: Sealing
    position: int
    seal: int | None = None
    what: str = ""


def checked(
    connection: psycopg.Connection[Any], events: Sequence[RecordedEvent]
) -> list[SealCheck]:
    """Each event against its seal."""
    blocks: dict[int, _KeptBlock] = {}
    rows = rows_at(connection, [event.position for event in events])
    found = []
    for event in events:
        block = next((one for one in blocks.values() if one.covers(event.position)), None)
        if block is None:
            block = _block(connection, event.position)
            if block is not None:
                blocks[block.seal.number] = block
        found.append(_check(event.position, rows.get(event.position), block))
    return found


class _KeptBlock(NamedTuple):
    seal: seals.Seal
    leaves: list[bytes]
    whole: bool

    def covers(self, position: int) -> bool:
        return self.seal.first_position <= position <= self.seal.last_position


def _block(connection: psycopg.Connection[Any], position: int) -> _KeptBlock | None:
    seal = seals.seal_of(connection, position)
    if seal is None:
        return None
    leaves = seals.leaves_of(connection, seal.number)
    whole = (
        len(leaves) == seal.event_count
        and root(leaves) == seal.root
        and seal.computed_hash() == seal.hash
        and seals.signature_holds(seal)
    )
    return _KeptBlock(seal, leaves, whole)


def _check(position: int, row: Row | None, block: _KeptBlock | None) -> SealCheck:
    if block is None:
        return SealCheck("unsealed", position)
    number = block.seal.number
    if not block.whole:
        return SealCheck("altered", position, number, f"seal {number} is not as it was made")
    if row is None or block.leaves[position - block.seal.first_position] != leaf_hash(row):
        what = f"the event at position {position} is not what seal {number} was made of"
        return SealCheck("altered", position, number, what)
    return SealCheck("sealed", position, number)


def remember(app: Starlette, checks: Iterable[SealCheck]) -> None:
    """What does not fit its seal makes every page red, from now on: nobody overlooks it."""
    altered = next((one for one in checks if one.state == "altered"), None)
    if altered is not None:
        app.state.altered = altered
