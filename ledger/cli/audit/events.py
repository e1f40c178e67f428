"""ledgerctl audit events: the log, by whatever can be said of the events one looks for."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from ledger.audit.ask import documents
from ledger.cli.output import Format, write
from ledger.kernel import strict_json
from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    from ledger.audit.ask.events import EventCriteria

_SHOWN = ("position", "recorded_at", "event_type", "stream_id", "event_version", "event_data")
"""The columns of the table for people, as far as there is room. The other formats have all."""


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(events)


def events(
    stream: Annotated[UUID | None, typer.Option("--stream", help="Of this stream.")] = None,
    event_type: Annotated[
        list[str] | None, typer.Option("--type", help="Of this type; may be given several times.")
    ] = None,
    aggregate: Annotated[
        str | None, typer.Option(help="Of this kind of stream: account, order, allocation …")
    ] = None,
    user: Annotated[UUID | None, typer.Option(help="Of this user's accounts.")] = None,
    account: Annotated[UUID | None, typer.Option(help="About this account.")] = None,
    correlation: Annotated[UUID | None, typer.Option(help="With this correlation id.")] = None,
    causation: Annotated[UUID | None, typer.Option(help="Caused by this command or event.")] = None,
    event_id: Annotated[UUID | None, typer.Option("--id", help="The event with this id.")] = None,
    after: Annotated[int | None, typer.Option(help="Beyond this position.")] = None,
    before: Annotated[int | None, typer.Option(help="Up to, without, this position.")] = None,
    occurred_from: Annotated[str | None, typer.Option(help="Happened at or after.")] = None,
    occurred_to: Annotated[str | None, typer.Option(help="Happened before.")] = None,
    recorded_from: Annotated[str | None, typer.Option(help="Recorded at or after.")] = None,
    recorded_to: Annotated[str | None, typer.Option(help="Recorded before.")] = None,
    where: Annotated[
        str | None, typer.Option(help='Like: data.last_qty > 0.5 and data.side == "BUY"')
    ] = None,
    contains: Annotated[
        str | None, typer.Option(help="Whose payload contains this JSON object.")
    ] = None,
    newest: Annotated[bool, typer.Option("--newest", help="Newest first.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Into this file; else stdout.")
    ] = None,
    columns: Columns = None,
    wide: Wide = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array of events.")] = False,
) -> None:
    """Events that fit all that is given, in position order. The next page is the same with
    --after (or, newest first, --before) and the last position of this one."""
    from ledger.audit.ask import payload
    from ledger.audit.ask.events import EventCriteria
    from ledger.eventstore.moments import InvalidMoment, time_of

    try:
        wanted = EventCriteria(
            stream_id=stream,
            stream_type=aggregate,
            event_types=tuple(event_type or ()),
            account_id=account,
            user_id=user,
            correlation_id=correlation,
            causation_id=causation,
            event_id=event_id,
            after=after,
            before=before,
            occurred_from=None if occurred_from is None else time_of(occurred_from),
            occurred_to=None if occurred_to is None else time_of(occurred_to),
            recorded_from=None if recorded_from is None else time_of(recorded_from),
            recorded_to=None if recorded_to is None else time_of(recorded_to),
            where=() if where is None else payload.parse(where),
            contains=None if contains is None else _object(contains),
        )
    except (payload.InvalidCondition, InvalidMoment) as error:
        raise typer.BadParameter(str(error)) from error
    _check_types(wanted)
    chosen = Format.JSON if json else form
    if chosen is Format.PARQUET and output is None and terminal.is_terminal(sys.stdout):
        raise typer.BadParameter(
            "Parquet is not for terminals: name a file with --output", param_hint="--format"
        )
    _print(wanted, newest, limit, chosen, output, columns, wide)


def _print(
    wanted: "EventCriteria",
    newest: bool,
    limit: int | None,
    form: Format,
    output: Path | None,
    asked: str | None,
    wide: bool,
) -> None:
    from ledger.audit.ask.events import find
    from ledger.eventstore.reader import RecordedEvent
    from ledger.eventstore.session import reading
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    columns = tuple(
        {"data": "event_data"}.get(name, name) for name in RecordedEvent.__struct_fields__
    )
    with database(load()) as url, reading(url) as connection:
        found = find(connection, wanted, newest_first=newest, limit=limit)
        rows = map(documents.event, found)
        if output is None:
            write(rows, columns, form, terminal.output(), _SHOWN, asked, wide)
            return
        with output.open("wb") as file:
            count = write(rows, columns, form, file, _SHOWN, asked, wide)
    terminal.say(f"{count:,} events written to {output}", error=True)


def _object(text: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(text)
    except strict_json.InvalidJson as error:
        raise typer.BadParameter(
            f"{text!r} is not JSON: {error}", param_hint="--contains"
        ) from error
    if not isinstance(value, dict):
        raise typer.BadParameter(
            f'{text!r} is not an object: write one like \'{{"trade_id": "t-1"}}\'',
            param_hint="--contains",
        )
    if _has_nul(value):
        raise typer.BadParameter(
            f"{text!r} has the NUL character, which no event has", param_hint="--contains"
        )
    return value


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\x00" in value


def _check_types(wanted: "EventCriteria") -> None:
    """A misspelt type would find nothing, and look like an answer."""
    from ledger.nouns import EVENTS

    unknown = [name for name in wanted.event_types if name not in EVENTS]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]!r} is no event type; there are: {', '.join(sorted(EVENTS))}",
            param_hint="--type",
        )
