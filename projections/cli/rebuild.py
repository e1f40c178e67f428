"""Whether the read models are right, building them anew, going back, and looking at the past."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from ledger.kernel.errors import LedgerError
from ledger.kernel.time import read_time, time_text
from ledger.operate import terminal
from projections import registry, settings
from projections.cli import reports
from projections.cli.common import By, Json, Reason, chosen, database_url, print_json
from projections.engine import operator_events, status
from projections.engine.builds import candidate, past
from projections.engine.builds import rebuild as rebuilding
from projections.engine.builds import rollback as rolling_back
from projections.engine.builds.catalogue import KeptBuild
from projections.engine.builds.past import PastBuild
from projections.engine.builds.rebuild import RebuildDiffers
from projections.engine.connection import connect
from projections.engine.projection import Projection
from projections.settings import ProjectionSettings

MOST_PROCESSES = 4
"""Of those that are started unasked: more would take more than a gigabyte of memory."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class InvalidTime(LedgerError):
    """A time that cannot be read."""


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(verify)
    app.command()(rebuild)
    app.command()(rollback)


def verify(
    name: Annotated[str | None, typer.Argument(help="One projection; all without it.")] = None,
    json: Json = False,
) -> None:
    """Folds all events again and compares with the live rows, which are only read. Exit 1 on
    any difference."""
    values = settings.load()
    with reports.progress_of("verifying") as on_progress:
        found = rebuilding.verify_all(
            database_url(values),
            chosen(name, values),
            _limits(values),
            find=_find(values),
            on_progress=on_progress,
        )
    reports.show(found, _standing_still(values), json)
    if not all(report.equal for report in found):
        raise typer.Exit(1)


def rebuild(
    name: Annotated[str | None, typer.Argument(help="The projection.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every projection.")] = False,
    accept_differences: Annotated[
        bool,
        typer.Option(
            "--accept-differences",
            help="Swap the rebuilt rows in although they differ from the live ones.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build and verify, then drop the build.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a rebuild that was interrupted.")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove what an interrupted rebuild left.")
    ] = False,
    to_position: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Build the rows as of this position into a schema beside."
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The same, as of what was recorded by then (ISO 8601)."),
    ] = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Remove the schema of that position or time.")
    ] = False,
    by: By = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Builds a read model anew beside the live one, verifies that both are equal, and swaps.
    Exit 1 and no swap on any difference."""
    if (name is None) is not every:
        raise typer.BadParameter("name one projection, or say --all")
    of_past = to_position is not None or as_of is not None
    if to_position is not None and as_of is not None:
        raise typer.BadParameter("say --to-position or --as-of, not both")
    if of_past and (accept_differences or dry_run or clean):
        raise typer.BadParameter(
            "what is built with --to-position or --as-of is never swapped in, and removed by --drop"
        )
    if drop and (not of_past or resume):
        raise typer.BadParameter("--drop takes --to-position or --as-of, and no --resume")
    if clean and (resume or dry_run or accept_differences):
        raise typer.BadParameter("--clean only removes what an interrupted rebuild left")
    values = settings.load()
    projections = chosen(name, values)
    if of_past:
        _past(values, projections, to_position, as_of, drop=drop, resume=resume, json=json)
    elif clean:
        _show_removed(rebuilding.clean(database_url(values), projections), json)
    else:
        _rebuild(
            values,
            projections,
            accept_differences=accept_differences,
            dry_run=dry_run,
            resume=resume,
            deed=operator_events.Deed.of_terminal(by, reason),
            json=json,
        )


def rollback(
    name: Annotated[str, typer.Argument(help="The projection.")],
    by: By = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Returns to the generation that was live before the last rebuild, and catches up; once more
    returns to the newer one."""
    values = settings.load()
    with reports.progress_of("catching up") as on_progress:
        done = rolling_back.rollback(
            database_url(values),
            registry.find(name, values),
            _limits(values),
            deed=operator_events.Deed.of_terminal(by, reason),
            on_progress=on_progress,
        )
    reports.show_rolled_back(done, json)


def _standing_still(values: ProjectionSettings) -> dict[str, str]:
    """What keeps those that stand still from going on, by name: their rows are compared as of where
    they stand."""
    with connect(database_url(values), "reports", by_key=False) as connection:
        return {
            one.projection_name: f"{one.lag_events:,} events behind the log: {one.why}"
            for one in status.read(connection)
            if one.status in ("PAUSED", "ERROR") and one.lag_events
        }


# --- parts of rebuild -----------------------------------------------------------------


def _rebuild(
    values: ProjectionSettings,
    projections: Sequence[Projection],
    *,
    accept_differences: bool,
    dry_run: bool,
    resume: bool,
    deed: operator_events.Deed,
    json: bool,
) -> None:
    try:
        with reports.progress_of("rebuilding") as on_progress:
            found = rebuilding.rebuild_all(
                database_url(values),
                projections,
                _limits(values),
                accept_differences=accept_differences,
                dry_run=dry_run,
                resume=resume,
                deed=deed,
                find=_find(values),
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        with connect(database_url(values), "rebuild", by_key=False) as connection:
            left = rebuilding.leftovers_of(connection, projections)
        _complain(left or "interrupted; nothing is left of it")
        raise typer.Exit(INTERRUPTED) from None
    reports.show(found, _standing_still(values), json)
    refused = [
        report
        for report in found
        if not report.equal and (dry_run or report.swapped is None) and not accept_differences
    ]
    for report in refused:
        _complain(f"error: {RebuildDiffers(report)}")
    if refused:
        raise typer.Exit(1)


def _past(
    values: ProjectionSettings,
    projections: Sequence[Projection],
    to_position: int | None,
    as_of: str | None,
    *,
    drop: bool,
    resume: bool,
    json: bool,
) -> None:
    url = database_url(values)
    if to_position is None:
        assert as_of is not None
        with connect(url, "look at the past", by_key=False) as connection:
            to_position = past.position_at(connection, _time(as_of))
    if drop:
        _show_removed(past.drop(url, projections, to_position), json)
        return
    with reports.progress_of("building the past of") as on_progress:
        built = past.look(
            url,
            projections,
            to_position,
            _limits(values),
            resume=resume,
            find=_find(values),
            on_progress=on_progress,
        )
    _show_past(built, projections, json)


def _show_past(built: PastBuild, projections: Sequence[Projection], json: bool) -> None:
    tables = {
        projection.name: [table.name for table in projection.public_tables]
        for projection in projections
        if projection.name in built.events
    }
    if json:
        print_json(
            {
                "schema": built.schema,
                "position": built.position,
                "as_of": built.as_of.astimezone(UTC),
                "projections": [
                    {"projection_name": name, "events": events, "tables": tables[name]}
                    for name, events in built.events.items()
                ],
            }
        )
        return
    reports.say(
        f"as of position {built.position:,}, recorded at "
        f"{time_text(built.as_of)}, in schema "
        f"{built.schema}. Query it, and remove it when you have seen it:"
    )
    for names in tables.values():
        for table in names:
            reports.say(f"  SELECT * FROM {built.schema}.{table}")
    which = next(iter(tables)) if len(tables) == 1 else "--all"
    reports.say(f"  ledgerctl projections rebuild {which} --to-position {built.position} --drop")


def _show_removed(removed: Sequence[KeptBuild], json: bool) -> None:
    if json:
        print_json(
            {
                "removed": [
                    {"projection_name": kept.projection_name, "schema": kept.schema}
                    for kept in removed
                ]
            }
        )
        return
    for kept in removed:
        reports.say(
            f"removed the build of {kept.projection_name} in schema {kept.schema}, which was at "
            f"position {kept.reached:,}"
        )
    if not removed:
        reports.say("nothing to remove")


# --- shared ---------------------------------------------------------------------------


def _limits(values: ProjectionSettings) -> candidate.Limits:
    return candidate.Limits(
        batch_positions=values.rebuild_batch_positions,
        rows_in_memory=values.projection_rows_in_memory,
        processes=values.rebuild_processes or min(os.cpu_count() or 1, MOST_PROCESSES),
        swap_patience_seconds=values.rebuild_swap_patience_seconds,
    )


def _find(values: ProjectionSettings) -> "partial[Projection]":
    return partial(registry.find, settings=values)


def _time(text: str) -> datetime:
    """UTC, if it says nothing else. Raises InvalidTime."""
    try:
        return read_time(text)
    except ValueError:
        raise InvalidTime(
            f"--as-of {text!r} is not a time: write it like 2026-03-01T12:00:00Z"
        ) from None


def _complain(message: str) -> None:
    terminal.say(message, error=True)
