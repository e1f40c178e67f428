"""The programs that `ledgerctl serve` runs, and what each registers.

    name     of `ledgerctl serve NAME`, its log lines and its database login
    role     as which it works in the database, and nothing more (`ledger/operate/roles.py`)
    ready    whether it does its work, asked of the program itself and not of its process
    run      does the work until it is asked to stop

A program is one file with a `PROGRAM = Program(…)`, and one line in the entry points
"ledger.programs", where other packages add theirs. `serve`, `up`, the demo, readiness, roles and
doctor know programs from here only. One that needs the bus connects with `Places.security`.
"""

import asyncio
import functools
import importlib.metadata
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import psycopg
import structlog

from ledger.bus.security import BusSecurity
from ledger.operate.settings import Settings

ENTRY_POINTS = "ledger.programs"
SIGNAL_LOOK_SECONDS = 1.0
"""The main thread, which alone runs Python's signal handlers, wakes up at least this often: the
system may hand a signal to another thread, and a wait without end would sleep through it."""
DATABASE_PAUSE_SECONDS = 1.0
"""Between two looks at whether the database is there; starting one takes longer."""

_log = structlog.get_logger(__name__)


class UnknownProgram(LookupError):
    """There is no program of that name."""


@dataclass(frozen=True)
class Places:
    """Where a program finds what it works on. `database_url` has the program's own rights."""

    settings: Settings
    database_url: str
    nats_url: str

    @property
    def security(self) -> BusSecurity:
        return BusSecurity.of(self.settings)


@dataclass(frozen=True)
class Program:
    """See the module's text. `summary` is a line for operators."""

    name: str
    summary: str
    role: str
    ready: Callable[[Places], bool]
    run: Callable[[Places, threading.Event], None]


class Service(Protocol):
    """What works in an event loop until it is stopped."""

    def stop(self) -> None: ...

    async def run(self) -> None: ...


@functools.cache
def names() -> tuple[str, ...]:
    """Of all programs, in the order of starting."""
    entry_points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return tuple(sorted(entry_points.names))


@functools.cache
def find(name: str) -> Program:
    """Raises UnknownProgram."""
    if name not in names():
        raise UnknownProgram(f"there is no program {name!r}; there are: {', '.join(names())}")
    (entry_point,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    program: Program = entry_point.load()
    assert program.name == name, f"the entry point {name} is the program {program.name}"
    return program


def serve(program: Program, settings: Settings) -> None:
    """Runs a program in this process until a signal asks to end: as soon as the database answers,
    as the program's own role, with its metrics and its readiness served."""
    from ledger.operate import http
    from ledger.operate.servers import find_database, find_nats

    stop = stop_on_signal()
    database_url = _as_role(find_database(settings), program, stop)
    if database_url is None:
        return  # asked to end before the database was there
    places = Places(settings, database_url, find_nats(settings))
    with http.served(settings, lambda: program.ready(places)):
        program.run(places, stop)


def run_in_loop(service: Service, stop: threading.Event) -> None:
    """Runs what works in an event loop until `stop` is set."""

    async def until_stopped() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):  # these wake the loop up at once
            loop.add_signal_handler(number, stop.set)
        watching = loop.run_in_executor(None, _tell, stop, loop, service)
        try:
            await service.run()
        finally:
            stop.set()
            await watching

    asyncio.run(until_stopped())


def _tell(stop: threading.Event, loop: asyncio.AbstractEventLoop, service: Service) -> None:
    stop.wait()
    loop.call_soon_threadsafe(service.stop)


def _as_role(database_url: str, program: Program, stop: threading.Event) -> str | None:
    """The URL with the program's own rights, as soon as the database answers; None if asked to stop
    before."""
    from ledger.operate.roles import as_role

    while not stop.is_set():
        try:
            return as_role(database_url, program.role, f"ledgerctl serve {program.name}")
        except psycopg.OperationalError as error:
            _log.warning("database_away", error=str(error).strip())
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


def stop_on_signal() -> threading.Event:
    """Set by SIGINT and SIGTERM from here on."""
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
