"""`ledgerctl projections`: how the read models are, steering them, whether they are right."""

import typer

from projections.cli import dead_letters, generations, pause, rebuild, status

app = typer.Typer(
    help="Read models: how far they are, whether they are right, building them anew.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_GROUPS = (status, pause, dead_letters, rebuild, generations)
"""Modules with a `register(app)`, in the order of the help."""

for _group in _GROUPS:
    _group.register(app)
