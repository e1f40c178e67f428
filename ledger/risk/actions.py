"""What a tripped breaker does: commands with ids of the event `breaker.tripped`."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from ledger.kernel.consequence import Said, id_of
from ledger.kernel.money import ZERO
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.breakers.commands import RecordBreakerAction
from ledger.nouns.breakers.events import BreakerAction
from ledger.nouns.instruments.events import InstrumentTerms
from ledger.nouns.limits.commands import Halt, Resume
from ledger.nouns.limits.rejections import LimitRejection
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.orders.commands import RequestCancel, SubmitOrder
from ledger.nouns.orders.events import OrderType, PositionSide, Purpose, Side
from ledger.nouns.positions.position import Position
from ledger.nouns.risk.commands import ReportRisk
from ledger.nouns.risk.events import RiskEventType, RiskSeverity
from ledger.risk.memory import Task
from ledger.write.open_orders import open_orders

EXIT_ATTEMPTS = 3
"""An exit may be refused because what it would sell is still held by orders under cancellation."""
EXIT_PAUSE = timedelta(seconds=2)
DONE_ALREADY = frozenset({LimitRejection.HALTED_ALREADY.value, LimitRejection.NOT_HALTED.value})
"""What somebody else did is done."""

Terms = Callable[[str], InstrumentTerms | None]


def halt(task: Task) -> Said:
    return _said(task, Halt(scope=task.scope, reference=task.reference, reason=task.reason[:500]))


def resume(task: Task) -> Said:
    return _said(task, Resume(scope=task.scope, reference=task.reference, reason=task.reason[:500]))


def cancels(connection: psycopg.Connection[Any], task: Task) -> Iterator[Said]:
    for order in open_orders(connection, task.scope, task.reference):
        yield _said(
            task,
            RequestCancel(
                order_id=order.order_id, account_id=order.account_id, reason=task.reason[:500]
            ),
            order.order_id,
        )


def exits(
    task: Task, accounts: Iterable[AccountState], terms_of: Terms
) -> Iterator[tuple[str, Said]]:
    """A market order for each open position of the subject that has none yet, with its name."""
    for account in accounts:
        for position in account.positions.values():
            name = f"{account.account_id} {position.key.text}"
            if position.is_open and name not in task.done and _concerned(task, position):
                order = _exit(task, account, position, terms_of(position.instrument))
                if order is not None:
                    yield name, order


def _concerned(task: Task, position: Position) -> bool:
    if task.scope is LimitScope.STRATEGY:
        return position.sub_account == task.reference
    if task.scope is LimitScope.INSTRUMENT:
        return position.instrument == task.reference
    return True


def _exit(
    task: Task, account: AccountState, position: Position, terms: InstrumentTerms | None
) -> Said | None:
    if terms is None:
        return None
    quantity = abs(position.quantity)
    if position.contract is None and position.quantity > 0:
        free = account.balance(position.sub_account, terms.base_asset).available
        quantity = min(quantity, free)
    quantity = _on_grid(quantity, terms.step_size)
    if quantity <= 0:
        return None
    hedged = position.position_side is not PositionSide.BOTH
    of_attempt = (account.account_id, position.key.text, task.attempt)
    return _said(
        task,
        SubmitOrder(
            order_id=id_of("exit order", task.event_id, *of_attempt),
            account_id=account.account_id,
            instrument=position.instrument,
            side=Side.SELL if position.quantity > 0 else Side.BUY,
            order_type=OrderType.MARKET,
            quantity=quantity,
            reduce_only=position.contract is not None,
            position_side=position.position_side if hedged else None,
            strategy_id=None if position.sub_account == "main" else position.sub_account,
            purpose=Purpose.EXIT,
        ),
        *of_attempt,
    )


def _on_grid(quantity: Decimal, step: Decimal | None) -> Decimal:
    return quantity if step is None else quantity // step * step


def _said(task: Task, data: Any, *of: object) -> Said:
    command_id = id_of(task.action, task.event_id, *of)
    return Said(command_id, data, task.event_id, task.correlation)


# --- what came of it ------------------------------------------------------------------------


def recorded(task: Task, *, accepted: int, refused: int, error: str | None) -> Said:
    return Said(
        id_of("acted", task.action, task.event_id),
        RecordBreakerAction(
            breaker_id=task.breaker_id,
            scope=task.scope,
            reference=task.reference,
            number=task.number,
            action=BreakerAction(task.action),
            accepted=accepted,
            refused=refused,
            error=error,
        ),
        task.event_id,
        task.correlation,
    )


def failed(task: Task, error: str) -> Said:
    """A person has to do it."""
    account_id = UUID(task.reference) if task.scope is LimitScope.ACCOUNT else None
    return Said(
        id_of("failed", task.action, task.event_id),
        ReportRisk(
            event_type=RiskEventType.BREAKER_ACTION_FAILED,
            scope=task.scope,
            reference=task.reference,
            what=f"{task.breaker_id} {task.action}",
            severity=RiskSeverity.EMERGENCY,
            message=f"{task.action} of a breaker was refused: {error}"[:500],
            account_id=account_id,
            cause=task.event_id,
            value=ZERO,
            action=task.action,
        ),
        task.event_id,
        task.correlation,
    )
