"""ledgerctl as a person runs it, beside the servers of a test.

Each run is a process of its own, with its own directory, environment, files and exit code. It is
forked from one that has imported ledgerctl before, so that hundreds of runs pay for a start of
Python only once. (tests/cli/test_main.py starts it as a shell does.)
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

PATIENCE_SECONDS = 110
"""Less than a test may take: what hangs is then told with its arguments."""

_processes = get_context("forkserver")
_processes.set_forkserver_preload(
    [  # what most runs import
        "ledger.cli.main",
        "ledger.client.client",
        "ledger.client.questions",
        "ledger.audit.prove.verify",
        "ledger.audit.export",
        "projections.cli",
        "projections.questions.commands",
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


def _run(
    arguments: Sequence[str], stdin: bytes, cwd: Path, environment: Mapping[str, str]
) -> Finished:
    with TemporaryDirectory(prefix="ledgerctl-") as name:
        files = [Path(name) / stream for stream in ("stdin", "stdout", "stderr")]
        files[0].write_bytes(stdin)
        process = _processes.Process(
            target=_ledgerctl, args=(arguments, files, cwd, dict(environment))
        )
        process.start()
        process.join(PATIENCE_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"ledgerctl {' '.join(arguments)}: {files[2].read_text()}")
        exit_code = process.exitcode
        process.close()
        return Finished(exit_code, *(file.read_text(encoding="utf-8") for file in files[1:]))


def _ledgerctl(
    arguments: Sequence[str], files: Sequence[Path], cwd: Path, environment: Mapping[str, str]
) -> None:
    from ledger.cli.main import main

    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)  # it was given an empty one
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["ledgerctl", *arguments]
    main()
