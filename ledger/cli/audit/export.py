"""ledgerctl audit export: a range of events as a file, with a manifest to verify it by."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ledger.operate import terminal


class ExportFormat(StrEnum):
    """What can be written."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    CSV = "csv"
    BEANCOUNT = "beancount"


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(export)


def export(
    file_format: Annotated[ExportFormat, typer.Option("--format", help="What to write.")],
    directory: Annotated[
        Path | None,
        typer.Argument(help="A new directory. Default: ledger-export-FROM-TO in this one."),
    ] = None,
    first: Annotated[int, typer.Option("--from", min=1, help="First position.")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Last position.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Write events to files that `audit verify --export` can check without this ledger."""

    from ledger.audit.export import export as exporting
    from ledger.audit.prove.proof_page import PAGE_FILE, write_proof_page
    from ledger.cli.audit.verify import progress
    from ledger.eventstore import reader
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    if last is not None and last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}")
    with database(load()) as url, connect(url, "export") as connection:
        end = min(last or 2**63, reader.head(connection))
        place = directory or Path(f"ledger-export-{first}-{end}")
        with progress("exporting", end - first + 1) as report:
            manifest = exporting.export(
                connection, place, file_format.value, first=first, last=end, report=report
            )
    write_proof_page(place / PAGE_FILE)
    if json:
        terminal.say_json(manifest)
        return
    for file in manifest["files"]:
        terminal.say(f"wrote {place / file['name']} ({file['bytes']} bytes)")
    terminal.say(f"wrote {place / PAGE_FILE}, which checks them in a browser")
    terminal.say(
        f"{manifest['events']} events, positions {first}-{manifest['last_position']}, under "
        f"{len(manifest['blocks'])} seals; {manifest['unsealed_events']} not sealed yet"
    )
