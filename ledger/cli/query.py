"""ledgerctl query: the read models, as a table for people or as JSON for scripts.

What is read, and how values are written, is in `ledger.queries`, which the query service shares.
With --known-at or --effective-at the rows are those of a past moment (ledger/audit/ask/past.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import typer

from ledger.cli.output import Columns, Format, write
from ledger.operate import terminal

if TYPE_CHECKING:
    import psycopg

    from ledger.queries import Question

FETCH_ROWS = 1_000
"""Rows fetched at once: an account may have more than memory."""

Account = Annotated[UUID, typer.Option("--account", help="The account's id.")]
Asset = Annotated[str | None, typer.Option("--asset", help="Only this asset.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.")]
Status = Annotated[str | None, typer.Option("--status", help="Only orders of this status.")]
MinPosition = Annotated[
    int | None,
    typer.Option("--min-position", min=0, help="Wait until this position is shown."),
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
LOOK_SECONDS = 0.01
"""Pause between two looks at how far a read model is."""

SHOWN = {
    "balances": "sub_account asset total available locked updated_at",
    "orders": "order_id status instrument side quantity filled_quantity price avg_fill_price "
    "order_type sub_account created_at",
    "order_fills": "fill_timestamp instrument side quantity price trade_id commission "
    "commission_asset late voided sub_account order_id",
    "transactions": "timestamp sub_account asset direction amount closing_balance reason order_id",
    "user_strategy_assignments": "strategy_id allocation_percent risk_multiplier is_active "
    "auto_rebalance assigned_at",
    "portfolio_snapshots": "time total_balance available_balance base_currency unvalued_assets",
}
"""The columns of the table for people, the most important first: those that a terminal has no room
for are left out from the end. JSON has all."""


class NotReached(Exception):
    """A read model does not show the position in time."""


app = typer.Typer(no_args_is_help=True, help="Ask the read models.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="query")


@app.command()
def balances(
    account: Account,
    asset: Asset = None,
    limit: Limit = None,
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    min_position: MinPosition = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """What each sub-account holds, by asset."""
    where = {"account_id": account, "asset": asset}
    then = _Then(known_at, effective_at, min_position, columns)
    _print("BALANCES", where, then, limit, json)


@app.command()
def orders(
    account: Account,
    status: Status = None,
    limit: Limit = None,
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    min_position: MinPosition = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """Orders of an account, newest first."""
    where = {"account_id": account, "status": _order_status(status)}
    _print("ORDERS", where, _Then(known_at, effective_at, min_position, columns), limit, json)


@app.command()
def order(
    order_id: Annotated[UUID, typer.Argument(help="The order's id.")],
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    min_position: MinPosition = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """One order."""
    then = _Then(known_at, effective_at, min_position, columns)
    _print("ORDER", {"order_id": order_id}, then, None, json)


@app.command()
def fills(
    account: Account,
    limit: Limit = None,
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    min_position: MinPosition = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """Fills of an account's orders, newest first."""
    then = _Then(known_at, effective_at, min_position, columns)
    _print("FILLS", {"account_id": account}, then, limit, json)


@app.command()
def transactions(
    account: Account,
    asset: Asset = None,
    limit: Limit = None,
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    min_position: MinPosition = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """Each movement of money, both sides of it, newest first."""
    where = {"account_id": account, "asset": asset}
    then = _Then(known_at, effective_at, min_position, columns)
    _print("TRANSACTIONS", where, then, limit, json)


@app.command()
def allocations(
    account: Account,
    limit: Limit = None,
    min_position: MinPosition = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """The strategies assigned to an account, and their shares."""
    _print(
        "ALLOCATIONS",
        {"account_id": account},
        _Then(min_position=min_position, columns=columns),
        limit,
        json,
    )


@app.command()
def snapshots(
    account: Account,
    limit: Limit = None,
    min_position: MinPosition = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """What an account was worth over time, newest first."""
    _print(
        "SNAPSHOTS",
        {"account_id": account},
        _Then(min_position=min_position, columns=columns),
        limit,
        json,
    )


def _order_status(text: str | None) -> str | None:
    from ledger.queries import UnknownStatus, order_status

    try:
        return None if text is None else order_status(text)
    except UnknownStatus as error:
        raise typer.BadParameter(str(error), param_hint="--status") from error


class _Then(NamedTuple):
    """As of when the rows are wanted: now, but not before `min_position`; or a past moment. And
    the `columns` of the table, where they were asked for."""

    known_at: str | None = None
    effective_at: str | None = None
    min_position: int | None = None
    columns: str | None = None


def _print(
    name: str, where: Mapping[str, object], then: _Then, limit: int | None, json: bool
) -> None:
    """Prints the rows of the question; conditions whose value is None are left out."""
    from ledger import queries

    question: Question = getattr(queries, name)
    if then.known_at is None and then.effective_at is None:
        _print_present(question, where, then, limit, json)
    elif then.min_position is not None:
        raise typer.BadParameter("--min-position is about the present: leave out the past moment")
    else:
        _print_past(question, where, then, limit, json)


def _print_present(
    question: "Question",
    where: Mapping[str, object],
    then: _Then,
    limit: int | None,
    json: bool,
) -> None:
    import psycopg

    from ledger import queries
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    conditions = {name: value for name, value in where.items() if value is not None}
    with database(settings) as url, psycopg.connect(url) as connection:
        if then.min_position is not None:
            _wait_for(connection, question.view, then.min_position, settings.query_wait_seconds)
        with connection.cursor(name="query") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(queries.statement(question, conditions), {**conditions, "limit": limit})
            names = [column.name for column in cursor.description or ()]
            _write(question, names, cursor, then, json)


def _print_past(
    question: "Question", where: Mapping[str, object], then: _Then, limit: int | None, json: bool
) -> None:
    """Prints the rows of a past moment, told by the log."""
    from ledger.audit.ask import past
    from ledger.audit.ask.moments import InvalidMoment
    from ledger.audit.ask.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    tell: dict[str, Callable[..., Iterator[past.Row]]] = {
        "balances": past.balances_at,
        "orders": past.order_at if "order_id" in where else past.orders_at,
        "order_fills": past.fills_at,
        "transactions": past.transactions_at,
    }
    (_, whose), *narrowed = where.items()
    with database(load()) as url, reading(url) as connection:
        try:
            moment = past.moment_of(connection, question.view, then.known_at, then.effective_at)
        except InvalidMoment as error:
            raise typer.BadParameter(str(error)) from error
        names = _columns(connection, question.view)
        found = tell[question.view](connection, whose, moment, **dict(narrowed))
        rows = ([row[name] for name in names] for row in islice(found, limit))
        _write(question, names, rows, then, json)


def _columns(connection: "psycopg.Connection[Any]", view: str) -> list[str]:
    from psycopg import sql

    cursor = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(view)))
    return [column.name for column in cursor.description or ()]


def _wait_for(
    connection: "psycopg.Connection[Any]", read_model: str, position: int, seconds: float
) -> None:
    """Returns when the read model has reached the position. Raises NotReached."""
    import time

    from ledger.queries import POSITION

    deadline = time.monotonic() + seconds
    while True:
        row = connection.execute(POSITION, [read_model]).fetchone()
        connection.rollback()  # the rows are read in a snapshot that is not older than this
        reached = row[0] if row else 0
        if reached >= position:
            return
        if time.monotonic() > deadline:
            raise NotReached(
                f"{read_model} is at position {reached}, not yet at {position}, after "
                f"{seconds:g} s. Look at `ledgerctl projections status`, or wait longer "
                "(LEDGER_QUERY_WAIT_SECONDS)."
            )
        time.sleep(LOOK_SECONDS)


def _write(
    question: "Question",
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    then: _Then,
    json: bool,
) -> None:
    found = (dict(zip(names, row, strict=True)) for row in rows)
    form, shown = Format.JSON if json else Format.TABLE, SHOWN[question.view].split()
    write(found, names, form, terminal.output(), shown, then.columns)
