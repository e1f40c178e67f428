"""The demo's report: one object for scripts, a page for people."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from ledger.demo import profit, tear_sheets, wild
from ledger.demo.proofs import Proof, added
from ledger.demo.read_models import figures
from ledger.demo.sender import Tally
from ledger.kernel.money import shown as written
from ledger.kernel.time import time_text
from ledger.operate import terminal
from ledger.operate.terminal import Mark

WIDTH = 96
"""Columns of the report's text."""

_GLUE = "\N{NO-BREAK SPACE}"

_WORK = """
    SELECT extract(epoch FROM max(decided_at) - min(decided_at))::float8 AS seconds,
           (SELECT count(*) FROM event_store WHERE metadata->>'source' = ANY(%(sources)s)) AS events
    FROM command_inbox WHERE source = ANY(%(sources)s)"""

_OURS = """SELECT subject::uuid FROM command_inbox WHERE source = ANY(%(sources)s)
           AND command_type = 'OpenAccount' AND status = 'ACCEPTED'"""

_SITUATIONS = """
    WITH events AS MATERIALIZED (
        SELECT event_type, stream_id, event_data->>'status' AS status,
               (event_data->>'late')::boolean AS late, metadata->>'source' AS source,
               (event_data->>'overfill_qty')::numeric AS overfill
        FROM event_store
        WHERE metadata->>'source' = ANY(%(sources)s) AND stream_type = 'order')
    SELECT count(*) FILTER (WHERE event_type = 'order.filled' AND status = 'PARTIALLY_FILLED')
               AS "partial fills",
           count(*) FILTER (WHERE event_type = 'order.filled' AND late) AS "late fills",
           (SELECT count(*) FROM command_inbox WHERE source = ANY(%(sources)s)
              AND command_type = 'RecordFill' AND status = 'ACCEPTED'
              AND outcome->'events' = '[]') AS "duplicate fills",
           count(*) FILTER (WHERE event_type = 'order.fill_conflicted') AS "contradicted fills",
           count(*) FILTER (WHERE event_type = 'order.fill_voided') AS "voided fills",
           count(*) FILTER (WHERE event_type = 'order.filled' AND overfill > 0) AS "overfills",
           count(*) FILTER (WHERE event_type = 'order.cancel_requested') AS "cancel requests",
           count(*) FILTER (WHERE event_type = 'order.cancel_rejected') AS "refused cancels",
           count(*) FILTER (WHERE event_type = 'order.cancelled' AND NOT EXISTS (
               SELECT FROM events AS asked WHERE asked.stream_id = events.stream_id
               AND asked.event_type = 'order.cancel_requested')) AS "unrequested cancels",
           count(*) FILTER (WHERE event_type = 'order.replaced') AS "replaces",
           count(*) FILTER (WHERE event_type = 'order.replace_rejected') AS "refused replaces",
           count(*) FILTER (WHERE event_type = 'order.expired') AS "expiries",
           count(*) FILTER (WHERE event_type = 'order.rejected') AS "rejections by the venue",
           count(*) FILTER (WHERE event_type = 'order.denied') AS "orders denied by the ledger"
    FROM events"""


def gather(
    connection: psycopg.Connection[Any],
    tallies: Sequence[Tally],
    proofs: Sequence[Proof],
    started: datetime,
    seconds: float,
) -> dict[str, Any]:
    """Everything the report says, ready for JSON."""
    given = {"sources": [tally.source for tally in tallies]}
    with connection.cursor(row_factory=dict_row) as cursor:
        work = cursor.execute(_WORK, given).fetchone() or {}
        situations = cursor.execute(_SITUATIONS, given).fetchone()
    ours = [row[0] for row in connection.execute(_OURS, given).fetchall()]
    shown = figures(connection, ours)
    lines = profit.profits(connection, ours)
    proofs = [
        *proofs,
        profit.prove(connection, ours, lines),
        profit.prove_snapshots(connection, ours, lines),
    ]
    messages = sum(tally.messages for tally in tallies)
    return {
        "holds": all(proof.holds for proof in proofs),
        "started_at": time_text(started),
        "seconds": round(seconds, 1),
        "commands": {
            "messages": messages,
            "commands": sum(tally.commands for tally in tallies),
            "resent": sum(len(tally.resent) for tally in tallies),
            "by_status": _counts(tally.by_status for tally in tallies),
            "by_code": _counts(tally.by_code for tally in tallies),
            "by_type": _counts(tally.by_type for tally in tallies),
            "per_second": _rate(messages, work["seconds"]),
        },
        "events": {"events": work["events"], "per_second": _rate(work["events"], work["seconds"])},
        "orders": shown.orders,
        "situations": situations,
        "balances": shown.balances,
        "profit": [line.as_json() for line in lines],
        "double_entry": shown.double_entry,
        "tear_sheets": tear_sheets.tear_sheets(connection, ours),
        "proofs": [proof._asdict() | {"holds": proof.holds} for proof in proofs],
    }


def _counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(added(counts).most_common())


def _rate(number: int, seconds: float | None) -> int:
    return round(number / seconds) if seconds else 0


def show(report: dict[str, Any]) -> None:
    """The report as a page."""
    commands, events = report["commands"], report["events"]
    lines = [
        "",
        f"{commands['messages']:,} messages with {commands['commands']:,} commands, "
        f"{commands['resent']:,} of them sent twice: {commands['per_second']:,} per second",
        f"{events['events']:,} events: {events['per_second']:,} per second",
        *_listed("outcomes", commands["by_status"]),
        *_listed("refused", commands["by_code"]),
        *_listed("orders", report["orders"]),
        *_listed("on the way", report["situations"]),
        "",
    ]
    for line in lines:
        terminal.say(line)
    _say_balances(report["balances"])
    terminal.say()
    _say_profit(report["profit"])
    for line in ("", *_double_entry(report["double_entry"]), ""):
        terminal.say(line)
    tear_sheets.show(report["tear_sheets"])
    terminal.say()
    wild.show(report["wild"])
    terminal.say()
    for proof in report["proofs"]:
        terminal.say(*_proved(proof))
    terminal.say()
    if report["holds"]:
        terminal.say(f"All of it holds. {report['seconds']} s in all.")
    else:
        terminal.say(Mark("NOT all of it holds: see the lines with ✗.", "red"))


def _listed(name: str, counts: dict[str, int]) -> list[str]:
    unbroken = (f"{number:,} {what}".replace(" ", _GLUE) for what, number in counts.items())
    text = f"{name}: {', '.join(unbroken)}"
    return [
        line.replace(_GLUE, " ") for line in textwrap.wrap(text, WIDTH, subsequent_indent="    ")
    ]


def _say_balances(rows: list[dict[str, str]]) -> None:
    names = ("account", "sub_account", "asset", "total", "available", "locked")
    amounts = names[3:]
    cells = (
        [written(Decimal(row[name])) if name in amounts else row[name] for name in names]
        for row in rows
    )
    terminal.say_table(names, cells, right=amounts)


def _say_profit(rows: list[dict[str, str]]) -> None:
    """In whole cents: what it is to the last unit is proven below, and in the JSON."""
    names = ("strategy", "instrument", "held", "realised", "unrealised", "flows", "net")
    money = names[3:]
    terminal.say_table(names, (_profit_cells(row, money) for row in rows), right=names[2:])


def _profit_cells(row: dict[str, str], money: Sequence[str]) -> list[str]:
    whole = row["strategy"] == profit.TOTAL
    who = f"{row['account']} in all" if whole else f"{row['account']}/{row['strategy']}"
    _, _, symbol = row["instrument"].partition(":")
    held = "" if whole else written(Decimal(row["held"]))
    return [who, symbol, held, *(f"{Decimal(row[name]):z,.2f}" for name in money)]


def _double_entry(rows: list[dict[str, str]]) -> list[str]:
    return [
        f"{row['asset']}: debits {written(Decimal(row['debits']))} = "
        f"credits {written(Decimal(row['credits']))}"
        if Decimal(row["debits"]) == Decimal(row["credits"])
        else f"{row['asset']}: debits {row['debits']} ≠ credits {row['credits']}"
        for row in rows
    ]


def _proved(proof: dict[str, Any]) -> tuple[Mark, str]:
    mark = Mark("✓", "green") if proof["holds"] else Mark("✗", "red")
    faults = "" if proof["holds"] else f": {proof['faults']:,} faults"
    return mark, f" {proof['claim']} ({proof['number']:,} {proof['of']}){faults}"
