"""How far the demo is, for a person at a terminal; nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ledger.operate import terminal


class StepProgress:
    """Told what is being done; shows it. Made by `progress`."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, detail="")

    def step(self, doing: str) -> None:
        """Something else begins, of unknown length."""
        self._bar.reset(self._task, total=None, description=doing, detail="")

    def hide(self) -> None:
        """There is something to read; nothing moves meanwhile."""
        self._bar.stop()

    def traded(self, planned: int, orders: int, commands: int, events: int) -> None:
        """The services are at work."""
        self._bar.update(
            self._task,
            description="trading",
            total=planned,
            completed=min(orders, planned),
            detail=f"{orders:,} orders, {commands:,} commands, {events:,} events",
        )


@contextmanager
def progress() -> Iterator[StepProgress]:
    """Shows progress on stderr while in the block, if that is a terminal."""
    console = terminal.progress_console()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[detail]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield StepProgress(bar)
