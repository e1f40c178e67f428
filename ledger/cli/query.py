"""ledgerctl query: the read models, as a table for people or as JSON for scripts.

Only the public names are read (views that survive a rebuild), with the columns that they have.
With --known-at or --effective-at the rows are those of a past moment (ledger/audit/past.py).
Amounts are plain decimal strings, times ISO 8601 UTC.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import typer

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

FETCH_ROWS = 1_000
"""Rows fetched at once: an account may have more than memory."""

Account = Annotated[UUID, typer.Option("--account", help="The account's id.")]
Asset = Annotated[str | None, typer.Option("--asset", help="Only this asset.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.")]
Status = Annotated[str | None, typer.Option("--status", help="Only orders of this status.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")]
KnownAt = Annotated[
    str | None,
    typer.Option("--known-at", help="As it was known at this position of the log, or time."),
]
EffectiveAt = Annotated[
    str | None,
    typer.Option("--effective-at", help="As it was at this time of the venue, as known now."),
]
TABLE_WIDTH = 500
"""Wider than any row: a terminal wraps whole lines, which reads better than cut ids."""

SHOWN = {
    "balances": "sub_account asset total available locked updated_at",
    "orders": "order_id created_at sub_account instrument side order_type quantity price "
    "filled_quantity avg_fill_price status",
    "order_fills": "fill_timestamp order_id trade_id sub_account instrument side quantity price "
    "commission commission_asset late voided",
    "transactions": "timestamp sub_account asset direction reason amount closing_balance order_id",
    "user_strategy_assignments": "strategy_id allocation_percent risk_multiplier is_active "
    "auto_rebalance assigned_at",
    "portfolio_snapshots": "time total_balance available_balance base_currency unvalued_assets",
}
"""The columns of the table for people: what fits on a screen. JSON has all of them."""

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
    json: Json = False,
) -> None:
    """What each sub-account holds, by asset."""
    where = {"account_id": account, "asset": asset}
    if known_at or effective_at:
        then = _Then("balances", known_at, effective_at)
        _print_past(then, {"account_id": account}, {"asset": asset}, limit, json)
        return
    _print("balances", where, "sub_account, asset", limit, json)


@app.command()
def orders(
    account: Account,
    status: Status = None,
    limit: Limit = None,
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    json: Json = False,
) -> None:
    """Orders of an account, newest first."""
    wanted = _order_status(status)
    where = {"account_id": account, "status": wanted}
    if known_at or effective_at:
        then = _Then("orders", known_at, effective_at)
        _print_past(then, {"account_id": account}, {"status": wanted}, limit, json)
        return
    _print("orders", where, "created_at DESC, order_id DESC", limit, json)


@app.command()
def order(
    order_id: Annotated[UUID, typer.Argument(help="The order's id.")],
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    json: Json = False,
) -> None:
    """One order."""
    if known_at or effective_at:
        then = _Then("orders", known_at, effective_at)
        _print_past(then, {"order_id": order_id}, {}, None, json)
        return
    _print("orders", {"order_id": order_id}, "order_id", None, json)


@app.command()
def fills(
    account: Account,
    limit: Limit = None,
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    json: Json = False,
) -> None:
    """Fills of an account's orders, newest first."""
    if known_at or effective_at:
        then = _Then("order_fills", known_at, effective_at)
        _print_past(then, {"account_id": account}, {}, limit, json)
        return
    _print("order_fills", {"account_id": account}, "position DESC", limit, json)


@app.command()
def transactions(
    account: Account,
    asset: Asset = None,
    limit: Limit = None,
    known_at: KnownAt = None,
    effective_at: EffectiveAt = None,
    json: Json = False,
) -> None:
    """Each movement of money, both sides of it, newest first."""
    where = {"account_id": account, "asset": asset}
    if known_at or effective_at:
        then = _Then("transactions", known_at, effective_at)
        _print_past(then, {"account_id": account}, {"asset": asset}, limit, json)
        return
    _print("transactions", where, "position DESC, line DESC", limit, json)


@app.command()
def allocations(account: Account, limit: Limit = None, json: Json = False) -> None:
    """The strategies assigned to an account, and their shares."""
    _print("user_strategy_assignments", {"account_id": account}, "strategy_id", limit, json)


@app.command()
def snapshots(account: Account, limit: Limit = None, json: Json = False) -> None:
    """What an account was worth over time, newest first."""
    _print("portfolio_snapshots", {"account_id": account}, '"time" DESC', limit, json)


def _order_status(text: str | None) -> str | None:
    from ledger.domain.order_status import OrderStatus

    if text is None:
        return None
    status = "CANCELLED" if text.upper() == "CANCELED" else text.upper()
    known = [str(member.value) for member in OrderStatus]
    if status not in known:
        raise typer.BadParameter(
            f"{text!r} is no order status; there are: {', '.join(known)}", param_hint="--status"
        )
    return status


def _print(
    view: str, where: Mapping[str, object], order_by: str, limit: int | None, json: bool
) -> None:
    """Prints the view's rows; conditions whose value is None are left out."""
    import psycopg

    from ledger.roles import AUDITOR, step_down
    from ledger.services import database
    from ledger.settings import load

    conditions = {name: value for name, value in where.items() if value is not None}
    with (
        database(load()) as url,
        psycopg.connect(url) as connection,
        connection.cursor(name="query") as cursor,
    ):
        step_down(connection, AUDITOR)
        cursor.itersize = FETCH_ROWS
        cursor.execute(_statement(view, conditions, order_by), {**conditions, "limit": limit})
        names = [column.name for column in cursor.description or ()]
        if json:
            _print_json(names, cursor)
        else:
            _print_table(names, SHOWN[view].split(), cursor)


class _Then(NamedTuple):
    """A read model at a past moment."""

    view: str
    known_at: str | None
    effective_at: str | None


def _print_past(
    then: _Then,
    whose: Mapping[str, UUID],
    narrowed: Mapping[str, str | None],
    limit: int | None,
    json: bool,
) -> None:
    """Prints the rows of a past moment, told by the log."""
    from ledger.audit import past
    from ledger.audit.moments import InvalidMoment
    from ledger.audit.session import reading
    from ledger.services import database
    from ledger.settings import load

    tell: dict[str, Callable[..., Iterator[past.Row]]] = {
        "balances": past.balances_at,
        "orders": past.order_at if "order_id" in whose else past.orders_at,
        "order_fills": past.fills_at,
        "transactions": past.transactions_at,
    }
    with database(load()) as url, reading(url) as connection:
        try:
            moment = past.moment_of(connection, *then)
        except InvalidMoment as error:
            raise typer.BadParameter(str(error)) from error
        names = _columns(connection, then.view)
        found = tell[then.view](connection, *whose.values(), moment, **narrowed)
        rows = ([row[name] for name in names] for row in islice(found, limit))
        if json:
            _print_json(names, rows)
        else:
            _print_table(names, SHOWN[then.view].split(), rows)


def _columns(connection: "psycopg.Connection[Any]", view: str) -> list[str]:
    from psycopg import sql

    cursor = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(view)))
    return [column.name for column in cursor.description or ()]


def _statement(view: str, conditions: Iterable[str], order_by: str) -> "sql.Composed":
    from psycopg import sql

    tests = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
        for name in conditions
    ]
    return sql.SQL("SELECT * FROM {} WHERE {} ORDER BY {} LIMIT %(limit)s").format(
        sql.Identifier(view), sql.SQL(" AND ").join(tests), sql.SQL(order_by)
    )


def _print_json(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    import orjson

    before = "["
    for row in rows:
        values = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        typer.echo(before + orjson.dumps(values).decode(), nl=False)
        before = ",\n "
    typer.echo("]" if before != "[" else "[]")


def _print_table(names: Sequence[str], shown: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    places = [names.index(name) for name in shown]
    table = Table(*(Column(name, no_wrap=True) for name in shown), box=None)
    for row in rows:
        table.add_row(*(_text(row[place]) for place in places))
    console = Console(width=TABLE_WIDTH)
    console.print(table if table.row_count else "no rows", markup=False)


def _text(value: object) -> str:
    return "" if value is None else str(_plain(value))


def _plain(value: object) -> object:
    """The value as JSON has it."""
    from ledger.domain import money

    if isinstance(value, Decimal):
        return money.shown(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value
