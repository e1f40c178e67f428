"""How every program begins: it waits for its database, and says so."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.programs.process import LoginRefused, run_in_loop, when_database_answers
from ledger.programs.registry import names
from tests.ports import free_port

PATIENCE_SECONDS = 30.0


@contextlib.contextmanager
def serving(
    name: str, directory: Path, database_url: str, nats_url: str
) -> Iterator[tuple[str, Path, "subprocess.Popen[bytes]"]]:
    """`ledgerctl serve NAME`: its URL, its log, and itself. It ends well when asked to."""
    log = directory / f"{name}.log"
    port = free_port()
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger", "serve", name],
            cwd=directory,
            env=os.environ
            | {
                "LEDGER_DATABASE_URL": database_url,
                "LEDGER_NATS_URL": nats_url,
                "LEDGER_METRICS_PORT": str(port),
            },
            stderr=written,
        )
    try:
        yield f"http://127.0.0.1:{port}", log, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def status(url: str) -> int:
    """Of the page; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            code: int = answer.status
            return code
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def waits(log: Path) -> bool:
    return '"event":"database_away"' in log.read_text()


def ready(url: str) -> bool:
    return status(f"{url}/ready") == 200


def wait_until(condition: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize("name", names())
def test_a_program_waits_for_its_database_alive_and_not_ready(
    tmp_path: Path, nats_url: str, name: str
) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/ledger"
    with serving(name, tmp_path, away, nats_url) as (url, log, process):
        wait_until(partial(waits, log), log)
        assert (status(f"{url}/health"), status(f"{url}/ready")) == (200, 503)
        assert process.poll() is None


def test_programs_do_their_work_as_soon_as_the_database_is_there(
    tmp_path: Path, server_directory: Path, nats_url: str
) -> None:
    with EmbeddedPostgres(server_directory, fast=True) as server:
        migrate_all(server.url)
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(serving(name, tmp_path, server.url, nats_url)) for name in names()
        ]
        for _, log, _ in started:
            wait_until(partial(waits, log), log)
        stack.enter_context(EmbeddedPostgres(server_directory, fast=True))
        for url, log, _ in started:
            wait_until(partial(ready, url), log)


def test_what_runs_in_a_loop_ends_when_it_is_told_from_another_thread() -> None:
    class Waiting:
        def __init__(self) -> None:
            self._stopped = asyncio.Event()

        def stop(self) -> None:
            self._stopped.set()

        async def run(self) -> None:
            await self._stopped.wait()

    stop = threading.Event()
    running = threading.Thread(target=run_in_loop, args=(Waiting(), stop))
    running.start()
    stop.set()
    running.join(PATIENCE_SECONDS)
    assert not running.is_alive()


def test_a_login_that_is_refused_is_not_tried_for_ever() -> None:
    def refused() -> None:
        raise psycopg.OperationalError('FATAL:  password authentication failed for user "ledger"')

    with pytest.raises(LoginRefused, match="LEDGER_DATABASE_URL"):
        when_database_answers(refused, threading.Event())
