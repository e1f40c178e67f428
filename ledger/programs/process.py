"""How `ledgerctl serve NAME` runs a program in this process.

/metrics, /health   are served at once; what they tell of the whole ledger, every program tells
the database        is waited for; one that this code does not fit, or whose login may not work
                    as the program's role, ends it with the remedy
the program         works with its role's rights, and /ready tells whether it does
SIGINT, SIGTERM     ask it to stop, also while it waits
"""

import asyncio
import importlib.metadata
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

import psycopg
import structlog

from ledger.kernel.errors import LedgerError
from ledger.operate import http, told_settings
from ledger.operate.roles import as_role
from ledger.operate.schema import check_schema
from ledger.operate.servers import NotRunning
from ledger.operate.settings import Settings
from ledger.programs.registry import Places, Program
from ledger.vitals.collector import told
from ledger.vitals.examination import examine

SIGNAL_LOOK_SECONDS = 1.0
"""The main thread, which alone runs Python's signal handlers, wakes up at least this often: the
system may hand a signal to another thread, and a wait without end would sleep through it."""
DATABASE_PAUSE_SECONDS = 1.0
"""Between two looks at whether the database is there; starting one takes longer."""
_REFUSED = re.compile(
    "password authentication failed|no password supplied|no pg_hba.conf entry|authentication method"
)
"""What a server says that refuses a login. (libpq gives no code for it; a server that speaks
another language is waited for.)"""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class LoginRefused(LedgerError):
    """The database is there and lets this login not in."""


class LoopProgram(Protocol):
    """What works in an event loop until it is stopped."""

    def stop(self) -> None: ...

    async def run(self) -> None: ...


def serve(program: Program, settings: Settings) -> None:
    """Runs the program until a signal asks to end. Raises NotRunning, RoleMissing, SchemaError, and
    what the program itself cannot work with."""
    stop = stop_on_signal()
    places = Places(settings)
    if program.bus:
        _ = places.nats_url  # who names no server is told so at once
    if program.role is not None:
        places = replace(places, found_database=places.database_url)
    works = threading.Event()
    version = importlib.metadata.version("trading-ledger")
    http.BUILD_INFO.labels(program.name, version).set(1)
    _log.info("program_started", version=version, host=socket.gethostname(), process=os.getpid())
    with (
        told_settings.telling(program.name, settings.data_dir),
        http.served(settings, lambda: works.is_set() and program.ready(places), port=program.port),
        told(lambda: examine(settings, *_servers(places), as_program=True)),
    ):
        if program.role is not None:
            url = when_database_answers(lambda: _as_its_role(program, places), stop)
            if url is None:
                return
            places = replace(places, found_database=url)
        works.set()
        program.run(places, stop)
    _log.info("program_stopped")


def _servers(places: Places) -> tuple[str | None, str | None]:
    """The database and the bus, as far as there are any."""
    return _if_set(lambda: places.database_url), _if_set(lambda: places.nats_url)


def _if_set(server: Callable[[], str]) -> str | None:
    try:
        return server()
    except NotRunning:
        return None


def run_in_loop(service: LoopProgram, stop: threading.Event) -> None:
    """Runs what works in an event loop until `stop` is set."""

    async def until_stopped() -> None:
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:  # these wake the loop up at once
                loop.add_signal_handler(number, stop.set)
        telling = threading.Thread(target=_tell, args=(stop, loop, service), name="stop")
        telling.start()
        try:
            await service.run()
        finally:
            stop.set()
            telling.join()

    asyncio.run(until_stopped())


def _tell(stop: threading.Event, loop: asyncio.AbstractEventLoop, service: LoopProgram) -> None:
    stop.wait()
    loop.call_soon_threadsafe(service.stop)


def when_database_answers(work: Callable[[], Result], stop: threading.Event) -> Result | None:
    """The result of `work`, tried until there is a database to do it; None if `stop` is set
    before. Raises LoginRefused: waiting does not make a password right."""
    while not stop.is_set():
        try:
            return work()
        except psycopg.OperationalError as error:
            if _REFUSED.search(str(error)):
                raise LoginRefused(
                    f"the database refuses the login: {' '.join(str(error).split())}. Correct the "
                    "login or its password in LEDGER_DATABASE_URL, or pg_hba.conf of the server."
                ) from error
            _log.warning(
                "database_away",
                error=" ".join(str(error).split()),
                next_try_seconds=DATABASE_PAUSE_SECONDS,
            )
            stop.wait(DATABASE_PAUSE_SECONDS)
    return None


def _as_its_role(program: Program, places: Places) -> str:
    assert program.role is not None
    url = as_role(places.database_url, program.role, f"ledgerctl serve {program.name}")
    check_schema(url)
    return url


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
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    return stop
