"""ledgerctl demo: the whole system at work, then a report of what it proved."""

from typing import Annotated

import typer

from ledger.demo import DEFAULT_COMMANDS, MAX_COMMANDS, MIN_COMMANDS
from ledger.operate import terminal


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(demo)


def demo(
    commands: Annotated[
        int,
        typer.Option(min=MIN_COMMANDS, max=MAX_COMMANDS, help="About how many commands to send."),
    ] = DEFAULT_COMMANDS,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one object.")] = False,
) -> None:
    """Run a virtual exchange and strategies on a ledger of their own, and prove what came of it.

    Everything lies in a temporary directory, unless LEDGER_DATABASE_URL and LEDGER_NATS_URL name
    servers. Exit 0 if every claim of the report holds.
    """
    from ledger.demo.interruption import Interrupted, raise_when_interrupted
    from ledger.demo.progress import progress
    from ledger.demo.run import run
    from ledger.operate.logging import configure
    from ledger.operate.settings import load

    settings = load()
    configure("demo", "ERROR")  # the report tells the rest
    raise_when_interrupted()
    try:
        with progress() as shown:
            report = run(settings, commands, shown)
    except Interrupted as interrupted:
        terminal.say("Interrupted. Everything was stopped and removed.", error=True)
        raise typer.Exit(interrupted.exit_code) from None
    if json:
        terminal.say_json(report)
    else:
        from ledger.demo.report import show

        show(report)
    raise typer.Exit(0 if report["holds"] else 1)
