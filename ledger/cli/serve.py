"""ledgerctl serve: one program, or all of them, until a signal asks to end.

Which there are, the registry knows (ledger/programs/registry.py). `all` runs each in a process of
its own, because each can keep a processor busy, and starts again what ends.
"""

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.programs.registry import ALL, find, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.operate.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(serve)


def serve(
    program: Annotated[
        str,
        typer.Argument(help=f"{', '.join(names())}, or all of them.", show_default=True),
    ] = ALL,
) -> None:
    """Run programs in the foreground, against the database and the NATS server that are set."""
    from ledger.operate.logging import configure
    from ledger.operate.settings import load

    if program not in (*names(), ALL):
        raise typer.BadParameter(
            f"there is no program {program!r}; there are: {', '.join((*names(), ALL))}",
            param_hint="PROGRAM",
        )
    settings = load()
    configure(program, settings.log_level)
    if program == ALL:
        _serve_all(settings)
        return
    from ledger.programs import process

    with _told_as_json():
        process.serve(find(program), settings)


@contextmanager
def _told_as_json() -> "Iterator[None]":
    """What ends a program is a line of its log, as all others: who collects them reads no plain
    text. A person at a terminal is told by ledgerctl."""
    import structlog

    from ledger.operate import terminal
    from ledger.operate.errors import explain

    try:
        yield
    except Exception as error:
        if terminal.is_terminal(sys.stderr):
            raise
        structlog.get_logger(__name__).error("program_ended", error=explain(error))
        raise typer.Exit(1) from error


def _serve_all(settings: "Settings") -> None:
    from ledger.operate.schema import check_schema
    from ledger.operate.servers import find_database, find_nats
    from ledger.operate.supervisor import Supervisor
    from ledger.programs.process import stop_on_signal, when_database_answers

    database_url, nats_url = find_database(settings), find_nats(settings)
    stop = stop_on_signal()
    when_database_answers(lambda: check_schema(database_url), stop)
    if stop.is_set():
        return
    found = settings.model_copy(update={"database_url": database_url, "nats_url": nats_url})
    with Supervisor(found):
        stop.wait()
