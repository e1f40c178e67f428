"""ledgerctl publisher: what an operator does with published events, and sees of who follows."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    from ledger.bus.followers import FollowerRow
    from ledger.programs.replay import Progress

app = typer.Typer(
    no_args_is_help=True, help="Events on the bus: who follows them; send them again."
)


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="publisher")


@app.callback()
def publisher() -> None:
    """Events on the bus: who follows, send again."""


@app.command()
def replay(
    from_position: Annotated[
        int, typer.Option("--from", min=1, help="The first position to send.")
    ],
    subject: Annotated[
        str, typer.Option("--subject", help="Prefix of the subjects, like replay.risk.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send events again, for a consumer that lost its state: from a position to the head, under a
    prefix of its own. Published events stay as they are."""
    import asyncio

    from ledger.bus.security import BusSecurity
    from ledger.operate.logging import configure
    from ledger.operate.servers import database, find_nats
    from ledger.operate.settings import load
    from ledger.programs.replay import Replayed, UnusablePrefix, checked_prefix

    settings = load()
    configure("replay", "WARNING")
    try:
        checked_prefix(subject)
    except UnusablePrefix as error:
        raise typer.BadParameter(str(error), param_hint="--subject") from error

    async def run() -> Replayed:
        from ledger.bus.connection import connect_once
        from ledger.programs.replay import replay as send_again

        connection = await connect_once(
            find_nats(settings), "replay", security=BusSecurity.of(settings)
        )
        try:
            with _progress() as progress:
                return await send_again(
                    url,
                    connection,
                    from_position=from_position,
                    prefix=subject,
                    progress=progress,
                )
        finally:
            await connection.close()

    with database(settings) as url:
        sent = asyncio.run(run())
    if json:
        terminal.say_json(sent._asdict())
        return
    kept = f"stream {sent.stream} keeps them" if sent.stream else "to whoever listened"
    terminal.say(
        f"{sent.events} events sent, positions {sent.from_position} to {sent.to_position}, "
        f"under {subject} ({kept})"
    )


@app.command()
def followers(
    columns: Columns = None,
    wide: Wide = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Who follows the events under which name, and how many events behind the newest."""
    import asyncio

    from ledger.bus.security import BusSecurity
    from ledger.operate.logging import configure
    from ledger.operate.servers import find_nats
    from ledger.operate.settings import load

    settings = load()
    configure("followers", "WARNING")

    async def found() -> "list[FollowerRow]":
        from ledger.bus import connection as bus
        from ledger.bus.event_stream import newest_position
        from ledger.bus.followers import rows

        connection = await bus.connect_once(
            find_nats(settings), "ledgerctl", security=BusSecurity.of(settings)
        )
        try:
            return await rows(connection, await newest_position(connection.jetstream()))
        finally:
            await connection.close()

    names = asyncio.run(found())
    if json:
        terminal.say_json([row._asdict() for row in names])
    elif not names:
        terminal.say("nobody follows the events under a name")
    else:
        _table(names, columns, wide)


def _table(names: "list[FollowerRow]", columns: str | None, wide: bool) -> None:
    rows = [
        (row.user, row.name, row.owner or "nobody", _number(row.place), _number(row.behind))
        for row in names
    ]
    terminal.say_table(
        ("user", "name", "owner", "place", "behind"),
        rows,
        right={"place", "behind"},
        columns=columns,
        wide=wide,
    )


def _number(number: int | None) -> str:
    return "forgotten" if number is None else str(number)


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Position, rate and time left, on a terminal."""
    if not terminal.is_terminal(sys.stderr):
        yield lambda *_: None
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("position {task.completed} of {task.total}"),
        BarColumn(),
        TextColumn("{task.speed:.0f}/s"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=terminal.progress_console()) as bar:
        task_id = bar.add_task("replay", total=None)
        yield lambda reached, target: bar.update(task_id, completed=reached, total=target)
