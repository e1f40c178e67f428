"""A statement as a page of HTML that needs nothing else: for mail, print and archive."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg

from ledger.audit.ask.statement import Entry, Statement
from ledger.kernel.money import ZERO, exact, shown
from ledger.kernel.text import html

_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #222;
       padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; }
td.amount, th.amount { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.id { font-size: .75rem; color: #666; word-break: break-all; }
.less { color: #a00; } footer { margin-top: 2rem; color: #666; }
@media print { body { margin: 0; max-width: none; } thead { display: table-header-group; } }
"""


def page(connection: psycopg.Connection[Any], statement: Statement) -> Iterator[str]:
    """The page, piece by piece: a period may have more movements than memory."""
    account = html(str(statement.account_id))
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Statement of account {account}</title><style>{_STYLE}</style></head>\n<body>"
        f"<h1>Statement of account {account}</h1>\n"
        f"<p>Recorded from {_time(statement.begin)} up to, without, {_time(statement.end)}; "
        f"positions {statement.after + 1} to {statement.up_to} of the ledger.</p>\n"
    )
    yield from _summary(statement)
    yield (
        "<h2>Movements</h2>\n<table><thead><tr><th>recorded</th><th>happened</th>"
        "<th>sub-account</th><th>reason</th><th class=amount>amount</th><th>asset</th>"
        "<th class=amount>balance</th><th>order, trade, reference, sender</th>"
        "<th>position</th></tr></thead><tbody>\n"
    )
    for entry in statement.movements(connection):
        yield _movement(entry)
    yield "</tbody></table>\n<footer>"
    yield (
        "Opening balances and movements add up to the closing balances, to the last unit."
        if statement.equal
        else "<strong>The movements do NOT add up to the closing balances.</strong>"
    )
    yield "</footer></body></html>\n"


def _summary(statement: Statement) -> Iterator[str]:
    yield (
        "<h2>Balances</h2>\n<table><thead><tr><th>sub-account</th><th>asset</th>"
        "<th class=amount>opening</th><th class=amount>change</th><th class=amount>closing</th>"
        "</tr></thead><tbody>\n"
    )
    for sub_account, asset in statement.books:
        opening = statement.opening.get((sub_account, asset), ZERO)
        closing = statement.closing[sub_account, asset]
        with exact():
            change = closing - opening
        yield (
            f"<tr><td>{html(sub_account)}</td><td>{html(asset)}</td>"
            f"<td class=amount>{shown(opening)}</td><td class=amount>{shown(change)}</td>"
            f"<td class=amount>{shown(closing)}</td></tr>\n"
        )
    yield "</tbody></table>\n"


def _movement(entry: Entry) -> str:
    assert entry.amount is not None
    less = " less" if entry.amount < 0 else ""
    named = {
        "order": entry.order_id,
        "trade": entry.trade_id,
        "reference": entry.reference,
        "sent by": entry.sender,
    }
    behind = "<br>".join(
        f"{name} <bdi>{html(str(value))}</bdi>"
        for name, value in named.items()
        if value is not None
    )
    happened = "" if entry.occurred_at is None else _time(entry.occurred_at)
    return (
        f"<tr><td>{_time(entry.recorded_at)}</td><td>{happened}</td>"
        f"<td>{html(entry.sub_account)}</td><td>{html(entry.reason or '')}</td>"
        f'<td class="amount{less}">{shown(entry.amount)}</td><td>{html(entry.asset)}</td>'
        f"<td class=amount>{shown(entry.balance)}</td><td class=id>{behind}</td>"
        f"<td>{entry.position}</td></tr>\n"
    )


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
