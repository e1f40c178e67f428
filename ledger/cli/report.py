"""ledgerctl report: what others than traders ask for."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.cli.output import Format, write
from ledger.kernel.text import plain
from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    from ledger.nouns.positions.lots import CostBasis

METHODS = ("AVERAGE", "FIFO", "LIFO", "HIFO")
"""Those of CostBasis, named without it: nouns are not loaded for `ledgerctl --help`."""
_SHOWN = ("disposed_at", "asset", "quantity", "proceeds", "cost", "gain", "acquired_at")


class ReportFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class SheetFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    HTML = "html"
    PDF = "pdf"


app = typer.Typer(no_args_is_help=True, help="Reports for those who were not there.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="report")


@app.callback()
def report() -> None:
    """Reports for those who were not there."""


@app.command()
def gains(
    account: Annotated[UUID, typer.Option("--account", help="The account's id.")],
    method: Annotated[
        str | None,
        typer.Option(
            metavar=f"[{'|'.join(METHODS)}]",
            help="Which lots a disposal takes; else as the account's cost basis says.",
        ),
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="Disposals from this day or moment on, UTC.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Up to, without, this day or moment, UTC.")
    ] = None,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="How to write it.")
    ] = ReportFormat.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Into this file; else stdout.")
    ] = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array of rows.")] = False,
) -> None:
    """What each disposal won of each lot, fees in cost and proceeds, in the order in which things
    happened by the venue's clock."""
    from ledger.audit.ask.gains import GainLine, GainsSummary
    from ledger.audit.ask.gains import gains as find_gains
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    since, until = _period(begin, end)
    names = tuple(field.name for field in fields(GainLine))
    summary = GainsSummary(0, {}, 0)
    with ExitStack() as stack:
        url = stack.enter_context(database(settings))
        connection = stack.enter_context(reading(url))
        out = terminal.output() if output is None else stack.enter_context(output.open("wb"))
        found = find_gains(
            connection,
            account,
            method=_cost_basis(method),
            begin=since,
            end=until,
            max_age=timedelta(seconds=settings.price_max_age_seconds),
        )

        def rows() -> Iterator[Mapping[str, Any]]:
            for line in found:
                summary.add(line)
                yield asdict(line)

        chosen = Format.JSON if json else Format(form.value)
        write(rows(), names, chosen, out, _SHOWN, columns, wide)
    sums = ", ".join(f"{plain(gain)} {asset}" for asset, gain in sorted(summary.gains.items()))
    terminal.say(
        f"{summary.lines:,} lines; gain {sums or 'none'}; {summary.unknown:,} without a gain, "
        "because cost or proceeds are not known or not in one asset",
        error=True,
    )


def _cost_basis(method: str | None) -> "CostBasis | None":
    from ledger.nouns.positions.lots import CostBasis

    if method is None:
        return None
    if method not in METHODS:
        raise typer.BadParameter(f"--method {method!r} is not one of {', '.join(METHODS)}")
    return CostBasis(method)


@app.command()
def performance(
    account: Annotated[UUID, typer.Option("--account", help="The account's id.")],
    begin: Annotated[
        str | None, typer.Option("--from", help="From this day on, UTC; else from the first.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Up to, without, this day, UTC; else to the last.")
    ] = None,
    form: Annotated[
        SheetFormat,
        typer.Option("--format", help="A page (html, pdf), its figures, or its days (csv …)."),
    ] = SheetFormat.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Into this file. A page is written to one by itself."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as one object.")] = False,
) -> None:
    """How an account did: a tear sheet of one page, each figure with what it is."""
    from ledger.eventstore.session import reading
    from ledger.kernel import read_side
    from ledger.operate import browser
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    since, until = _period(begin, end)
    chosen = SheetFormat.JSON if json else form
    with database(settings) as url, reading(url) as connection:
        sheet = read_side.report("performance")(connection, account, since, until)
    if chosen is SheetFormat.TABLE and output is None:
        terminal.say_table(("figure", "value", "what it is"), sheet.lines())
        return
    if chosen in (SheetFormat.HTML, SheetFormat.PDF):
        page = sheet.html()
        content = (
            browser.pdf(page, settings.browser) if chosen is SheetFormat.PDF else page.encode()
        )
        target = output or Path(f"{sheet.name}.{chosen.value}")
        target.write_bytes(content)
        terminal.say(str(target.absolute()), error=True)
        return
    with ExitStack() as stack:
        out = terminal.output() if output is None else stack.enter_context(output.open("wb"))
        if chosen is SheetFormat.JSON:
            out.write(sheet.json())
        else:
            kind = Format(chosen.value)
            write(sheet.rows(), sheet.columns, kind, out, sheet.columns)


def _period(begin: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    from ledger.eventstore.moments import InvalidMoment, time_of

    try:
        since = None if begin is None else time_of(begin)
        until = None if end is None else time_of(end)
    except InvalidMoment as error:
        raise typer.BadParameter(str(error)) from error
    if since is not None and until is not None and since >= until:
        raise typer.BadParameter(f"--from {begin} is not before --to {end}", param_hint="--from")
    return since, until
