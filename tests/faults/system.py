"""The whole ledger as it is in production, in processes that can be taken away one by one.

    client ──▶ NATS ──▶ 2 × serve commands ──┐
                 ▲      2 × serve projections ├─▶ proxy ──▶ PostgreSQL
                 └───── 2 × serve publisher ──┤
                        2 × serve seals ──────┘   (and queries)

Of each service one works and the other stands by, or both share the work. Leases are short, so that
a run need not wait for them; everything else is as it comes.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.programs.registry import names
from tests.faults.disk import SmallDisk
from tests.faults.proxy import CommitProxy
from tests.ports import free_port

INSTANCES = 2
STOP_SECONDS = 30.0
IMPATIENT = {
    "LEDGER_RETRY_WAIT_SECONDS": "0.2",
    "LEDGER_COMMAND_BATCH_SIZE": "50",
    "LEDGER_COMMAND_ACK_WAIT_SECONDS": "3",
    "LEDGER_COMMAND_LEASE_SECONDS": "3",
    "LEDGER_PROJECTION_LEASE_SECONDS": "2",
    "LEDGER_PUBLISHER_TAKEOVER_SECONDS": "2",
    "LEDGER_SEAL_BLOCK_AGE_SECONDS": "1",
    "LEDGER_EVENT_RETENTION_BYTES": str(256 * 1024 * 1024),  # of a small disk
    "LEDGER_COMMAND_RETENTION_BYTES": str(128 * 1024 * 1024),
    "LEDGER_METRICS_PORT": "0",
}


class Service:
    """`ledgerctl serve NAME` as a process."""

    def __init__(self, name: str, directory: Path, environment: dict[str, str]) -> None:
        self.name = name
        self._directory = directory
        self._environment = os.environ | environment
        self._process: subprocess.Popen[bytes] | None = None
        self._log = directory / f"{name}.log"
        self._said_before = 0

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ledger", "serve", self.name],
                cwd=self._directory,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def ensure_running(self) -> None:
        """Starts it again if it has ended, as every supervisor does."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Asks it to end; its exit code. One that had not said a word was still being loaded, and
        ends by the signal itself."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
            had_begun = self._log.stat().st_size > self._said_before
            return 0 if code == -signal.SIGTERM and not had_begun else code
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return -signal.SIGKILL


class System:
    """Servers and services. `disk` is None where none can be mounted."""

    def __init__(self, directory: Path, disk: SmallDisk | None) -> None:
        self.disk = disk
        self._directory = directory
        data = disk.directory if disk is not None else directory
        self.postgres = EmbeddedPostgres(data)
        self.nats = EmbeddedNats(data)
        self._nats_store = data / "nats" / "jetstream"
        self._services: list[Service] = []

    async def start(self) -> None:
        self.postgres.start()
        self.nats.start()
        migrate_all(self.postgres.url)
        self.proxy = CommitProxy(self.postgres.url, self._directory / "proxy")
        await self.proxy.start()
        for name in names():
            for number in range(INSTANCES):
                directory = self._directory / f"{name}-{number}"
                directory.mkdir()
                urls = {
                    "LEDGER_DATABASE_URL": self.proxy.url,
                    "LEDGER_NATS_URL": self.nats.url,
                    "LEDGER_WEB_PORT": str(free_port()),
                }
                self._services.append(Service(name, directory, IMPATIENT | urls))
        self.ensure_running()

    async def stop(self) -> dict[str, int]:
        """Ends everything; services that did not end in good order, with their exit codes."""
        # In threads, because their last words to the database go through the proxy.
        stops = (asyncio.to_thread(service.stop) for service in self._services)
        codes = await asyncio.gather(*stops)
        await self.proxy.stop()
        self.nats.stop()
        self.postgres.stop()
        ended = zip(self._services, codes, strict=True)
        return {service.name: code for service, code in ended if code != 0}

    def ensure_running(self) -> None:
        """Everything runs that should, as after the work of a supervisor and of an operator."""
        self.postgres.start()
        self.nats.start()
        for service in self._services:
            service.ensure_running()

    def some(self, name: str, random: Random) -> Service:
        """One of the service's instances."""
        return random.choice([service for service in self._services if service.name == name])

    def copy_nats_store(self) -> Path:
        """What the bus has on its disk at this moment."""
        copy = self._nats_store.with_name("earlier")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._nats_store, copy, ignore_dangling_symlinks=True)
        return copy

    def put_nats_store_back(self, copy: Path) -> None:
        """As if the bus had never written anything since."""
        shutil.rmtree(self._nats_store)
        copy.rename(self._nats_store)
