"""Whatever stands still is told within thirty seconds, with what and why, and then no more.

    stopped    every program, by SIGSTOP: as if it hung
    locked     the log, by a session that makes an index
    database   PostgreSQL, by SIGSTOP: as slow as it can be
    full       the disk of NATS, and then with room again; the disk of PostgreSQL

The suite takes the first two; `LEDGER_TEST_ROUNDS=2` and more take all. Told means: `status` finds
it (and so does the alert, which test_alert_rules compares), and whom it concerns is not ready.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
import pytest
import pytest_asyncio

from ledger.client.client import LedgerClient
from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.settings import Settings
from ledger.programs.registry import Places, find, wanted
from ledger.vitals.condition import PAGE
from ledger.vitals.examination import examine
from tests.faults.disk import SmallDisk
from tests.faults.system import IMPATIENT, Service
from tests.programs.services import open_account

Found = TypeVar("Found")
ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
TOLD_SECONDS = 30.0
WELL_SECONDS = 60.0
DEPOSIT = {"asset": "USDT", "amount": "1"}
pytestmark = [pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]
every_one = pytest.mark.skipif(ROUNDS < 2, reason="one of the long ones: LEDGER_TEST_ROUNDS=2")


class Stage:
    """Servers with a disk each, and every program once."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.disks = {name: self._disk(directory / name, stack) for name in ("nats", "postgres")}
        self.postgres = stack.enter_context(EmbeddedPostgres(directory / "postgres"))
        self.nats = stack.enter_context(EmbeddedNats(directory / "nats"))
        migrate_all(self.postgres.url)
        urls = {"LEDGER_DATABASE_URL": self.postgres.url, "LEDGER_NATS_URL": self.nats.url}
        self.places = Places(Settings(database_url=self.postgres.url, nats_url=self.nats.url))
        self.names = wanted(self.places.settings)
        self.programs = []
        for name in self.names:
            (directory / name).mkdir()
            self.programs.append(Service(name, directory / name, IMPATIENT | urls))

    @staticmethod
    def _disk(place: Path, stack: ExitStack) -> SmallDisk | None:
        if SmallDisk.possible(place):
            return stack.enter_context(SmallDisk(place))
        place.mkdir(mode=0o711)
        return None

    def alarms(self) -> dict[str, str]:
        """What needs somebody now: what is told of each."""
        found = examine(self.places.settings, self.postgres.url, self.nats.url, why=True)
        return {
            one.condition.alert: text
            for one, text in found.alarms()
            if one.condition.severity == PAGE
        }

    def ready(self) -> set[str]:
        return {name for name in self.names if find(name).ready(self.places)}

    async def told(self, alert: str) -> str:
        """What is told of it, within thirty seconds."""
        return (await until(lambda: self.alarms().get(alert), TOLD_SECONDS, self.alarms)) or ""

    async def well(self) -> None:
        await until(
            lambda: not self.alarms() and self.ready() == {*self.names}, WELL_SECONDS, self.say
        )

    def say(self) -> object:
        return self.alarms(), self.ready()


async def until(condition: Callable[[], Found], seconds: float, say: Callable[[], object]) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, await asyncio.to_thread(say)
        await asyncio.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def directory(session_directory: Path) -> Path:
    place = session_directory / "stalls"
    place.mkdir(mode=0o711)
    return place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(directory: Path) -> AsyncIterator[Stage]:
    with ExitStack() as stack:
        opened = Stage(directory, stack)
        for program in opened.programs:
            program.start()
        try:
            yield opened
        finally:
            codes = [await asyncio.to_thread(program.stop) for program in opened.programs]
    assert codes == [0] * len(codes)


async def test_programs_that_hang_are_not_ready_and_told(stage: Stage) -> None:
    await stage.well()
    for program in stage.programs:
        program.signal(signal.SIGSTOP)
    try:
        await until(lambda: not stage.ready(), TOLD_SECONDS, stage.ready)
        alarms = await asyncio.to_thread(stage.alarms)
        assert {"LedgerNoCommandService", "LedgerProjectionNeedsPerson"} <= alarms.keys()
    finally:
        for program in stage.programs:
            program.signal(signal.SIGCONT)
    await stage.well()


async def test_who_holds_up_every_command_is_told(stage: Stage) -> None:
    await stage.well()
    async with await LedgerClient.connect(stage.nats.url, source="test") as ledger:
        account_id = await open_account(ledger)
        with psycopg.connect(stage.postgres.url, application_name="index by hand") as connection:
            connection.execute("LOCK TABLE event_store IN SHARE MODE")
            sent = await ledger.send("Deposit", DEPOSIT, account_id=account_id)
            assert "index by hand" in await stage.told("LedgerAppendHeld")
            assert "index by hand" in await stage.told("LedgerCommandsStalled")
            assert "commands" not in await asyncio.to_thread(stage.ready)
        assert (await sent).status == "ACCEPTED"
    await stage.well()


@every_one
async def test_a_database_that_answers_nobody_is_told(stage: Stage) -> None:
    await stage.well()
    processes = [psutil.Process(stage.postgres.pid)]
    processes += processes[0].children(recursive=True)
    for one in processes:
        one.suspend()
    try:
        await stage.told("LedgerDatabaseAway")
        assert await asyncio.to_thread(stage.ready) <= {"commands"}
    finally:
        for one in processes:
            one.resume()
    await stage.well()


@every_one
async def test_a_bus_without_room_is_told_until_it_is_started_again(stage: Stage) -> None:
    await stage.well()
    disk = stage.disks["nats"]
    if disk is None:
        pytest.skip("no file system can be mounted here")
    async with await LedgerClient.connect(stage.nats.url, source="test") as ledger:
        account_id = await open_account(ledger)
        disk.fill()
        text = "x" * 4_000
        for _ in range(60):
            await ledger.send("Deposit", DEPOSIT | {"reference": text}, account_id=account_id)
        assert "start it again" in await stage.told("LedgerBusStoresNothing")
        disk.free()
        assert "commands" not in await asyncio.to_thread(stage.ready)
        await asyncio.to_thread(stage.nats.stop)
        await asyncio.to_thread(stage.nats.start)
    await stage.well()


@every_one
async def test_a_database_without_room_is_told_with_its_reason(stage: Stage) -> None:
    await stage.well()
    disk = stage.disks["postgres"]
    if disk is None:
        pytest.skip("no file system can be mounted here")
    async with await LedgerClient.connect(stage.nats.url, source="test") as ledger:
        account_id = await open_account(ledger)
        disk.fill()
        for _ in range(3_000):
            await ledger.send("Deposit", DEPOSIT, account_id=account_id)
        await until(
            lambda: {"LedgerCommandsStalled", "LedgerDatabaseAway"} & stage.alarms().keys(),
            TOLD_SECONDS,
            stage.alarms,
        )
        told = await until(
            lambda: "No space left" in str(stage.alarms()) and str(stage.alarms()), 30, stage.alarms
        )
        assert told
        disk.free()
        await asyncio.to_thread(stage.postgres.start)
    await stage.well()
