"""Whether the read models are right, and building them anew."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from projections import settings
from projections.cli.common import By, Json, Reason, chosen, database_url, print_json
from projections.engine import rebuild as rebuilding
from projections.engine import shadow
from projections.engine.rebuild import RebuildDiffers, Report
from projections.settings import ProjectionSettings


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(verify)
    app.command()(rebuild)


def verify(
    name: Annotated[str | None, typer.Argument(help="One projection; all without it.")] = None,
    json: Json = False,
) -> None:
    """Folds all events again and compares with the live rows, which are only read. Exit 1 on
    any difference."""
    values = settings.load()
    reports = []
    for projection in chosen(name, values):
        with _progress_of("verifying") as on_progress:
            reports.append(
                rebuilding.verify(
                    database_url(values),
                    projection,
                    _limits(values),
                    on_progress=on_progress,
                )
            )
    _show(reports, json)
    if not all(report.equal for report in reports):
        raise typer.Exit(1)


def rebuild(
    name: Annotated[str | None, typer.Argument(help="The projection.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every projection.")] = False,
    accept_differences: Annotated[
        bool,
        typer.Option(help="Swap the rebuilt rows in although they differ from the live ones."),
    ] = False,
    by: By = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Builds a read model anew beside the live one, verifies that both are equal, and swaps."""
    if (name is None) is not every:
        raise typer.BadParameter("name one projection, or say --all")
    values = settings.load()
    reports = []
    failure: RebuildDiffers | None = None
    for projection in chosen(name, values):
        try:
            with _progress_of("rebuilding") as on_progress:
                report = rebuilding.rebuild(
                    database_url(values),
                    projection,
                    _limits(values),
                    accept_differences=accept_differences,
                    actor=by,
                    reason=reason,
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


def _limits(values: ProjectionSettings) -> shadow.Limits:
    return shadow.Limits(
        batch_positions=values.rebuild_batch_positions,
        rows_in_memory=values.projection_rows_in_memory,
    )


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
        print_json(
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
