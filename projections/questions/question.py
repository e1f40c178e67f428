"""How a question to a read model is declared: once, beside the rows that answer it.

    QUESTIONS = (
        Question(
            name="fills",
            table=FILLS,                                whose rows are the answer, typed
            about="The trades of orders, newest first.",
            paths=(
                newest_first("account_id", "position"), one of these must be named; the order of
                newest_first("user_id", "fill_timestamp", "position"),      the rows is the index's
            ),
            filters=(exactly("order_id"), exactly("instrument"), *between("fill_timestamp")),
            shown=("fill_timestamp", "trade_id", …),    in a table for people: 80 columns
            past=Past("projections.past.fills:fills_at", begins_with="rows"),
        ),
    )

What follows from it, with nothing to add anywhere else:

    ledger.query.fills          over NATS (query_service.py); below it for one account alone
    client.queries.fills(…)     of a LedgerClient, rows typed; `.all(…)` reads every page
    ledgerctl query fills       with an option for each filter; --known-at where there is a past
    docs/schemas                the row, the question and its answer

A question that sums up several read models has the SELECT that makes its rows (`made_by`) in place
of a table; filters that narrow down what it reads itself are named in `within`.

A filter is a column and how it is compared; its type is the column's. Rows come in the order of
the path's index, and a page begins behind the last row of the one before (paging.py), so any
number of rows can be read at the price of those that are read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache, cached_property
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, get_args, get_type_hints
from uuid import UUID

import msgspec

from ledger.kernel.known_types import known
from ledger.kernel.read_side import InvalidQuestion
from ledger.kernel.time import read_time
from projections.engine.projection import R, Table

if TYPE_CHECKING:
    import psycopg

    from ledger.eventstore.moments import Moment
    from projections.questions.answers import RowsPage

LONGEST_TEXT = 60
"""Characters of a wrong value that its refusal repeats."""


Asked = Mapping[str, Any]
"""What rows must be, by filter: values that `Question.read` has read."""


@dataclass(frozen=True)
class Filter:
    """Rows whose `column` is, begins at or comes before a value. `words` are names for members of
    an enumeration beside their own: for several at once, or how others spell one."""

    name: str
    column: str
    compared: Literal["=", ">=", "<"] = "="
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def exactly(column: str, words: Mapping[str, tuple[str, ...]] | None = None) -> Filter:
    """Rows with this value in the column."""
    return Filter(column, column, words=words or {})


def between(column: str) -> tuple[Filter, Filter]:
    """`from_time` is included, `to_time` is not."""
    return Filter("from_time", column, ">="), Filter("to_time", column, "<")


@dataclass(frozen=True)
class Path:
    """A way to the rows: the filter that must be named to take it, if any, and the columns that
    the rows are then in the order of. No two rows may be equal in all of these."""

    by: str | None
    order: tuple[str, ...]
    descending: bool = False


def newest_first(by: str | None, *order: str) -> Path:
    return Path(by, order, descending=True)


def ascending(by: str | None, *order: str) -> Path:
    return Path(by, order)


@dataclass(frozen=True)
class Past:
    """How the rows of a past moment are told: "module:function", which is imported when it is
    asked for and takes a connection, the moment and what was asked. `begins_with` is what it starts
    from: the log alone, or rows of the read model, which then must have come that far."""

    told_by: str
    begins_with: Literal["log", "rows", "rows where effective"] = "log"
    by_time: bool = True
    """Whether it is told of a time of the venue's, too, and not only as it was known."""


@dataclass(frozen=True, eq=False)
class Question(Generic[R]):
    """What may be asked of one table of a read model."""

    name: str
    table: Table[R]
    about: str
    paths: tuple[Path, ...]
    shown: tuple[str, ...]
    filters: tuple[Filter, ...] = ()
    argument: str | None = None
    """The filter that is named first at the terminal and by the client; else the account."""
    past: Past | None = None
    read_model: str = ""
    """The projection that keeps the table, where its name is another."""
    made_by: str = ""
    """The SELECT that makes the rows, of public tables, where no table has them; `table` then only
    says what a row is."""
    drawn: tuple[str, str] | None = None
    """The columns of time and of value, where rows of one account are a curve (--plot)."""
    within: tuple[str, ...] = ()
    """The filters that `made_by` takes as parameters, null where they are not asked for; they hold
    of its rows, too."""
    row_version: int = 1
    """Of the published schema of a row: a new number where a column promises less than before."""

    def __post_init__(self) -> None:
        used = {*self.shown, *(column for path in self.paths for column in path.order)}
        used |= {one.column for one in self.filter_of.values()}
        unknown = used - set(self.table.columns)
        if unknown:
            raise ValueError(f"question {self.name}: {self.table.name} has no {sorted(unknown)}")

    @property
    def projection(self) -> str:
        return self.read_model or self.table.name

    @cached_property
    def filter_of(self) -> dict[str, Filter]:
        """All filters by name: those of the paths, then the others."""
        named = [exactly(path.by) for path in self.paths if path.by is not None]
        return {one.name: one for one in (*named, *self.filters)}

    @property
    def first(self) -> str | None:
        """The filter that may be given without its name."""
        if self.argument is not None:
            return self.argument
        return "account_id" if "account_id" in self.filter_of else None

    @cached_property
    def types(self) -> dict[str, type]:
        """The type of each column, whether it may be null or not."""
        return {name: _not_null(hint) for name, hint in get_type_hints(self.table.row).items()}

    @cached_property
    def row(self) -> type[R]:
        """The rows as whoever asks gets them: the same fields, which JSON has by name."""
        return _named(self.table.row)

    def path(self, asked: Asked) -> Path:
        """The way to take. Raises InvalidQuestion."""
        for path in self.paths:
            if path.by is None or path.by in asked:
                return path
        first, *others = [str(path.by) for path in self.paths]
        instead = f" (or, instead, {' or '.join(others)})" if others else ""
        raise InvalidQuestion(f"{first} is missing{instead}")

    def past_of(self, asked: Asked) -> Past:
        """How what was asked is told of a past moment. Raises InvalidQuestion."""
        if self.past is None:
            raise InvalidQuestion(f"{self.name} are told as they are now, not of a past moment")
        if self.first not in asked:
            raise InvalidQuestion(f"{self.first} is missing: the past is told of one")
        return self.past

    def read(self, given: Mapping[str, object]) -> dict[str, Any]:
        """The values of filters, as they came from outside, in the types of their columns; those
        that are None are left out. Raises InvalidQuestion."""
        asked: dict[str, Any] = {}
        for name, value in given.items():
            one = self.filter_of.get(name)
            if one is None:
                raise InvalidQuestion(
                    f"{name[:LONGEST_TEXT]!r} is unknown here; there are: "
                    f"{', '.join((*self.filter_of, 'limit', 'after', 'min_position'))}"
                )
            if value is not None:
                asked[name] = read_value(one, self.types[one.column], value)
        return asked

    def holds(self, row: Mapping[str, Any], asked: Asked) -> bool:
        """Whether a row is what was asked for, told without a database."""
        return all(_holds(self.filter_of[name], row, value) for name, value in asked.items())

    # --- asking a database (answers.py) ---------------------------------------------------

    def find(self, connection: "psycopg.Connection[Any]", **given: object) -> list[R]:
        """All rows as they are, typed. Raises InvalidQuestion."""
        from projections.questions import answers

        found = answers.rows(connection, self, self.read(given))
        kind = known(self.row)
        return [msgspec.convert(row, kind) for row in found]

    def at(
        self, connection: "psycopg.Connection[Any]", moment: "Moment", **given: object
    ) -> list[R]:
        """All rows as they were at a moment, typed. Raises InvalidQuestion."""
        from projections.questions import answers

        found = answers.rows_at(connection, self, self.read(given), moment)
        kind = known(self.row)
        return [msgspec.convert(row, kind) for row in found]

    def page(
        self,
        connection: "psycopg.Connection[Any]",
        asked: Asked,
        *,
        limit: int,
        after: str | None = None,
        moment: "Moment | None" = None,
    ) -> "RowsPage":
        """A page of the rows, as they are or as they were. Raises InvalidQuestion."""
        from projections.questions import answers

        return answers.page(connection, self, asked, limit=limit, after=after, moment=moment)

    def moment(
        self,
        connection: "psycopg.Connection[Any]",
        asked: Asked,
        *,
        known_at: str | None,
        effective_at: str | None,
    ) -> "Moment":
        """The moment that texts name. Raises InvalidQuestion, InvalidMoment, ReadModelBehind."""
        from projections.questions import answers

        return answers.moment_of(connection, self, self.past_of(asked), known_at, effective_at)

    def reached(self, connection: "psycopg.Connection[Any]") -> int:
        """The position that the rows are as of."""
        from projections.questions import answers

        return answers.reached(connection, self)


@cache
def _named(row: type[R]) -> type[R]:
    """A subclass of a row that JSON has as an object: rows in memory are arrays, which are
    smaller."""
    derived = msgspec.defstruct(
        row.__name__,
        [],
        bases=(row,),
        array_like=False,
        frozen=True,
        kw_only=True,
        module=row.__module__,
    )
    return cast("type[R]", derived)


def _holds(one: Filter, row: Mapping[str, Any], wanted: Any) -> bool:
    value = row[one.column]
    if value is None:
        return False
    if one.compared == "=":
        return value in wanted if isinstance(wanted, list) else bool(value == wanted)
    return bool(value >= wanted if one.compared == ">=" else value < wanted)


# --- values -----------------------------------------------------------------------------


def read_value(one: Filter, kind: type, value: object) -> Any:
    """A filter's value in the type of its column; of an enumeration the list of all that are
    meant. Raises InvalidQuestion."""
    if kind is UUID:
        return _uuid(one.name, value)
    if kind is bool:
        if not isinstance(value, bool):
            raise InvalidQuestion(f"{one.name} must be true or false, not {_short(value)}")
        return value
    if kind is datetime:
        return _time(one.name, value)
    if not isinstance(value, str) or "\x00" in value:
        raise InvalidQuestion(f"{one.name} must be a text")
    if issubclass(kind, StrEnum):
        return _members(one, kind, value)
    return value


def _uuid(name: str, value: object) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise InvalidQuestion(f"{name} must be a UUID, not {_short(value)}") from None


def _time(name: str, value: object) -> datetime:
    """An ISO 8601 time; without an offset it is UTC."""
    try:
        return read_time(str(value))
    except ValueError:
        raise InvalidQuestion(
            f"{name} must be a time like 2026-11-21T14:03:00Z, not {_short(value)}"
        ) from None


def _members(one: Filter, kind: type[StrEnum], text: str) -> list[str]:
    word = text.upper()
    if word in one.words:
        return list(one.words[word])
    known = [member.value for member in kind]
    if word not in known:
        what = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()
        raise InvalidQuestion(
            f"{one.name} {_short(text)} is no {what}; there are: {', '.join((*known, *one.words))}"
        )
    return [word]


def _short(value: object) -> str:
    return repr(str(value)[:LONGEST_TEXT])


def _not_null(hint: Any) -> type:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return cast("type", kinds[0] if NoneType in get_args(hint) else hint)
