"""ledgerctl schema: the contract with services, for programs."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.operate import terminal

app = typer.Typer(no_args_is_help=True, help="The contract with services, for programs.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="schema")


@app.callback()
def schema() -> None:
    """The contract with services, for programs."""  # with a callback, one command is a group, too


@app.command()
def export(
    directory: Annotated[
        Path, typer.Argument(help="Where to write.", metavar="DIR", file_okay=False)
    ] = Path("schemas"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write JSON Schema (2020-12) of every command, event and outcome, and an AsyncAPI 3 document.

    Where an earlier export is in the directory, nothing is written that breaks what it promised.
    """
    from ledger.contract.export import export as write
    from ledger.contract.export import files

    changed = write(directory)
    if json:
        result = {"directory": str(directory), "files": len(files()), "changed": changed}
        terminal.say_json(result)
        return
    terminal.say(f"{len(files())} files in {directory}, {len(changed)} of them new or changed")
