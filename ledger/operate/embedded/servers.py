"""A PostgreSQL and a NATS server of our own, from pip packages, for one data directory.

    data_dir/postgresql/      the cluster and its socket; a link to elsewhere if need be
    data_dir/nats/            configuration and JetStream store
    data_dir/*.log            what the servers say
    data_dir/services.json    who runs, for other commands in the directory (directory.py)

PostgreSQL refuses to run as root, so for root it runs as `postgres` or `nobody`. Where that
account cannot reach the programs or the data (a checkout under /root), they are put below
ROOT_DIRECTORY and `data_dir/postgresql` becomes a link: the permissions of directories we did
not make are never changed. PostgreSQL listens on a Unix socket alone, in a directory that only
its account can enter, and trusts whoever gets there. NATS listens on 127.0.0.1, where every
account of the machine gets: it asks for a token, which only we can read (data_dir/nats/token). It
stays on the port that it found free at its first start (data_dir/nats/port)
and syncs every write, because a PubAck should mean what it says. None of them outlives us
(processes.py).
"""

import atexit
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_urlsafe
from typing import IO, Literal, Self
from urllib.parse import quote
from uuid import uuid4

import psycopg

from ledger.kernel.errors import LedgerError
from ledger.operate import processes
from ledger.operate.database import connect
from ledger.operate.embedded import programs as embedded_programs
from ledger.operate.embedded import root
from ledger.operate.embedded.directory import (
    make_private,
    open_private,
    record,
    release_lock,
    take_lock,
    write_private,
)

START_TIMEOUT_SECONDS = 60.0
"""A server that is not ready by then will not be; recovery after a crash takes some seconds."""
POLL_SECONDS = 0.02
"""Pause between two looks at whether a server is ready."""
MAX_SOCKET_PATH_BYTES = 100
"""The kernel's limit is 107 on Linux and 103 on macOS."""
NATS_PORTS = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections: a client that reconnects to a port
of those can meet itself."""
TOKEN_BYTES = 32
"""Of chance in the token: nobody guesses it."""
NATS_MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Far above what a command may have, so that one that is too large arrives and gets an answer."""

_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",  # checkpoints by time, not in the middle of a rebuild
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than our short statements take
    "timezone": "UTC",
    # What the log of errors would repeat of statements and rows is account data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# Commits still reach the operating system: a crash of the server loses nothing, one of the
# machine does.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class EmbeddedError(LedgerError):
    """An embedded service cannot be started."""


LONGEST_LOG_BYTES = 64 * 1024**2
"""Of a server's own log: weeks of an ordinary one, and no disk is filled by an outage."""


class _Server:
    """What both servers have in common: one process, its lock, its entry in services.json."""

    name: str

    def __init__(self, data_dir: Path | str) -> None:
        self.data_dir = Path(data_dir).absolute()
        make_private(self.data_dir)
        self.log = self.data_dir / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """The server's process id. Raises EmbeddedError before its start and after its stop."""
        if self._process is None:
            raise EmbeddedError(f"{self.name} of {self.data_dir} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server was started and has not ended, by itself or by us."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and returns when it can be used. Nothing if it runs already."""
        if self.running:
            return
        self._end(None)
        self._lock = take_lock(self.data_dir, self.name)
        atexit.register(self.stop)
        self.shorten_log()
        try:
            with os.fdopen(open_private(self.log, os.O_WRONLY | os.O_APPEND), "ab") as log:
                self._launch(self._lock, log)
            self._await_ready()
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        record(self.data_dir, self.name, {"url": self.url, "pid": self.pid})

    def shorten_log(self) -> None:
        """Begins the log anew when it is long; what it said is kept beside it, once."""
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG_BYTES:
            # In place: the server, which only appends, goes on with the same file.
            before = open_private(self.log.with_suffix(".log.1"), os.O_WRONLY | os.O_TRUNC)
            with (
                contextlib.suppress(OSError),  # the disk is full: the more so
                os.fdopen(before, "wb") as kept,
                self.log.open("rb") as said,
            ):
                shutil.copyfileobj(said, kept)
            os.truncate(self.log, 0)

    def stop(self) -> None:
        raise NotImplementedError

    def _launch(self, lock: int, log: IO[bytes]) -> None:
        raise NotImplementedError

    def _ready(self) -> bool:
        raise NotImplementedError

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._ready():
            if not self.running or time.monotonic() > deadline:
                raise EmbeddedError(f"{self.name} did not start: {self._last_words()}")
            time.sleep(POLL_SECONDS)

    def _end(self, how: signal.Signals | None) -> None:
        atexit.unregister(self.stop)
        if self._process is not None:
            if how is not None:
                processes.stop(self._process, how)
            self._process = None
            record(self.data_dir, self.name, None)
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        return f"{' | '.join(lines)} (all of it is in {self.log})"


class EmbeddedPostgres(_Server):
    """PostgreSQL on `data_dir`, made there if there is none. `url` is the superuser's, of
    database `ledger`. `fast` is for tests: no waiting for the disk. `programs` is a directory
    with the programs of another version than the pip package's."""

    name = "postgresql"

    def __init__(
        self, data_dir: Path | str, *, fast: bool = False, programs: Path | None = None
    ) -> None:
        programs = programs or embedded_programs.postgres()  # before anything is made without them
        super().__init__(data_dir)
        self._fast = fast
        self._home, self._account = root.home(self.data_dir / self.name)
        self._programs = root.reachable(programs, self._account)
        self._sockets = self._home / "socket"

    @property
    def url(self) -> str:
        return self._url("ledger")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """`fast` ends sessions and writes everything; `immediate` is as good as a crash."""
        self._end(_STOP_SIGNALS[mode])
        if self._sockets.parent != self._home:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _url(self, database: str) -> str:
        return f"postgresql://ledger@/{database}?host={quote(str(self._sockets))}"

    def _launch(self, lock: int, log: IO[bytes]) -> None:
        cluster = self._home / "cluster"
        if not (cluster / "PG_VERSION").exists():
            self._create(cluster, log)
        self._make_socket_directory()
        settings = _POSTGRES_SETTINGS | (_FAST_SETTINGS if self._fast else {})
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._process = processes.start(
            [self._programs / "postgres", "-D", cluster, "-k", self._sockets, *options],
            death_signal=signal.SIGINT,
            account=self._account,
            environment=_environment(),
            output=log,
            keep_open=[lock],
        )

    def _create(self, cluster: Path, log: IO[bytes]) -> None:
        # Beside its place and then renamed: an interruption leaves no half cluster.
        unfinished = cluster.with_name("cluster.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        options = ["--username=ledger", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        options += ["--auth-local=trust", "--auth-host=reject"]
        options += ["--no-sync"] if self._fast else []
        initdb = processes.start(
            [self._programs / "initdb", "-D", unfinished, *options],
            account=self._account,
            environment=_environment(),
            output=log,
        )
        if initdb.wait() != 0:
            raise EmbeddedError(f"initdb failed: {self._last_words()}")
        unfinished.rename(cluster)

    def _make_socket_directory(self) -> None:
        if len(os.fsencode(self._sockets / ".s.PGSQL.5432")) > MAX_SOCKET_PATH_BYTES:
            self._sockets = Path(tempfile.mkdtemp(prefix="ledger-", dir="/tmp"))
        root.make_private(self._sockets, self._account)

    def _ready(self) -> bool:
        try:
            with connect(self._url("postgres"), "start") as connection:
                databases = connection.execute("SELECT datname FROM pg_database").fetchall()
                if ("ledger",) not in databases:
                    connection.execute("CREATE DATABASE ledger")
        except psycopg.OperationalError:
            return False
        return True


class EmbeddedNats(_Server):
    """A NATS server with JetStream on `data_dir`. Keeps its port and the token it asks for from
    its first start on; both are in `url`."""

    name = "nats"

    def __init__(self, data_dir: Path | str, *, port: int | None = None) -> None:
        super().__init__(data_dir)
        self._program = embedded_programs.nats_server()
        self._home = self.data_dir / self.name
        self._home.mkdir(mode=0o700, exist_ok=True)
        self._identity = f"ledger-{uuid4()}"  # tells our server from another on the same port
        self._port = int(self._kept("port", lambda: str(_free_port()), given=port))
        self._token = self._kept("token", lambda: token_urlsafe(TOKEN_BYTES))

    @property
    def url(self) -> str:
        return f"nats://{self._token}@127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Ends the server in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the server as a crash would."""
        self._end(signal.SIGKILL)

    def _launch(self, lock: int, log: IO[bytes]) -> None:
        _check_free(self._port)
        configuration = self._home / "nats.conf"
        write_private(
            configuration,
            f"server_name: {self._identity}\n"
            f'listen: "127.0.0.1:{self._port}"\n'
            f"max_payload: {NATS_MAX_PAYLOAD_BYTES}\n"
            f"authorization {{ token: {json.dumps(self._token)} }}\n"
            "jetstream {\n"
            f"  store_dir: {json.dumps(str(self._home / 'jetstream'))}\n"
            "  sync_interval: always\n"
            "}\n",
        )
        self._process = processes.start(
            [self._program, "-c", configuration], output=log, keep_open=[lock]
        )

    def _kept(self, name: str, make: Callable[[], str], given: int | None = None) -> str:
        """What was chosen at the first start, or is given from now on."""
        path = self._home / name
        if given is not None or not path.exists():
            write_private(path, make() if given is None else str(given))
        return path.read_text().strip()

    def _ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                greeting = connection.recv(4096).decode(errors="replace")
        except OSError:
            return False
        return self._identity in greeting and '"jetstream":true' in greeting


def _environment() -> dict[str, str]:
    """Nothing of ours that could change what PostgreSQL does."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"} | kept


def _check_free(port: int) -> None:
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError as error:
            raise EmbeddedError(
                f"port {port}, on which services look for the embedded NATS, cannot be used: "
                f"{error.strerror}. End the program that uses it, or name another port with "
                "LEDGER_EMBEDDED_NATS_PORT and tell the services."
            ) from error


def _free_port() -> int:
    for port in random.sample(NATS_PORTS, 100):
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise EmbeddedError(f"100 random ports between {NATS_PORTS[0]} and {NATS_PORTS[-1]} are taken")
