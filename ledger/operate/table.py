"""Rows laid out as a table: one line each, as wide as the first rows need.

Where the table must fit a width (a terminal), columns stand in the order of their importance: each
is there whole if it still fits, and left out if not. Only free text, which nobody copies and which
carries on anyway, may be cut; an id, a time or a number never is. Elsewhere (a file, a pipe)
everything is there, and so it is for who asks for it (`Wide`) or names the columns (`Columns`): the
two options that every command with a table has.

Cells are escaped here (`cell`), so that a row is a line and a cell is a cell whatever it says.
"""

import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Annotated, NamedTuple

import typer

from ledger.kernel.text import visible

Wide = Annotated[bool, typer.Option("--wide", help="All columns, however wide the terminal is.")]
Columns = Annotated[
    str | None,
    typer.Option("--columns", help="These columns of the table, separated by commas, all whole."),
]

WIDTH_ROWS = 100
"""Rows that the widths of columns are taken from."""
GAP = 2
"""Spaces between two columns."""
LEAST_CUT = 16
"""Characters of a cut text that still say something."""
CUTTABLE = frozenset(
    {
        "event_data",
        "metadata",
        "message",
        "error",
        "skipped",
        "reference",
        "owner (lease renewed)",
        "query",
        "remedy",
    }
)
"""Columns of free text."""


_MORE_SPACES = re.compile("(?<= ) |^ ")


class _Column(NamedTuple):
    place: int
    width: int
    cut: bool = False


def lines(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    right: Collection[str] = (),
    columns: str | None = None,
    wide: bool = False,
) -> Iterator[str]:
    """The header and a line for each row, within the width if there is one; then which columns had
    no room. Columns named in `right` are numbers that stand below each other. `columns`, `wide`:
    as a person asked. Raises typer.BadParameter."""
    if columns is not None:
        asked = asked_for(columns, names)
        places = [names.index(name) for name in asked]
        names, rows = asked, ([row[place] for place in places] for row in rows)
    if wide or columns is not None:
        width = None
    escaped = ([cell(text) for text in row] for row in rows)
    first = list(islice(escaped, WIDTH_ROWS))
    heads = [cell(name) for name in names]
    widths = [max(map(columns_of, column)) for column in zip(heads, *first, strict=True)]
    chosen, left_out = _chosen(names, widths, width)
    justify = [_justified(name in right) for name in names]
    for row in chain([heads], first, escaped):
        shown = (
            justify[place](_cut(row[place], wide) if cut else row[place], wide)
            for place, wide, cut in chosen
        )
        yield (" " * GAP).join(shown).rstrip()
    if left_out and width is not None:
        yield from textwrap.wrap(f"({', '.join(left_out)}: no room here)", width)


def asked_for(columns: str, names: Sequence[str]) -> list[str]:
    """The columns that a person named. Raises typer.BadParameter."""
    by_word = {name.replace(" ", "_"): name for name in names}
    words = [word.strip().replace(" ", "_") for word in columns.split(",")]
    for word in words:
        if word not in by_word:
            raise typer.BadParameter(
                f"there is no column {word!r}; there are: {', '.join(by_word)}",
                param_hint="--columns",
            )
    return [by_word[word] for word in words]


def cell(text: str) -> str:
    """The text as a cell: escaped, and without the two spaces that part columns. `text.original`
    gives it back."""
    return _MORE_SPACES.sub(r"\\x20", visible(text))


def columns_of(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # half of the world's letters are two columns wide

    return cell_len(text)


def _chosen(
    names: Sequence[str], widths: Sequence[int], width: int | None
) -> tuple[list[_Column], list[str]]:
    if width is None:
        return [_Column(place, wide) for place, wide in enumerate(widths)], []
    chosen: list[_Column] = []
    left_out: list[str] = []
    room = width + GAP
    for place, (name, wide) in enumerate(zip(names, widths, strict=True)):
        if wide + GAP <= room or not chosen:
            chosen.append(_Column(place, wide))
        elif name in CUTTABLE and room >= LEAST_CUT + GAP:
            chosen.append(_Column(place, room - GAP, cut=True))
        else:
            left_out.append(name)
            continue
        room -= chosen[-1].width + GAP
    return chosen, left_out


def _cut(text: str, width: int) -> str:
    if columns_of(text) <= width:
        return text
    while columns_of(text) > width - 1:
        text = text[: min(len(text), width) - 1]
    return text + "…"


def _justified(to_the_right: bool) -> Callable[[str, int], str]:
    def justified(text: str, width: int) -> str:
        room = " " * (width - columns_of(text))
        return room + text if to_the_right else text + room

    return justified
