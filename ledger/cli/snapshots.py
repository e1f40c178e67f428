"""ledgerctl snapshots: what accounts are worth, taken down now."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.kernel.command import Outcome
    from ledger.operate.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What accounts are worth, taken down now.")


def register(parent: typer.Typer) -> None:
    """Adds the commands of this file."""
    parent.add_typer(app, name="snapshots")


@app.callback()
def snapshots() -> None:
    """What accounts are worth, taken down now."""


@app.command()
def take(
    account: Annotated[
        UUID | None, typer.Option("--account", help="Of this account; else of all but backtests.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take a snapshot by hand, as the clock does by itself. Exit 1 if it was not taken."""
    from ledger.clock import scheduler
    from ledger.operate.database import connect
    from ledger.operate.logging import configure
    from ledger.operate.roles import AUDITOR
    from ledger.operate.servers import database
    from ledger.operate.settings import load

    settings = load()
    configure("snapshots", "WARNING")
    with database(settings, role=AUDITOR) as url, connect(url, "snapshots take") as connection:
        time = scheduler.now(connection)
    outcome = asyncio.run(_take(settings, time, account))
    if json:
        terminal.say_json(outcome)
    elif outcome.accepted:
        terminal.say(f"taken as of {time:%Y-%m-%d %H:%M:%S}, at position {outcome.position}")
    else:
        terminal.say(f"not taken: {outcome.code}: {outcome.message}", error=True)
    raise typer.Exit(0 if outcome.accepted else 1)


async def _take(settings: "Settings", time: datetime, account: UUID | None) -> "Outcome":
    from ledger.bus.security import BusSecurity
    from ledger.client.client import LedgerClient
    from ledger.nouns.clock.commands import TakeSnapshots
    from ledger.nouns.clock.events import SnapshotKind
    from ledger.operate.servers import find_nats

    client = await LedgerClient.connect(
        find_nats(settings), source="ledgerctl", security=BusSecurity.of(settings)
    )
    async with client:
        return await client.submit(
            TakeSnapshots(time=time, kind=SnapshotKind.MANUAL, account_id=account)
        )
