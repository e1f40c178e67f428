"""A strategy that trades again and again is stopped at its number, whatever it says of the time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import orjson
import pytest

from ledger.eventstore.codec import encode
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.event import Event
from ledger.nouns.accounts.events import TradeSettled
from ledger.nouns.breakers.commands import TripBreaker
from ledger.nouns.breakers.events import (
    BreakerKind,
    BreakerResumed,
    BreakerSet,
    BreakerTerms,
    BreakerTripped,
)
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.orders.events import Side
from ledger.nouns.positions.position import Position
from ledger.risk.fold import fold
from ledger.risk.memory import RiskMemory

BREAKER, ACCOUNT = uuid4(), uuid4()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF_TREND = (LimitScope.STRATEGY, "trend")


class Log:
    """What is followed; `memory` is what the follower remembers."""

    def __init__(self) -> None:
        self.memory = RiskMemory()
        self.position = 0
        terms = BreakerTerms(
            kind=BreakerKind.REPEATED_EXECUTION,
            scope=OF_TREND[0],
            reference=OF_TREND[1],
            threshold=Decimal(3),
            window_seconds=60,
        )
        self.told(BreakerSet(breaker_id=BREAKER, terms=terms))

    def told(self, event: Event, seconds: float = 0, stream: UUID = BREAKER) -> list[TripBreaker]:
        self.position += 1
        recorded = RecordedEvent(
            position=self.position,
            id=uuid4(),
            stream_id=stream,
            stream_type=event.type.partition(".")[0],
            event_type=event.type,
            event_version=self.position,
            data=encode(event).decode(),
            metadata="{}",
            correlation_id=None,
            causation_id=None,
            user_id=None,
            occurred_at=NOON - timedelta(days=self.position),
            recorded_at=NOON + timedelta(seconds=seconds),
        )
        found = list(fold(self.memory, recorded, event))
        return [one.data for one in found if isinstance(one.data, TripBreaker)]

    def traded(self, seconds: float, strategy: str = "trend") -> list[TripBreaker]:
        position = Position(
            sub_account=strategy,
            instrument="X:BTCUSDT",
            number=1,
            quantity=Decimal(1),
            settlement_asset="USDT",
        )
        settled = TradeSettled(
            postings=(),
            holds=(),
            order_id=uuid4(),
            trade_id="1",
            instrument="X:BTCUSDT",
            side=Side.BUY,
            last_qty=Decimal(1),
            last_px=Decimal(1),
            positions=(position,),
        )
        return self.told(settled, seconds, ACCOUNT)

    def follows(self, tripped: TripBreaker) -> Iterator[TripBreaker]:
        """The breaker has tripped, as it was asked to."""
        terms = self.memory.breakers[BREAKER].terms
        yield from self.told(
            BreakerTripped(
                breaker_id=BREAKER,
                terms=terms,
                number=1,
                scope=tripped.scope,
                reference=tripped.reference,
                measured=tripped.measured,
                at=NOON,
            )
        )


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_strategy_that_trades_again_and_again_trips_at_its_number(log: Log) -> None:
    assert [log.traded(one) for one in (0, 10)] == [[], []]
    (tripped,) = log.traded(59.9)
    assert (tripped.scope, tripped.reference, tripped.measured) == (*OF_TREND, Decimal(3))
    assert tripped.inputs["trades"] == 3
    assert orjson.loads(orjson.dumps(tripped.inputs))["first at"] == NOON.isoformat()


def test_what_is_out_of_the_window_and_what_others_trade_is_not_counted(log: Log) -> None:
    seconds = (0, 10, 60, 70, 120)
    assert [log.traded(one) for one in seconds] == [[] for _ in seconds]
    assert log.traded(121, "other") == []
    assert len(log.traded(122)) == 1


def test_it_counts_anew_once_a_person_has_resumed(log: Log) -> None:
    (tripped,) = [one for seconds in (0, 1, 2) for one in log.traded(seconds)]
    assert list(log.follows(tripped)) == []
    assert [log.traded(one) for one in (3, 4, 5)] == [[], [], []], "it is tripped already"
    scope, reference = OF_TREND
    log.told(
        BreakerResumed(
            breaker_id=BREAKER, number=1, scope=scope, reference=reference, reason="looked into"
        )
    )
    assert [len(log.traded(one)) for one in (6, 7, 8)] == [0, 0, 1]
