"""Events that projections could not handle: looking at them, trying again, skipping."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer
from psycopg import Connection

from ledger.operate import terminal
from ledger.operate.table import Columns, Wide
from projections import settings
from projections.cli.common import By, Json, Reason, chosen, database_url, print_json
from projections.engine.connection import connect
from projections.engine.letters import dead_letters, retry
from projections.engine.letters.dead_letters import DeadLetter
from projections.engine.letters.failures import Kind
from projections.engine.letters.retry import Retried
from projections.engine.operator_events import Deed
from projections.registry import find
from projections.settings import ProjectionSettings

commands = typer.Typer(
    help="Events that could not be handled, and those that wait behind them.",
    no_args_is_help=True,
)
Id = Annotated[UUID, typer.Argument(help="The id that `dead-letters list` tells.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.add_typer(commands, name="dead-letters")


@commands.command("list")
def list_letters(
    name: Annotated[str | None, typer.Argument(help="One projection; all without it.")] = None,
    skipped: Annotated[bool, typer.Option(help="Those that were skipped instead.")] = False,
    behind: Annotated[bool, typer.Option(help="Also those that wait behind others.")] = False,
    columns: Columns = None,
    wide: Wide = False,
    json: Json = False,
) -> None:
    """What is parked, the cause of each key first."""
    values = settings.load()
    for projection in chosen(name, values) if name else ():
        name = projection.name
    with connect(database_url(values), "dead letters", by_key=False) as connection:
        statuses = (dead_letters.SKIPPED,) if skipped else (dead_letters.PARKED,)
        letters = dead_letters.find(connection, name=name, statuses=statuses)
    waiting = _waiting(letters)
    shown = [letter for letter in letters if behind or skipped or letter.kind != Kind.BEHIND]
    if json:
        print_json([_row(letter, waiting) for letter in shown])
        return
    if not shown:
        terminal.say("nothing is skipped" if skipped else "nothing is parked")
        return
    names = ("id", "kind", "projection", "position", "event", "behind it")
    rows = (
        [
            str(letter.id),
            letter.kind,
            letter.projection_name,
            f"{letter.position:,}",
            letter.event_type,
            "" if letter.kind == Kind.BEHIND else f"{waiting.get(_key(letter), 0):,}",
            f"by {letter.skipped_by}: {letter.skip_reason}" if skipped else letter.error or "",
        ]
        for letter in shown
    )
    last = "skipped" if skipped else "error"
    terminal.say_table((*names, last), rows, right=("position",), columns=columns, wide=wide)


@commands.command()
def show(letter_id: Id, json: Json = False) -> None:
    """Everything about one: its error with the traceback, and the event."""
    values = settings.load()
    with connect(database_url(values), "dead letters", by_key=False) as connection:
        letter = retry.find_letter(connection, letter_id)
        event = dead_letters.event_of(connection, letter)
    if json:
        print_json(asdict(letter) | {"event": event})
        return
    for field, value in asdict(letter).items():
        if value is not None and field != "traceback":
            terminal.say(f"{field:<16} {value}")
    for field, value in event.items():
        terminal.say(f"event {field:<10} {value}")
    if letter.traceback:
        terminal.say()
        terminal.say_quoted(letter.traceback)


@commands.command("retry")
def try_again(
    letter_id: Annotated[UUID | None, typer.Argument(help="One event's key.")] = None,
    projection: Annotated[
        str | None, typer.Option("--projection", help="All keys of this projection.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All keys of all projections.")] = False,
    by: By = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Fold what is parked, each key in its order. Exit 1 if anything stays parked."""
    if sum((letter_id is not None, projection is not None, every)) != 1:
        raise typer.BadParameter("name one id, or say --projection NAME, or --all")
    values = settings.load()
    with connect(database_url(values), "dead letters") as connection:
        if letter_id is not None:
            letters = [retry.find_letter(connection, letter_id)]
        else:
            name = find(projection, values).name if projection else None
            letters = dead_letters.find(connection, name=name)
        keys = dict.fromkeys(map(_key, letters))
        deed = Deed.of_terminal(by, reason)
        results = [_retry(connection, values, *key, deed) for key in keys]
    _tell(results, json)


@commands.command()
def skip(
    letter_id: Id,
    reason: Annotated[str, typer.Option(help="Why the read model may do without it; kept.")],
    by: Annotated[str, typer.Option("--by", help="Who decides it; kept.")],
    json: Json = False,
) -> None:
    """Leave one event out for ever, in rebuilds too, and let the rest of its key go on."""
    if not reason.strip() or not by.strip():
        raise typer.BadParameter("say who decides it and why: both are kept")
    values = settings.load()
    with connect(database_url(values), "dead letters") as connection:
        letter = retry.find_letter(connection, letter_id)
        result = retry.skip(
            connection,
            find(letter.projection_name, values),
            letter,
            deed=Deed(by, reason),
            rows_in_memory=values.projection_rows_in_memory,
        )
    _tell([result], json)


def _retry(
    connection: Connection[Any], values: ProjectionSettings, name: str, key: str, deed: Deed
) -> Retried:
    return retry.retry(
        connection,
        find(name, values),
        key,
        rows_in_memory=values.projection_rows_in_memory,
        deed=deed,
    )


def _key(letter: DeadLetter) -> tuple[str, str]:
    return letter.projection_name, letter.partition_key


def _waiting(letters: list[DeadLetter]) -> dict[tuple[str, str], int]:
    waiting: dict[tuple[str, str], int] = {}
    for letter in letters:
        if letter.kind == Kind.BEHIND:
            waiting[_key(letter)] = waiting.get(_key(letter), 0) + 1
    return waiting


def _row(letter: DeadLetter, waiting: dict[tuple[str, str], int]) -> dict[str, Any]:
    behind = 0 if letter.kind == Kind.BEHIND else waiting.get(_key(letter), 0)
    return asdict(letter) | {"behind": behind}


def _tell(results: list[Retried], json: bool) -> None:
    if json:
        print_json([asdict(result) for result in results])
    else:
        if not results:
            terminal.say("nothing is parked")
        for result in results:
            terminal.say(_line(result))
    if any(result.remaining for result in results):
        raise typer.Exit(1)


def _line(result: Retried) -> str:
    line = f"{result.projection_name} {result.partition_key}: {result.applied:,} applied"
    if result.remaining:
        line += f", {result.remaining:,} still parked: {result.error}"
    if result.stopped:
        line += ", and its worker goes on from the event that it stopped at"
    return line
