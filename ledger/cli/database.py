"""ledgerctl migrate, ledgerctl doctor: the schema, and whether everything is there."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.operate.check_result import CheckResult

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(migrate)
    app.command()(doctor)


def migrate(json: Json = False) -> None:
    """Bring the database to this version's schema. Safe to run twice and from two processes."""
    from ledger.operate.plugins import migrate_all
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    with database(load(), role=None, create=True) as url:
        applied = migrate_all(url)
    if json:
        terminal.say_json({"applied": applied, "current": True})
        return
    for name in applied:
        terminal.say(f"applied sql/{name}")
    terminal.say("The schema is current." if applied else "The schema is current: nothing to do.")


def doctor(
    production: Annotated[
        bool,
        typer.Option(
            "--production",
            help="Also what a ledger trusted with money must have: logins, TLS, keys, replicas, "
            "backups, and no embedded server.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Check that everything the ledger needs is there; exit 1 if something is not."""
    from ledger.operate.check_result import CheckResult
    from ledger.operate.doctor import examine
    from ledger.operate.settings import InvalidSettings, load

    findings = []
    try:
        settings = load()
    except InvalidSettings as error:
        findings.append(CheckResult("settings", "fail", str(error)))
        _show(findings[0], json)
    else:
        findings.append(CheckResult("settings", "ok", f"data directory {settings.data_dir}"))
        _show(findings[0], json)
        for finding in examine(settings, for_production=production):
            findings.append(finding)
            _show(finding, json)
    holds = all(finding.status != "fail" for finding in findings)
    if json:
        terminal.say_json({"ok": holds, "checks": [asdict(finding) for finding in findings]})
    raise typer.Exit(0 if holds else 1)


def _show(finding: "CheckResult", json: bool) -> None:
    if json:
        return
    status = terminal.Mark(f"{finding.status:<5}", _COLOURS[finding.status])
    terminal.say(status, f" {finding.check:<12} {finding.message}")
    if finding.remedy:
        terminal.say(f"{'':<18} → {finding.remedy}")
