"""ledgerctl up: everything in the foreground, until Ctrl-C."""

import os
import signal
import threading
from typing import Annotated, NoReturn

import typer

from ledger.operate import terminal


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(up)


class _Stopped(Exception):
    """A signal asked us to end."""


def up(
    json: Annotated[
        bool, typer.Option("--json", help="Print the URLs as one JSON object.")
    ] = False,
) -> None:
    """Run embedded servers and all programs in the foreground, until Ctrl-C."""
    from ledger.cli.web import first_url, free_port
    from ledger.kernel.masking import masked
    from ledger.operate.logging import configure
    from ledger.operate.supervisor import Supervisor
    from ledger.web.settings import load

    settings = load()
    if settings.web_port is None:
        settings = settings.model_copy(update={"web_port": free_port()})
        os.environ["LEDGER_WEB_PORT"] = str(settings.web_port)  # so that the program knows it, too
    configure("up", settings.log_level)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        with Supervisor(settings) as supervisor:
            supervisor.wait_until_ready()
            _tell(
                {
                    "database_url": masked(supervisor.database_url),
                    **(
                        {}
                        if supervisor.reading_url is None
                        else {"reading_url": masked(supervisor.reading_url)}
                    ),
                    "nats_url": masked(supervisor.nats_url),
                    "data_dir": str(settings.data_dir.absolute()),
                    "web_url": first_url(settings),
                },
                json,
                token_masked=settings.nats_url is None,
            )
            threading.Event().wait()
    except _Stopped:
        pass  # asked for: exit code 0


def _stop(*_: object) -> NoReturn:
    # Once is enough: a second signal must not break off the orderly stop that the first began.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _Stopped


def _tell(urls: dict[str, str], json: bool, *, token_masked: bool) -> None:
    if json:
        terminal.say_json(urls)
        return
    terminal.say(f"PostgreSQL  {urls['database_url']}")
    if "reading_url" in urls:
        terminal.say(f"read only   {urls['reading_url']}")
    where = " (with its token: ledgerctl bus url)" if token_masked else ""
    terminal.say(f"NATS        {urls['nats_url']}{where}")
    terminal.say(f"data        {urls['data_dir']}")
    terminal.say(f"console     {urls['web_url']}  (once, within an hour; again: ledgerctl web url)")
    terminal.say("Ready. Ctrl-C stops everything.")
