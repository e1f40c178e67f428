"""How a projection is declared.

    class Holding(Row):                         one column per field, in the table's order
        account_id: UUID
        asset: str
        total: Decimal
        last_position: int

    HOLDINGS = Table("holdings", Holding, key=("account_id", "asset"))

    def _deposited(recorded: Recorded, event: AccountDeposited, rows: RowSet) -> None: ...

    HOLDINGS_PROJECTION = Projection(
        name="holdings",
        version=1,                              raised when the same events give other rows
        tables=(HOLDINGS,),                     created by sql/read_models/holdings.sql
        folds={AccountDeposited: _deposited},   the events it folds, each with its function
        keys=...,                               the rows that an event's fold looks up
        by_stream=True,                         no row is made of several streams' events
    )

A fold is pure: it sees one event and the rows, changes rows, and does nothing else: no clock,
no I/O, no memory of its own. All it has to remember lies in its tables; those that are nobody
else's business are `private` and get no public view. The engine does the rest.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from ledger.kernel.event import Event


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """What a fold is told about an event beside its payload. `user_id` is the account's user;
    `occurred_at` is when it happened, `recorded_at` when it was stored."""

    position: int
    id: UUID
    stream_id: UUID
    event_type: str
    event_version: int
    data: str
    schema: str | None
    """Version of the payload's shape, if it is not the first."""
    user_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime


class Row(msgspec.Struct, array_like=True, gc=False):
    """A row of a read model in memory. Its fields are the table's columns, in order; a column
    of type jsonb is a field of type dict or list."""


R = TypeVar("R", bound=Row)
Key: TypeAlias = Any
"""A row's key: the value of its one key column, or the tuple of them."""


@dataclass(frozen=True, eq=False)
class Table(Generic[R]):
    """A table of a read model. `insert_only` rows are never looked up or changed again;
    `resident` ones are all in memory all the time and need no `keys`: for the few rows that
    folds look up by what other rows say. A public table without `user_id` shows users nothing
    unless it is `shared`: its rows are nobody's (rights.py). A time `series` is partitioned by the
    months of its column "time", and `cut` drops what is old; its rows are not looked up."""

    name: str
    row: type[R]
    key: tuple[str, ...]
    insert_only: bool = False
    private: bool = False
    resident: bool = False
    shared: bool = False
    series: bool = False

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return self.row.__struct_fields__


Fold: TypeAlias = Callable[[Recorded, Any, Any], None]
"""(the envelope, the event, the rows) -> None."""
Keys: TypeAlias = Callable[[Recorded, Any], Iterable[tuple[Table[Any], Key]]]
"""Which existing rows the fold of an event will look up."""


def no_keys(recorded: Recorded, event: Event) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    """For folds that look nothing up."""
    return ()


@dataclass(frozen=True, eq=False)
class Projection:
    """A read model: its tables and how events change them."""

    name: str
    version: int
    tables: tuple[Table[Any], ...]
    folds: Mapping[type[Event], Fold]
    keys: Keys = field(default=no_keys)
    finish: "Callable[[Any], None] | None" = None
    """Called with the rows before each write, for rows that follow from others: once, however many
    events have changed those (`rows[TABLE].touched()`). Batches must not matter to what it says."""
    wide: "Mapping[type[Event], Callable[[Any, int], int]]" = field(default_factory=dict)
    """Events that change many rows, and about how many, given the rows and how many streams have
    begun since: batches end before they have changed more than fit into memory."""
    by_stream: bool = False
    """What a row says comes from the events of one stream alone, so different streams may be
    folded by different processes."""

    @cached_property
    def fold_of(self) -> dict[str, Fold]:
        """The fold of each event type, by the type's stable name."""
        return {event_class.type: fold for event_class, fold in self.folds.items()}

    @cached_property
    def wide_types(self) -> "dict[str, Callable[[Any, int], int]]":
        """What is wide, by the type's stable name."""
        return {event_class.type: rows for event_class, rows in self.wide.items()}

    @cached_property
    def event_types(self) -> list[str]:
        return sorted(self.fold_of)

    @cached_property
    def stream_types(self) -> list[str]:
        """The types of streams whose events it folds."""
        return sorted({event_type.partition(".")[0] for event_type in self.event_types})

    @property
    def public_tables(self) -> tuple[Table[Any], ...]:
        return tuple(table for table in self.tables if not table.private)


def other_version(projection: Projection, code_version: int) -> str:
    """What to do when the tables are of another version of the code."""
    return (
        f"the tables of {projection.name} were built by version {code_version} of its code, this "
        f"is version {projection.version}. Run: ledgerctl projections rebuild {projection.name}"
    )
