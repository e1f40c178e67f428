"""ledgerctl archive: old partitions of the log into files, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.audit.archive import Archive

By = Annotated[str, typer.Option("--by", help="Who does it; kept.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

app = typer.Typer(
    no_args_is_help=True, help="Move old, sealed events into files, and take them in again."
)


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="archive")


@app.command()
def create(
    directory: Annotated[
        Path, typer.Argument(help="Where to: on the database's machine, or mounted there alike.")
    ],
    by: By,
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="Full partitions to leave in the database.")
    ] = 1,
    json: Json = False,
) -> None:
    """Archive the oldest partitions of the log: all that are full, but the newest of them. What
    was archived is still read, proved and verified as before."""
    from ledger.audit import archive
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    made = []
    with database(load(), role=None) as url, connect(url, "archive") as connection:
        for _ in range(len(archive.full_partitions(connection)) - keep):
            made.append(archive.create(connection, directory, by, _tell(json)))
            if not json:
                _say(made[-1], "archived in")
    if json:
        terminal.say_json([_plain(one) for one in made])
    elif not made:
        terminal.say(f"nothing to archive: no more than {keep} full partitions")


@app.command("list")
def list_archives(json: Json = False) -> None:
    """What is archived, and where."""
    from ledger.audit import archive
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load()) as url, connect(url, "archive") as connection:
        found = archive.archives(connection)
    if json:
        terminal.say_json([_plain(one) for one in found])
        return
    for one in found:
        _say(one, "in")
    if not found:
        terminal.say("nothing is archived")


@app.command()
def verify(json: Json = False) -> None:
    """Check the Parquet file and the manifest of every archive; exit 1 if one is not what was
    archived. (The files that the log is read from are verified with it: audit verify.)"""
    from ledger.audit import archive
    from ledger.audit.export.reader import UnreadableExport
    from ledger.cli.audit.verify import trusted_keys
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    with database(settings) as url, connect(url, "archive") as connection:
        found = archive.archives(connection)
    keys = trusted_keys(settings, [])
    wrong: list[dict[str, Any]] = []
    for one in found:
        try:
            messages = [finding.message for finding in archive.check(one, keys)]
        except (UnreadableExport, OSError) as error:
            messages = [str(error)]
        wrong += [{"first_position": one.first_position, "message": text} for text in messages]
        if not json:
            _say(one, "does not hold in" if messages else "holds in")
            for text in messages:
                terminal.say(f"  {text}")
    if json:
        terminal.say_json({"holds": not wrong, "archives": len(found), "findings": wrong})
    elif not found:
        terminal.say("nothing is archived")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def restore(by: By, json: Json = False) -> None:
    """Take the newest archive into the database again. Its files stay."""
    from ledger.audit import archive
    from ledger.operate.database import connect
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load(), role=None) as url, connect(url, "archive") as connection:
        restored = archive.restore(connection, url, by, _tell(json))
    if json:
        terminal.say_json(_plain(restored))
    else:
        _say(restored, "restored from")


def _tell(json: bool) -> Any:
    def report(doing: str, events: int) -> None:
        if not json:
            terminal.say(f"{doing} ({events} events) …", error=True)

    return report


def _say(one: "Archive", what: str) -> None:
    terminal.say(f"{one.first_position}-{one.last_position} {what} {one.directory}")


def _plain(one: "Archive") -> dict[str, Any]:
    return {
        "first_position": one.first_position,
        "last_position": one.last_position,
        "directory": str(one.directory),
        "manifest_sha256": one.manifest.hex(),
        "archived_at": one.archived_at,
        "archived_by": one.archived_by,
    }
