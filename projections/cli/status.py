"""How the read models are."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import psycopg
import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from projections import settings
from projections.cli.common import Json, database_url, print_json
from projections.engine import status
from projections.engine.connection import connect
from projections.engine.status import Status

WATCH_SECONDS = 1.0
"""Between two looks of --watch: as fast as a person reads, and nothing for the database."""


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command("status")(show_status)


def show_status(
    watch: Annotated[bool, typer.Option(help="Look again every second, until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """How far every projection is behind the log, and why one does not move. Exit 1 if one needs
    a person."""
    url = database_url(settings.load())
    if watch:
        _watch(url, json)
        return
    with connect(url, "projections status", by_key=False) as connection:
        rows = status.read(connection)
    if json:
        print_json([_as_json(row) for row in rows])
    else:
        Console().print(_page(rows))
    if any(row.needs_person for row in rows):
        raise typer.Exit(1)


def _watch(url: str, json: bool) -> None:
    """Shows the present state again and again, and that the database is away while it is."""
    connection: psycopg.Connection[Any] | None = None
    try:
        with Live(console=Console(), auto_refresh=False, transient=json) as live:
            while True:
                try:
                    if connection is None or connection.closed:
                        connection = connect(url, "projections status", by_key=False)
                    rows = status.read(connection)
                    if json:
                        print_json([_as_json(row) for row in rows])
                    else:
                        live.update(_page(rows), refresh=True)
                except psycopg.OperationalError as error:
                    live.update(f"the database does not answer: {error}".strip(), refresh=True)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        pass  # that is how one ends it
    finally:
        if connection is not None:
            connection.close()


def _as_json(row: Status) -> dict[str, Any]:
    return asdict(row) | {
        "seconds_to_catch_up": row.seconds_to_catch_up,
        "needs_person": row.needs_person,
        "why": row.why,
    }


def _page(rows: list[Status]) -> RenderableType:
    table = Table(box=box.SIMPLE)
    table.add_column("projection", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for heading in ("position", "behind", "seconds", "events/s", "caught up in", "parked"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("owner (lease renewed)", overflow="fold")
    for row in rows:
        table.add_row(
            row.projection_name,
            row.status,
            f"{row.position:,}",
            f"{row.lag_events:,}",
            f"{row.lag_seconds:,.1f}",
            "" if row.rate_per_second is None else f"{row.rate_per_second:,.0f}",
            _duration(row.seconds_to_catch_up),
            f"{row.parked_keys:,}" if row.parked_keys else "",
            _owner(row),
        )
    lines = [f"{row.projection_name}: {text}" for row in rows for text in _remarks(row)]
    head = rows[0].head if rows else 0
    return Group(f"the log is at position {head:,}", table, *lines)


def _remarks(row: Status) -> list[str]:
    remarks = [row.why] if row.why else []
    if row.rebuild is not None:
        build = row.rebuild
        how = build.phase.lower() if build.is_running else "interrupted"
        rate = f", {build.rate_per_second:,.0f}/s" if build.rate_per_second else ""
        remarks.append(f"rebuild {how}: at {build.position:,} of {build.target_position:,}{rate}")
    if row.unsettled_generation is not None:
        remarks.append(
            f"transactions from before the last swap may still read generation "
            f"{row.unsettled_generation}: ledgerctl projections generations settle "
            f"{row.projection_name}"
        )
    return remarks


def _owner(row: Status) -> str:
    if row.owner is None:
        return ""
    age = row.lease_age_seconds
    return row.owner if age is None else f"{row.owner} ({age:,.0f} s)"


def _duration(seconds: float | None) -> str:
    if not seconds:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
