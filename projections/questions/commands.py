"""`ledgerctl query`: a command for every question, made of its declaration.

Filters are options, and so are the page (--limit, --after), the moment (--known-at, --effective-at)
where the question has a past, and the form: a table, chosen columns, JSON.
"""

import inspect
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
import typer

from ledger.kernel.errors import LedgerError
from ledger.kernel.read_side import InvalidQuestion
from ledger.kernel.text import plain
from ledger.operate import plot, terminal
from ledger.operate.table import Columns, Wide, asked_for
from projections.questions import paging
from projections.questions.catalogue import questions
from projections.questions.question import Filter, Question

if TYPE_CHECKING:
    import psycopg

PLOT_COLUMNS = 80
"""Of a drawing that goes into no terminal."""
LOOK_SECONDS = 0.01
"""Pause between two looks at how far a read model is."""

Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.")]
After = Annotated[
    str | None, typer.Option("--after", help="Behind the rows of an earlier answer: its `next`.")
]
MinPosition = Annotated[
    int | None, typer.Option("--min-position", min=0, help="Wait until this position is shown.")
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")]
KnownAt = Annotated[
    str | None,
    typer.Option("--known-at", help="As it was known at this position of the log, or time."),
]
EffectiveAt = Annotated[
    str | None,
    typer.Option("--effective-at", help="As it was at this time of the venue, as known now."),
]
_PRESENT = {"limit": Limit, "after": After, "min_position": MinPosition}
_KNOWN = {"known_at": KnownAt}
_PAST = _KNOWN | {"effective_at": EffectiveAt}
_FORM = {"json": Json, "wide": Wide, "columns": Columns}
_DRAWN = {"plot": Annotated[bool, typer.Option("--plot", help="Draw it as a curve.")]}

Row = Mapping[str, Any]


class NotReached(LedgerError):
    """A read model does not show the position in time."""


app = typer.Typer(no_args_is_help=True, help="Ask the read models.", pretty_exceptions_enable=False)


# --- commands of questions ----------------------------------------------------------------


def _add(question: Question[Any]) -> None:
    """The question as a command: its parameters are those that typer finds in a signature."""

    def command(**given: Any) -> None:
        form = {name: given.pop(name) for name in _FORM}
        form |= {name: given.pop(name, False) for name in _DRAWN}
        page = {name: given.pop(name) for name in _PRESENT}
        moment = {name: given.pop(name, None) for name in _PAST}
        try:
            _answer(question, question.read(given), page, moment, form)
        except InvalidQuestion as error:
            raise typer.BadParameter(_as_options(question, str(error))) from error

    kinds = {name: _parameter(question, one) for name, one in question.filter_of.items()}
    kinds |= _PRESENT | _FORM
    if question.past is not None:
        kinds |= _PAST if question.past.by_time else _KNOWN
    kinds |= _DRAWN if question.drawn else {}
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(question, name),
            annotation=kind,
        )
        for name, kind in kinds.items()
    ]
    vars(command)["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__doc__ = question.about
    app.command(question.name.replace("_", "-"))(command)


def _default(question: Question[Any], name: str) -> Any:
    if name in ("json", "wide", "plot"):
        return False
    return inspect.Parameter.empty if _is_needed(question, name) else None


def _is_needed(question: Question[Any], name: str) -> bool:
    """Whether there is no way to the rows without it."""
    return all(path.by == name for path in question.paths)


def _parameter(question: Question[Any], one: Filter) -> Any:
    kind = question.types[one.column]
    known = UUID if kind is UUID else bool if kind is bool else str
    if one.name == question.argument:
        needed = _is_needed(question, one.name)
        help_text = f"The {_human(one)}'s id." if known is UUID else f"Only this {_human(one)}."
        return Annotated[known if needed else known | None, typer.Argument(help=help_text)]
    names = [_option(one)]
    if kind is bool:
        names = [f"{names[0]}/--not-{names[0].removeprefix('--')}"]
    wanted = known if _is_needed(question, one.name) else known | None
    return Annotated[wanted, typer.Option(*names, help=_help(kind, one))]


def _option(one: Filter) -> str:
    word = one.name.removesuffix("_id").removesuffix("_time").removeprefix("is_")
    if word in _PRESENT:  # a limit's id, and not how many rows
        word = one.name
    return f"--{word.replace('_', '-')}"


def _human(one: Filter) -> str:
    return one.column.removesuffix("_id").replace("_", " ")


def _help(kind: type, one: Filter) -> str:
    if kind is datetime:
        which = "at or after" if one.compared == ">=" else "before"
        return f"Only with {one.column} {which} this time."
    if issubclass(kind, StrEnum):
        return f"Only of this {_human(one)}: {', '.join((*(m.value for m in kind), *one.words))}."
    return f"Only this {_human(one)}."


def _as_options(question: Question[Any], message: str) -> str:
    """The message with the names that filters have at the terminal."""
    for name, one in question.filter_of.items():
        if name != question.argument:
            message = re.sub(rf"\b{name}\b", _option(one), message)
    return message


for _question in questions().values():
    _add(_question)


# --- asking -------------------------------------------------------------------------------


def _answer(
    question: Question[Any],
    asked: Mapping[str, Any],
    page: Mapping[str, Any],
    moment: Mapping[str, str | None],
    form: Mapping[str, Any],
) -> None:

    from ledger.eventstore.moments import InvalidMoment
    from ledger.eventstore.session import of_one_moment
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load
    from projections.questions import answers

    settings = load()
    past = question.past_of(asked) if any(moment.values()) else None
    if past is not None and (page["min_position"] is not None or page["after"] is not None):
        raise typer.BadParameter(
            "--min-position and --after are about the present: leave out the past moment"
        )
    with database(settings) as url, connect(url, "query") as connection:
        if page["min_position"] is not None:
            _wait_for(connection, question, page["min_position"], settings.query_wait_seconds)
        of_one_moment(connection)
        try:
            if past is not None:
                then = answers.moment_of(connection, question, past, **moment)
                found = answers.rows_at(connection, question, asked, then)
                _print(question, islice(found, page["limit"]), form)
            else:
                _print_page(connection, question, asked, page, form)
        except InvalidMoment as error:
            raise typer.BadParameter(str(error)) from error


def _print_page(
    connection: "psycopg.Connection[Any]",
    question: Question[Any],
    asked: Mapping[str, Any],
    page: Mapping[str, Any],
    form: Mapping[str, Any],
) -> None:
    """Prints the rows, and how the page behind them is asked for if a limit ends this one."""
    from projections.questions import answers

    limit = page["limit"]
    found = answers.rows(
        connection,
        question,
        asked,
        limit=None if limit is None else limit + 1,
        after=page["after"],
    )
    last: list[Row] = []

    def of_page() -> Iterator[Row]:
        for row in islice(found, limit):
            last[:] = [row]
            yield row

    _print(question, of_page(), form)
    if limit is not None and next(found, None) is not None:
        place = paging.token(question, question.path(asked), last[0])
        terminal.say(f"more rows: --after {place}", error=True)


def _wait_for(
    connection: "psycopg.Connection[Any]", question: Question[Any], position: int, seconds: float
) -> None:
    """Returns when the read model has reached the position. Raises NotReached."""
    deadline = time.monotonic() + seconds
    while True:
        reached = question.reached(connection)
        connection.rollback()  # the rows are read in a snapshot that is not older than this
        if reached >= position:
            return
        if time.monotonic() > deadline:
            raise NotReached(
                f"{question.projection} is at position {reached}, not yet at {position}, after "
                f"{seconds:g} s. Look at `ledgerctl projections status`, or wait longer "
                "(LEDGER_QUERY_WAIT_SECONDS)."
            )
        time.sleep(LOOK_SECONDS)


# --- printing -----------------------------------------------------------------------------


def _print(question: Question[Any], rows: Iterable[Row], form: Mapping[str, Any]) -> None:
    columns = _columns(question, form)
    if form["plot"]:
        _plot(question, rows)
    elif form["json"]:
        _print_json(rows, columns)
    else:
        wide = form["wide"] or form["columns"] is not None
        print_table(columns or question.shown, rows, wide=wide)


def _plot(question: Question[Any], rows: Iterable[Row]) -> None:
    """The rows as a curve of each account, the oldest first."""
    assert question.drawn is not None
    time_column, value_column = question.drawn
    curves: dict[Any, list[tuple[datetime, Any]]] = {}
    for row in rows:
        points = curves.setdefault((row["account_id"], row["currency"]), [])
        points.append((row[time_column], row[value_column]))
    if not curves:
        terminal.say("no rows")
    width = terminal.width_of(sys.stdout) or PLOT_COLUMNS
    for (account_id, currency), points in curves.items():
        terminal.say(f"{value_column} of {account_id}, {currency}")
        for line in plot.curve(sorted(points), width):
            terminal.say(line)


def print_table(columns: Sequence[str], rows: Iterable[Row], *, wide: bool) -> None:
    """Says the columns of the rows, under their names."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        terminal.say("no rows")
        return
    cells = ([_text(row[name]) for name in columns] for row in chain([first], remaining))
    terminal.say_table(columns, cells, wide=wide)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(plain(value))


def _columns(question: Question[Any], form: Mapping[str, Any]) -> Sequence[str] | None:
    """Those that were chosen; None for those that the form has of itself."""
    if form["columns"] is None:
        return question.table.columns if form["wide"] and not form["json"] else None
    return asked_for(form["columns"], question.table.columns)


def _print_json(rows: Iterable[Row], columns: Sequence[str] | None) -> None:
    before = b"["
    for row in rows:
        names = row if columns is None else columns
        text = orjson.dumps({name: plain(row[name]) for name in names})
        terminal.say_written(before + text, flush=False)
        before = b",\n "
    terminal.say_written(b"]\n" if before != b"[" else b"[]\n")
