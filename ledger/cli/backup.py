"""ledgerctl backup and ledgerctl restore: physical backups, tried and restored."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.operate import terminal
from ledger.operate.table import Columns, Wide

if TYPE_CHECKING:
    from ledger.operate.backups.catalogue import Backup, Catalogue
    from ledger.operate.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Backups of the database: made, tried, kept.")

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
BackupId = Annotated[str | None, typer.Argument(help="The backup; the newest if not given.")]


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="backup")
    parent.command()(restore)


@app.callback()
def backup() -> None:
    """Backups of the database: made, tried, kept."""


@app.command()
def create(json: Json = False) -> None:
    """Make a backup of the whole server, as a login that may replicate. Exit 1 if it failed."""
    from ledger.operate.backups import creation

    settings, catalogue = _opened()
    _tell(creation.create(settings, catalogue, _replication_url(settings)), json)


@app.command()
def receive() -> None:
    """Receive the WAL as it is written, in the foreground, until a signal asks to end."""
    from ledger.operate.backups import creation
    from ledger.operate.logging import configure
    from ledger.programs.process import stop_on_signal

    settings, catalogue = _opened()
    configure("backup", settings.log_level)
    stop: threading.Event = stop_on_signal()
    creation.receive(catalogue, _replication_url(settings), stop)


@app.command("list")
def list_backups(columns: Columns = None, wide: Wide = False, json: Json = False) -> None:
    """The catalogue, the newest last."""
    _, catalogue = _opened()
    found = catalogue.all()
    if json:
        terminal.say_json([_plain(one) for one in found], pretty=True)
        return
    if not found:
        terminal.say(f"no backup in {catalogue.directory}")
        return
    rows = [
        (
            one.id,
            str(one.status),
            f"{one.size_bytes / 1024**2:.1f}",
            str(one.position),
            _verified(one),
            one.error or "",
        )
        for one in found
    ]
    terminal.say_table(
        ("backup", "status", "MiB", "position", "verified", "error"),
        rows,
        right={"MiB", "position"},
        columns=columns,
        wide=wide,
    )


@app.command()
def verify(
    backup_id: BackupId = None,
    to_the_end: Annotated[
        bool,
        typer.Option("--wal", help="With all the WAL received since: the log as it is now."),
    ] = False,
    json: Json = False,
) -> None:
    """Restore a backup on a server of its own and ask the ledger in it whether it is whole. Exit 1
    if it is not: the drill that a scheduler runs."""
    from ledger.operate.backups import verification

    settings, catalogue = _opened()
    found = verification.verify(
        settings, catalogue, catalogue.find(backup_id), to_the_end=to_the_end
    )
    _tell(found, json)
    if found.verified is None or not found.verified.holds:
        raise typer.Exit(1)


@app.command()
def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would go, and leave it.")
    ] = False,
    json: Json = False,
) -> None:
    """Take away the backups and the WAL that are not kept any more (LEDGER_BACKUP_KEEP_…)."""
    from ledger.operate.backups import expiry
    from ledger.operate.backups.retention import Retention

    settings, catalogue = _opened()
    found = expiry.expired(catalogue, Retention.of(settings))
    if not dry_run:
        expiry.prune(catalogue, found)
    if json:
        terminal.say_json(
            {
                "dry_run": dry_run,
                "backups": [one.id for one in found.backups],
                "wal_files": [path.name for path in found.wal_files],
            }
        )
        return
    goes = "would go" if dry_run else "taken away"
    for one in found.backups:
        terminal.say(f"{goes}: {one.id}")
    terminal.say(f"{goes}: {len(found.backups)} backups, {len(found.wal_files)} WAL files")


def restore(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The moment: `latest`, a position of the log, a time with its zone, or an LSN.",
        ),
    ],
    into: Annotated[
        Path | None,
        typer.Option("--into", help="A new data directory. The embedded server's, if not given."),
    ] = None,
    backup_id: Annotated[
        str | None,
        typer.Option("--backup", help="The backup; the newest before the moment if not given."),
    ] = None,
    json: Json = False,
) -> None:
    """Restore the database to a moment, from a backup and the WAL since. What the embedded server
    had is kept beside it. Afterwards: ledgerctl migrate, ledgerctl recover."""
    from ledger.operate.backups.restoration import RecoveryTarget
    from ledger.operate.backups.restoration import restore as restored
    from ledger.operate.backups.takeover import embedded_cluster

    settings, catalogue = _opened()
    target = RecoveryTarget.parse(to)
    if into is not None:
        done = restored(settings, catalogue, target, into.absolute(), backup_id=backup_id)
        kept: Path | None = None
    else:
        with embedded_cluster(settings) as place:
            done = restored(settings, catalogue, target, place.restoring, backup_id=backup_id)
            kept = place.take()
    if json:
        terminal.say_json(
            {
                "backup": done.backup.id,
                "position": done.position,
                "directory": str(into.absolute() if into else settings.data_dir.absolute()),
                "kept": str(kept) if kept else None,
            }
        )
        return
    terminal.say(f"restored from {done.backup.id}: the log ends at position {done.position}")
    if target.position is not None and done.position != target.position:
        terminal.say(
            f"position {target.position} was written in one transaction with the events up to "
            f"{done.position}"
        )
    if kept is not None:
        terminal.say(f"what was there before is kept in {kept}")
    if into is not None:
        terminal.say(f"start PostgreSQL on it: pg_ctl -D {into.absolute()} start")
    terminal.say("then: ledgerctl migrate, ledgerctl recover (docs/runbooks/restore.md)")


def _opened() -> "tuple[Settings, Catalogue]":
    from ledger.operate.backups.catalogue import Catalogue
    from ledger.operate.settings import load

    settings = load()
    return settings, Catalogue.of(settings)


def _replication_url(settings: "Settings") -> str:
    """As whoever is set: a role of the ledger may not replicate."""
    from ledger.operate.servers import find_database

    return find_database(settings)


def _tell(one: "Backup", json: bool) -> None:
    if json:
        terminal.say_json(_plain(one))
        return
    terminal.say(
        f"{one.id} {one.status}: {one.size_bytes / 1024**2:.1f} MiB, the log up to position "
        f"{one.position}"
    )
    if one.verified is not None:
        holds = "verified" if one.verified.holds else "NOT GOOD"
        terminal.say(
            f"{holds} in {one.verified.seconds:g} s: {one.verified.message} (the restored log ends "
            f"at position {one.verified.position})"
        )


def _verified(one: "Backup") -> str:
    if one.verified is None:
        return "never"
    if not one.verified.holds:
        return "NOT GOOD"
    days = (datetime.now(UTC) - one.verified.at).days
    return f"{days} days ago" if days else "today"


def _plain(one: "Backup") -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(one)
    return plain
