"""ledgerctl top: how the ledger is, live; nothing is changed by it."""

from typing import Annotated

import typer

from ledger.kernel.errors import LedgerError

LOOK_SECONDS = 2.0
"""Between two looks: as fast as a person reads. One look is one statement, and some requests."""


class TextualMissing(LedgerError):
    """The library that draws it is not installed."""


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(top)


def top(
    seconds: Annotated[
        float, typer.Option(min=0.5, help="Seconds between two looks.")
    ] = LOOK_SECONDS,
) -> None:
    """Programs, what follows the log, rates and alerts, again and again. q ends it, p pauses it."""
    from ledger.cli.live_view import Look
    from ledger.cli.status import examined
    from ledger.operate.doctor import at_work
    from ledger.operate.logging import configure
    from ledger.operate.settings import load
    from ledger.programs.registry import Places

    try:
        from ledger.cli.live_screen import LiveScreen
    except ImportError as error:
        raise TextualMissing(
            "ledgerctl top needs a package that is not installed. "
            "Run: pip install 'trading-ledger[top]' (or use ledgerctl status --watch)"
        ) from error
    settings = load()
    configure("top", "CRITICAL")  # a line of the log would stand in the middle of the screen

    def look() -> Look:
        return Look.of(examined(settings), at_work(Places(settings)))

    LiveScreen(look, seconds=seconds).run()
