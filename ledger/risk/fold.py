"""How an event changes what is remembered, and what it says of itself."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.consequence import Said, id_of
from ledger.kernel.event import Event
from ledger.kernel.money import average, plain, shown
from ledger.nouns.accounts.events import MAIN, AccountEvent, AccountOpened, TradeSettled
from ledger.nouns.breakers.commands import TripBreaker
from ledger.nouns.breakers.events import (
    BreakerActed,
    BreakerKind,
    BreakerRemoved,
    BreakerResumed,
    BreakerSet,
    BreakerTerms,
    BreakerTripped,
)
from ledger.nouns.breakers.rules import MOST_EXECUTIONS
from ledger.nouns.breakers.state import subject_of
from ledger.nouns.clock.events import SnapshotsTaken
from ledger.nouns.equity.events import LimitTripped
from ledger.nouns.limits.events import LimitRemoved, LimitSet
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.orders.events import OrderEvent
from ledger.nouns.prices.events import PricesRecorded
from ledger.nouns.references.events import ReferenceRepeated
from ledger.nouns.risk.events import RiskEventType, RiskOpened, RiskResolved, RiskUpdated
from ledger.risk import flags
from ledger.risk.memory import (
    RESUME,
    Armed,
    Holder,
    Loss,
    OpenRisk,
    RiskMemory,
    Task,
    account_subject,
    covers,
    task_key,
)

MOST_LOSSES = 100
"""Of a streak that are remembered: no breaker counts further."""
MOST_PRICES = 5_000
"""Of an instrument and kind within a window: one in seventeen seconds of a day."""

WATCHED = (
    *(AccountEvent, OrderEvent, PricesRecorded, SnapshotsTaken, LimitSet, LimitRemoved),
    *(LimitTripped, ReferenceRepeated, RiskOpened, RiskUpdated, RiskResolved, BreakerSet),
    *(BreakerRemoved, BreakerTripped, BreakerActed, BreakerResumed),
)


def fold(memory: RiskMemory, recorded: RecordedEvent, event: Event) -> Iterator[Said]:
    """What follows from the event alone. What follows from how things are then is for whoever looks
    at the accounts that it made dirty."""
    match event:
        case AccountEvent():
            yield from _account(memory, recorded, event)
        case OrderEvent() | ReferenceRepeated():
            yield from flags.of_event(recorded, event)
        case PricesRecorded():
            for instrument in event.prices:
                _dirty(memory, memory.holds(instrument), recorded.id)
            yield from _prices(memory, recorded, event)
        case SnapshotsTaken():
            named = None if event.account_id is None else [event.account_id]
            _dirty(
                memory,
                named
                or [one for one, h in memory.holders.items() if h.instruments or not h.looked],
                recorded.id,
            )
        case LimitSet() | LimitRemoved():
            _dirty(memory, _in_scope(memory, event.scope, event.reference), recorded.id)
        case LimitTripped():
            yield flags.of_trip(recorded, event)
        case RiskOpened() | RiskUpdated() | RiskResolved():
            _risk(memory, event)
        case _:
            _breaker(memory, recorded, event)


def _dirty(memory: RiskMemory, accounts: list[UUID], cause: UUID) -> None:
    for one in accounts:
        memory.dirty[one] = cause


def _in_scope(memory: RiskMemory, scope: LimitScope, reference: str | None) -> list[UUID]:
    if scope is LimitScope.ACCOUNT and reference is not None:
        return [UUID(reference)]
    if scope is LimitScope.USER and reference is not None:
        return memory.with_user(reference)
    if scope is LimitScope.INSTRUMENT and reference is not None:
        return memory.holds(reference)
    return list(memory.holders)


# --- accounts -------------------------------------------------------------------------------


def _account(memory: RiskMemory, recorded: RecordedEvent, event: AccountEvent) -> Iterator[Said]:
    account_id = recorded.stream_id
    holder = memory.holders.setdefault(account_id, Holder(recorded.user_id))
    if isinstance(event, AccountOpened):
        holder.user_id, holder.looked = event.user_id, True
    memory.dirty[account_id] = recorded.id
    yield from flags.of_event(recorded, event)
    for position in getattr(event, "positions", ()):
        name = position.instrument
        if position.is_open and name not in holder.instruments:
            holder.instruments.append(name)
        elif not position.is_open and name in holder.instruments:
            holder.instruments.remove(name)
    if isinstance(event, TradeSettled):
        yield from _executed(memory, recorded, event)
        yield from _closed(memory, recorded, event)


def _subjects(recorded: RecordedEvent, sub_account: str) -> list[str]:
    """What breakers are tripped for: the account, and the strategy that has the sub-account."""
    subjects = [account_subject(recorded.stream_id)]
    if sub_account != MAIN:
        subjects.append(subject_of(LimitScope.STRATEGY, sub_account))
    return subjects


def _sub_account(event: TradeSettled) -> str:
    """Whose position it is; in a log from before them nobody says, and it is the account's."""
    return event.positions[-1].sub_account if event.positions else MAIN


def _concerns(memory: RiskMemory, terms: BreakerTerms, subject: str, account_id: UUID) -> bool:
    scope, _, reference = subject.partition(":")
    if scope == LimitScope.STRATEGY:
        return terms.scope is LimitScope.STRATEGY and terms.reference == reference
    return covers(terms, account_id, memory.holders.get(account_id))


def _executed(memory: RiskMemory, recorded: RecordedEvent, event: TradeSettled) -> Iterator[Said]:
    """Counted in the ledger's own time: who dates trades back gains nothing."""
    for breaker_id, armed in memory.breakers.items():
        terms = armed.terms
        if terms.kind is not BreakerKind.REPEATED_EXECUTION:
            continue
        assert terms.window_seconds is not None
        since = recorded.recorded_at - timedelta(seconds=terms.window_seconds)
        for subject in _subjects(recorded, _sub_account(event)):
            if subject in armed.tripped:
                continue
            if not _concerns(memory, terms, subject, recorded.stream_id):
                continue
            times = memory.executions.setdefault(f"{breaker_id} {subject}", [])
            times[:] = [one for one in times if one > since][-MOST_EXECUTIONS:]
            times.append(recorded.recorded_at)
            if len(times) >= terms.threshold:
                yield trip(
                    breaker_id,
                    recorded.id,
                    recorded.correlation_id,
                    subject,
                    measured=Decimal(len(times)),
                    account_id=recorded.stream_id,
                    inputs={
                        "trades": len(times),
                        "first at": times[0].isoformat(),
                        "last at": times[-1].isoformat(),
                        "window_seconds": terms.window_seconds,
                    },
                )


def _closed(memory: RiskMemory, recorded: RecordedEvent, event: TradeSettled) -> Iterator[Said]:
    """Positions that the trade has closed, and what that makes of streaks."""
    for position in event.positions:
        if position.is_open or position.withdrawn:
            continue
        for subject in _subjects(recorded, position.sub_account):
            if position.net_pnl > 0:
                memory.streaks.pop(subject, None)
            elif position.net_pnl < 0:
                losses = memory.streaks.setdefault(subject, [])
                losses.append(Loss(recorded.occurred_at, position.net_pnl, position.instrument))
                del losses[:-MOST_LOSSES]
                yield from _streaks(memory, recorded, subject, losses)


def _streaks(
    memory: RiskMemory, recorded: RecordedEvent, subject: str, losses: list[Loss]
) -> Iterator[Said]:
    for breaker_id, armed in memory.breakers.items():
        terms = armed.terms
        if terms.kind is not BreakerKind.LOSS_STREAK or subject in armed.tripped:
            continue
        concerned = _concerns(memory, terms, subject, recorded.stream_id)
        window = terms.window_seconds
        since = None if window is None else losses[-1].at - timedelta(seconds=window)
        counted = [one for one in losses if since is None or one.at > since]
        if concerned and len(counted) >= terms.threshold:
            yield trip(
                breaker_id,
                recorded.id,
                recorded.correlation_id,
                subject,
                measured=Decimal(len(counted)),
                account_id=recorded.stream_id,
                inputs={
                    f"loss {number}": f"{plain(one.net_pnl)} {one.instrument}"
                    for number, one in enumerate(counted[-10:], 1)
                },
            )


def trip(
    breaker_id: UUID,
    cause: UUID,
    correlation: UUID | None,
    subject: str,
    *,
    measured: Decimal,
    account_id: UUID | None,
    inputs: dict[str, Any],
) -> Said:
    scope, _, reference = subject.partition(":")
    return Said(
        id_of("trip", breaker_id, subject, cause),
        TripBreaker(
            breaker_id=breaker_id,
            scope=LimitScope(scope),
            reference=reference,
            measured=measured,
            account_id=account_id,
            cause=cause,
            inputs=inputs,
        ),
        cause,
        correlation,
    )


# --- prices ---------------------------------------------------------------------------------


def _prices(memory: RiskMemory, recorded: RecordedEvent, event: PricesRecorded) -> Iterator[Said]:
    for breaker_id, armed in memory.breakers.items():
        terms, name = armed.terms, armed.terms.reference
        if terms.kind is not BreakerKind.VOLATILITY_SPIKE or name not in event.prices:
            continue
        assert terms.window_seconds is not None
        price = event.prices[name]
        key = f"{breaker_id} {event.kind} {event.source}"
        window = memory.prices.setdefault(key, [])
        window.append((event.time, price))
        since = max(time for time, _ in window) - timedelta(seconds=terms.window_seconds)
        window[:] = [one for one in window if one[0] > since][-MOST_PRICES:]
        low, high = min(window, key=lambda one: one[1]), max(window, key=lambda one: one[1])
        subject = subject_of(LimitScope.INSTRUMENT, name)
        if low[1] <= 0 or subject in armed.tripped:
            continue
        measured = average(high[1] - low[1], low[1])
        if measured >= terms.threshold:
            yield trip(
                breaker_id,
                recorded.id,
                recorded.correlation_id,
                subject,
                measured=measured,
                account_id=None,
                inputs={
                    "lowest": shown(low[1]),
                    "lowest at": low[0].isoformat(),
                    "highest": shown(high[1]),
                    "highest at": high[0].isoformat(),
                    "price": f"{event.kind} of {event.source}",
                },
            )


# --- what is open ---------------------------------------------------------------------------


def _risk(memory: RiskMemory, event: RiskOpened | RiskUpdated | RiskResolved) -> None:
    if isinstance(event, RiskOpened):
        memory.risks[event.risk_id] = OpenRisk(
            event.event_type,
            event.scope,
            event.reference,
            event.what,
            event.threshold,
            event.account_id,
            event.limit_id,
        )
    elif isinstance(event, RiskResolved):
        memory.risks.pop(event.risk_id, None)
    elif event.risk_id in memory.risks:
        before = memory.risks[event.risk_id]
        memory.risks[event.risk_id] = OpenRisk(
            before.event_type,
            before.scope,
            before.reference,
            before.what,
            event.threshold,
            before.account_id,
            before.limit_id,
        )


def _breaker(memory: RiskMemory, recorded: RecordedEvent, event: Event) -> None:
    match event:
        case BreakerSet():
            armed = memory.breakers.get(event.breaker_id)
            if armed is not None and armed.terms.window_seconds != event.terms.window_seconds:
                _count_anew(memory, event.breaker_id)
            tripped = {} if armed is None else armed.tripped
            memory.breakers[event.breaker_id] = Armed(event.terms, tripped)
            _forget(memory, event.breaker_id)
        case BreakerRemoved():
            memory.breakers.pop(event.breaker_id, None)
            _count_anew(memory, event.breaker_id)
            _forget(memory, event.breaker_id)
        case BreakerTripped():
            _tripped(memory, recorded, event)
        case BreakerActed():
            memory.tasks.pop(task_key(event.breaker_id, event.number, event.action), None)
        case BreakerResumed():
            _resumed(memory, recorded, event)
        case _:
            pass


def _tripped(memory: RiskMemory, recorded: RecordedEvent, event: BreakerTripped) -> None:
    subject = subject_of(event.scope, event.reference)
    armed = memory.breakers.get(event.breaker_id)
    if armed is not None:
        armed.tripped[subject] = event.number
    measured, threshold = shown(event.measured), shown(event.terms.threshold)
    reason = f"breaker {event.terms.kind}: {measured} reaches {threshold}"
    for action in event.terms.actions:
        key = task_key(event.breaker_id, event.number, action)
        memory.tasks[key] = Task(
            event.breaker_id,
            event.number,
            event.scope,
            event.reference,
            action.value,
            recorded.id,
            reason,
            recorded.correlation_id,
        )


def _resumed(memory: RiskMemory, recorded: RecordedEvent, event: BreakerResumed) -> None:
    """It is measured anew; its halt is taken back, unless another breaker holds it."""
    subject = subject_of(event.scope, event.reference)
    armed = memory.breakers.get(event.breaker_id)
    if armed is not None:
        armed.tripped.pop(subject, None)
    memory.streaks.pop(subject, None)
    memory.executions.pop(f"{event.breaker_id} {subject}", None)
    _forget(memory, event.breaker_id)
    if not any(subject in other.tripped for other in memory.breakers.values()):
        key = task_key(event.breaker_id, event.number, RESUME)
        memory.tasks[key] = Task(
            event.breaker_id,
            event.number,
            event.scope,
            event.reference,
            RESUME,
            recorded.id,
            event.reason,
            recorded.correlation_id,
        )


def _forget(memory: RiskMemory, breaker_id: UUID) -> None:
    """What it had measured so far."""
    for kept in (memory.peaks, memory.prices):
        for key in [one for one in kept if one.startswith(f"{breaker_id} ")]:
            del kept[key]


def _count_anew(memory: RiskMemory, breaker_id: UUID) -> None:
    for key in [one for one in memory.executions if one.startswith(f"{breaker_id} ")]:
        del memory.executions[key]


RISKS_THAT_CLEAR = frozenset({
    RiskEventType.LIMIT, RiskEventType.MARGIN_CALL, RiskEventType.LIQUIDATION_NEAR,
    RiskEventType.OVERDRAWN,
})  # fmt: skip
"""Those that resolve by their value."""
