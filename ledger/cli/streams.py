"""ledgerctl streams: streams that cannot be read, and what an operator does about them."""

from typing import Annotated
from uuid import UUID

import typer

from ledger.cli.commands import By, Json, Reason, as_operator, require
from ledger.operate import terminal

app = typer.Typer(
    no_args_is_help=True, help="Streams that cannot be read: which, and going on with them."
)

Stream = Annotated[UUID, typer.Argument(help="The stream's id.")]
Version = Annotated[int, typer.Option("--at", min=1, help="The version that it is held at.")]


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="streams")


@app.callback()
def streams() -> None:
    """Streams that need a person."""


@app.command()
def held(json: Json = False) -> None:
    """What cannot be read, the longest held first. Exit 1 if there is any."""
    from ledger.write import held_streams

    with as_operator() as connection:
        found = held_streams.find(connection)
    if json:
        terminal.say_json([one.shown() for one in found], pretty=True)
    elif not found:
        terminal.say("every stream that a command needed can be read")
    else:
        for one in found:
            place = "" if one.event_version is None else f" at version {one.event_version}"
            terminal.say(
                f"{one.stream_id}  {one.stream_type or 'stream'} held{place} since "
                f"{one.held_since:%Y-%m-%d %H:%M:%S%z}, commands set aside: {one.commands}: "
                f"{one.reason}"
            )
    if found:
        raise typer.Exit(1)


@app.command()
def repair(stream_id: Stream, version: Version, by: By, reason: Reason, json: Json = False) -> None:
    """Go on past the event that a stream is held at: without it where it cannot be read, with it
    where versions before it are missing. It stays in the log; what is decided here is recorded
    there, and not taken back."""
    from ledger.operate.logging import configure
    from ledger.write import held_streams
    from ledger.write.stream_reader import HeldStream, read

    require(by, reason)
    configure("streams", "WARNING")
    with as_operator() as connection:
        position = held_streams.repair(connection, stream_id, version, by=by, reason=reason)
        now = read(connection, [stream_id])[stream_id]
        held_streams.examine(connection)
    left = now if isinstance(now, HeldStream) else None
    if json:
        terminal.say_json({"position": position, "held": left and left.shown()})
    elif left is None:
        terminal.say(
            f"recorded at position {position}: the stream goes on. What was set aside: "
            "ledgerctl commands failed retry --all"
        )
    else:
        terminal.say(
            f"recorded at position {position}. The stream is held at version "
            f"{left.event_version} now: {left.reason}"
        )
