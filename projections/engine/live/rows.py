"""The rows a projection works on, in memory.

A batch goes through them like this:

    load          the engine reads the rows that the batch's events look up and that are not
                  here yet, one query per table
    find, change, insert, put, remove                                     called by folds
    earlier       what the stream told before, for the event that changes what came of it
    take          the engine takes what is new, changed and removed, and writes it
    settle        once that is committed; on any failure `forget` instead

Rows stay here between batches, because nobody else may change them while the owner's fence
stands. They are kept in two halves: lookups move a row to the young half; when that is full,
the old half is let go and the young one becomes old. So what is looked up often stays, at the
price of a dictionary access.

A set of rows that began with an empty table and has let go of nothing is `complete`: what is
not in it does not exist, and nothing has to be loaded. A rebuild starts like that.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from projections.engine.projection import Key, R, Recorded, Table

Earlier: TypeAlias = Callable[[Recorded], Sequence[tuple[Recorded, Event]]]
"""The events of an event's stream before it, of the types that the projection folds, in order."""


class UndeclaredKey(LedgerError, LookupError):
    """A fold looked up a row that its projection's `keys` did not name for the event."""


class DuplicateRow(LedgerError, ValueError):
    """A fold inserted a row whose key is taken."""


class Rows(Generic[R]):
    """The rows of one table."""

    __slots__ = ("_absent", "_added", "_changed", "_cut", "_key_of", "_limit", "_new", "_old",
                 "_removed", "_young", "complete", "table")  # fmt: skip

    def __init__(self, table: Table[R], *, limit: int, complete: bool) -> None:
        self.table = table
        self.complete = complete
        self._limit = limit
        self._key_of: Callable[[R], Key] = attrgetter(*table.key)
        self._young: dict[Key, R] = {}
        self._old: dict[Key, R] = {}
        self._absent: set[Key] = set()
        # By identity: an id's hash and comparison are Python code, and folds touch rows often.
        self._new: dict[int, R] = {}
        self._changed: dict[int, R] = {}
        self._added: list[R] = []
        self._removed: dict[Key, None] = {}
        self._cut: datetime | None = None

    # --- for folds ---------------------------------------------------------------------

    def find(self, key: Key) -> R | None:
        """The row, to be read only."""
        row = self._young.get(key)
        return row if row is not None else self._find_elsewhere(key)

    def all(self) -> Iterable[R]:
        """Every row of a table whose rows are all in memory, to be read only."""
        assert self.table.resident, f"{self.table.name} is not resident"
        return self._young.values()

    def touched(self) -> Iterable[R]:
        """The rows that are new or may have changed since the last write, to be read only."""
        yield from self._new.values()
        yield from (row for which, row in self._changed.items() if which not in self._new)

    def change(self, key: Key) -> R | None:
        """The row, to be changed in place."""
        row = self._young.get(key)
        if row is None:
            row = self._find_elsewhere(key)
            if row is None:
                return None
        self._changed[id(row)] = row
        return row

    def insert(self, row: R) -> None:
        """Adds a row that does not exist yet."""
        if self.table.insert_only:
            self._added.append(row)
            return
        key = self._key_of(row)
        if (self._old and key in self._old) or self._young.setdefault(key, row) is not row:
            raise DuplicateRow(f"{self.table.name} has a row with key {key!r} already")
        self._new[id(row)] = row

    def put(self, row: R) -> None:
        """Adds the row, or replaces the one with its key; looks nothing up."""
        key = self._key_of(row)
        before = self._young.get(key)
        self._young[key] = row
        if before is not None:
            self._changed.pop(id(before), None)
            if self._new.pop(id(before), None) is not None:
                self._new[id(row)] = row
                return
        self._changed[id(row)] = row

    def remove(self, key: Key) -> None:
        """Deletes the row with this key, if there is one; looks nothing up."""
        before = self._young.pop(key, None)
        let_go = self._old.pop(key, None)
        before = before if before is not None else let_go
        if before is not None:
            self._changed.pop(id(before), None)
            if self._new.pop(id(before), None) is not None:
                return  # it was never written
        self._removed[key] = None
        self._absent.add(key)

    def cut(self, until: datetime) -> None:
        """Deletes all rows of a time series from before a time; what is added later stays,
        whatever its time is."""
        assert self.table.series, f"{self.table.name} is no time series"
        self._cut = until if self._cut is None else max(self._cut, until)
        self._added = [row for row in self._added if row.time >= until]  # type: ignore[attr-defined]
        for rows in (self._young, self._old):
            for key in [key for key, row in rows.items() if row.time < until]:  # type: ignore[attr-defined]
                row = rows.pop(key)
                self._new.pop(id(row), None)
                self._changed.pop(id(row), None)

    # --- for the engine ----------------------------------------------------------------

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that have to be loaded before they are looked up."""
        young, old, removed = self._young, self._old, self._removed
        return [key for key in keys if key not in young and key not in old and key not in removed]

    def load(self, wanted: Iterable[Key], found: Iterable[R]) -> None:
        """Takes in what the database has for the keys that were missing."""
        self._absent.update(wanted)
        for row in found:
            key = self._key_of(row)
            self._young[key] = row
            self._absent.discard(key)

    def load_all(self, found: Iterable[R]) -> None:
        """Takes in the whole table: what is not in `found` does not exist."""
        self.load((), found)
        self.complete = True

    @property
    def cut_until(self) -> datetime | None:
        """From before when rows are to be deleted, before anything is written."""
        return self._cut

    @property
    def unwritten(self) -> int:
        """How many `take` would give."""
        return len(self._added) + len(self._new) + len(self._changed) + len(self._removed)

    def take(self) -> tuple[list[R], list[R], list[Key]]:
        """(new rows, changed rows, keys of removed rows) since the last `settle`. What was removed
        may be there again, as new or changed."""
        removed = list(self._removed)
        if self.table.insert_only:
            return self._added, [], removed
        if not self._new:
            return [], list(self._changed.values()), removed
        changed = [row for which, row in self._changed.items() if which not in self._new]
        return list(self._new.values()), changed, removed

    def settle(self) -> None:
        """What was taken is committed."""
        self._new, self._changed, self._added, self._removed = {}, {}, [], {}
        self._cut = None
        self._absent.clear()
        if len(self._young) > self._limit and not self.table.resident:
            if self._old:
                self.complete = False
            self._young, self._old = {}, self._young

    def _find_elsewhere(self, key: Key) -> R | None:
        row = self._old.get(key)
        if row is not None:
            self._young[key] = row
            return row
        if self.complete or key in self._absent:
            return None
        raise UndeclaredKey(
            f"the fold looked up {self.table.name} {key!r}, which the projection's keys() "
            "does not name for this event"
        )


class RowSet(dict[Table[Any], Rows[Any]]):
    """The rows of all tables of a projection: `rows[TABLE]`.

    `rows.earlier(recorded)` reads the log again. It is for events that change what came of earlier
    ones (a trade that is taken back): folds keep totals, and the log is what they are totals of, so
    nothing has to be kept for what hardly ever happens."""

    def __init__(
        self,
        tables: Iterable[Table[Any]],
        *,
        limit: int,
        complete: bool,
        earlier: Earlier = lambda _: (),
    ) -> None:
        super().__init__(
            (table, Rows(table, limit=limit, complete=complete or table.insert_only))
            for table in tables
        )
        self.earlier = earlier

    if TYPE_CHECKING:
        # A dict's own lookup is the fastest there is; only its type is narrower here.
        def __getitem__(self, table: Table[R]) -> Rows[R]: ...
