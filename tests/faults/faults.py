"""Everything that is made to go wrong: each fault is a function, and each leaves the system as an
operator would find it, with the supervisor's work still to do (`System.ensure_running`)."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random

from ledger.client.client import LedgerClient, LedgerUnavailable
from tests.faults.books import Books
from tests.faults.proxy import Lost
from tests.faults.system import System
from tests.faults.workload import Account

HANG_SECONDS = (0.5, 4.0)
"""Shorter and longer than a lease."""
AWAY_SECONDS = (0.0, 0.5)
COMMIT_WITHIN_SECONDS = 5.0


class Scene:
    """What a fault can get at."""

    def __init__(
        self,
        system: System,
        client: LedgerClient,
        accounts: list[Account],
        books: Books,
        random: Random,
    ) -> None:
        self.system = system
        self.client = client
        self.accounts = accounts
        self.books = books
        self.random = random

    async def pause(self, bounds: tuple[float, float]) -> None:
        await asyncio.sleep(self.random.uniform(*bounds))


Fault = Callable[[Scene], Awaitable[bool]]
"""Injects the fault; whether it took place (a COMMIT to cut may not come)."""
FAULTS: dict[str, Fault] = {}


def _fault(function: Fault) -> Fault:
    FAULTS[function.__name__] = function
    return function


def possible(system: System) -> dict[str, Fault]:
    """The faults that can be injected here."""
    if system.disk is not None:
        return FAULTS
    return {name: fault for name, fault in FAULTS.items() if name != "disk_full"}


# --- processes ------------------------------------------------------------------------

_SERVICES = ("commands", "projections", "publisher")


def _kill(name: str) -> Fault:
    async def kill(scene: Scene) -> bool:
        await asyncio.to_thread(scene.system.some(name, scene.random).kill)
        return True

    return kill


def _hang(name: str) -> Fault:
    async def hang(scene: Scene) -> bool:
        service = scene.system.some(name, scene.random)
        service.signal(signal.SIGSTOP)
        try:
            await scene.pause(HANG_SECONDS)
        finally:
            service.signal(signal.SIGCONT)
        return True

    return hang


for _name in _SERVICES:
    FAULTS[f"kill_{_name}"] = _kill(_name)
    FAULTS[f"hang_{_name}"] = _hang(_name)


# --- database -------------------------------------------------------------------------


@_fault
async def postgres_crash(scene: Scene) -> bool:
    await asyncio.to_thread(scene.system.postgres.stop, "immediate")
    await scene.pause(AWAY_SECONDS)
    return True


@_fault
async def postgres_restart(scene: Scene) -> bool:
    await asyncio.to_thread(scene.system.postgres.stop)
    await scene.pause(AWAY_SECONDS)
    return True


@_fault
async def commit_answer_lost(scene: Scene) -> bool:
    return await scene.system.proxy.cut_next_commit(Lost.ANSWER, COMMIT_WITHIN_SECONDS)


@_fault
async def commit_lost(scene: Scene) -> bool:
    return await scene.system.proxy.cut_next_commit(Lost.QUESTION, COMMIT_WITHIN_SECONDS)


@_fault
async def disk_full(scene: Scene) -> bool:
    """Servers end or refuse; an operator makes room and starts what needs it."""
    disk = scene.system.disk
    assert disk is not None
    await asyncio.to_thread(disk.fill)
    await scene.pause((0.2, 1.0))
    await asyncio.to_thread(disk.free)
    await asyncio.to_thread(scene.system.nats.stop)  # it gives up JetStream on a full disk
    return True


# --- bus ------------------------------------------------------------------------------


@_fault
async def nats_crash(scene: Scene) -> bool:
    await asyncio.to_thread(scene.system.nats.kill)
    await scene.pause(AWAY_SECONDS)
    return True


@_fault
async def nats_restart(scene: Scene) -> bool:
    await asyncio.to_thread(scene.system.nats.stop)
    await scene.pause(AWAY_SECONDS)
    return True


@_fault
async def nats_loses_its_tail(scene: Scene) -> bool:
    """What it confirmed last is gone, as from a server that does not sync its writes."""
    copy = await asyncio.to_thread(scene.system.copy_nats_store)
    await scene.pause(AWAY_SECONDS)
    await asyncio.to_thread(scene.system.nats.kill)
    await asyncio.to_thread(scene.system.put_nats_store_back, copy)
    return True


@_fault
async def deliveries_twice_and_in_disorder(scene: Scene) -> bool:
    """Commands that are on their way or long decided arrive again, in any order."""
    commands = list(scene.books.commands.values())
    chosen = scene.random.sample(commands, min(40, len(commands)))
    try:
        async with await LedgerClient.connect(scene.system.nats.url, source="echo") as echo:
            sent = [await echo.send_envelope(command.envelope()) for command in chosen]
            async with asyncio.timeout(COMMIT_WITHIN_SECONDS):
                await asyncio.gather(*(one.received() for one in sent))
    except (LedgerUnavailable, TimeoutError):
        return False  # another fault took the bus away
    return True


# --- senders --------------------------------------------------------------------------


@_fault
async def clock_jumps(scene: Scene) -> bool:
    """A sender's clock is off, for a while, by hours in either direction."""
    account = scene.random.choice(scene.accounts)
    account.clock = timedelta(seconds=scene.random.uniform(-40_000, 40_000))
    await scene.pause((0.2, 1.0))
    account.clock = timedelta()
    return True
