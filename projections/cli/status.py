"""How the read models are."""

from dataclasses import asdict

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from projections import settings
from projections.cli.common import Json, database_url, print_json
from projections.engine import status
from projections.engine.connection import connect


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command("status")(show_status)


def show_status(json: Json = False) -> None:
    """How far every projection is behind the log, and what is wrong with it."""
    values = settings.load()
    with connect(database_url(values), "projections status", by_key=False) as connection:
        rows = status.read(connection)
    if json:
        print_json([asdict(row) for row in rows])
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
