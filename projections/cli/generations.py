"""The generations of read models that were live before: what they take, and doing without them."""

from dataclasses import asdict
from typing import Annotated

import typer

from projections import settings
from projections.cli.common import By, Json, Reason, chosen, database_url, print_json
from projections.cli.reports import say
from projections.engine.builds import previous
from projections.engine.connection import connect
from projections.engine.operator_events import Deed
from projections.engine.projection import Projection
from projections.settings import ProjectionSettings

commands = typer.Typer(
    help="What was live before rebuilds: what it takes, who may still read it, dropping it.",
    no_args_is_help=True,
)
Name = Annotated[str | None, typer.Argument(help="The projection.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every projection.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.add_typer(commands, name="generations")


@commands.command("list")
def list_generations(
    name: Annotated[str | None, typer.Argument(help="One projection; all without it.")] = None,
    json: Json = False,
) -> None:
    """What `rollback` returns to, with its rows (as the planner estimates) and size."""
    values = settings.load()
    with connect(database_url(values), "projections generations", by_key=False) as connection:
        found = previous.listed(connection, chosen(name, values))
    if json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        read = "" if one.is_settled else "; may still be read in older transactions"
        say(
            f"{one.projection_name}: generation {one.generation} at position {one.position:,}, "
            f"live until {one.since:%Y-%m-%d %H:%M:%S %Z}, {one.rows:,} rows, "
            f"{_size(one.size_bytes)}{read}"
        )
    if not found:
        say("no read model has a generation before the live one")


@commands.command()
def settle(name: Name = None, every: All = False, json: Json = False) -> None:
    """Ends swaps that older transactions kept open: the views show the live tables alone. Exit 1
    if somebody may still be reading what was live before."""
    values = settings.load()
    projections = _those(name, every, values)
    settled = previous.settle(
        database_url(values), projections, values.rebuild_swap_patience_seconds
    )
    if json:
        print_json({"settled": settled})
        return
    for settled_name in settled:
        say(f"{settled_name}: settled")
    if not settled:
        say("nothing to settle")


@commands.command()
def drop(
    name: Name = None,
    every: All = False,
    by: By = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Drops what was live before, unless somebody may be reading it. There is no rollback then,
    until the next rebuild."""
    values = settings.load()
    projections = _those(name, every, values)
    dropped = previous.drop(
        database_url(values),
        projections,
        values.rebuild_swap_patience_seconds,
        Deed.of_terminal(by, reason),
    )
    if json:
        print_json({"dropped": [asdict(one) for one in dropped]})
        return
    for one in dropped:
        say(f"{one.projection_name}: dropped generation {one.generation}, {_size(one.size_bytes)}")
    if not dropped:
        say("nothing to drop")


def _those(name: str | None, every: bool, values: ProjectionSettings) -> tuple[Projection, ...]:
    if (name is None) is not every:
        raise typer.BadParameter("name one projection, or say --all")
    return chosen(name, values)


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
