"""The tear sheets of the demo's accounts: a page each, which stays when all else is removed."""

import tempfile
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from ledger.kernel import read_side
from ledger.kernel.errors import LedgerError
from ledger.kernel.money import plain, shown
from ledger.operate import terminal

SHOWN = (
    *("time_weighted_return", "total_pnl", "max_drawdown_percent", "sharpe_ratio"),
    *("win_rate", "total_trades"),
)
"""Of all figures, what the report says."""
SHARES = ("time_weighted_return", "max_drawdown_percent", "win_rate")
PLACES = 6
"""Digits behind the point; the pages and the queries have all."""


def tear_sheets(
    connection: psycopg.Connection[Any], account_ids: Iterable[UUID]
) -> list[dict[str, Any]]:
    """The pages are in a directory of their own; what they say at first, and where they are."""
    directory: Path | None = None
    told: list[dict[str, Any]] = []
    with connection.transaction():
        for account_id in account_ids:
            try:
                sheet = read_side.report("performance")(connection, account_id)
            except LedgerError:
                continue  # a run of a moment has seen no snapshot
            directory = directory or Path(tempfile.mkdtemp(prefix="ledger-tear-sheets-"))
            page = directory / f"{sheet.account.account_name}.html"
            page.write_text(sheet.html(), encoding="utf-8")
            told.append(
                {
                    "account": sheet.account.account_name,
                    "days": len(sheet.days),
                    "path": str(page),
                    "figures": {
                        one.name: None if one.value is None else plain(round(one.value, PLACES))
                        for one in sheet.figures(*SHOWN)
                    },
                }
            )
    return told


def _said(name: str, value: str | None) -> str:
    if value is None:
        return "–"
    if name in SHARES:
        return f"{Decimal(value) * 100:.3f} %"
    return shown(round(Decimal(value), 2))


def show(told: list[dict[str, Any]]) -> None:
    """A line for each account, and where its page is."""
    if not told:
        return
    names = ("account", "days", *SHOWN)
    rows = (
        [one["account"], str(one["days"]), *(_said(name, one["figures"][name]) for name in SHOWN)]
        for one in told
    )
    terminal.say_table(names, rows, right=names[1:])
    terminal.say(f"Tear sheets: {', '.join(one['path'] for one in told)}")
