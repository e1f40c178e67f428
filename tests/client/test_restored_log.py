"""Whoever follows the events is told when the ledger was restored to before what it has handled."""

from contextlib import aclosing
from uuid import UUID

import pytest

from ledger.client.event_feed import LogRestored
from ledger.kernel.incarnation import Lineage
from tests.client.following import NAME, events_on
from tests.programs.services import client

FIRST, SECOND = UUID(int=1), UUID(int=2)
BEFORE = Lineage.of([(FIRST, 0)])
RESTORED_TO_6 = Lineage.of([(FIRST, 0), (SECOND, 6)])


async def test_a_follower_that_is_behind_what_was_lost_is_told_where_the_logs_part(
    nats_url: str,
) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        events.lineage = BEFORE
        await events.publish(10)
        async with aclosing(ledger.events(name=NAME, after=0)) as followed:
            handled = [(await anext(followed)).position for _ in range(10)]
        assert handled == [*range(1, 11)]
        events.lineage = RESTORED_TO_6
        await events.restore_to(6)
        await events.publish(3)
        with pytest.raises(LogRestored, match="behind position 6 and up to 9") as restored:
            await anext(ledger.events(name=NAME))
        assert (restored.value.position, restored.value.incarnation) == (6, SECOND)
        # Who keeps its place itself, and says of which log it is, is told the same.
        with pytest.raises(LogRestored):
            await anext(ledger.events(after=8, incarnation=FIRST))
        with pytest.raises(LogRestored):
            await anext(ledger.events(name="at-work", after=10, incarnation=FIRST))


async def test_a_follower_that_had_not_come_so_far_goes_on(nats_url: str) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        events.lineage = BEFORE
        await events.publish(5)
        async with aclosing(ledger.events(name=NAME, after=0)) as followed:
            seen = [await anext(followed) for _ in range(5)]
            events.lineage = Lineage.of([(FIRST, 0), (SECOND, 5)])
            await events.publish(3)
            seen += [await anext(followed) for _ in range(3)]
        assert [event.position for event in seen] == [*range(1, 9)]
        assert {event.incarnation for event in seen[:5]} == {FIRST}
        assert {event.incarnation for event in seen[5:]} == {SECOND}
        async with aclosing(ledger.events(name=NAME)) as followed:
            assert (await anext(followed)).position == 8


async def test_a_follower_at_work_while_the_ledger_is_restored_is_told_at_the_next_event(
    nats_url: str,
) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        events.lineage = BEFORE
        await events.publish(10)
        async with aclosing(ledger.events(after=0)) as followed:
            for _ in range(10):
                await anext(followed)
            events.lineage = RESTORED_TO_6
            await events.restore_to(6)
            await events.publish(1)
            with pytest.raises(LogRestored) as restored:
                await anext(followed)
        assert restored.value.position == 6
        async with aclosing(ledger.events(after=6, incarnation=FIRST)) as followed:
            event = await anext(followed)
        assert (event.position, event.incarnation) == (7, SECOND)
