"""How the read models are."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import psycopg
import typer

from ledger.operate import terminal
from ledger.operate.table import Columns, Wide
from projections import settings
from projections.cli.common import Json, database_url, print_json
from projections.engine import status
from projections.engine.connection import connect
from projections.engine.status import Status

WATCH_SECONDS = 1.0
"""Between two looks of --watch: as fast as a person reads, and nothing for the database."""
_NUMBERS = ("position", "behind", "seconds", "parked", "events/s", "caught up in")
"""Columns of the table."""


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command("status")(show_status)


def show_status(
    watch: Annotated[bool, typer.Option(help="Look again every second, until Ctrl-C.")] = False,
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """How far every projection is behind the log, and why one does not move. Exit 1 if one needs
    a person."""
    url = database_url(settings.load())
    if watch:
        _watch(url, json, columns, wide)
        return
    with connect(url, "projections status", by_key=False) as connection:
        rows = status.read(connection)
    if json:
        print_json([_as_json(row) for row in rows])
    else:
        terminal.say_page(_page(rows, columns, wide))
    if any(row.needs_person for row in rows):
        raise typer.Exit(1)


def _watch(url: str, json: bool, columns: str | None, wide: bool) -> None:
    """Shows the present state again and again, and that the database is away while it is."""
    connection: psycopg.Connection[Any] | None = None
    try:
        with terminal.watched() as show:
            while True:
                try:
                    if connection is None or connection.closed:
                        connection = connect(url, "projections status", by_key=False)
                    rows = status.read(connection)
                    if json:
                        print_json([_as_json(row) for row in rows])
                    else:
                        show(_page(rows, columns, wide))
                except psycopg.OperationalError as error:
                    page = terminal.Page()
                    page.say(f"the database does not answer: {error}".strip())
                    show(page)
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


def _page(rows: list[Status], columns: str | None, wide: bool) -> terminal.Page:
    names = ("projection", "status", *_NUMBERS, "owner (lease renewed)")
    cells = (
        [
            row.projection_name,
            row.status,
            f"{row.position:,}",
            f"{row.lag_events:,}",
            f"{row.lag_seconds:,.1f}",
            f"{row.parked_keys:,}" if row.parked_keys else "",
            "" if row.rate_per_second is None else f"{row.rate_per_second:,.0f}",
            _duration(row.seconds_to_catch_up),
            _owner(row),
        ]
        for row in rows
    )
    page = terminal.Page()
    page.say(f"the log is at position {rows[0].head if rows else 0:,}")
    page.say()
    page.say_table(names, cells, right=_NUMBERS, columns=columns, wide=wide)
    page.say()
    for row in rows:
        for text in _remarks(row):
            page.say(f"{row.projection_name}: {text}")
    return page


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
