"""ledgerctl for what a shell runs: a program on the PATH that starts in a few milliseconds.

It hands its words, its directory, its environment and its three files to the tests' process, which
has the command run as `running` does: in a process of its own, forked from one that has imported
everything. So pages with dozens of commands are run as they are written, pipes and all.
"""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import orjson

from tests.cli.running import begin, end_of, processes, run_ledgerctl

_MOST_BYTES = 1_000_000
"""Of words and environment."""
_PROGRAM = f"""#!{sys.executable} -IS
import json, os, socket, sys
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as to:
    to.connect({{place!r}})
    socket.send_fds(to, [asked], [0, 1, 2])
    sys.exit(int(to.recv(16) or b"1"))
"""


@contextmanager
def ledgerctl_in(directory: Path) -> Iterator[None]:
    """While it lasts, the directory has a `ledgerctl`."""
    place = directory / "asked"
    program = directory / "ledgerctl"
    program.write_text(_PROGRAM.format(place=str(place)))
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(place))
        door.listen()
        answering = threading.Thread(target=_answer, args=(door,))
        answering.start()
        try:
            yield
        finally:
            door.shutdown(socket.SHUT_RDWR)
            answering.join()


def _answer(door: socket.socket) -> None:
    """One after the other: a page's commands are."""
    while True:
        try:
            asking, _ = door.accept()
        except OSError:  # it was shut
            return
        with asking:
            asking.send(str(_run(asking)).encode())


def _run(asking: socket.socket) -> int:
    asked, given, _, _ = socket.recv_fds(asking, _MOST_BYTES, maxfds=3)
    arguments, cwd, environment = orjson.loads(asked)
    files = [
        Connection(file, readable=number == 0, writable=number != 0)
        for number, file in enumerate(given)
    ]
    process = processes.Process(target=_ledgerctl, args=(arguments, files, cwd, environment))
    begin(process)
    for file in files:
        file.close()  # who reads what it writes waits for the last of these
    exit_code = end_of(process)
    assert exit_code is not None
    return exit_code


def _ledgerctl(
    arguments: list[str], files: list[Connection], cwd: str, environment: dict[str, str]
) -> None:
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
        file.close()
    run_ledgerctl(arguments, Path(cwd), environment)
