"""Rows of a question as a table of a page.

What a column is follows from its type and its name: numbers stand right, with as many decimals as
the column needs; times, ids and states are shown as such, and ids lead to what they name. Each
number of a row leads to why it is what it is (why.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from markupsafe import Markup

from ledger.web.answers import AnswerPage
from ledger.web.pages import shown
from ledger.web.pages.frame import url
from ledger.web.pages.why_links import why_link

if TYPE_CHECKING:
    from projections.questions.question import Question

LABELS = {
    "average_entry_price": "Avg entry",
    "avg_fill_price": "Avg price",
    "filled_quantity": "Filled",
    "leaves_quantity": "Open",
    "mark_price": "Mark",
    "mark_time": "Marked at",
    "net_pnl": "Net P&L",
    "gross_pnl": "Gross P&L",
    "realized_pnl": "Realised",
    "unrealized_pnl": "Unrealised",
    "last_position": "Log position",
    "position": "Log position",
    "fill_timestamp": "Time",
    "commission_asset": "Fee in",
    "commission": "Fee",
    "order_type": "Type",
    "created_at": "Created",
    "opened_at": "Opened",
    "closed_at": "Closed",
    "updated_at": "Updated",
    "order_id": "Order",
    "account_id": "Account",
    "user_id": "User",
    "event_id": "Event",
    "trade_id": "Trade",
    "sub_account": "Sub-account",
    "settlement_asset": "In",
}
"""Of columns whose name is not what people call them."""
SIGNED = frozenset(
    (
        *("realized_pnl", "unrealized_pnl", "net_pnl", "gross_pnl", "gain", "funding"),
        *("best_unrealized_pnl", "worst_unrealized_pnl", "period_pnl", "day_pnl", "slippage"),
        *("profit", "total_pnl"),
    )
)
"""Gains and losses: with their sign, and in their tone."""
RECKONED = SIGNED | frozenset(
    (
        *("average_entry_price", "avg_fill_price", "entry_price", "exit_price", "cost"),
        *("commission", "cum_quote", "total_balance"),
        *("available_balance", "equity", "proceeds", "acquired_cost", "cash", "value"),
        *("external_flows", "min_equity", "max_equity", "opening_equity", "margin_balance"),
        *("gross_exposure", "net_exposure", "avg_balance", "min_balance", "max_balance"),
    )
)
"""What nobody told: shown with the decimals that people read it by."""
HELD = ("total", "available", "locked")
"""Of an asset: all decimals up to a satoshi."""
TONES = {
    "good": "ACTIVE FILLED OPEN RUNNING ACCEPTED SENT RESOLVED ARRIVED HELD VALUED APPROVED OK",
    "warn": "PENDING PARTIALLY_FILLED PAUSED HALTED ACKNOWLEDGED UNDER_WAY PENDING_CANCEL WARNING",
    "bad": "REJECTED DENIED FAILED ERROR BREACHED CRITICAL SUSPENDED TRIPPED UNRESOLVED",
}
_TONE_OF = {word: tone for tone, names in TONES.items() for word in names.split()}
_STATES = frozenset(("status", "state", "severity"))

_LINK = shown.Element('<a href="{}">{}</a>')
_INSTRUMENT = shown.Element('<a class="instrument" href="{}" title="{}"><bdi>{}</bdi></a>')
_STATE = shown.Element('<span class="state {}">{}</span>')


@dataclass(frozen=True)
class ColumnView:
    """A column as it is headed. `numeric` ones stand right."""

    name: str
    label: str
    numeric: bool


@dataclass(frozen=True)
class RowView:
    """A row: its cells, and where Enter leads."""

    cells: Sequence[Markup]
    href: str | None = None
    kind: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableView:
    """A table with what is said of it."""

    caption: str
    columns: Sequence[ColumnView]
    rows: Sequence[RowView]
    next: str | None = None
    position: int | None = None


def table(
    question: "Question[Any]",
    answer: AnswerPage,
    *,
    zone: tzinfo,
    known_at: str | None = None,
    columns: Sequence[str] | None = None,
) -> TableView:
    """The rows of an answer, with these columns, or those that the question shows."""
    names = list(columns or question.shown)
    views = [
        ColumnView(name, label(name), _numeric(question.types.get(name, str), name))
        for name in names
    ]
    places = {
        name: max(
            shown.places_of((row[name] for row in answer.rows), reckoned=name in RECKONED),
            shown.MONEY_PLACES if name in (*RECKONED, *HELD) else 0,
        )
        for name in names
        if question.types.get(name) is Decimal
    }
    rows = [
        RowView(
            [cell(question.name, name, row, zone, places.get(name), known_at) for name in names],
            href=row_link(question.name, row, known_at),
            values=row,
        )
        for row in answer.rows
    ]
    return TableView(question.about, views, rows, answer.next, answer.position)


def label(name: str) -> str:
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def cell(
    question: str,
    name: str,
    row: Mapping[str, Any],
    zone: tzinfo,
    places: int | None,
    known_at: str | None,
) -> Markup:
    """One value, with where it leads."""
    value = row[name]
    if value is None or isinstance(value, bool):
        return shown.cell(value, zone)
    if isinstance(value, Decimal):
        why = why_link(question, name, row, known_at)
        return shown.number(value, places, signed=name in SIGNED, why=why)
    if name in ("position", "last_position"):
        return _LINK(
            url("/log", after=int(value) - 1, order="oldest"), shown.digits(Decimal(value), 0)
        )
    if name in _STATES:
        return state(str(value))
    if isinstance(value, UUID):
        return shown.short(value, id_link(name, value, known_at))
    if name == "instrument":
        return instrument(str(value), row, known_at)
    if isinstance(value, datetime):
        return shown.time(value, zone)
    return shown.cell(value, zone)


def instrument(name: str, row: Mapping[str, Any], known_at: str | None) -> Markup:
    link = url("/chart", instrument=name, account_id=row.get("account_id"), known_at=known_at)
    symbol = name.partition(":")[2] or name
    return _INSTRUMENT(link, shown.words(name), shown.words(symbol))


def state(word: str) -> Markup:
    """A state in words, with a mark of its own form and tone."""
    tone = _TONE_OF.get(word, "off")
    return _STATE(tone, shown.words(word.replace("_", " ").lower()))


def id_link(name: str, value: UUID, known_at: str | None) -> str | None:
    """Where an id leads, by the name of its column."""
    match name:
        case "order_id":
            return url(f"/orders/{value}", known_at=known_at)
        case "account_id":
            return url("/positions", account_id=value, known_at=known_at)
        case "event_id" | "lot_event_id":
            return f"/events/{value}"
        case "correlation_id" | "command_id" | "causation_id":
            return f"/story/{value}"
        case "position_id":
            return url("/positions", known_at=known_at)
    return None


def row_link(question: str, row: Mapping[str, Any], known_at: str | None) -> str | None:
    """What Enter opens."""
    if question == "orders":
        return url(f"/orders/{row['order_id']}", known_at=known_at)
    if isinstance(row.get("event_id"), UUID):
        return f"/events/{row['event_id']}"
    if isinstance(row.get("order_id"), UUID):
        return url(f"/orders/{row['order_id']}", known_at=known_at)
    return None


def _numeric(kind: object, name: str) -> bool:
    return kind in (Decimal, int, float) and not name.endswith("_id")
