"""The trading ledger: commands in, versioned events out. What a service imports is here.

    from ledger import Deposit, LedgerClient, LedgerError

Each name is loaded when it is asked for, so that `import ledger` costs nothing and the client needs
no package of the servers. Command models come by the nouns' registrations, whatever nouns there
are. `ledger.sync` has a client for code without an event loop.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.bus.envelope import CommandNotSendable as CommandNotSendable
    from ledger.bus.events import LedgerEvent as LedgerEvent
    from ledger.bus.events import UnknownEvent as UnknownEvent
    from ledger.bus.events import UnreadableEvent as UnreadableEvent
    from ledger.bus.permission_errors import NotPermitted as NotPermitted
    from ledger.bus.queries import QueryRefused as QueryRefused
    from ledger.bus.security import BusSecurity as BusSecurity
    from ledger.bus.security import UnusableCredentials as UnusableCredentials
    from ledger.client.client import LedgerClient as LedgerClient
    from ledger.client.event_feed import EventsMissing as EventsMissing
    from ledger.client.event_feed import LogRestored as LogRestored
    from ledger.client.event_feed import PositionAhead as PositionAhead
    from ledger.client.follower_keeper import EventsTaken as EventsTaken
    from ledger.client.submission import LedgerUnavailable as LedgerUnavailable
    from ledger.client.submission import OutcomeTimeout as OutcomeTimeout
    from ledger.client.submission import Sent as Sent
    from ledger.kernel.command import CommandRejected as CommandRejected
    from ledger.kernel.command import CommandUndecided as CommandUndecided
    from ledger.kernel.command import Outcome as Outcome
    from ledger.kernel.errors import LedgerError as LedgerError
    from ledger.nouns.accounts.commands import *  # noqa: F403 - their command models
    from ledger.nouns.alerts.commands import *  # noqa: F403
    from ledger.nouns.allocations.commands import *  # noqa: F403
    from ledger.nouns.breakers.commands import *  # noqa: F403
    from ledger.nouns.clock.commands import *  # noqa: F403
    from ledger.nouns.equity.commands import *  # noqa: F403
    from ledger.nouns.heartbeats.commands import *  # noqa: F403
    from ledger.nouns.instruments.commands import *  # noqa: F403
    from ledger.nouns.limits.commands import *  # noqa: F403
    from ledger.nouns.orders.commands import *  # noqa: F403
    from ledger.nouns.positions.commands import *  # noqa: F403
    from ledger.nouns.prices.commands import *  # noqa: F403
    from ledger.nouns.risk.commands import *  # noqa: F403

HOMES = {
    "BusSecurity": "ledger.bus.security",
    "CommandNotSendable": "ledger.bus.envelope",
    "CommandRejected": "ledger.kernel.command",
    "CommandUndecided": "ledger.kernel.command",
    "EventsMissing": "ledger.client.event_feed",
    "EventsTaken": "ledger.client.follower_keeper",
    "LedgerClient": "ledger.client.client",
    "LedgerError": "ledger.kernel.errors",
    "LedgerEvent": "ledger.bus.events",
    "LedgerUnavailable": "ledger.client.submission",
    "LogRestored": "ledger.client.event_feed",
    "NotPermitted": "ledger.bus.permission_errors",
    "Outcome": "ledger.kernel.command",
    "OutcomeTimeout": "ledger.client.submission",
    "PositionAhead": "ledger.client.event_feed",
    "QueryRefused": "ledger.bus.queries",
    "Sent": "ledger.client.submission",
    "UnknownEvent": "ledger.bus.events",
    "UnreadableEvent": "ledger.bus.events",
    "UnusableCredentials": "ledger.bus.security",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    if name[:1].isupper():
        from ledger.nouns import COMMAND_DATA

        if name in COMMAND_DATA:
            return COMMAND_DATA[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from ledger.nouns import COMMAND_DATA

    return sorted({*globals(), *HOMES, *COMMAND_DATA})
