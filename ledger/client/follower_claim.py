"""Whose a follower's name is, and how its place is kept: the protocol, without a clock or a server.

The server keeps one record for each name and changes it only from the version that the writer has
seen (compare and set). A claim says what to do next, and is told what came of it:

    ask       the record is another's: write into it that we want the name
    give      the owner sees that, finishes the event in hand, writes its last place and goes;
              an owner that says nothing for the length of its lease is taken for dead
    own       the record is ours for the length of a lease from each write on. Only so long events
              are handed out; the place that is reached is written into it now and then
    leave     write the last place and that nobody owns the name

An owner counts its lease from before a write is sent; who waits for its end counts from when it saw
the result, and longer. So the owner stops before another begins, whatever their clocks say, also an
owner whose process stood still. The newest who asks gets the name; who asked before it is told.
"""

from enum import Enum
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.bus.follower_record import KeptRecord, Record

SAVE_SECONDS = 0.05
"""Least time between two writes of the place: what comes again after a crash is what was done in
it. Each write is one sync of the server's disk."""
RENEWALS_PER_LEASE = 3
"""How often an owner without events says that it is alive: two renewals may get lost."""
LOOK_SECONDS = 0.25
"""Pause between two looks at a name that another has. A hint ends it sooner."""
LONGER_THAN_A_LEASE = 1.1
"""How much longer than a lease the silence must be: more than two clocks' speeds can differ by."""


class Read(NamedTuple):
    """Read the record."""


class Write(NamedTuple):
    """Write the record if the one that is kept still has the version."""

    record: Record
    version: int


class FindPlace(NamedTuple):
    """Find out where to begin: no place is kept."""


class Pause(NamedTuple):
    """Do nothing for so long, or until something happens."""

    seconds: float


Action = Read | Write | FindPlace | Pause


class End(Enum):
    """How a claim ended."""

    LEFT = "left"
    TAKEN = "taken"
    OTHER_EVENTS = "other events"


class FollowerClaim:
    """One follower's claim to a name, from asking for it to its end. `now` is of any clock that
    does not stand still while its process does."""

    def __init__(self, me: str, wanted: str, lease_seconds: float) -> None:
        self._me = me
        self._filter = wanted
        self._lease_seconds = lease_seconds
        self._kept: KeptRecord | None = None
        """What the server has, as far as we know; None: to be read."""
        self._hinted = False
        self._leaving = False
        self.end: End | None = None

        self._begin: tuple[int, int | None, UUID | None] | None = None
        self._asked_in = 0
        """The epoch in which we asked its owner for the name; 0: not yet."""
        self._seen_version = -1
        self._silence = 0.0
        self._looked_at = 0.0

        self._epoch = 0
        """Ours; 0 while the name was never ours."""
        self._ours_until = float("-inf")
        self._sent_at = float("-inf")
        self._wanted = False
        self._in_hand = False
        self.place = 0
        """The position of the last event that is done, once the name is ours."""
        self.sequence: int | None = None
        self.incarnation: UUID | None = None
        """Of the log that the place is in."""

    # --- what the follower does -----------------------------------------------------------

    @property
    def owned(self) -> bool:
        """Whether the name became ours; perhaps it is no more."""
        return self._epoch > 0

    def may_hand_out(self, now: float) -> bool:
        """Whether the next event may be handed out now."""
        ours = self.end is None and now < self._ours_until
        return ours and not self._wanted and not self._leaving

    def handed_out(self) -> None:
        """An event is in hand."""
        self._in_hand = True

    def done(self, position: int, incarnation: UUID | None = None) -> None:
        """The event in hand is done."""
        self._in_hand = False
        self.place = max(self.place, position)
        self.incarnation = incarnation or self.incarnation
        self.sequence = None

    def leave(self) -> None:
        """An event in hand is not done. What is still to be written, `next` says until the end."""
        self._leaving = True
        self._in_hand = False
        if not self.owned:
            self._kept = None  # what we wrote last may have made it ours

    # --- what to do next, and what came of it ---------------------------------------------

    def next(self, now: float) -> Action:
        """What to do. Not to be asked after the end."""
        if self._kept is None:
            return Read()
        return self._as_owner(self._kept, now) if self.owned else self._as_asker(self._kept, now)

    def begin_at(self, place: int, sequence: int | None, incarnation: UUID | None = None) -> None:
        """Where to begin is found."""
        self._begin = (place, sequence, incarnation)

    def found(self, kept: KeptRecord, now: float) -> None:
        """The record was read."""
        if self.owned:
            self._note_as_owner(kept)
        else:
            self._note_as_asker(kept, now)

    def stored(self, written: Record, version: int, sent_at: float) -> None:
        """The record was written; `sent_at` is before it left."""
        self._kept = KeptRecord(written, version)
        if written.owner == self._me:
            if not self.owned:
                self._own(written)
            self._sent_at, self._ours_until = sent_at, sent_at + self._lease_seconds
        elif self.owned or self._leaving:
            self.end = End.LEFT if self._leaving else End.TAKEN
        else:
            self._asked_in = written.epoch

    def refused(self) -> None:
        """The record was not written: another version is kept."""
        self._kept = None

    def failed(self) -> None:
        """The server did not answer: nobody knows what it did."""
        self._kept = None

    def hint(self, record: Record) -> None:
        """Somebody is writing this record, perhaps we ourselves."""
        ours = record.owner == self._me and record.wanted_by is None
        asked_by_us = record.owner is not None and record.wanted_by == self._me
        self._hinted = self._hinted or not (ours or asked_by_us)

    # --- while the name is another's ------------------------------------------------------

    def _as_asker(self, kept: KeptRecord, now: float) -> Action:
        record, version = kept
        if self._leaving:
            assert record is not None, "whoever has nothing to take back has left"
            return Write(msgspec.structs.replace(record, wanted_by=None), version)
        if record is None or record.place is None:
            if self._begin is None:
                return FindPlace()
            return Write(self._claimed(record, *self._begin), version)
        if record.owner is None or self._is_silent(record):
            held = (record.place, record.sequence, record.incarnation)
            return Write(self._claimed(record, *held), version)
        if record.wanted_by != self._me:
            return Write(msgspec.structs.replace(record, wanted_by=self._me), version)
        due = self._looked_at + LOOK_SECONDS
        if self._hinted or now >= due:
            self._hinted = False
            return Read()
        return Pause(due - now)

    def _claimed(
        self, record: Record | None, place: int, sequence: int | None, incarnation: UUID | None
    ) -> Record:
        return Record(
            filter=self._filter,
            epoch=(record.epoch if record else 0) + 1,
            place=place,
            sequence=sequence,
            incarnation=incarnation,
            lease_seconds=self._lease_seconds,
            owner=self._me,
        )

    def _note_as_asker(self, kept: KeptRecord, now: float) -> None:
        # Silence counts only while somebody looks: a server that was away heard no owner either.
        looked = min(now - self._looked_at, 2 * LOOK_SECONDS)
        unchanged = kept.version == self._seen_version
        self._silence = self._silence + looked if unchanged else 0.0
        self._looked_at, self._seen_version, self._kept = now, kept.version, kept
        record = kept.record
        if record is not None and record.owner == self._me:  # stored, and nobody told us
            self._own(record)
        elif self._leaving:
            if record is None or record.wanted_by != self._me:
                self.end = End.LEFT
        elif record is not None and record.place is not None:
            if record.filter != self._filter:
                self.end = End.OTHER_EVENTS
            elif self._asked_in and self._is_overtaken(record):
                self.end = End.TAKEN

    def _is_overtaken(self, record: Record) -> bool:
        """Whether somebody asked after us, or was faster."""
        return record.epoch > self._asked_in or record.wanted_by not in (None, self._me)

    def _is_silent(self, record: Record) -> bool:
        enough = record.lease_seconds * LONGER_THAN_A_LEASE
        return record.wanted_by == self._me and self._silence > enough

    def _own(self, record: Record) -> None:
        self._epoch = record.epoch
        self.place, self.sequence = record.place or 0, record.sequence
        self.incarnation = record.incarnation
        self._wanted = record.wanted_by is not None

    # --- while the name is ours -----------------------------------------------------------

    def _as_owner(self, kept: KeptRecord, now: float) -> Action:
        record, version = kept
        written = record is not None and record.epoch == self._epoch
        mine = Record(
            filter=self._filter,
            epoch=self._epoch,
            place=self.place,
            sequence=self.sequence,
            incarnation=self.incarnation,
            lease_seconds=self._lease_seconds,
            owner=self._me,
            wanted_by=record.wanted_by if record is not None and written else None,
        )
        if self._leaving or (self._wanted and not self._in_hand):
            return Write(msgspec.structs.replace(mine, owner=None), version)
        to_save = record is None or not written or record.place != self.place
        if self._wanted:
            # Our lease may run out over the event in hand: what was done before it is kept.
            return Write(mine, version) if to_save else Pause(LOOK_SECONDS)
        pause = SAVE_SECONDS if to_save else self._lease_seconds / RENEWALS_PER_LEASE
        due = self._sent_at + pause
        if self._hinted or now >= due:
            self._hinted = False
            return Write(mine, version)
        return Pause(due - now)

    def _note_as_owner(self, kept: KeptRecord) -> None:
        record = kept.record
        lost = record is None or record.epoch < self._epoch  # the server lost what it had
        if lost or (record is not None and record.owner == self._me):
            self._kept = kept
            self._wanted = not lost and record is not None and record.wanted_by is not None
        else:
            self.end = End.LEFT if self._leaving else End.TAKEN
