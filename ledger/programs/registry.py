"""The programs that `ledgerctl serve` runs, and what each registers.

    name     of `ledgerctl serve NAME`, its log lines and its database login
    summary  what it does, in a line for operators
    role     as which it works in the database, and nothing more (`ledger/operate/roles.py`); None
             for one that needs no database
    bus      whether it cannot work without NATS
    ready    whether it does its work, asked of the program itself and not of its process
    run      does the work until it is asked to stop
    wanted   whether these settings give it something to do: else `up` does without it
    outside  whether its work hangs on a world outside, so that nobody waits for it to be ready
    port     where it tells how it is (`ledger/operate/http.py`), from FIRST_PORT on

A program is one file with a `PROGRAM = Program(…)`, and one line in the entry points
"ledger.programs", where other packages add theirs. `serve`, `up`, the demo, readiness, logins and
doctor know programs from here only; docker-compose.yml and the operators' page are held to it.

How one is run is told in `process.py`. Whoever connects, does it by `ledger.operate.database` and
by `ledger.bus.connection` with `Places.security`: there is no other way.
"""

from __future__ import annotations

import functools
import importlib.metadata
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.kernel.errors import LedgerError

if TYPE_CHECKING:
    from ledger.bus.security import BusSecurity
    from ledger.operate.settings import Settings

ENTRY_POINTS = "ledger.programs"
FIRST_PORT = 9464
"""Prometheus' usual port for exporters of applications."""
ALL = "all"
"""In place of a name: every one of them."""


class UnknownProgram(LedgerError, LookupError):
    """There is no program of that name."""


@dataclass(frozen=True)
class Places:
    """Where a program finds what it works on: looked for when it is asked for, so that nobody needs
    a server that he does not use. The URLs raise NotRunning."""

    settings: Settings
    found_database: str | None = None
    """The database's URL where it is known already, with the rights that are due there."""

    @property
    def database_url(self) -> str:
        from ledger.operate.servers import find_database

        return self.found_database or find_database(self.settings)

    @property
    def nats_url(self) -> str:
        from ledger.operate.servers import find_nats

        return find_nats(self.settings)

    @property
    def security(self) -> BusSecurity:
        from ledger.bus.security import BusSecurity

        return BusSecurity.of(self.settings)


@dataclass(frozen=True)
class Program:
    """See the module's text."""

    name: str
    summary: str
    ready: Callable[[Places], bool]
    run: Callable[[Places, threading.Event], None]
    role: str | None = None
    bus: bool = True
    wanted: Callable[[Settings], bool] = lambda _: True
    outside: bool = False
    port: int | None = None


@functools.cache
def names() -> tuple[str, ...]:
    """Of all programs, in the order of starting. None is loaded for it."""
    return tuple(sorted(importlib.metadata.entry_points(group=ENTRY_POINTS).names))


def wanted(settings: Settings) -> tuple[str, ...]:
    """Of those that have something to do."""
    return tuple(name for name in names() if find(name).wanted(settings))


@functools.cache
def find(name: str) -> Program:
    """Raises UnknownProgram."""
    if name not in names():
        raise UnknownProgram(f"there is no program {name!r}; there are: {', '.join(names())}")
    (entry_point,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    program: Program = entry_point.load()
    assert program.name == name, f"the entry point {name} is the program {program.name}"
    return program
