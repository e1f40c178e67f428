"""The screen of `ledgerctl top`, drawn by Textual. What it shows is escaped here: text of others is
text, and no markup."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Static

from ledger.cli import live_view
from ledger.cli.live_view import Look, Rates
from ledger.kernel.text import visible


class LiveScreen(App[None]):
    """Looks again and again, and shows what it found."""

    TITLE = "ledgerctl top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "end"),
        Binding("p", "pause", "pause"),
        Binding("r", "again", "look again"),
    ]
    CSS = """
    #verdict { height: 1; text-style: bold; }
    #verdict.well { background: $success; color: $text; }
    #verdict.unwell { background: $error; color: $text; }
    #numbers { height: auto; padding: 0 1; }
    #follows { height: 1fr; }
    #alerts { height: auto; max-height: 8; border-top: solid $primary; }
    """

    def __init__(self, look: Callable[[], Look], *, seconds: float) -> None:
        super().__init__()
        self._look = look
        self._seconds = seconds
        self._last: Look | None = None
        self._paused = False

    def compose(self) -> ComposeResult:
        yield Static("looking …", id="verdict")
        yield Static("", id="numbers")
        yield _table("follows", live_view.FOLLOWS)
        yield _table("alerts", live_view.ALERTS)
        yield Footer()

    def on_mount(self) -> None:
        self.action_again()
        self.set_interval(self._seconds, self._due)

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.sub_title = "paused" if self._paused else ""

    @work(thread=True, exclusive=True)
    def action_again(self) -> None:
        """One look at a time, beside the screen, which never waits for a server."""
        found = self._look()
        self.call_from_thread(self._show, found)

    def _due(self) -> None:
        if not self._paused:
            self.action_again()

    def _show(self, found: Look) -> None:
        rates = Rates(self._last, found)
        self._last = found
        text, well = live_view.verdict(found)
        verdict = self.query_one("#verdict", Static)
        verdict.update(_plain(text))
        verdict.set_class(well, "well")
        verdict.set_class(not well, "unwell")
        lines = (f"{name:<10} {said}" for name, said in live_view.numbers(found, rates))
        self.query_one("#numbers", Static).update(Text("\n".join(map(visible, lines))))
        self._fill("follows", live_view.follows(found, rates), numbers=live_view.NUMBERS)
        self._fill("alerts", live_view.alerts(found))

    def _fill(self, name: str, rows: Sequence[Sequence[str]], *, numbers: range = range(0)) -> None:
        """New rows in the place of the old ones, where the eye is."""
        table = self.query_one(f"#{name}", DataTable)
        cursor, scrolled = table.cursor_coordinate, table.scroll_offset
        table.clear()
        for row in rows:
            cells = (
                Text(visible(text), justify="right" if place in numbers else "left")
                for place, text in enumerate(row)
            )
            table.add_row(*cells)
        if table.row_count:
            table.move_cursor(row=min(cursor.row, table.row_count - 1), animate=False)
        table.scroll_to(scrolled.x, scrolled.y, animate=False)


def _table(name: str, columns: Sequence[str]) -> DataTable[Text]:
    table: DataTable[Text] = DataTable(id=name, cursor_type="row", zebra_stripes=False)
    table.add_columns(*columns)
    return table


def _plain(text: str) -> Text:
    return Text(visible(text))
