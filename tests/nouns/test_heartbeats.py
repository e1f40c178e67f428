"""Who promised to be heard of, and is not: once, in time of the ledger, until heard of again."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.heartbeats import rules
from ledger.nouns.heartbeats.events import HeartbeatEvent
from ledger.nouns.heartbeats.rejections import HeartbeatRejection
from ledger.nouns.heartbeats.state import HeartbeatState, evolve, stream_id
from ledger.nouns.limits.state import LimitAuthor
from ledger.nouns.limits.terms import LimitScope

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCOPE, REFERENCE = LimitScope.STRATEGY, "trend"
OPERATOR = LimitAuthor("ops")


class Promise:
    """That `trend` is heard of every 30 seconds; times are seconds from it on."""

    def __init__(self) -> None:
        self.state: HeartbeatState | None = None
        self.promised(0)

    def _took(self, events: tuple[HeartbeatEvent, ...]) -> list[str]:
        for event in events:
            self.state = evolve(self.state, event, stream_id(SCOPE, REFERENCE))
        return [event.type.removeprefix("heartbeat.") for event in events]

    def promised(self, seconds: float, sender: str = "trend") -> list[str]:
        events = rules.promise(
            self.state,
            scope=SCOPE,
            reference=REFERENCE,
            timeout_seconds=30,
            sender=sender,
            by=OPERATOR,
            now=at(seconds),
        )
        return self._took(events)

    def heard(self, seconds: float, sender: str = "trend") -> list[str]:
        events = rules.hear(
            self.state, scope=SCOPE, reference=REFERENCE, sender=sender, now=at(seconds)
        )
        return self._took(events)

    def missed(self, seconds: float) -> list[str]:
        events = rules.miss(self.state, scope=SCOPE, reference=REFERENCE, now=at(seconds))
        return self._took(events)

    def ended(self, seconds: float, resumes: float | None = None) -> list[str]:
        events = rules.end(
            self.state,
            scope=SCOPE,
            reference=REFERENCE,
            reason="maintenance",
            resumes_at=None if resumes is None else at(resumes),
            by=OPERATOR,
            now=at(seconds),
        )
        return self._took(events)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def trend() -> Promise:
    return Promise()


def test_it_is_missed_at_its_time_and_not_before_and_once(trend: Promise) -> None:
    assert trend.missed(29.999) == []
    assert trend.missed(30) == ["missed"]
    assert trend.missed(31) == []


def test_each_heartbeat_gives_it_its_time_again(trend: Promise) -> None:
    assert trend.heard(20) == ["heard"]
    assert trend.missed(49) == []
    assert trend.missed(50) == ["missed"]
    assert trend.heard(51) == ["heard"], "it is there again"
    assert trend.missed(80) == []
    assert trend.missed(81) == ["missed"]


def test_only_who_promised_can_be_heard(trend: Promise) -> None:
    with pytest.raises(Rejection) as refused:
        trend.heard(1, "somebody")
    assert refused.value.code is HeartbeatRejection.NOT_ITS_SENDER
    assert trend.promised(2) == [], "it is promised already"
    assert trend.promised(3, "somebody") == ["promised"]
    assert trend.heard(4, "somebody") == ["heard"]


def test_a_pause_ends_by_itself_and_an_end_does_not(trend: Promise) -> None:
    assert trend.ended(10, resumes=100) == ["ended"]
    assert trend.heard(20) == [], "the pause is not cut short"
    assert trend.missed(129) == []
    assert trend.missed(130) == ["missed"]
    assert trend.ended(131) == ["ended"]
    assert trend.missed(10_000) == []
    assert trend.ended(10_001) == []
    with pytest.raises(Rejection) as refused:
        trend.ended(10_001, resumes=10_000)
    assert refused.value.code is GeneralRejection.INVALID_COMMAND


def test_without_a_promise_there_is_nothing_to_hear() -> None:
    with pytest.raises(Rejection) as refused:
        rules.hear(None, scope=SCOPE, reference=REFERENCE, sender="trend", now=START)
    assert refused.value.code is HeartbeatRejection.UNKNOWN_HEARTBEAT
