"""What ledgerctl says to people and scripts: nothing else writes to stdout and stderr.

Whatever is said may hold text of others, so it is escaped here and not by who says it (text.py):
a line stays a line, a cell stays in its row, and nothing commands the terminal.

    say          a line, parts of it in colour
    say_json     a value; say_written, where it is JSON already
    say_table    rows; on a terminal within its width
    say_tree     what hangs on what
    say_page     lines and tables; `watched` shows them again and again
    say_quoted   a text of several lines, a traceback: each behind a bar
"""

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, TextIO

from ledger.kernel.text import json_of, json_text, visible
from ledger.operate import table

if TYPE_CHECKING:
    from rich.console import Console

NARROWEST = 40
"""A terminal that says it has less does not know its width."""


class Mark(NamedTuple):
    """A part of a line in a colour of its own, where there are colours."""

    text: str
    colour: str


class Branch(NamedTuple):
    """A line of a tree, and what hangs on it."""

    text: str
    branches: "list[Branch]"


_COLOURS = {"red": 31, "green": 32, "yellow": 33}


def say(*parts: str | Mark, error: bool = False) -> None:
    """Says one line; an `error` on stderr."""
    stream = sys.stderr if error else sys.stdout
    coloured = is_terminal(stream) and not os.environ.get("NO_COLOR")
    _write(stream, "".join(_part(part, coloured) for part in parts) + "\n")


def say_json(value: object, *, pretty: bool = False) -> None:
    """Says a value as JSON, on one line unless it shall be pretty."""
    _write(sys.stdout, json_of(value, pretty=pretty).decode() + "\n")


def say_written(json: bytes, *, flush: bool = True) -> None:
    """Says JSON that is written already, with its line breaks."""
    _write(sys.stdout, json_text(json).decode(), flush=flush)


class Page:
    """Lines and tables that are said at once, or shown again and again (`watched`)."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        """Laid out, and escaped."""

    def say(self, text: str = "") -> None:
        self.lines.append(visible(text))

    def say_table(
        self,
        names: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Collection[str] = (),
        columns: str | None = None,
        wide: bool = False,
    ) -> None:
        """As `say_table` below."""
        width = width_of(sys.stdout)
        self.lines += table.lines(names, rows, width=width, right=right, columns=columns, wide=wide)


def say_page(page: Page) -> None:
    _write(sys.stdout, "".join(f"{line}\n" for line in page.lines))


@contextmanager
def watched() -> Iterator[Callable[[Page], None]]:
    """What shows one page in the place of the last."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda page: live.update(Text("\n".join(page.lines)), refresh=True)


def say_table(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Collection[str] = (),
    columns: str | None = None,
    wide: bool = False,
) -> None:
    """Says rows, one to a line, with the columns that a person asked for (table.py)."""
    width = width_of(sys.stdout)
    for line in table.lines(names, rows, width=width, right=right, columns=columns, wide=wide):
        _write(sys.stdout, line + "\n")  # laid out, and escaped


def say_tree(root: Branch) -> None:
    """Says a line for each branch, behind its place in the tree."""
    for line in _tree_lines(root):
        _write(sys.stdout, line + "\n")


def say_quoted(text: str, *, error: bool = False) -> None:
    """Says a text of several lines so that none of them looks like one of ours."""
    for line in text.rstrip().split("\n"):
        say(f"  | {line}", error=error)


def output() -> BinaryIO:
    """stdout for rows in a format of their own, which has escaped them (cli/output.py)."""
    sys.stdout.flush()
    return sys.stdout.buffer


def is_terminal(stream: "IO[Any] | None") -> bool:
    """Whether a person sees what is written there."""
    return stream is not None and stream.isatty()


def width_of(stream: "IO[Any]") -> int | None:
    """The columns of the terminal; None where there is none, and lines may have any length."""
    if not is_terminal(stream):
        return None
    columns = shutil.get_terminal_size().columns
    return columns if columns >= NARROWEST else None


def progress_console() -> "Console":
    """Where a bar shows how far something is: on stderr, for people. It is given names and numbers
    of ours only."""
    from rich.console import Console

    return Console(stderr=True)


def _part(part: str | Mark, coloured: bool) -> str:
    if isinstance(part, str):
        return visible(part)
    shown = visible(part.text)
    return f"\x1b[{_COLOURS[part.colour]}m{shown}\x1b[0m" if coloured else shown


def _write(stream: TextIO, text: str, *, flush: bool = True) -> None:
    stream.write(text)
    if flush:  # what is said now must not come after what others write
        stream.flush()


def _tree_lines(root: Branch) -> Iterator[str]:
    yield visible(root.text)
    pending: list[tuple[str, Iterator[tuple[bool, Branch]]]] = [("", _each(root))]
    while pending:
        before, following = pending[-1]
        for is_last, branch in following:
            yield f"{before}{'└── ' if is_last else '├── '}{visible(branch.text)}"
            pending.append((before + ("    " if is_last else "│   "), _each(branch)))
            break
        else:
            pending.pop()


def _each(branch: Branch) -> Iterator[tuple[bool, Branch]]:
    last = len(branch.branches) - 1
    return ((place == last, one) for place, one in enumerate(branch.branches))
