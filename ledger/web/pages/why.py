"""Why a number is what it is: the formula, what goes into it, and down to the events.

    Why      a number, how it comes about (SUM of its terms, or a formula that is reckoned again
             here), and whether that gives what the read side says
    Term     one of the inputs; leads to a Why of its own, or to the event that it comes from

All of it is read from the log (ledger/audit/ask), and nothing from what is explained but the value
to compare with. So a page that shows a number and its explanation cannot both be wrong alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from ledger.audit.ask.events import EventCriteria, find
from ledger.audit.ask.explain import explain_balance
from ledger.audit.ask.explain_order import OrderExplanation, explain_order
from ledger.audit.ask.explain_position import ExplainedPosition, PositionStep, explain_positions
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.money import ZERO, average, exact
from ledger.web.answers import NotVisible, Reading
from ledger.web.database import elevated
from ledger.web.pages.frame import url
from ledger.web.person import OF_ONE_USER

MOST_TERMS = 500
"""Shown of a sum: the last ones. Those before are one term, with what they add up to."""


class Arithmetic(StrEnum):
    """How terms make a value."""

    SUM = "SUM"
    FORMULA = "FORMULA"
    TOLD = "TOLD"
    """By an event: there is nothing to reckon."""


@dataclass(frozen=True)
class Term:
    """An input. `href` leads to its own explanation."""

    label: str
    value: Decimal | None
    unit: str = ""
    href: str | None = None
    event_id: UUID | None = None
    position: int | None = None
    time: datetime | None = None
    note: str = ""


@dataclass
class Why:
    """`value` is what the read side says, `reckoned` what the terms give."""

    title: str
    value: Decimal | None
    unit: str
    formula: str
    arithmetic: Arithmetic
    terms: Sequence[Term]
    reckoned: Decimal | None = None
    position: int | None = None
    method: str = ""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.arithmetic is Arithmetic.SUM:
            with exact():
                self.reckoned = sum((one.value or ZERO for one in self.terms), ZERO)

    @property
    def holds(self) -> bool:
        """Whether the terms give the value, to the last unit."""
        return self.arithmetic is Arithmetic.TOLD or self.value == self.reckoned


# --- balances ---------------------------------------------------------------------------------


def of_balance(
    reading: Reading,
    *,
    account_id: UUID,
    asset: str,
    sub_account: str | None,
    part: str = "total",
    reason: str | None = None,
    known_at: int | None = None,
) -> Why:
    """Of a balance: by reason, and of a reason by event; of what is locked, by order."""
    with reading.of_account(account_id) as connection:
        found = explain_balance(
            connection, account_id, asset, sub_account=sub_account, as_of=known_at
        )
        lines = [
            Term(
                f"{line.reason} · {line.event_type}",
                line.amount,
                asset,
                event_id=line.event_id,
                position=line.position,
                time=line.occurred_at,
                note=line.trade_id or "",
            )
            for line in found.lines(connection)
            if reason in (None, line.reason)
        ]
    here: dict[str, object] = {"account_id": account_id, "asset": asset}
    here |= {"sub_account": sub_account, "known_at": known_at}
    with exact():
        total = sum((one.said_total for one in found.sub_accounts.values()), ZERO)
        locked = sum((one.said_locked for one in found.sub_accounts.values()), ZERO)
    where = f"{asset} in {sub_account}" if sub_account else f"{asset}, all sub-accounts"

    def made(title: str, value: Decimal, formula: str, terms: Sequence[Term]) -> Why:
        said = f"{title} of {where}"
        return Why(said, value, asset, formula, Arithmetic.SUM, terms, position=found.position)

    if reason is not None:
        with exact():
            value = sum(
                (sum_ for (_, name), sum_ in found.by_reason.items() if name == reason), ZERO
            )
        return made(reason, value, "the sum of its postings", shortened(lines, asset))
    if part == "locked":
        held = [
            Term(f"order {order}", amount, asset, href=url(f"/orders/{order}"))
            for (_, order), amount in found.holds.items()
        ]
        return made("Locked", locked, "the sum of what orders and positions lock", held)
    if part == "available":
        terms = [
            Term("total", total, asset, href=url("/why/balance", **here, part="total")),
            Term("locked", -locked, asset, href=url("/why/balance", **here, part="locked")),
        ]
        return made("Available", total - locked, "total − locked", terms)
    by_reason: dict[str, Decimal] = {}
    for (_, name), amount in found.by_reason.items():
        by_reason[name] = by_reason.get(name, ZERO) + amount
    terms = [
        Term(name, amount, asset, href=url("/why/balance", **here, reason=name))
        for name, amount in by_reason.items()
    ]
    return made("Balance", total, "the sum of all postings, by reason", terms)


def shortened(terms: list[Term], unit: str) -> list[Term]:
    """The last terms, after one for those before."""
    if len(terms) <= MOST_TERMS:
        return terms
    before, shown = terms[:-MOST_TERMS], terms[-MOST_TERMS:]
    with exact():
        earlier = sum((one.value or ZERO for one in before), ZERO)
    first = before[0].position
    return [Term(f"{len(before):,} earlier ones", earlier, unit, position=first), *shown]


# --- positions --------------------------------------------------------------------------------

_CHANGES: dict[str, tuple[str, Callable[[PositionStep], Decimal]]] = {
    "realized_pnl": ("Realised P&L", lambda step: step.realized_pnl),
    "commission": ("Fees", lambda step: step.commission),
    "funding": ("Funding", lambda step: step.funding),
}
_STANDS: dict[str, tuple[str, Callable[[PositionStep], Decimal]]] = {
    "quantity": ("Quantity", lambda step: step.quantity),
    "cost": ("Cost", lambda step: step.cost),
}


def of_position(
    reading: Reading,
    *,
    account_id: UUID,
    position_id: UUID,
    part: str = "net_pnl",
    known_at: int | None = None,
) -> Why:
    """Of a part of a position: by event, or by what it is reckoned from."""
    with reading.of_account(account_id) as connection:
        found = explain_positions(connection, account_id, as_of=known_at)
    one = next((each for each in found.positions if each.position_id == position_id), None)
    if one is None:
        raise NotVisible(f"there is no position {position_id}, or it is not visible to you")
    steps = [step for step in found.steps if step.position_id == position_id]
    title = f"{one.position.instrument}, {one.position.sub_account} #{one.position.number}"

    def link(name: str) -> str:
        asked: dict[str, object] = {"account_id": account_id, "position_id": position_id}
        asked["known_at"] = known_at
        return url("/why/position", **asked, part=name)

    why = _part_of_position(one, steps, part, link)
    why.title = f"{why.title} of {title}"
    why.position = found.log_position
    return why


def _part_of_position(
    one: ExplainedPosition, steps: list[PositionStep], part: str, link: Callable[[str], str]
) -> Why:
    position, row = one.position, one.row
    unit = position.settlement_asset
    if part in _CHANGES:
        name, change = _CHANGES[part]
        terms = [_step(step, change(step), unit) for step in steps if change(step)]
        value = getattr(row if row is not None else position, part)
        if part == "commission" and row is not None:
            terms += [
                Term(f"paid in {asset}, valued when it was paid", amount, unit)
                for asset, amount in row.valued_commissions.items()
            ]
        formula = "the sum over its trades and flows"
        return Why(name, value, unit, formula, Arithmetic.SUM, terms)
    if part in _STANDS:
        name, standing = _STANDS[part]
        stood = [ZERO, *(standing(step) for step in steps)]
        with exact():
            terms = [
                _step(step, after - before, "")
                for step, before, after in zip(steps, stood, stood[1:], strict=False)
            ]
        value = getattr(row if row is not None else position, part)
        of = position.instrument if part == "quantity" else unit
        return Why(name, value, of, "the sum of the changes", Arithmetic.SUM, terms)
    return _reckoned(one, part, link)


def _reckoned(one: ExplainedPosition, part: str, link: Callable[[str], str]) -> Why:
    position, row, mark = one.position, one.row, one.marked
    unit = position.settlement_asset
    if part == "net_pnl":
        fees = position.commission if row is None else row.commission
        terms = [
            Term("realised P&L", position.realized_pnl, unit, link("realized_pnl")),
            Term("fees", -fees, unit, link("commission")),
            Term("funding", position.funding, unit, link("funding")),
        ]
        net = position.net_pnl if row is None else row.net_pnl
        return Why("Net P&L", net, unit, "realised − fees + funding", Arithmetic.SUM, terms)
    quantity = Term("quantity", position.quantity, position.instrument, link("quantity"))
    cost = Term("cost", position.cost, unit, link("cost"))
    if part == "average_entry_price":
        value = None if row is None else row.average_entry_price
        formula = "cost ÷ quantity, rounded half to even to 18 places"
        if position.contract is not None:
            formula = (
                f"by the contract ({position.contract.contract_size} each) from cost, quantity"
            )
        return Why("Average entry price", value, unit, formula, Arithmetic.FORMULA,
                   [cost, quantity], reckoned=position.average_entry_price)  # fmt: skip
    price = Term(
        f"{(mark.mark_kind or 'mark').lower()} price", mark.mark_price, unit, link("mark_price"),
        time=mark.mark_time,
    )  # fmt: skip
    if part == "mark_price":
        history = url("/questions/price_history", instrument=position.instrument)
        told = Term("prices of the instrument", mark.mark_price, unit, history, time=mark.mark_time)
        formula = "the newest price by its own time, of recorded prices and own trades"
        return Why("Mark price", mark.mark_price, unit, formula, Arithmetic.TOLD, [told])
    if position.quantity == 0:
        formula = "nothing is held, so nothing is unrealised"
        return Why("Unrealised P&L", mark.unrealized_pnl, unit, formula, Arithmetic.FORMULA,
                   [quantity], reckoned=ZERO)  # fmt: skip
    with exact():
        reckoned = None
        if mark.mark_price is not None:
            reckoned = position.unrealized_pnl(mark.mark_price)
    formula = "what closing the quantity at the mark would bring, less its cost"
    if position.quantity < 0:
        formula = "its cost, less what closing the quantity at the mark would take"
    return Why("Unrealised P&L", mark.unrealized_pnl, unit, formula, Arithmetic.FORMULA,
               [quantity, price, cost], reckoned=reckoned)  # fmt: skip


def _step(step: PositionStep, value: Decimal, unit: str) -> Term:
    return Term(
        step.what,
        value,
        unit,
        event_id=step.event_id,
        position=step.log_position,
        time=step.occurred_at,
        note=step.arithmetic,
    )


def of_positions(
    reading: Reading,
    *,
    account_id: UUID,
    asset: str,
    part: str = "net_pnl",
    known_at: int | None = None,
) -> Why:
    """Of what the open positions that settle in an asset make together: by position."""
    asked = {"account_id": account_id, "status": "OPEN"}
    when = None if known_at is None else str(known_at)
    with reading.of_account(account_id):
        pass
    rows = [
        row
        for row in reading.ask("positions", asked, known_at=when, limit=MOST_TERMS).rows
        if row["settlement_asset"] == asset
    ]
    terms = []
    for row in rows:
        one: dict[str, object] = {"account_id": account_id, "position_id": row["position_id"]}
        one |= {"part": part, "known_at": known_at}
        label = f"{row['instrument']}, {row['sub_account']} #{row['number']}"
        note = "" if row[part] is not None else "has no price, and is not in the sum"
        terms.append(Term(label, row[part], asset, url("/why/position", **one), note=note))
    name = {"unrealized_pnl": "Unrealised P&L", "net_pnl": "Net P&L"}.get(part, part)
    with exact():
        value = sum((one.value or ZERO for one in terms), ZERO)
    return Why(f"{name} of open positions", value, asset, "the sum of the positions",
               Arithmetic.SUM, terms)  # fmt: skip


# --- orders -----------------------------------------------------------------------------------


def of_order(
    reading: Reading, *, order_id: UUID, part: str = "filled_quantity", known_at: int | None = None
) -> Why:
    """Of what an order has traded: by fill."""
    when = None if known_at is None else str(known_at)
    found = reading.ask("order", {"order_id": order_id}, known_at=when).rows
    if not found:
        raise NotVisible(f"there is no order {order_id}, or it is not visible to you")
    order = found[0]
    asked = {"account_id": order["account_id"], "order_id": order_id}
    trades = [
        row
        for row in reading.ask("fills", asked, known_at=when, limit=MOST_TERMS).rows
        if not row["voided"] and not row["conflicted"]
    ]
    return _part_of_order(order, trades, part)


def _part_of_order(order: Any, trades: list[Any], part: str) -> Why:
    instrument = order["instrument"]

    def term(row: Any, value: Decimal, unit: str, note: str = "") -> Term:
        return Term(
            f"trade {row['trade_id']}", value, unit,
            event_id=row["event_id"], position=row["position"], time=row["fill_timestamp"],
            note=note,
        )  # fmt: skip

    position = order["last_position"]
    if part == "filled_quantity":
        terms = [term(row, row["quantity"], "") for row in trades]
        return Why("Filled quantity", order[part], instrument, "the sum of its trades that stand",
                   Arithmetic.SUM, terms, position=position)  # fmt: skip
    if part == "avg_fill_price":
        here = {"order_id": order["order_id"]}
        parts = [
            Term("traded value", order["cum_quote"], "",
                 url("/why/order", **here, part="cum_quote")),
            Term("filled quantity", order["filled_quantity"], instrument,
                 url("/why/order", **here, part="filled_quantity")),
        ]  # fmt: skip
        filled = order["filled_quantity"]
        return Why("Average price", order[part], "", "traded value ÷ filled quantity, to 18 places",
                   Arithmetic.FORMULA, parts, position=position,
                   reckoned=average(order["cum_quote"], filled) if filled else None)  # fmt: skip
    with exact():
        amounts = [row["quote_quantity"] or row["quantity"] * row["price"] for row in trades]
    terms = [
        term(row, amount, "", f"{row['quantity']} × {row['price']}")
        for row, amount in zip(trades, amounts, strict=True)
    ]
    return Why("Traded value", order["cum_quote"], "", "the sum of quantity × price of its trades",
               Arithmetic.SUM, terms, position=position)  # fmt: skip


def story(reading: Reading, order_id: UUID) -> OrderExplanation:
    """What happened to an order, step by step."""
    with reading.of_order(order_id) as connection:
        return explain_order(connection, order_id)


# --- events -----------------------------------------------------------------------------------


def event_at(reading: Reading, position: int) -> RecordedEvent:
    """The event at a position of the log, of what is visible. Raises NotVisible."""
    return _event(reading, EventCriteria(after=position - 1, before=position + 1), str(position))


def event_of(reading: Reading, event_id: UUID) -> RecordedEvent:
    """The event of this id, of what is visible. Raises NotVisible."""
    return _event(reading, EventCriteria(event_id=event_id), str(event_id))


def _event(reading: Reading, criteria: EventCriteria, named: str) -> RecordedEvent:
    with elevated(reading.connection):
        event = next(find(reading.connection, criteria, limit=1), None)
    if event is None:
        raise NotVisible(f"there is no event {named}, or it is not visible to you")
    if reading.person.role in OF_ONE_USER:
        with reading.of_account(_account_of(event, named)):
            pass
    return event


def _account_of(event: RecordedEvent, named: str) -> UUID:
    """Whose business the event is. Raises NotVisible for one of nobody's account."""
    if event.stream_type == "account":
        return event.stream_id
    account = getattr(event.decoded(), "account_id", None)
    if account is None:
        account = orjson.loads(event.data).get("account_id")
    if account is None:
        raise NotVisible(f"there is no event {named}, or it is not visible to you")
    return UUID(str(account))
