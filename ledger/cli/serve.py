"""ledgerctl serve: one service, or all of them, until a signal asks to end.

Commands and publisher are ours; the others come from the entry points "ledger.programs".
`all` runs each in a process of its own, because each can keep a processor busy, and starts again
what ends.
"""

import importlib.metadata
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

if TYPE_CHECKING:
    from ledger.operate.settings import Settings

COMMANDS = "commands"
PUBLISHER = "publisher"
ALL = "all"
SIGNAL_LOOK_SECONDS = 1.0
"""The main thread, which alone runs Python's signal handlers, wakes up at least this often: the
system may hand a signal to another thread, and a wait without end would sleep through it."""
DATABASE_PAUSE_SECONDS = 1.0
"""Between two looks at whether the database is there; starting one takes longer."""


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(serve)


def serve(
    service: Annotated[
        str,
        typer.Argument(
            help="commands, projections, seals, publisher, queries, or all of them.",
            show_default=True,
        ),
    ] = ALL,
) -> None:
    """Run services in the foreground, against the database and the NATS server that are set."""
    from ledger.operate.logging import configure
    from ledger.operate.settings import load

    names = service_names()
    if service not in (*names, ALL):
        raise typer.BadParameter(
            f"there is no service {service!r}; there are: {', '.join((*names, ALL))}",
            param_hint="SERVICE",
        )
    settings = load()
    configure(service, settings.log_level)
    if service == ALL:
        _serve_all(settings, names)
    elif service == COMMANDS:
        _serve_commands(settings)
    elif service == PUBLISHER:
        _serve_publisher(settings)
    else:
        _serve_plugin(settings, service)


def service_names() -> list[str]:
    """What there is to serve, in the order of starting."""
    plugins = importlib.metadata.entry_points(group="ledger.programs")
    return [COMMANDS, *sorted(plugins.names), PUBLISHER]


def _serve_commands(settings: "Settings") -> None:
    from ledger.operate import interpreter
    from ledger.programs.commands import CommandWorker

    interpreter.for_deciding()
    _run_until_signal(settings, COMMANDS, CommandWorker)


def _serve_publisher(settings: "Settings") -> None:
    from ledger.programs.publisher import Publisher

    _run_until_signal(settings, PUBLISHER, Publisher)


class _Service(Protocol):
    """What works until it is stopped."""

    def stop(self) -> None: ...

    async def run(self) -> None: ...


def _run_until_signal(
    settings: "Settings", name: str, make: "Callable[[str, str, Settings], _Service]"
) -> None:
    import asyncio

    from ledger.operate import http, readiness
    from ledger.operate.servers import find_database, find_nats

    found, nats_url = find_database(settings), find_nats(settings)
    database_url = _as_service(found, name, _stop_on_signal())
    if database_url is None:
        return  # asked to end before the database was there
    service = make(database_url, nats_url, settings)

    async def serve_until_signal() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, service.stop)
        await service.run()

    ready = readiness.check_of(name, settings, database_url, nats_url)
    with http.served(settings, ready):
        asyncio.run(serve_until_signal())


def _serve_plugin(settings: "Settings", name: str) -> None:
    from ledger.operate import http, readiness
    from ledger.operate.schema import check_schema
    from ledger.operate.servers import find_database

    found, stop = find_database(settings), _stop_on_signal()
    database_url = _as_service(found, name, stop)
    if database_url is None:
        return  # asked to end before the database was there
    check_schema(database_url)
    (entry_point,) = importlib.metadata.entry_points(group="ledger.programs", name=name)
    serve_until = entry_point.load()
    with http.served(settings, readiness.check_of(name, settings, database_url)):
        serve_until(database_url, stop)


def _serve_all(settings: "Settings", names: list[str]) -> None:
    from ledger.operate.schema import check_schema
    from ledger.operate.servers import find_database, find_nats
    from ledger.operate.supervisor import Supervisor

    database_url, nats_url = find_database(settings), find_nats(settings)
    check_schema(database_url)
    found = settings.model_copy(update={"database_url": database_url, "nats_url": nats_url})
    stop = _stop_on_signal()
    with Supervisor(found, services=names):
        stop.wait()


def _as_service(database_url: str, name: str, stop: threading.Event) -> str | None:
    """The URL with the service's own rights (roles.py), as soon as the database answers; None if
    asked to stop before."""
    import psycopg
    import structlog

    from ledger.operate.roles import as_service

    while not stop.is_set():
        try:
            return as_service(database_url, name)
        except psycopg.OperationalError as error:
            structlog.get_logger(__name__).warning("database_away", error=str(error).strip())
            stop.wait(DATABASE_PAUSE_SECONDS)
    return None


class _Stop(threading.Event):
    """Set by a signal, also while the main thread waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None:
            return super().wait(timeout)
        while not super().wait(SIGNAL_LOOK_SECONDS):
            pass
        return True


def _stop_on_signal() -> threading.Event:
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
