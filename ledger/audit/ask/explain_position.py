"""Why a position, and what was won by it, is what it is: every trade, fee and flow behind it, with
the arithmetic, read from the log.

The log is gone through as if what was taken back had never been, and what it adds up to is compared
with what the read side says. Nothing of the answer comes from what is checked, but for the mark:
what an open position is worth is reckoned at the price that its row names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

from ledger.audit.ask.events import EventCriteria, find
from ledger.eventstore import repairs
from ledger.eventstore.moments import Moment
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel import read_side
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO, exact, shown
from ledger.nouns.accounts.events import MoneyEvent, TradeSettled
from ledger.nouns.instruments.contract import ONE
from ledger.nouns.positions import restatement
from ledger.nouns.positions.position import Position, PositionKey, gain, position_id

if TYPE_CHECKING:
    from projections.questions.question import Question
    from projections.read_models.positions import AccountPosition


class NoPosition(LedgerError, LookupError):
    """There is nothing to explain."""


@dataclass(frozen=True)
class PositionStep:
    """An event that changed a position: by how much, and the position after it. `arithmetic` says
    how the change comes about."""

    log_position: int
    event_id: UUID
    event_type: str
    occurred_at: datetime
    instrument: str
    sub_account: str
    number: int
    what: str
    arithmetic: str
    realized_pnl: Decimal
    commission: Decimal
    funding: Decimal
    quantity: Decimal
    cost: Decimal
    settlement_asset: str
    order_id: UUID | None
    trade_id: str | None
    position_id: UUID


@dataclass(frozen=True)
class MarkedWorth:
    """What a position's row says that it would win at which mark; None where it has no mark."""

    unrealized_pnl: Decimal | None = None
    mark_price: Decimal | None = None
    mark_kind: str | None = None
    mark_time: datetime | None = None


@dataclass
class ExplainedPosition:
    """What the log says of a position, and what the read model has of it; None where it has
    none."""

    position_id: UUID
    position: Position
    row: "AccountPosition | None"

    @property
    def marked(self) -> MarkedWorth:
        row = self.row
        if row is None:
            return MarkedWorth()
        return MarkedWorth(row.unrealized_pnl, row.mark_price, row.mark_kind, row.mark_time)

    @property
    def differences(self) -> dict[str, tuple[Decimal, Decimal | None]]:
        """(by the log, by the row) for each amount that is not as the log says."""
        position, row = self.position, self.row
        by_log = {
            "quantity": position.quantity,
            "cost": position.cost,
            "realized_pnl": position.realized_pnl,
            "commission": position.commission,
            "funding": position.funding,
        }
        if row is None:
            return {name: (amount, None) for name, amount in by_log.items()}
        by_row = {name: getattr(row, name) for name in by_log}
        with exact():
            by_row["commission"] -= sum(row.valued_commissions.values(), ZERO)
            if row.mark_price is not None and row.unrealized_pnl is not None:
                by_log["unrealized_pnl"] = position.unrealized_pnl(row.mark_price)
                by_row["unrealized_pnl"] = row.unrealized_pnl
        return {
            name: (amount, by_row[name])
            for name, amount in by_log.items()
            if amount != by_row[name]
        }


@dataclass
class PositionsExplanation:
    """Of the positions of an account, or some of them."""

    account_id: UUID
    log_position: int
    compared_with: str
    steps: list[PositionStep] = field(default_factory=list)
    positions: list[ExplainedPosition] = field(default_factory=list)
    unknown_rows: list[UUID] = field(default_factory=list)
    """Of positions that the log does not tell of."""

    @property
    def equal(self) -> bool:
        return not self.unknown_rows and not any(one.differences for one in self.positions)

    def sums(self) -> dict[str, dict[str, Decimal]]:
        """What was won, paid and got in each settlement asset, added up from the steps."""
        found: dict[str, dict[str, Decimal]] = {}
        with exact():
            for step in self.steps:
                of_asset = found.setdefault(
                    step.settlement_asset,
                    dict.fromkeys(("realized", "commission", "funding"), ZERO),
                )
                of_asset["realized"] += step.realized_pnl
                of_asset["commission"] += step.commission
                of_asset["funding"] += step.funding
            for of_asset in found.values():
                of_asset["net"] = (
                    of_asset["realized"] - of_asset["commission"] + of_asset["funding"]
                )
        return found


def explain_positions(
    connection: psycopg.Connection[Any],
    account_id: UUID,
    *,
    instrument: str | None = None,
    sub_account: str | None = None,
    number: int | None = None,
    as_of: int | None = None,
) -> PositionsExplanation:
    """Raises NoPosition."""
    question: Question[AccountPosition] = read_side.question("positions")
    asked = {"account_id": account_id, "instrument": instrument, "sub_account": sub_account}
    if as_of is None:
        position = question.reached(connection)
        rows = question.find(connection, **asked)
        compared_with = question.name
    else:
        position = as_of
        rows = question.at(connection, Moment(as_of), **asked)
        compared_with = f"{question.name} known at position {as_of}"
    found = PositionsExplanation(account_id, position, compared_with)
    said = {row.position_id: row for row in rows if number in (None, row.number)}
    last: dict[UUID, Position] = {}
    with exact():
        for step, after in _steps(connection, account_id, position):
            if (
                instrument in (None, step.instrument)
                and sub_account in (None, step.sub_account)
                and number in (None, step.number)
            ):
                found.steps.append(step)
                last[step.position_id] = after
    found.positions = [
        ExplainedPosition(which, after, said.pop(which, None)) for which, after in last.items()
    ]
    found.unknown_rows = list(said)
    _assert_sums(found)
    if not found.positions and not found.unknown_rows:
        raise NoPosition(
            f"account {account_id} had no such position up to position {position} of the log: "
            "check the account, the instrument (VENUE:SYMBOL), the sub-account and the number"
        )
    return found


def _assert_sums(found: PositionsExplanation) -> None:
    """What the steps add up to is what the positions are, to the last unit."""
    sums = found.sums()
    with exact():
        for asset, of_asset in sums.items():
            positions = [
                one.position for one in found.positions if one.position.settlement_asset == asset
            ]
            assert of_asset["net"] == sum((one.net_pnl for one in positions), ZERO), asset


# --- steps ------------------------------------------------------------------------------


def _steps(
    connection: psycopg.Connection[Any], account_id: UUID, up_to: int
) -> Iterator[tuple[PositionStep, Position]]:
    criteria = EventCriteria(stream_id=account_id, before=up_to + 1)
    told: Sequence[tuple[RecordedEvent, Event]] = [
        (recorded, event)
        for recorded in repairs.counted(connection, [account_id], find(connection, criteria))
        if isinstance(event := recorded.decoded(), MoneyEvent)
    ]
    known: dict[tuple[PositionKey, int], Position] = {}
    for recorded, event in restatement.retold(restatement.standing(told)):
        assert isinstance(event, MoneyEvent)
        for after in event.positions:
            before = known.get((after.key, after.number))
            known[after.key, after.number] = after
            which = position_id(account_id, after.key, after.number)
            yield _step(recorded, event, before, after, which), after


def _step(
    recorded: RecordedEvent,
    event: MoneyEvent,
    before: Position | None,
    after: Position,
    which: UUID,
) -> PositionStep:
    realized, commission, funding = ZERO, ZERO, ZERO
    if before is not None:
        realized, commission, funding = before.realized_pnl, before.commission, before.funding
    trade = event if isinstance(event, TradeSettled) else None
    return PositionStep(
        log_position=recorded.position,
        event_id=recorded.id,
        event_type=recorded.event_type,
        occurred_at=recorded.occurred_at,
        instrument=after.instrument,
        sub_account=after.sub_account,
        number=after.number,
        what=_what(event),
        arithmetic=_arithmetic(before, after),
        realized_pnl=after.realized_pnl - realized,
        commission=after.commission - commission,
        funding=after.funding - funding,
        quantity=after.quantity,
        cost=after.cost,
        settlement_asset=after.settlement_asset,
        order_id=None if trade is None else trade.order_id,
        trade_id=None if trade is None else trade.trade_id,
        position_id=which,
    )


def _what(event: MoneyEvent) -> str:
    if isinstance(event, TradeSettled):
        return f"{event.side} {shown(event.last_qty)} @ {shown(event.last_px)}"
    return event.type.removeprefix("account.").replace("_", " ")


def _arithmetic(before: Position | None, after: Position) -> str:
    """How cost and gain come about, as one would write it down."""
    held, cost, realized = ZERO, ZERO, ZERO
    if before is not None:
        held, cost, realized = abs(before.quantity), before.cost, before.realized_pnl
    size = abs(after.quantity)
    paid = cost - after.cost
    if size >= held or before is None:
        return "" if not paid else f"cost {_plus(cost, -paid)} = {shown(after.cost)}"
    won = after.realized_pnl - realized
    got = paid + won * gain(before, ZERO, ONE)
    part = f"{shown(held - size)} of {shown(held)}"
    of_cost = f"cost {shown(cost)} x {part} = {shown(paid)}"
    first, second = (got, paid) if gain(before, ZERO, ONE) > 0 else (paid, got)
    return f"{of_cost}; {shown(first)} - {shown(second)} = {shown(won)}"


def _plus(one: Decimal, other: Decimal) -> str:
    return f"{shown(one)} {'+' if other >= 0 else '-'} {shown(abs(other))}"
