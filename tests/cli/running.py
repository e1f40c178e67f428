"""ledgerctl as a person runs it, beside the servers of a test."""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple


class Finished(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


async def run(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path, **environment: str
) -> Finished:
    """Runs ledgerctl to its end without holding up what runs in this process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ledger",
        *arguments,
        cwd=cwd,
        env=os.environ | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate(stdin)
    assert process.returncode is not None
    return Finished(process.returncode, stdout.decode(), stderr.decode())
