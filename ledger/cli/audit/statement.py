"""ledgerctl audit statement: what an account had, what moved, and what it had then."""

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ledger.cli.output import Format, write
from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

_COLUMNS = (
    "kind", "sub_account", "asset", "amount", "balance", "reason", "recorded_at", "occurred_at",
    "order_id", "trade_id", "reference", "sender", "position",
)  # fmt: skip


class StatementFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    HTML = "html"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(statement)


def statement(
    account: Annotated[UUID, typer.Option("--account", help="The account's id.")],
    begin: Annotated[str, typer.Option("--from", help="First day or moment, UTC.")],
    end: Annotated[str, typer.Option("--to", help="Up to, without, this day or moment, UTC.")],
    form: Annotated[
        StatementFormat, typer.Option("--format", help="How to write it.")
    ] = StatementFormat.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Into this file; else stdout.")
    ] = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")] = False,
) -> None:
    """Opening balances, movements and closing balances of a period; exit 1 if they do not add
    up. Movements count when they were recorded."""
    from ledger.audit.ask import statement_page
    from ledger.audit.ask.statement import statement as state
    from ledger.eventstore.moments import InvalidMoment, time_of
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    try:
        period = time_of(begin), time_of(end)
    except InvalidMoment as error:
        raise typer.BadParameter(str(error)) from error
    if period[0] >= period[1]:
        raise typer.BadParameter(f"--from {begin} is not before --to {end}", param_hint="--from")
    with ExitStack() as stack:
        connection = stack.enter_context(reading(stack.enter_context(database(load()))))
        found = state(connection, account, *period)
        out = terminal.output() if output is None else stack.enter_context(output.open("wb"))
        if form is StatementFormat.HTML and not json:
            for piece in statement_page.page(connection, found):
                out.write(piece.encode())
            out.flush()
        else:
            rows = (entry._asdict() for entry in found.entries(connection))
            chosen = Format.JSON if json else Format(form)
            write(rows, _COLUMNS, chosen, out, _COLUMNS, columns, wide)
    if not found.equal:
        terminal.say("error: the movements do not add up to the closing balances", error=True)
        raise typer.Exit(1)
