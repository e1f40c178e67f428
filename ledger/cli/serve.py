"""ledgerctl serve: one service, or all of them, until a signal asks to end.

Commands, publisher and queries are ours; the others come from the entry points "ledger.services".
`all` runs each in a process of its own, because each can keep a processor busy, and starts again
what ends.
"""

import importlib.metadata
import signal
import threading
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

if TYPE_CHECKING:
    from ledger.settings import Settings

COMMANDS = "commands"
PUBLISHER = "publisher"
QUERIES = "queries"
ALL = "all"


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(serve)


def serve(
    service: Annotated[
        str,
        typer.Argument(
            help="commands, projections, publisher, queries, or all of them.", show_default=True
        ),
    ] = ALL,
) -> None:
    """Run services in the foreground, against the database and the NATS server that are set."""
    from ledger.logging import configure
    from ledger.settings import load

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
    elif service == QUERIES:
        _serve_queries(settings)
    else:
        _serve_plugin(settings, service)


def service_names() -> list[str]:
    """What there is to serve, in the order of starting."""
    plugins = importlib.metadata.entry_points(group="ledger.services")
    return [COMMANDS, *sorted(plugins.names), PUBLISHER, QUERIES]


def _serve_commands(settings: "Settings") -> None:
    from ledger.messaging.worker import CommandWorker
    from ledger.services import find_database, find_nats

    _run_until_signal(CommandWorker(find_database(settings), find_nats(settings), settings))


def _serve_publisher(settings: "Settings") -> None:
    from ledger.messaging.publisher import Publisher
    from ledger.services import find_database, find_nats

    _run_until_signal(Publisher(find_database(settings), find_nats(settings), settings))


def _serve_queries(settings: "Settings") -> None:
    from ledger.messaging.query_service import QueryService
    from ledger.services import find_database, find_nats

    _run_until_signal(QueryService(find_database(settings), find_nats(settings), settings))


class _Service(Protocol):
    """What works until it is stopped."""

    def stop(self) -> None: ...

    async def run(self) -> None: ...


def _run_until_signal(service: _Service) -> None:
    import asyncio

    async def serve_until_signal() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, service.stop)
        await service.run()

    asyncio.run(serve_until_signal())


def _serve_plugin(settings: "Settings", name: str) -> None:
    from ledger.database import check_schema
    from ledger.services import find_database

    database_url = find_database(settings)
    check_schema(database_url)
    (entry_point,) = importlib.metadata.entry_points(group="ledger.services", name=name)
    entry_point.load()(database_url, _stop_on_signal())


def _serve_all(settings: "Settings", names: list[str]) -> None:
    from ledger.database import check_schema
    from ledger.services import find_database, find_nats
    from ledger.supervisor import Supervisor

    database_url, nats_url = find_database(settings), find_nats(settings)
    check_schema(database_url)
    found = settings.model_copy(update={"database_url": database_url, "nats_url": nats_url})
    stop = _stop_on_signal()
    with Supervisor(found, services=names):
        stop.wait()


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
