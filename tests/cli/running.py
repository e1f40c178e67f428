"""ledgerctl as a person runs it, beside the servers of a test.

Each run is a process of its own, with its own directory, environment, files and exit code. It is
forked from one that has imported ledgerctl and made its commands before, so that hundreds of runs
pay for that only once. (tests/cli/test_main.py starts it as a shell does.)
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import NamedTuple

PATIENCE_SECONDS = 110
"""Less than a test may take: what hangs is then told with its arguments."""

processes = get_context("forkserver")
"""Forked from one that has imported what follows."""
processes.set_forkserver_preload(
    [  # what most runs import
        "ledger.cli.main",
        "ledger.client.client",
        "ledger.client.questions",
        "ledger.audit.prove.verify",
        "ledger.audit.export",
        "projections.cli",
        "projections.questions.commands",
        "tests.cli.running",
        "tests.cli.warmed",
    ]
)


class Finished(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


async def run(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path, **environment: str
) -> Finished:
    """Runs ledgerctl to its end without holding up what runs in this process."""
    return await asyncio.to_thread(
        _run, [str(argument) for argument in arguments], stdin, cwd, os.environ | environment
    )


async def run_on_terminal(*arguments: str, cwd: Path, columns: int, **environment: str) -> Finished:
    """The same with a terminal of so many columns as stdout."""
    variables = os.environ | environment | {"COLUMNS": str(columns)}
    ours, theirs = os.openpty()
    written: list[bytes] = []
    reading = Thread(target=_read_all, args=(ours, written))
    reading.start()
    try:
        terminal = Path(os.ttyname(theirs))
        finished = await asyncio.to_thread(_run, arguments, b"", cwd, variables, terminal)
    finally:
        os.close(theirs)
        reading.join()
        os.close(ours)
    return finished._replace(stdout=b"".join(written).decode().replace("\r\n", "\n"))


def _read_all(terminal: int, into: list[bytes]) -> None:
    try:
        while chunk := os.read(terminal, 65_536):
            into.append(chunk)
    except OSError:  # the other side was closed
        return


_ALONE = Lock()
"""Whoever begins a process asks for the ends of all others as well, and an end can be asked for
once: of two threads that did so together, one was told 255."""


def begin(process: BaseProcess) -> None:
    with _ALONE:
        process.start()


def end_of(process: BaseProcess, seconds: float | None = None) -> int | None:
    """Its exit code; None if it does not end in time."""
    if not wait([process.sentinel], seconds):
        return None
    with _ALONE:
        return process.exitcode


def _run(
    arguments: Sequence[str],
    stdin: bytes,
    cwd: Path,
    environment: Mapping[str, str],
    terminal: Path | None = None,
) -> Finished:
    with TemporaryDirectory(prefix="ledgerctl-") as name:
        files = [Path(name) / stream for stream in ("stdin", "stdout", "stderr")]
        files[0].write_bytes(stdin)
        files[1] = terminal or files[1]
        process = processes.Process(
            target=_ledgerctl, args=(arguments, files, cwd, dict(environment))
        )
        begin(process)
        exit_code = end_of(process, PATIENCE_SECONDS)
        if exit_code is None:
            process.kill()
            raise TimeoutError(f"ledgerctl {' '.join(arguments)}: {files[2].read_text()}")
        stdout = "" if terminal else files[1].read_text(encoding="utf-8")
        return Finished(exit_code, stdout, files[2].read_text(encoding="utf-8"))


def _ledgerctl(
    arguments: Sequence[str], files: Sequence[Path], cwd: Path, environment: Mapping[str, str]
) -> None:
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    run_ledgerctl(arguments, cwd, environment)


def run_ledgerctl(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
    """In a process of its own, with the files that it has by now."""
    from ledger.cli.main import main

    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)  # it was given an empty one
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["ledgerctl", *arguments]
    main()
