"""ledgerctl audit witness: keep the heads of the seals elsewhere, and sound an alarm."""

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.operate import terminal

if TYPE_CHECKING:
    from ledger.audit.prove.seals import Seal
    from ledger.audit.witness.stream_target import StreamTarget
    from ledger.audit.witness.targets import DirectoryTarget, GitTarget


class Source(StrEnum):
    """Where a witness hears of heads."""

    BUS = "bus"
    DATABASE = "database"


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(witness)


def witness(
    target: Annotated[
        str, typer.Argument(help="DIRECTORY, git:DIRECTORY, or the nats:// URL of another server.")
    ],
    source: Annotated[
        Source, typer.Option("--source", help="Where to hear of heads.")
    ] = Source.BUS,
    once: Annotated[bool, typer.Option("--once", help="Keep what there is now, then end.")] = False,
    print_heads: Annotated[
        bool, typer.Option("--print", help="Keep nothing: print what is kept, one head a line.")
    ] = False,
    seed: Annotated[
        Path | None, typer.Option("--target-seed", help="nkey seed for the nats:// target.")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option("--target-ca", help="Authorities of the nats:// target's TLS.")
    ] = None,
) -> None:
    """Keep each head of the seals elsewhere, and see that it goes on from those before it. Exit 1
    as soon as one does not: history was made anew, or cut off."""
    from ledger.audit.witness import watch
    from ledger.audit.witness.sources import from_bus, from_database
    from ledger.operate.logging import configure
    from ledger.operate.servers import find_database, find_nats
    from ledger.operate.settings import load

    settings = load()
    configure("witness", settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _opened(target, seed, authority) as keeper:
        if print_heads:
            _print(keeper.heads())
            return
        if source is Source.BUS:
            seen = from_bus(find_nats(settings), settings, keeper.newest(), stop, once=once)
        else:
            url = find_database(settings)
            seen = from_database(url, settings, keeper.newest(), stop, once=once)
        whole = watch(seen, keeper, silence_seconds=settings.witness_silence_seconds, stop=stop)
        newest = keeper.newest()
    if newest is not None:
        terminal.say(
            f"kept up to seal {newest.seal.number}, position {newest.seal.last_position}, hash "
            f"{newest.seal.hash.hex()}"
        )
    if not whole:
        terminal.say(
            "ALARM: a head contradicts those that are kept; both are kept. Run: ledgerctl audit "
            "verify --witness DIRECTORY",
            error=True,
        )
        raise typer.Exit(1)


def _print(heads: "Iterator[Seal]") -> None:
    for head in heads:
        terminal.say_json(head.document())


def _opened(
    target: str, seed: Path | None, authority: Path | None
) -> "AbstractContextManager[DirectoryTarget | GitTarget | StreamTarget]":
    from ledger.audit.witness.stream_target import StreamTarget
    from ledger.audit.witness.targets import DirectoryTarget, GitTarget
    from ledger.bus.security import BusSecurity

    if target.startswith(("nats://", "tls://")):
        return StreamTarget(target, BusSecurity(nkey_seed_file=seed, tls_ca_file=authority))
    if seed is not None or authority is not None:
        raise typer.BadParameter("--target-seed and --target-ca are for a nats:// target")
    if target.startswith("git:"):
        return GitTarget(Path(target.removeprefix("git:")))
    return DirectoryTarget(Path(target))
