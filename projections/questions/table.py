"""Rows for people: a table that fits the terminal, or every column in a pipe.

In a terminal the last columns are left out until the table fits, and it is said so: an id or an
amount is never cut. In a pipe, where the next program wants lines, a line is a row and nothing is
left out.
"""

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from ledger.kernel.text import plain

GAP = "  "


def print_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, wide: bool) -> None:
    """Prints the columns of the rows, under their names."""
    lines = [list(columns), *([_text(row[name]) for name in columns] for row in rows)]
    if len(lines) == 1:
        typer.echo("no rows")
        return
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    number = len(columns)
    if sys.stdout.isatty() and not wide:
        number = fitting(widths, shutil.get_terminal_size().columns)
    for cells in lines:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        typer.echo(GAP.join(padded[:number]).rstrip())
    if number < len(columns):
        left_out = ", ".join(columns[number:])
        typer.echo(f"(without {left_out}: --wide, or --columns)", err=True)


def fitting(widths: Sequence[int], width: int) -> int:
    """How many of the first columns fit; one at least."""
    number, used = 1, widths[0]
    for one in widths[1:]:
        used += len(GAP) + one
        if used > width:
            break
        number += 1
    return number


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(plain(value))
