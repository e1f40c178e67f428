"""Pausing projections and letting them go on."""

from collections.abc import Callable
from typing import Annotated, Any

import psycopg
import typer

from ledger.operate import terminal
from ledger.subscriptions import checkpoint
from projections import settings
from projections.cli.common import By, Json, Reason, chosen, database_url, print_json
from projections.engine import pause as control
from projections.engine.connection import connect
from projections.engine.operator_events import Deed

Name = Annotated[
    str | None,
    typer.Argument(help="The projection, or: publisher, seals.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Every projection.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(pause)
    app.command()(resume)


def pause(
    name: Name = None,
    every: All = False,
    by: By = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Stop at the next batch, wherever the worker runs, until somebody resumes."""
    names, changed = _steered(control.pause, name, every, Deed.of_terminal(by, reason))
    _tell(names, changed, "paused", "paused already", json)


def resume(
    name: Name = None,
    every: All = False,
    by: By = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Go on where it was paused."""
    names, changed = _steered(control.resume, name, every, Deed.of_terminal(by, reason))
    _tell(names, changed, "resumed", "not paused", json)


def _steered(
    steer: Callable[[psycopg.Connection[Any], list[str], Deed], list[str]],
    name: str | None,
    every: bool,
    deed: Deed,
) -> tuple[list[str], list[str]]:
    """Those that are meant, and those that it has changed something for."""
    values = settings.load()
    with connect(database_url(values), f"projections {steer.__name__}", by_key=False) as connection:
        names = _names(connection, name, every)
        return names, steer(connection, names, deed)


def _names(connection: psycopg.Connection[Any], name: str | None, every: bool) -> list[str]:
    if (name is None) is not every:
        raise typer.BadParameter("name one projection, or say --all")
    if name is not None and checkpoint.read(connection, name) is not None:
        return [name]
    return [projection.name for projection in chosen(name, settings.load())]


def _tell(names: list[str], changed: list[str], done: str, already: str, json: bool) -> None:
    if json:
        print_json([{"projection_name": name, "changed": name in changed} for name in names])
        return
    for name in names:
        terminal.say(f"{name}: {done if name in changed else already}")
