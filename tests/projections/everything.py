"""A log with every type of event at least once, and a few hundred of the demo's mix."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
from msgspec.structs import replace

from benchmarks.event_mix import EventMix, append_mix
from ledger.nouns.accounts.events import (
    AccountAdjusted,
    AccountClosed,
    AccountDeposited,
    AccountHalted,
    AccountReactivated,
    AccountRebalanced,
    AccountSuspended,
    AccountTransferred,
    AccountWithdrawn,
    BorrowingLimitSet,
    CashFlowKind,
    CashFlowRecorded,
    CommissionCorrected,
    CorporateAction,
    CorporateActionRecorded,
    FundsHeld,
    FundsReleased,
    LeverageSet,
    Reason,
    ReportingSet,
)
from ledger.nouns.alerts.events import (
    AlertAcknowledged,
    AlertDeliveryBegun,
    AlertDeliveryEnded,
    AlertEscalated,
    AlertRaised,
    AlertReleased,
    AlertResolved,
    AlertSeverity,
    AlertsSuppressed,
    AlertsUnsuppressed,
    DeliveryStatus,
)
from ledger.nouns.allocations.events import (
    AllocationChanged,
    AllocationsRebalanced,
    StrategyAssigned,
    StrategyDeactivated,
)
from ledger.nouns.breakers.events import (
    BreakerActed,
    BreakerAction,
    BreakerKind,
    BreakerRemoved,
    BreakerResumed,
    BreakerSet,
    BreakerTerms,
    BreakerTripped,
)
from ledger.nouns.clock import state as clock_state
from ledger.nouns.clock.events import (
    CalendarPeriod,
    PeriodsEnded,
    SnapshotKind,
    SnapshotRecorded,
    SnapshotsTaken,
)
from ledger.nouns.equity import state as equity_state
from ledger.nouns.equity.events import (
    Baseline,
    EquityMarked,
    LimitTripped,
    RiskMeasureRecorded,
)
from ledger.nouns.heartbeats import state as heartbeat_state
from ledger.nouns.heartbeats.events import (
    HeartbeatEnded,
    HeartbeatHeard,
    HeartbeatMissed,
    HeartbeatPromised,
)
from ledger.nouns.instruments import state as instrument_state
from ledger.nouns.instruments.events import InstrumentDelisted, InstrumentListed, InstrumentUpdated
from ledger.nouns.limits import state as limit_state
from ledger.nouns.limits.events import (
    Halted,
    LimitProposed,
    LimitRegistered,
    LimitRemovalProposed,
    LimitRemoved,
    LimitSet,
    Resumed,
    ScopeLimited,
)
from ledger.nouns.limits.terms import LimitMeasure, LimitScope, LimitTerms
from ledger.nouns.log import events as log_events
from ledger.nouns.log.events import LogRecovered
from ledger.nouns.orders.events import (
    Execution,
    Fee,
    OrderAdjusted,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderCommissionCorrected,
    OrderCommissionReported,
    OrderCompleted,
    OrderExpired,
    OrderFillConflicted,
    OrderRejected,
    OrderReplaced,
    OrderReplaceDenied,
    OrderReplaceRejected,
    OrderReplaceRequested,
    OrderReported,
    OrderTerms,
    OrderVoidReported,
    Origin,
    TimeInForce,
)
from ledger.nouns.orders.status import OrderStatus
from ledger.nouns.positions.margin import MarginMode
from ledger.nouns.prices import state as price_state
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from ledger.nouns.projections import events as projection_events
from ledger.nouns.references.events import (
    ReferenceRecorded,
    ReferenceRepeated,
    ReferenceScope,
    ToldMovement,
)
from ledger.nouns.risk.events import (
    RiskEventType,
    RiskOpened,
    RiskResolved,
    RiskSeverity,
    RiskThreshold,
    RiskUpdated,
)
from ledger.nouns.streams import events as stream_events
from ledger.nouns.streams.events import StreamEventPassedOver, StreamGapAccepted
from tests.projections import log as events
from tests.projections.log import ACCOUNT, INSTRUMENT, Log

MIXED_EVENTS = 400
OTHER_ACCOUNT, OTHER_USER = uuid4(), uuid4()


def append_everything(database_url: str, mixed: int = MIXED_EVENTS) -> EventMix:
    """Returns the mix, of which there are so many events, and which can be gone on with."""
    mix = EventMix(accounts=3, seed=7)
    with psycopg.connect(database_url, autocommit=True) as connection:
        append_mix(connection, mix, mixed)
        log = Log(connection)
        _instrument(log)
        _account(log)
        _order(log)
        _ends(log)
        _told_early_and_late(log)
        _operations(log)
        log.append(
            OTHER_ACCOUNT,
            events.account_opened(user_id=OTHER_USER),
            events.deposited("USDT", "5"),
            user_id=OTHER_USER,
        )
        _prices(log)
        _clock(log)
        _cash_flows(log)
        _transfers(log)
        _alerts(log)
        _limits(log)
        _heartbeats(log)
        _risk(log)
        _breakers(log)
        log.now -= timedelta(hours=1)
        late = events.deposited("USDT", "7", "told an hour late")
        log.account(late)
        log.append(OTHER_ACCOUNT, late, user_id=OTHER_USER)
        log.account(
            AccountSuspended(reason='a "look" at it\n\tby ops \\ \x1f ü'),
            AccountReactivated(),
            ReportingSet(periods_per_year=252, benchmark=INSTRUMENT, time_zone="Asia/Tokyo"),
            AccountHalted(actor="risk"),
            AccountClosed(),
        )
    return mix


def _instrument(log: Log) -> None:
    terms: dict[str, Any] = {
        "instrument": INSTRUMENT + "-2",
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "tick_size": Decimal("0.01"),
        "step_size": Decimal("0.001"),
        "min_quantity": Decimal("0.001"),
    }
    log.append(
        instrument_state.stream_id(INSTRUMENT + "-2"),
        InstrumentListed(**terms),
        InstrumentUpdated(**terms | {"max_quantity": Decimal(9)}),
        InstrumentDelisted(instrument=INSTRUMENT + "-2"),
        user_id=None,
    )


def _cash_flows(log: Log) -> None:
    """One, what was told under its name, a conversion, and one of another user."""
    funding = (
        events.posting("main", "USDT", "-0.01", Reason.FUNDING),
        events.posting("income:funding", "USDT", "0.01", Reason.FUNDING),
    )
    conversion = (
        events.posting("main", "DOGE", "-0.00000001", Reason.CONVERSION),
        events.posting("venue:BINANCE", "DOGE", "0.00000001", Reason.CONVERSION),
        events.posting("main", "BNB", "0.5", Reason.CONVERSION),
        events.posting("venue:BINANCE", "BNB", "-0.5", Reason.CONVERSION),
    )
    log.account(
        CashFlowRecorded(
            flow_id="f-1",
            kind=CashFlowKind.FUNDING,
            asset="USDT",
            amount=Decimal("-0.01"),
            sub_account="main",
            instrument=INSTRUMENT,
            info={"rate": "0.0001", "paid": True},
            no_position=True,
            postings=funding,
        ),
        CashFlowRecorded(
            flow_id="f-2",
            kind=CashFlowKind.CONVERSION,
            asset="DOGE",
            amount=Decimal("-0.00000001"),
            sub_account="main",
            counter_asset="BNB",
            counter_amount=Decimal("0.5"),
            postings=conversion,
        ),
    )
    log.append(
        OTHER_ACCOUNT,
        CashFlowRecorded(
            flow_id="f-1",
            kind=CashFlowKind.FUNDING,
            asset="USDT",
            amount=Decimal("-0.01"),
            sub_account="main",
            postings=funding,
        ),
        user_id=OTHER_USER,
    )
    told: dict[str, Any] = {
        "account_id": ACCOUNT,
        "scope": ReferenceScope.CASH_FLOW,
        "reference": "f-1",
        "movement": ToldMovement(kind="FUNDING", asset="USDT", amount=Decimal("-0.01")),
    }
    log.append(_id(5), ReferenceRecorded(**told), ReferenceRepeated(**told))


def _transfers(log: Log) -> None:
    """One that arrives less a fee elsewhere, one under way, one that nobody has sent."""
    for transfer_id, sent, received in (("x1", "10", "9"), ("x2", "5", None), ("x3", None, "7")):
        book, more = f"transit:{transfer_id}", {"asset": "USDT", "sub_account": "main"}
        if sent is not None:
            postings = (
                events.posting("main", "USDT", f"-{sent}", Reason.WITHDRAWAL),
                events.posting(book, "USDT", sent, Reason.WITHDRAWAL),
            )
            out: dict[str, Any] = {**more, "amount": Decimal(sent), "postings": postings}
            log.account(AccountWithdrawn(**out, transfer_id=transfer_id))
        if received is not None:
            postings = (
                events.posting("main", "USDT", received),
                events.posting(book, "USDT", f"-{received}"),
            )
            came: dict[str, Any] = {**more, "amount": Decimal(received), "postings": postings}
            other = OTHER_ACCOUNT if transfer_id == "x1" else ACCOUNT
            user = OTHER_USER if transfer_id == "x1" else events.USER
            log.append(other, AccountDeposited(**came, transfer_id=transfer_id), user_id=user)


def _prices(log: Log) -> None:
    """Told, told late, corrected."""
    for kind, price, seconds in (
        (PriceKind.MARK, "100", 2),
        (PriceKind.MARK, "-99", 1),
        (PriceKind.MARK, "101.5", 2),
        (PriceKind.LAST, "0", 2),
    ):
        log.append(
            price_state.stream_id("BINANCE"),
            PricesRecorded(
                venue="BINANCE",
                source="feed",
                kind=kind,
                time=events.START + timedelta(seconds=seconds),
                prices={INSTRUMENT: Decimal(price), "BINANCE:ETHUSDT": Decimal(price)},
            ),
            user_id=None,
        )


def _heartbeats(log: Log) -> None:
    """Promised, heard, missed, heard again and ended."""
    scope: Any = {"scope": LimitScope.ACCOUNT, "reference": str(ACCOUNT)}
    until = events.START + timedelta(seconds=30)
    log.append(
        heartbeat_state.stream_id(LimitScope.ACCOUNT, str(ACCOUNT)),
        HeartbeatPromised(timeout_seconds=30, sender="strategy-7", by="ada", until=until, **scope),
        HeartbeatHeard(until=until + timedelta(seconds=30), **scope),
        HeartbeatMissed(at=until + timedelta(seconds=30), **scope),
        HeartbeatHeard(until=until + timedelta(minutes=5), **scope),
        HeartbeatEnded(reason="the day is over", by="ada", **scope),
        user_id=None,
    )


def _limits(log: Log) -> None:
    """Set, loosened by two, for a while, removed; a halt and its end."""
    first, second = uuid4(), uuid4()
    everything, account = LimitScope.SYSTEM, (LimitScope.ACCOUNT, str(ACCOUNT))
    terms = LimitTerms(
        measure=LimitMeasure.MAX_EXPOSURE,
        value=Decimal("1000.5"),
        unit="USDT",
        warning_threshold=Decimal(900),
        description="a *first* one",
    )
    for_a_while = replace(terms, effective_until=events.START + timedelta(days=2))
    rate = LimitTerms(measure=LimitMeasure.ORDER_RATE, value=Decimal(3), unit="ORDERS", window="1s")
    scope, reference = account
    of_account: Any = {"scope": scope, "reference": reference, "by": "ada"}
    log.append(
        limit_state.stream_id(*account),
        LimitSet(limit_id=first, terms=terms, **of_account),
        LimitProposed(limit_id=first, terms=replace(terms, value=Decimal(2000)), **of_account),
        LimitSet(limit_id=first, terms=for_a_while, approved_by="bob", **of_account),
        LimitRemovalProposed(limit_id=first, **of_account),
        Halted(reason="enough", **of_account),
        user_id=None,
    )
    log.append(first, LimitRegistered(limit_id=first, **of_account), user_id=None)
    log.append(
        equity_state.stream_id(ACCOUNT),
        EquityMarked(
            account_id=ACCOUNT,
            at=events.START,
            currency="USDT",
            equity=Decimal("100.5"),
            baselines=(Baseline.DAILY, Baseline.PEAK),
            flows={"USDT": Decimal(100)},
        ),
        LimitTripped(
            account_id=ACCOUNT,
            limit_id=first,
            measure=LimitMeasure.MAX_DAILY_LOSS,
            window=Baseline.DAILY,
            at=events.START,
            until=events.START + timedelta(days=1),
            measured=Decimal(11),
            limit_value=Decimal(10),
            unit="%",
        ),
        RiskMeasureRecorded(
            account_id=ACCOUNT,
            measure=LimitMeasure.MAX_VAR_95,
            value=Decimal("0.05"),
            method="historical, 250 days",
            time=events.START,
        ),
    )
    log.append(
        limit_state.SYSTEM_STREAM,
        ScopeLimited(scope=scope, reference=reference),
        LimitSet(limit_id=second, terms=rate, scope=everything, by="ada"),
        LimitRemovalProposed(limit_id=second, scope=everything, by="ada"),
        LimitRemoved(limit_id=second, scope=everything, by="ada", approved_by="bob"),
        Halted(scope=everything, reason="all of it", by="risk"),
        Resumed(scope=everything, reason="looked into", by="ada"),
        user_id=None,
    )


def _clock(log: Log) -> None:
    """Of all, of one, of an earlier time; a day that is over."""
    for kind, minutes, account_id in (
        (SnapshotKind.SCHEDULED, 2, None),
        (SnapshotKind.MANUAL, 3, ACCOUNT),
        (SnapshotKind.TRIGGERED, 1, None),
        (SnapshotKind.SCHEDULED, 75, None),
        (SnapshotKind.SCHEDULED, 60 * 24, None),
    ):
        log.append(
            clock_state.stream_id(account_id),
            SnapshotsTaken(
                kind=kind, time=events.START + timedelta(minutes=minutes), account_id=account_id
            ),
            user_id=None,
        )
    for account_id in (ACCOUNT, _id(99)):  # one that was never opened
        log.append(
            clock_state.stream_id(account_id),
            SnapshotRecorded(
                account_id=account_id,
                time=events.START - timedelta(days=9),
                source="before",
                equity=Decimal(7),
            ),
            user_id=None,
        )
    log.append(
        clock_state.stream_id(),
        PeriodsEnded(time=events.START, periods=(CalendarPeriod.DAY,)),
        user_id=None,
    )


def _alerts(log: Log) -> None:
    """One with all that can become of it, one of a user, one that was kept and then told."""
    one: dict[str, Any] = {"alert_id": _id(20), "number": 1}
    on: dict[str, Any] = {"channel": "mail", "attempt": 1}
    raised: dict[str, Any] = {
        "rule": "risk",
        "severity": AlertSeverity.WARNING,
        "title": "a limit",
        "channels": ("mail",),
    }
    log.append(
        _id(20),
        AlertsSuppressed(alert_id=_id(20), rule="risk", reason="planned", actor="ada"),
        AlertsUnsuppressed(alert_id=_id(20), actor="ada"),
        AlertRaised(**one, **raised, message="80 %", metadata={"value": "80"}),
        AlertDeliveryBegun(**one, **on),
        AlertDeliveryEnded(
            **one, **on, status=DeliveryStatus.FAILED, error="timeout", uncertain=True
        ),
        AlertEscalated(**one, channels=("boss",)),
        AlertDeliveryBegun(**one, channel="mail", attempt=2, repeated=True),
        AlertDeliveryEnded(**one, channel="mail", attempt=2, status=DeliveryStatus.SENT),
        AlertAcknowledged(**one, actor="ada"),
        AlertResolved(**one, actor="ada", reason="done"),
        AlertRaised(alert_id=_id(20), number=2, **raised),
        user_id=None,
    )
    of_user: dict[str, Any] = {"account_id": ACCOUNT, "user_id": events.USER}
    log.append(
        _id(21),
        AlertRaised(alert_id=_id(21), number=1, **raised, **of_user, suppressed=True),
        AlertReleased(alert_id=_id(21), number=1),
        AlertResolved(alert_id=_id(21), number=1, by_itself=True),
        AlertsSuppressed(alert_id=_id(21), rule="risk", entity_type="ACCOUNT", entity_id="x"),
    )
    of_other: dict[str, Any] = {"account_id": OTHER_ACCOUNT, "user_id": OTHER_USER}
    log.append(
        _id(22),
        AlertRaised(alert_id=_id(22), number=1, **raised, **of_other),
        AlertsSuppressed(alert_id=_id(22), rule="risk", entity_type="ACCOUNT", entity_id="y"),
        user_id=OTHER_USER,
    )


def _risk(log: Log) -> None:
    """One of each user, from its opening to its end, and one of nobody."""
    for number, account, user in (
        (30, ACCOUNT, events.USER),
        (31, OTHER_ACCOUNT, OTHER_USER),
        (32, None, None),
    ):
        one: dict[str, Any] = {"risk_id": _id(number), "number": 1}
        more: dict[str, Any] = {"account_id": account, "user_id": user}
        log.append(
            _id(number),
            RiskOpened(
                **one,
                **more,
                value=Decimal("85.5"),
                event_type=RiskEventType.LIMIT,
                severity=RiskSeverity.WARNING,
                scope=LimitScope.SYSTEM,
                message="85.5 of 100",
                threshold=RiskThreshold.WARNING,
                measure="MAX_EXPOSURE",
                limit=Decimal(100),
                unit="USDT",
                data={"price": "5"},
            ),
            RiskUpdated(
                **one,
                value=Decimal(100),
                severity=RiskSeverity.CRITICAL,
                message="100 of 100",
                threshold=RiskThreshold.LIMIT,
            ),
            RiskResolved(**one, value=Decimal("0.00000001"), by_itself=True),
            user_id=user,
        )


def _breakers(log: Log) -> None:
    terms = BreakerTerms(
        kind=BreakerKind.DRAWDOWN,
        scope=LimitScope.SYSTEM,
        threshold=Decimal("0.1"),
        actions=tuple(BreakerAction),
    )
    one: dict[str, Any] = {"breaker_id": _id(40), "actor": "ada"}
    log.append(_id(40), BreakerSet(**one, terms=terms, reason="a test"), user_id=None)
    for number, account, user in ((1, ACCOUNT, events.USER), (2, OTHER_ACCOUNT, OTHER_USER)):
        of: dict[str, Any] = {
            "number": number,
            "scope": LimitScope.ACCOUNT,
            "reference": str(account),
        }
        log.append(
            _id(40),
            BreakerTripped(
                **one,
                **of,
                terms=terms,
                measured=Decimal("0.125"),
                at=events.START,
                account_id=account,
                user_id=user,
                inputs={"peak": "100", "equity": "87.5"},
            ),
            *(BreakerActed(**one, **of, action=action, accepted=1) for action in BreakerAction),
            BreakerActed(**one, **of, action=BreakerAction.EXIT, refused=1, error="no price"),
            user_id=user,
        )
        log.append(_id(40), BreakerResumed(**one, **of, reason="seen to"), user_id=user)
    log.append(_id(40), BreakerRemoved(**one), user_id=None)


def _operations(log: Log) -> None:
    recovered = log.append(
        log_events.STREAM_ID,
        LogRecovered(previous=None, after=1, commands_up_to=1, actor="ada", reason="a test"),
        user_id=None,
    )
    repaired: dict[str, Any] = {  # of what no read model shows
        "repaired_stream_id": log_events.STREAM_ID,
        "event_version": 1,
        "position": recovered,
        "actor": "ada",
        "reason": "a test",
    }
    log.append(
        stream_events.repairs_of(log_events.STREAM_ID),
        StreamEventPassedOver(**repaired),
        StreamGapAccepted(**repaired),
        user_id=None,
    )
    for kind in projection_events.ProjectionOperation.__subclasses__():
        log.append(
            projection_events.stream_id("orders"),
            kind(projection_name="orders", actor="ada", reason="a test", details={"generation": 2}),
            user_id=None,
        )


def _account(log: Log) -> None:
    log.account(events.account_opened(), events.deposited("USDT", "100000", "wire 1"))
    log.allocation(
        StrategyAssigned(account_id=ACCOUNT, strategy_id="grid", allocation_percent=Decimal(40)),
        AllocationChanged(
            account_id=ACCOUNT,
            strategy_id="grid",
            allocation_percent=Decimal(60),
            risk_multiplier=Decimal(2),
            auto_rebalance=True,
        ),
        AllocationsRebalanced(account_id=ACCOUNT),
        StrategyDeactivated(account_id=ACCOUNT, strategy_id="grid"),
    )
    moved = (
        events.posting("main", "USDT", "-10", Reason.TRANSFER),
        events.posting("grid", "USDT", "10", Reason.TRANSFER),
    )
    log.account(
        AccountTransferred(
            asset="USDT",
            amount=Decimal(10),
            from_sub_account="main",
            to_sub_account="grid",
            postings=moved,
        ),
        AccountRebalanced(postings=moved),
        AccountWithdrawn(
            asset="USDT",
            amount=Decimal(5),
            sub_account="main",
            postings=(
                events.posting("main", "USDT", "-5", Reason.WITHDRAWAL),
                events.posting("external", "USDT", "5", Reason.WITHDRAWAL),
            ),
        ),
        AccountAdjusted(
            asset="DOGE",
            amount=Decimal("0.00000001"),
            sub_account="main",
            reason="airdrop",
            actor="ops",
            postings=(
                events.posting("main", "DOGE", "0.00000001", Reason.ADJUSTMENT),
                events.posting("external", "DOGE", "-0.00000001", Reason.ADJUSTMENT),
            ),
        ),
    )


def _order(log: Log) -> None:
    """One order that sees about everything."""
    log.order(events.submitted())
    log.account(
        FundsHeld(order_id=events.ORDER, holds=(events.hold("USDT", "1000"),)),
        LeverageSet(
            instrument=INSTRUMENT,
            leverage=Decimal(4),
            mode=MarginMode.CROSS,
            margin_rate=Decimal("0.25"),
        ),
        BorrowingLimitSet(asset="USDT", limit=Decimal(5)),
        CorporateActionRecorded(
            action_id="split 1",
            instrument=INSTRUMENT,
            action=CorporateAction.SPLIT,
            numerator=2,
            denominator=1,
        ),
    )
    log.order(events.accepted())
    log.order(events.filled("4", cum="4", commission=Decimal("0.4"), commission_asset="USDT"))
    log.account(events.settled("4", "100", fee="0.4", holds=(events.hold("USDT", "-400"),)))
    now: dict[str, Any] = {"account_id": ACCOUNT, "status": OrderStatus.PARTIALLY_FILLED}
    log.order(
        OrderCancelRequested(**now),
        OrderCancelRejected(**now),
        OrderReplaceDenied(
            **now, quantity=Decimal(80), code="RISK_LIMIT_EXCEEDED", reason="too much"
        ),
        OrderReplaceRequested(**now, quantity=Decimal(8)),
        OrderReplaceRejected(**now),
        OrderReplaced(**now, quantity=Decimal(8), price=Decimal(101)),
        OrderAdjusted(
            **now,
            instrument=INSTRUMENT,
            base_asset="BTC",
            quote_asset="USDT",
            quantity=Decimal(8),
            price=Decimal(101),
            cum_qty=Decimal(4),
            leaves_qty=Decimal(4),
        ),
        events.filled(
            "1", cum="5", trade_id="t-2", commission=Decimal("0.001"), commission_asset="BNB"
        ),
    )
    conflict: dict[str, Any] = {
        name: getattr(events.filled("9", cum="9"), name)
        for name in OrderFillConflicted.__struct_fields__
    }
    log.order(
        OrderFillConflicted(**conflict),
        events.fill_voided(
            "4", cum="1", commission=Decimal("0.4"), commission_asset="USDT", reason="busted"
        ),
    )
    log.account(events.trade_voided("4", "100", fee="0.4"))
    log.order(events.cancelled(reason="done"))
    log.account(FundsReleased(order_id=events.ORDER, holds=(events.hold("USDT", "-600"),)))


def _ends(log: Log) -> None:
    """Orders that end in the other ways."""
    now: dict[str, Any] = {"account_id": ACCOUNT}
    log.order(events.denied(), order_id=_id(1))
    log.order(
        events.submitted(),
        OrderRejected(**now, status=OrderStatus.REJECTED, reason="no such market"),
        order_id=_id(2),
    )
    log.order(
        events.submitted(time_in_force=TimeInForce.IOC),
        OrderExpired(**now, status=OrderStatus.EXPIRED, reason="IOC"),
        order_id=_id(3),
    )
    terms: dict[str, Any] = {
        name: getattr(events.submitted(), name) for name in OrderTerms.__struct_fields__
    }
    log.order(
        OrderReported(**terms | {"origin": Origin.EXTERNAL}),
        events.filled("12", cum="12", status="FILLED"),
        order_id=_id(4),
    )


def _told_early_and_late(log: Log) -> None:
    """A trade that is void before it comes, one that is charged otherwise, and one told anew."""
    now: dict[str, Any] = {"account_id": ACCOUNT, "status": OrderStatus.PARTIALLY_FILLED}
    told, right = (Fee("USDT", Decimal(1)), Fee("BNB", Decimal(1))), (Fee("BNB", Decimal(2)),)
    of_trade = {
        name: getattr(events.filled("1", cum="1", trade_id="t-3"), name)
        for name in Execution.__struct_fields__
    }
    corrected = of_trade | {"commission": Decimal(2), "commission_asset": "BNB"}
    order_id = _id(6)
    log.order(
        events.submitted(),
        OrderVoidReported(**now, trade_id="t-2"),
        OrderCommissionReported(**now, trade_id="t-3", fees=right),
        events.filled("2", cum="2", trade_id="t-2"),
        events.fill_voided("2", cum="0", trade_id="t-2"),
        events.filled("3", cum="3", trade_id="t-2", revision=2),
        events.filled("1", cum="4", trade_id="t-3", fees=told),
        OrderCommissionCorrected(**corrected, previous_fees=told),
        OrderCompleted(account_id=ACCOUNT, status=OrderStatus.FILLED),
        order_id=order_id,
    )
    postings = (
        events.posting("main", "USDT", "1", Reason.FEE_VOID),
        events.posting("fees:BINANCE", "USDT", "-1", Reason.FEE_VOID),
        events.posting("main", "BNB", "-1", Reason.FEE),
        events.posting("fees:BINANCE", "BNB", "1", Reason.FEE),
    )
    log.account(
        CommissionCorrected(
            order_id=order_id,
            trade_id="t-3",
            instrument=INSTRUMENT,
            sub_account="main",
            fees=right,
            previous_fees=told,
            postings=postings,
        )
    )


def _id(number: int) -> UUID:
    return UUID(int=events.ORDER.int + number)
