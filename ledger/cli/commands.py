"""ledgerctl commands: what waits, and what the ledger could not decide, settled by an operator."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.cli.status import show_commands
from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    import psycopg

    from ledger.kernel.command import Outcome
    from ledger.write.failed_commands import FailedCommand

commands_app = typer.Typer(no_args_is_help=True, help="Commands that need a person.")
app = typer.Typer(
    no_args_is_help=True, help="Commands that the ledger could not decide and set aside."
)

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
By = Annotated[str, typer.Option("--by", help="Who decides it; kept.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept.")]
CommandId = Annotated[UUID, typer.Argument(help="The command's id.")]
CommandIds = Annotated[list[UUID] | None, typer.Argument(help="Ids of commands.")]


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(commands_app, name="commands")


@commands_app.callback()
def commands() -> None:
    """Commands that need a person."""  # with a callback, one command is a group, too


commands_app.add_typer(app, name="failed")
commands_app.command("status")(show_commands)


@app.command("list")
def list_failed(
    settled: Annotated[
        bool, typer.Option("--all", help="Also those that were retried or dismissed.")
    ] = False,
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """What waits for a decision, the oldest first."""
    from ledger.write import failed_commands

    with as_operator() as connection:
        found = failed_commands.find(connection, settled=settled)
    if json:
        terminal.say_json([_row(one) for one in found], pretty=True)
        return
    if not found:
        terminal.say("no command has failed" if settled else "no failed command waits")
        return
    of_command = ("command id", "code", "type", "failed at", "tries", "account", "source", "sender")
    names = (*of_command, "settled", "message")
    terminal.say_table(names, map(_cells, found), right=("tries",), columns=columns, wide=wide)


@app.command()
def show(command_id: CommandId, json: Json = False) -> None:
    """All failures of one command, what was decided of them, and its message."""
    from ledger.write import failed_commands

    with as_operator() as connection:
        found = failed_commands.of_command(connection, command_id)
    if json:
        terminal.say_json([one.shown() for one in found], pretty=True)
        return
    for one in found:
        for field, value in one.shown().items():
            if value is not None:
                terminal.say(f"{field:<13} {value}")
        terminal.say()


@app.command()
def retry(
    by: By,
    reason: Reason,
    command_ids: CommandIds = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait, the oldest first.")] = False,
    json: Json = False,
) -> None:
    """Have commands decided after all, each under its own id, one after the other. Exit 1 if one
    has no outcome or fails again."""
    import asyncio

    from ledger.kernel.command import FAILED, UNKNOWN
    from ledger.operate.logging import configure

    require(by, reason)
    if bool(command_ids) == every:
        raise typer.BadParameter("name the commands by their ids, or say --all")
    configure("commands", "WARNING")
    outcomes = asyncio.run(_retry(command_ids, by, reason))
    if json:
        import orjson

        terminal.say_json([orjson.loads(outcome.to_json()) for outcome in outcomes], pretty=True)
    else:
        for outcome in outcomes:
            said = ": ".join(text for text in (outcome.code, outcome.message) if text)
            terminal.say(f"{outcome.command_id} {outcome.status}{said and f' ({said})'}")
        if not outcomes:
            terminal.say("no failed command waits")
    if any(outcome.status in (FAILED, UNKNOWN) for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def dismiss(command_ids: CommandIds, by: By, reason: Reason, json: Json = False) -> None:
    """Leave commands undecided for ever: their outcome stays FAILED."""
    from ledger.write import failed_commands
    from ledger.write.failed_commands import DISMISSED

    require(by, reason)
    if not command_ids:
        raise typer.BadParameter("name the commands by their ids")
    with as_operator() as connection, connection.transaction():
        for command_id in command_ids:
            failed_commands.settle(connection, command_id, "DISMISSED", by=by, reason=reason)
    if json:
        terminal.say_json(
            [{"command_id": one, "status": DISMISSED} for one in command_ids], pretty=True
        )
        return
    for command_id in command_ids:
        terminal.say(f"{command_id} dismissed: FAILED is its outcome")


async def _retry(command_ids: "list[UUID] | None", by: str, reason: str) -> "list[Outcome]":
    from ledger.bus.connection import connect_once
    from ledger.bus.security import BusSecurity
    from ledger.operate.servers import find_nats
    from ledger.operate.settings import load
    from ledger.programs.operator_retry import retry as send_again
    from ledger.write import failed_commands

    settings = load()
    bus = await connect_once(find_nats(settings), "retry", security=BusSecurity.of(settings))
    try:
        with as_operator() as connection:
            ids = command_ids or [one.command_id for one in failed_commands.find(connection)]
            return [
                await send_again(
                    connection,
                    bus,
                    command_id,
                    by=by,
                    reason=reason,
                    timeout=settings.outcome_deadline_seconds,
                )
                for command_id in ids
            ]
    finally:
        await bus.close()


def require(by: str, reason: str) -> None:
    """Both are kept, and so must say something."""
    if not by.strip() or not reason.strip():
        raise typer.BadParameter("say who decides it and why: both are kept")


@contextmanager
def as_operator() -> "Iterator[psycopg.Connection[Any]]":
    """As an operator, if the login can be one."""
    from ledger.operate.database import connect
    from ledger.operate.roles import OPERATOR
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load(), role=OPERATOR) as url, connect(url, "commands") as connection:
        yield connection


def _row(one: "FailedCommand") -> dict[str, Any]:
    return {field: value for field, value in one.shown().items() if field != "body"}


def _cells(one: "FailedCommand") -> list[str]:
    settled = (
        "" if one.settled_by is None else f"{one.status.lower()} by {one.settled_by}: {one.reason}"
    )
    return [
        str(one.command_id),
        one.code,
        one.command_type,
        f"{one.failed_at:%Y-%m-%d %H:%M:%S%z}",
        str(one.tries),
        one.subject,
        one.source,
        one.sender or "",
        settled,
        one.message,
    ]
