"""ledgerctl audit: questions about the past, and proof that nothing was altered.

Each module of this package has a `register(app)` that adds its commands.
"""

from types import ModuleType

import typer

from ledger.cli.audit import (
    commands,
    events,
    explain,
    export,
    proof,
    proof_page,
    seal,
    statement,
    trace,
    verify,
    witness,
)

app = typer.Typer(no_args_is_help=True, help="Ask history, and prove that nobody altered it.")

_COMMANDS: tuple[ModuleType, ...] = (
    events,
    commands,
    trace,
    explain,
    statement,
    verify,
    seal,
    witness,
    proof,
    proof_page,
    export,
)
"""Modules with a `register(app)`, in the order of the help."""

for _module in _COMMANDS:
    _module.register(app)


def register(parent: typer.Typer) -> None:
    """Adds the commands of this package."""
    parent.add_typer(app, name="audit")
