"""ledgerctl: the commands, and the one place where errors become a line for a person.

Results go to stdout; exit 0 means that it holds, 1 that it does not, 2 wrong usage, 3 that nothing
speaks against it and nothing from outside for it (`audit verify`, `audit check-proof`). Commands
import what they need when they run, so that `ledgerctl --help` is there at once. Other packages
add commands by the entry points "ledger.cli"; theirs are loaded when they are asked for.
"""

import importlib.metadata
import os
import sys
import traceback
from contextlib import ExitStack
from typing import Annotated, NoReturn

import typer

from ledger.cli import (
    alerts,
    archive,
    audit,
    backup,
    breakers,
    bus,
    clock,
    commands,
    database,
    demo,
    limits,
    publisher,
    recover,
    report,
    schema,
    serve,
    server_statistics,
    snapshots,
    status,
    streams,
    submit,
    top,
    up,
    web,
    wipe,
)
from ledger.kernel.errors import LedgerError
from ledger.operate import terminal
from ledger.operate.errors import explain, one_line

WRONG_USAGE = 2
"""Exit code."""

app = typer.Typer(
    name="ledgerctl",
    help="The trading ledger: run it, send it commands, ask it, check it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        terminal.say(f"trading-ledger {importlib.metadata.version('trading-ledger')}")
        raise typer.Exit


@app.callback()
def ledgerctl(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Tell the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """The trading ledger: run it, send it commands, ask it, check it."""


_COMMANDS = (
    *(up, wipe, demo, database, server_statistics, status, top, serve, submit),
    *(
        audit,
        archive,
        report,
        commands,
        streams,
        publisher,
        clock,
        alerts,
        breakers,
        snapshots,
        limits,
        backup,
        recover,
        schema,
        bus,
    ),
    web,
)
"""Modules with a `register(app)`, in the order of the help."""

for _module in _COMMANDS:
    _module.register(app)


class CommandBroken(LedgerError):
    """A command of another package cannot be loaded."""


def main() -> NoReturn:
    """Entry point of the console script."""
    try:
        with ExitStack() as stack:
            _mount_plugins(sys.argv[1:], stack)
            sys.exit(app(prog_name="ledgerctl", standalone_mode=False))
    except typer.TyperException as error:
        _say_usage(error)
        sys.exit(WRONG_USAGE)
    except BrokenPipeError:  # `ledgerctl … | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - whatever it is, a person is told in a line
        if os.environ.get("LEDGER_DEBUG"):
            terminal.say_quoted("".join(traceback.format_exception(error)), error=True)
        terminal.say(f"error: {explain(error)}", error=True)
        sys.exit(1)


def _say_usage(error: typer.TyperException) -> None:
    """What was wrong with the words behind `ledgerctl`: they may be copied from anywhere, so it is
    said here, escaped, and not by typer."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return  # the help was shown
    if context is not None:
        terminal.say(" ".join(context.get_usage().split()), error=True)
        terminal.say(f"Help: {context.command_path} --help", error=True)
    terminal.say(f"error: {one_line(error.format_message())}", error=True)


def _mount_plugins(arguments: list[str], stack: ExitStack) -> None:
    """Mounts the commands of other packages: the one asked for, with the database at hand in the
    environment, or all of them for the help."""
    asked = next((word for word in arguments if not word.startswith("-")), None)
    for entry_point in importlib.metadata.entry_points(group="ledger.cli"):
        if asked not in (None, entry_point.name):
            continue
        try:
            commands = entry_point.load()
        except ImportError as error:
            if asked is None:
                continue  # the help of everything else is worth having
            raise CommandBroken(
                f"`ledgerctl {asked}` cannot be loaded: {error}. Install trading-ledger again."
            ) from error
        app.add_typer(commands, name=entry_point.name)
        if asked is not None and len(arguments) > 1 and "--help" not in arguments:
            from ledger.operate.roles import at_terminal, of_command
            from ledger.operate.servers import database as database_for
            from ledger.operate.settings import load

            url = stack.enter_context(database_for(load(), role=None))
            os.environ["LEDGER_DATABASE_URL"] = at_terminal(url, of_command(asked))
