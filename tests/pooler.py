"""A PgBouncer between the ledger and the tests' PostgreSQL."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
START_SECONDS = 10.0

needed = pytest.mark.skipif(
    PROGRAM is None, reason="no PgBouncer here: install the package pgbouncer"
)

_CONFIGURATION = """
[databases]
* = host={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users
pool_mode = {mode}
default_pool_size = 40
ignore_startup_parameters = {ignored}
logfile = {directory}/log
"""


@contextmanager
def pooled(
    database_url: str,
    directory: Path,
    *,
    mode: str,
    logins: tuple[str, ...],
    ignored: str = "options,extra_float_digits",
) -> Iterator[str]:
    """The URL of the database behind a pooler, for the first of the logins."""
    assert PROGRAM is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = parse_qs(urlsplit(database_url).query)["host"][0]
    place = urlsplit(database_url)
    (directory / "users").write_text("".join(f'"{login}" ""\n' for login in logins))
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            server=server, port=port, directory=directory, mode=mode, ignored=ignored
        )
    )
    command = [PROGRAM, str(configuration)]
    owner = Path(server).owner()
    if owner != getpass.getuser():  # it refuses to be root, and only the owner gets to the socket
        command[1:1] = ["-u", owner]
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, owner)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"postgresql://{logins[0]}@127.0.0.1:{port}{place.path}"
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait(url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
            return
        time.sleep(0.05)
    raise TimeoutError(f"no PgBouncer at {url}")
