"""The whole ledger in one place: embedded servers, schema, programs, all looked after.

    start    the servers that are not set by URL, then the schema, then each program as a child
             process (`ledgerctl serve NAME`)
    tend     a thread looks at all of them and starts again what has ended, at once the first time
             and with growing pauses when it keeps ending
    stop     programs first, so that they finish their batch, then NATS, then PostgreSQL

Whatever ends this process, none of the others outlives it (processes.py).
"""

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import IO, Self

import structlog

from ledger.kernel.errors import LedgerError
from ledger.operate import processes, roles
from ledger.operate.embedded.servers import EmbeddedError, EmbeddedNats, EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.servers import database_url
from ledger.operate.settings import Settings
from ledger.programs.registry import FIRST_PORT, Places, find, wanted

READY_TIMEOUT_SECONDS = 60.0
"""Programs start in a second or two; a slow machine may take more."""
READER = "reader"
"""A login that no program has: it reads what auditors may, and nothing lets it write."""
LOOK_SECONDS = 0.2
"""Pause between two looks at what runs."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
"""A program that keeps ending is started again this seldom: its log stays readable, and it is
back soon after the cause is gone."""
STEADY_SECONDS = 60.0
"""A program that ran this long was well: its next end is a first one."""

_log = structlog.get_logger(__name__)


class NotReady(LedgerError):
    """The programs did not become ready."""


class Supervisor:
    """Runs the ledger, all programs that are wanted or these, for the length of a `with` block.
    `database_url` and `nats_url` are valid inside it. The programs' logs go to `log_file`, or to
    our stderr; their environment is ours with `variables`."""

    def __init__(
        self,
        settings: Settings,
        *,
        programs: Sequence[str] | None = None,
        log_file: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._variables = dict(variables or {})
        chosen = wanted(settings) if programs is None else programs
        self._children = [_Child(name) for name in chosen]
        self._servers: list[EmbeddedPostgres | EmbeddedNats] = []
        self._log_file = log_file
        self._stopping = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="supervisor", daemon=True)
        self._stack = ExitStack()
        self.database_url = ""
        self.reading_url: str | None = None
        """The same for who only reads: a notebook, a spreadsheet, a dashboard. None where the
        server is somebody else's, who gives such logins."""
        self._places = Places(settings)
        self.nats_url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_ready(self, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Returns when all programs do their work. Raises NotReady."""
        deadline = time.monotonic() + timeout
        while missing := self._not_ready():
            failing = [child for child in self._children if child.ends > 2]
            if failing or time.monotonic() > deadline:
                where = f"see {self._log_file}" if self._log_file else "see its log above"
                name = failing[0].name if failing else missing[0]
                reason = "keeps ending" if failing else f"is not ready after {timeout:.0f} s"
                raise NotReady(
                    f"`ledgerctl serve {name}` {reason}: {where}. `ledgerctl doctor` tells what "
                    "it may lack."
                )
            self._stopping.wait(LOOK_SECONDS)

    def stop(self) -> None:
        """Ends everything in order. Nothing if it has ended already."""
        self._stopping.set()
        if self._tending.is_alive():
            self._tending.join()
        for child in self._children:
            child.ask_to_stop()
        for child in self._children:
            child.await_end()
        for server in reversed(self._servers):
            server.stop()
        self._stack.close()

    def _start(self) -> None:
        directory = self._settings.data_dir
        self.database_url = database_url(self._settings) or self._embedded(
            EmbeddedPostgres(directory)
        )
        self.nats_url = self._settings.nats_url or self._embedded(
            EmbeddedNats(directory, port=self._settings.embedded_nats_port)
        )
        migrate_all(self.database_url)
        self._places = Places(
            self._settings.model_copy(update={"nats_url": self.nats_url}),
            roles.stepping_down(self.database_url),
        )
        logins = self._logins()
        self.reading_url = logins.pop(READER, None)
        output = self._stack.enter_context(self._log_file.open("ab")) if self._log_file else None
        environment = (
            os.environ
            | self._variables
            | {
                "LEDGER_NATS_URL": self.nats_url,
                "LEDGER_DATA_DIR": str(directory.absolute()),
            }
        )
        for child in self._children:
            url = logins.get(child.name, self.database_url)
            own = {"LEDGER_DATABASE_URL": url} | self._port_of(child.name)
            child.prepare(environment | own, output)
            child.start()
        self._tending.start()

    def _port_of(self, name: str) -> dict[str, str]:
        """A port of its own for each, where one was set for all of them."""
        first, usual = self._settings.metrics_port, find(name).port
        if not first or usual is None:
            return {}
        return {"LEDGER_METRICS_PORT": str(first + usual - FIRST_PORT)}

    def _logins(self) -> dict[str, str]:
        """The database as each program sees it: with a login of its own where the server is ours,
        else with the login that is set, as which roles.py lets it do no more than its work."""
        if self._settings.database_url is not None:
            return {}
        needed = {child.name: find(child.name).role for child in self._children}
        needed[READER] = roles.AUDITOR
        return roles.make_logins(
            self.database_url, {name: role for name, role in needed.items() if role is not None}
        )

    def _embedded(self, server: EmbeddedPostgres | EmbeddedNats) -> str:
        self._servers.append(server)
        server.start()
        return server.url

    def _tend(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            for server in self._servers:
                server.shorten_log()
                if not server.running:
                    _log.error("server_ended", server=server.name, log=str(server.log))
                    try:
                        server.start()
                    except EmbeddedError as error:
                        _log.error("server_not_started", server=server.name, error=str(error))
                        self._stopping.wait(FIRST_PAUSE_SECONDS)
            for child in self._children:
                child.tend()

    def _not_ready(self) -> list[str]:
        return [
            child.name
            for child in self._children
            if not child.running
            or not (find(child.name).outside or find(child.name).ready(self._places))
        ]


class _Child:
    """One `ledgerctl serve NAME`, started again when it ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ends = 0
        self._process: Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._output: IO[bytes] | None = None
        self._started = 0.0
        self._start_again: float | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def prepare(self, environment: dict[str, str], output: IO[bytes] | None) -> None:
        self._environment, self._output = environment, output

    def start(self) -> None:
        self._process = processes.start(
            [sys.executable, "-m", "ledger", "serve", self.name],
            environment=self._environment,
            output=self._output,
        )
        self._started, self._start_again = time.monotonic(), None

    def tend(self) -> None:
        """Starts the program again when it has ended and its pause is over."""
        now = time.monotonic()
        if self._process is None or self._process.poll() is None:
            return
        if self._start_again is None:
            self.ends = 1 if now - self._started > STEADY_SECONDS else self.ends + 1
            pause = min(FIRST_PAUSE_SECONDS * 2 ** (self.ends - 1), LONGEST_PAUSE_SECONDS)
            self._start_again = now + pause
            _log.error(
                "program_ended",
                program=self.name,
                exit_code=self._process.returncode,
                starts_again_in_seconds=pause,
            )
        elif now >= self._start_again:
            self.start()

    def ask_to_stop(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def await_end(self) -> None:
        if self._process is not None:
            processes.await_end(self._process)
            self._process = None
