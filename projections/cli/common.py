"""What the commands share: settings, the chosen projections, JSON on stdout."""

from typing import Annotated

import typer

from ledger.kernel.errors import LedgerError
from ledger.operate import terminal
from projections.engine.projection import Projection
from projections.registry import all_projections, find
from projections.settings import ProjectionSettings

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
By = Annotated[
    str | None, typer.Option("--by", help="Who does it, for the log; without it, your account.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the log.")]


class NoDatabase(LedgerError):
    """Nothing says where the database is."""


def database_url(values: ProjectionSettings) -> str:
    """Where the read models are. Raises NoDatabase."""
    if values.database_url is None:
        raise NoDatabase("no database: set LEDGER_DATABASE_URL, or use ledgerctl")
    return values.database_url


def chosen(name: str | None, values: ProjectionSettings) -> tuple[Projection, ...]:
    """The projection of this name, or all. Raises UnknownProjection."""
    return all_projections(values) if name is None else (find(name, values),)


def print_json(value: object) -> None:
    """A result for scripts."""
    terminal.say_json(value, pretty=True)
