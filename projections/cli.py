"""`ledgerctl projections`: how the read models are, whether they are right, building them anew."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from projections import settings
from projections.engine import rebuild as rebuilding
from projections.engine import shadow, status
from projections.engine.connection import connect
from projections.engine.projection import Projection
from projections.engine.rebuild import RebuildDiffers, Report
from projections.registry import all_projections, find
from projections.settings import ProjectionSettings

app = typer.Typer(
    help="Read models: how far they are, whether they are right, building them anew.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


class NoDatabase(Exception):
    """Nothing says where the database is."""


@app.command("status")
def show_status(json: Json = False) -> None:
    """How far every projection is behind the log, and what is wrong with it."""
    values = settings.load()
    with connect(_database_url(values), "projections status", by_key=False) as connection:
        rows = status.read(connection)
    if json:
        _print_json([asdict(row) for row in rows])
        return
    table = Table(box=box.SIMPLE)
    for heading in ("projection", "status", "position", "behind", "seconds", "events/s", "owner"):
        table.add_column(heading, no_wrap=True)
    table.add_column("error", overflow="fold")
    for row in rows:
        table.add_row(
            row.projection_name,
            row.status,
            f"{row.position:,}",
            f"{row.lag_events:,}",
            f"{row.lag_seconds:,.1f}",
            "" if row.rate_per_second is None else f"{row.rate_per_second:,.0f}",
            row.owner or "",
            row.error_message or "",
        )
    Console().print(table)


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="One projection; all without it.")] = None,
    json: Json = False,
) -> None:
    """Folds all events again and compares with the live rows, which are only read. Exit 1 on
    any difference."""
    values = settings.load()
    reports = []
    for projection in _chosen(name, values):
        with _progress_of("verifying") as on_progress:
            reports.append(
                rebuilding.verify(
                    _database_url(values),
                    projection,
                    _limits(values),
                    on_progress=on_progress,
                )
            )
    _show(reports, json)
    if not all(report.equal for report in reports):
        raise typer.Exit(1)


@app.command()
def rebuild(
    name: Annotated[str | None, typer.Argument(help="The projection.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every projection.")] = False,
    accept_differences: Annotated[
        bool,
        typer.Option(help="Swap the rebuilt rows in although they differ from the live ones."),
    ] = False,
    json: Json = False,
) -> None:
    """Builds a read model anew beside the live one, verifies that both are equal, and swaps."""
    if (name is None) is not every:
        raise typer.BadParameter("name one projection, or say --all")
    values = settings.load()
    reports = []
    failure: RebuildDiffers | None = None
    for projection in _chosen(name, values):
        try:
            with _progress_of("rebuilding") as on_progress:
                report = rebuilding.rebuild(
                    _database_url(values),
                    projection,
                    _limits(values),
                    accept_differences=accept_differences,
                    on_progress=on_progress,
                )
        except RebuildDiffers as differs:
            failure, report = differs, differs.report
        reports.append(report)
    _show(reports, json)
    if failure is not None:
        Console(stderr=True).print(f"error: {failure}", markup=False, highlight=False)
        raise typer.Exit(1)


# --- shared ---------------------------------------------------------------------------


def _database_url(values: ProjectionSettings) -> str:
    if values.database_url is None:
        raise NoDatabase("no database: set LEDGER_DATABASE_URL, or use ledgerctl")
    return values.database_url


def _limits(values: ProjectionSettings) -> shadow.Limits:
    return shadow.Limits(
        batch_positions=values.rebuild_batch_positions,
        rows_in_memory=values.projection_rows_in_memory,
    )


def _chosen(name: str | None, values: ProjectionSettings) -> tuple[Projection, ...]:
    return all_projections(values) if name is None else (find(name, values),)


@contextmanager
def _progress_of(doing: str) -> Iterator[shadow.OnProgress]:
    """A bar with rate and time left on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}, {task.fields[rate]:,.0f} events/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=0, rate=0.0)

        def show(progress: shadow.Progress) -> None:
            bar.update(
                task,
                description=f"{doing} {progress.projection_name}",
                total=progress.target,
                completed=progress.position,
                rate=progress.events_per_second,
            )

        yield show


def _show(reports: list[Report], json: bool) -> None:
    if json:
        _print_json(
            {
                "equal": all(report.equal for report in reports),
                "projections": [_as_json(report) for report in reports],
            }
        )
        return
    console = Console()
    for report in reports:
        console.print(_line(report), highlight=False, markup=False)
        for difference in report.comparison.differences if report.comparison else ():
            console.print(f"  {difference}", highlight=False, markup=False, soft_wrap=True)


def _line(report: Report) -> str:
    head = f"{report.projection_name} at position {report.position:,}: "
    if report.comparison is None:
        return head + "the live tables are of another version of the code; not compared"
    if report.equal:
        return head + f"{report.comparison.rows_compared:,} rows equal"
    return head + f"{report.comparison.difference_count:,} rows differ"


def _as_json(report: Report) -> dict[str, Any]:
    comparison = report.comparison
    return {
        "projection_name": report.projection_name,
        "position": report.position,
        "events": report.events,
        "equal": report.equal,
        "compared": comparison is not None,
        "rows_compared": comparison.rows_compared if comparison else 0,
        "difference_count": comparison.difference_count if comparison else 0,
        "differences": [
            {
                "table": difference.table,
                "key": difference.key,
                "kind": difference.kind,
                "columns": {
                    column: {"live": live, "rebuilt": rebuilt}
                    for column, (live, rebuilt) in difference.columns.items()
                },
            }
            for difference in (comparison.differences if comparison else ())
        ],
    }


def _print_json(value: object) -> None:
    text = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2).decode()
    sys.stdout.write(text + "\n")
