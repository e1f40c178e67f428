"""ledgerctl wipe: the embedded servers' data removed, for ever, after asking."""

import sys
from typing import Annotated

import typer

from ledger.operate import terminal


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(wipe)


def wipe(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the data directory: the log, everything made from it, all commands. Not while it
    runs. Servers that are set by URL are not touched."""
    from ledger.operate.embedded.directory import is_data_directory, remove
    from ledger.operate.settings import load

    directory = load().data_dir.absolute()
    if not directory.exists():
        terminal.say(f"{directory} is not there: nothing to remove")
        return
    if is_data_directory(directory) and not yes:
        _ask(str(directory))
    remove(directory)
    terminal.say(f"{directory} is removed")


def _ask(directory: str) -> None:
    if not terminal.is_terminal(sys.stdin):
        raise typer.BadParameter(
            f"this removes the ledger in {directory} for ever, and nobody is there to be asked: "
            "say --yes",
            param_hint="--yes",
        )
    terminal.say(f"This removes the ledger in {directory} for ever: the log and all commands.")
    terminal.say("Its whole path, to go on: ")
    if sys.stdin.readline().strip() != directory:
        terminal.say("nothing was removed")
        raise typer.Exit(1)
