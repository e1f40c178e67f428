"""Which log a position is of: incarnations, and what two of them have in common.

A database that is restored to an earlier moment loses the end of its log, and what is appended then
takes the positions of what was lost. So a position alone does not say which event it is; together
with the incarnation of the log it does. A log begins with its first incarnation, whose id is the id
of its first event; each `log.recovered` begins another, behind the last position that it has in
common with the one before. Ids rise from each to the next, whatever clocks say (`next_id`), so of
two that do not know each other the one that began later is known.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self
from uuid import UUID


class Incarnation(NamedTuple):
    """One life of the log: it has the positions behind `after`."""

    id: UUID
    after: int


class Lineage(tuple[Incarnation, ...]):
    """The incarnations of a log, oldest first: what there is of each was appended while it was the
    newest. `after` never decreases, because a restore takes away what began later."""

    __slots__ = ()

    @classmethod
    def of(cls, incarnations: Iterable[tuple[UUID, int]]) -> Self:
        return cls(Incarnation(*one) for one in incarnations)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of its `text`. Raises ValueError."""
        parts = (word.partition("@") for word in text.split())
        return cls(Incarnation(UUID(one), int(after)) for one, _, after in parts)

    @property
    def text(self) -> str:
        """As a header of a message has it."""
        return " ".join(f"{one.id}@{one.after}" for one in self)

    @property
    def newest(self) -> UUID | None:
        """What the log is now; None while it is empty."""
        return self[-1].id if self else None

    def at(self, position: int) -> UUID | None:
        """Whose the event at the position is."""
        return next((one.id for one in reversed(self) if one.after < position), None)

    def common_with(self, incarnation: UUID) -> int | None:
        """The last position that this log has in common with an incarnation; None when the log
        still is that one, or was told of before that one began, and so says nothing of it. Of one
        that it does not know, because a restore took away that it began, it knows no more than that
        they parted at one of its own beginnings: at the first, to be sure."""
        known = [number for number, one in enumerate(self) if one.id == incarnation]
        if not known and (self.newest is None or self.newest.int < incarnation.int):
            return None
        following = self[known[0] + 1 :] if known else self[1:]
        if following:
            return following[0].after
        return None if known else 0


def next_id(made: UUID, before: Iterable[UUID]) -> UUID:
    """The id of an incarnation that follows on others: the one that was made (a UUIDv7), or one of
    a millisecond later than theirs where our clock is behind."""
    newest = max((one.int for one in before), default=0)
    return made if made.int > newest else UUID(int=newest + _MILLISECOND)


_MILLISECOND = 1 << 80
"""Of the time that a UUIDv7 begins with."""
UNKNOWN = Lineage()
"""Of events that say nothing of it: a version before published them."""
