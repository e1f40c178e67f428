"""A copy of the code, for tests that put something new into it, and its services."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
import orjson
from nats.aio.client import Client

from ledger.bus.connection import POSITION_OF_SUBJECT
from tests.docs.pages import ROOT

PATIENCE_SECONDS = 60


def copied(to: Path) -> Path:
    """Copies what the package consists of."""
    for name in ("ledger", "projections", "sql"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    return to


def environment(tree: Path, **settings: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(tree), **settings}


def ledgerctl(tree: Path, *arguments: str, **settings: str) -> str:
    found = subprocess.run(
        [sys.executable, "-m", "ledger", *arguments],
        env=environment(tree, **settings),
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@asynccontextmanager
async def serving(tree: Path, *services: str, **settings: str) -> AsyncIterator[None]:
    """The copy's services, in processes of their own."""
    running = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ledger", "serve", name),
            env=environment(tree, **settings),
            cwd=tree,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for name in services
    ]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in running))


async def head_when_answering(connection: Client) -> str:
    """The log's head, from the query service once it is there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(nats.errors.Error):
                answer = await connection.request(POSITION_OF_SUBJECT, b"", timeout=1)
                return str(orjson.loads(answer.data)["position"])
            await asyncio.sleep(0.05)
