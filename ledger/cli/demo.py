"""ledgerctl demo: the whole system at work, then a report of what it proved."""

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.demo import DEFAULT_COMMANDS, MAX_COMMANDS, MIN_COMMANDS
from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.demo.progress import StepProgress
    from ledger.demo.temporary import Running
    from ledger.web.settings import WebSettings


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(demo)


def demo(
    commands: Annotated[
        int,
        typer.Option(min=MIN_COMMANDS, max=MAX_COMMANDS, help="About how many commands to send."),
    ] = DEFAULT_COMMANDS,
    open_console: Annotated[
        bool, typer.Option("--open", help="Keep it running with its console, until Ctrl-C.")
    ] = False,
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
    from ledger.web.settings import load

    settings = load()
    if open_console:
        settings = _with_console(settings)
    configure("demo", "ERROR")  # the report tells the rest
    raise_when_interrupted()
    try:
        with progress() as shown:

            def keep(ledger: "Running", report: dict[str, Any]) -> None:
                if open_console:
                    _keep_open(settings, shown, ledger, report, json)

            report = run(settings, commands, shown, keep)
    except Interrupted as interrupted:
        terminal.say("Interrupted. Everything was stopped and removed.", error=True)
        raise typer.Exit(interrupted.exit_code) from None
    if not open_console:
        _tell(report, json)
    raise typer.Exit(0 if report["holds"] else 1)


def _tell(report: dict[str, Any], json: bool) -> None:
    if json:
        terminal.say_json(report)
    else:
        from ledger.demo.report import show

        show(report)


def _with_console(settings: "WebSettings") -> "WebSettings":
    """The settings with a port for the console, which its process gets from the environment."""
    from ledger.cli.web import free_port

    port = settings.web_port or free_port()
    os.environ["LEDGER_WEB_PORT"] = str(port)
    os.environ.setdefault("LEDGER_WEB_ENVIRONMENT", "Demo")
    return settings.model_copy(update={"web_port": port})


def _keep_open(
    settings: "WebSettings",
    shown: "StepProgress",
    ledger: "Running",
    report: dict[str, Any],
    json: bool,
) -> None:
    """Tells what was proved and where the console is, and waits to be interrupted."""
    from ledger.cli.web import first_url
    from ledger.demo.interruption import Interrupted

    shown.hide()
    url = first_url(settings.model_copy(update={"data_dir": ledger.directory}))
    _tell(report, json)
    if json:
        terminal.say_json({"web_url": url})
    else:
        terminal.say(f"The console is open, once by this link: {url}")
        terminal.say("docs/tour.md says what to look at. Ctrl-C stops and removes everything.")
    with contextlib.suppress(Interrupted):
        threading.Event().wait()
