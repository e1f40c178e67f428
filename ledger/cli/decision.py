"""One command of a person at the terminal, and what became of it."""

from collections.abc import Mapping
from typing import Any

import typer

from ledger.operate import terminal

SOURCE = "ledgerctl"
"""The sending service."""


def decide(command: str, data: Mapping[str, Any]) -> bool:
    """Whether it has changed anything. Ends with exit 1, and what is in the way, where it was not
    accepted."""
    from ledger.bus.security import BusSecurity
    from ledger.operate.logging import configure
    from ledger.operate.servers import find_nats
    from ledger.operate.settings import load
    from ledger.sync import LedgerClient

    settings = load()
    configure("command", "WARNING")
    security = BusSecurity.of(settings)
    with LedgerClient.connect(find_nats(settings), source=SOURCE, security=security) as client:
        given = {name: value for name, value in data.items() if value is not None}
        outcome = client.submit(command, given)
    if not outcome.accepted:
        terminal.say(f"{outcome.code}: {outcome.message}", error=True)
        raise typer.Exit(1)
    return bool(outcome.events)
