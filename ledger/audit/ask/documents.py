"""Answers about the past as objects for JSON, the same at the terminal and by HTTP: every value in
its own type, which whoever writes it turns into text."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

if TYPE_CHECKING:
    from ledger.audit.ask.explain import Explanation, Line
    from ledger.audit.ask.explain_order import OrderExplanation
    from ledger.audit.ask.explain_position import PositionsExplanation
    from ledger.audit.ask.trace import Node
    from ledger.eventstore.reader import RecordedEvent

Document = dict[str, Any]


def event(found: "RecordedEvent") -> Document:
    """An event with the log's own column names; its payload and metadata as they are."""
    row: Document = {name: getattr(found, name) for name in found.__struct_fields__}
    row["event_data"] = orjson.Fragment(row.pop("data"))
    row["metadata"] = orjson.Fragment(row["metadata"])
    return row


def account_of(found: "RecordedEvent") -> UUID | None:
    """The account that an event is about (as `ledger.eventstore.reader.ACCOUNT` tells in SQL)."""
    if found.stream_type == "account":
        return found.stream_id
    named = orjson.loads(found.data).get("account_id")
    try:
        return UUID(named)
    except (TypeError, ValueError, AttributeError):
        return None


def posting(line: "Line") -> Mapping[str, Any]:
    """A posting behind a balance."""
    return {field.name: getattr(line, field.name) for field in fields(line)}


def balance_sums(found: "Explanation") -> Document:
    """What the postings come to, once they were all read."""
    return {
        "by_reason": [
            {
                "sub_account": sub_account,
                "reason": reason,
                "amount": amount,
                "postings": found.postings[sub_account, reason],
            }
            for (sub_account, reason), amount in sorted(found.by_reason.items())
        ],
        "holds": [
            {"sub_account": sub_account, "order_id": order_id, "amount": amount}
            for (sub_account, order_id), amount in sorted(found.holds.items())
        ],
        "sub_accounts": [
            {
                "sub_account": name,
                "total": one.total,
                "locked": one.locked,
                "balance_total": one.said_total,
                "balance_locked": one.said_locked,
                "equal": one.equal,
            }
            for name, one in sorted(found.sub_accounts.items())
        ],
        "compared_with": found.compared_with,
        "equal": found.equal,
    }


def balance(found: "Explanation", lines: Iterable["Line"]) -> Document:
    """All of it; memory holds every posting."""
    head = {"account_id": found.account_id, "asset": found.asset, "position": found.position}
    return head | {"postings": [posting(line) for line in lines]} | balance_sums(found)


def order(found: "OrderExplanation") -> Document:
    return {
        "order_id": found.order_id,
        "position": found.position,
        "events": [asdict(step) for step in found.steps],
        "differences": {
            column: {"log": log, "orders": shown}
            for column, (log, shown) in found.differences.items()
        },
        "equal": found.equal,
    }


def positions(found: "PositionsExplanation") -> Document:
    return {
        "account_id": found.account_id,
        "log_position": found.log_position,
        "steps": [asdict(step) for step in found.steps],
        "positions": [
            {
                "position_id": one.position_id,
                "instrument": one.position.instrument,
                "sub_account": one.position.sub_account,
                "number": one.position.number,
                "quantity": one.position.quantity,
                "cost": one.position.cost,
                "settlement_asset": one.position.settlement_asset,
                "realized_pnl": one.position.realized_pnl,
                "commission": one.position.commission,
                "other_commissions": dict(one.position.other_commissions),
                "funding": one.position.funding,
                "net_pnl": one.position.net_pnl,
                **asdict(one.marked),
                "differences": {
                    column: {"log": log, "row": row}
                    for column, (log, row) in one.differences.items()
                },
            }
            for one in found.positions
        ],
        "sums": {asset: dict(sums) for asset, sums in found.sums().items()},
        "unknown_rows": list(found.unknown_rows),
        "compared_with": found.compared_with,
        "equal": found.equal,
    }


def node(found: "Node") -> Document:
    """A command or an event of a trace, with what it caused."""
    values = {
        field.name: getattr(found, field.name)
        for field in fields(found)
        if field.name != "children"
    }
    return {
        **{name: value for name, value in values.items() if value is not None},
        "children": [node(child) for child in found.children],
    }
