"""Where each number leads that a row shows: to its explanation (why.py), or to the event that last
changed its row."""

from collections.abc import Callable, Mapping
from typing import Any

from ledger.web.pages.frame import url

Row = Mapping[str, Any]


def _of_balance(name: str, row: Row) -> dict[str, Any]:
    return {
        "account_id": row["account_id"],
        "asset": row["asset"],
        "sub_account": row["sub_account"],
        "part": name,
    }


def _of_position(name: str, row: Row) -> dict[str, Any]:
    return {"account_id": row["account_id"], "position_id": row["position_id"], "part": name}


def _of_order(name: str, row: Row) -> dict[str, Any]:
    return {"order_id": row["order_id"], "part": name}


def _of_snapshot(name: str, row: Row) -> dict[str, Any]:
    return {
        "account_id": row["account_id"],
        "time": row["time"].isoformat(),
        "at": row["last_position"],
        "part": name,
    }


_POSITION_PARTS = (
    *("quantity", "cost", "average_entry_price", "realized_pnl", "commission", "funding"),
    *("net_pnl", "unrealized_pnl", "mark_price"),
)
_EXPLAINED: dict[str, tuple[str, tuple[str, ...], Callable[[str, Row], dict[str, Any]]]] = {
    "balances": ("balance", ("total", "available", "locked"), _of_balance),
    "positions": ("position", _POSITION_PARTS, _of_position),
    "orders": ("order", ("filled_quantity", "cum_quote", "avg_fill_price"), _of_order),
    "snapshots": ("worth", ("equity", "total_balance"), _of_snapshot),
    "order": ("order", ("filled_quantity", "cum_quote", "avg_fill_price"), _of_order),
}
"""By question: which explanation, of which columns, asked by what."""


def why_link(question: str, column: str, row: Row, known_at: str | None = None) -> str | None:
    """Why the column of the row is what it is."""
    explained = _EXPLAINED.get(question)
    if explained is not None and column in explained[1]:
        kind, _, asked = explained
        return url(f"/why/{kind}", **asked(column, row), known_at=known_at)
    place = row.get("position", row.get("last_position"))
    if place is None:
        return None
    return url(f"/why/row/{question}", column=column, at=place, **_key(row))


def _key(row: Row) -> dict[str, Any]:
    """What tells the row from others, as far as the explanation repeats it."""
    names = ("account_id", "order_id", "instrument", "asset", "event_id")
    return {name: row[name] for name in names if row.get(name) is not None}
