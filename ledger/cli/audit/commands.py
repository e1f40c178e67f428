"""ledgerctl audit commands: what was sent, and what became of it."""

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from ledger.cli.output import Format, write
from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

_SHOWN = (
    "decided_at", "command_type", "code", "message", "source", "sender", "status", "subject",
    "command_id",
)  # fmt: skip
"""The columns of the table for people, as far as there is room. The other formats have all."""


class OutcomeStatus(StrEnum):
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(commands)


def commands(
    status: Annotated[
        OutcomeStatus | None, typer.Option(case_sensitive=False, help="What became of it.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="Like INSUFFICIENT_FUNDS.")] = None,
    command_type: Annotated[str | None, typer.Option("--type", help="Like SubmitOrder.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Of this service, as it calls itself.")
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--sender", help="Of this user of the bus, who vouches for it.")
    ] = None,
    account: Annotated[UUID | None, typer.Option(help="About this account.")] = None,
    decided_from: Annotated[str | None, typer.Option("--from", help="Decided at or after.")] = None,
    decided_to: Annotated[str | None, typer.Option("--to", help="Decided before.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Into this file; else stdout.")
    ] = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array of commands.")] = False,
) -> None:
    """Commands that were decided and fit all that is given, the newest first: rejected ones leave
    no other trace."""
    from ledger.audit.ask.commands import COLUMNS, CommandFilter, find
    from ledger.eventstore.moments import InvalidMoment, time_of
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    try:
        wanted = CommandFilter(
            status=status,
            code=code,
            command_type=_known(command_type),
            source=source,
            sender=sender,
            subject=None if account is None else str(account),
            decided_from=None if decided_from is None else time_of(decided_from),
            decided_to=None if decided_to is None else time_of(decided_to),
        )
    except InvalidMoment as error:
        raise typer.BadParameter(str(error)) from error
    with ExitStack() as stack:
        connection = stack.enter_context(reading(stack.enter_context(database(load()))))
        out = terminal.output() if output is None else stack.enter_context(output.open("wb"))
        rows = find(connection, wanted, limit=limit)
        chosen = Format.JSON if json else form
        write(rows, COLUMNS, chosen, out, _SHOWN, columns, wide)


def _known(command_type: str | None) -> str | None:
    """A misspelt type would find nothing, and look like an answer."""
    from ledger.nouns import COMMAND_DATA

    if command_type is not None and command_type not in COMMAND_DATA:
        raise typer.BadParameter(
            f"{command_type!r} is no command; there are: {', '.join(COMMAND_DATA)}",
            param_hint="--type",
        )
    return command_type
