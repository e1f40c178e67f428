"""Following under a name: rolling restarts, ends of every kind, and two at a time."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import nats.errors
import pytest
from nats.js import api

from ledger.bus.events import EVENTS_STREAM, LedgerEvent
from ledger.bus.followers import FOLLOWERS_PREFIX
from ledger.client import event_feed, follower_keeper
from ledger.client.client import LedgerUnavailable
from ledger.client.event_feed import Feed
from ledger.client.follower import EventsTaken, PositionAhead, UnreadablePlace
from ledger.operate.embedded.servers import EmbeddedNats
from tests.client.following import NAME, Events, Service, account_at, events_on, service, until_kept
from tests.programs.publishing import connected
from tests.programs.services import ANSWER_SECONDS, client

RESTARTS = int(os.environ.get("LEDGER_TEST_RESTARTS", "6"))
EVENTS_PER_SECOND = 5_000
LEASE_SECONDS = 1.0

_log = logging.getLogger(__name__)


async def first(nats_url: str, **options: Any) -> int:
    """The position of the first event that comes; it is not done."""
    async with (
        await client(nats_url) as ledger,
        aclosing(ledger.events(**options)) as events,
        asyncio.timeout(3 * ANSWER_SECONDS),
    ):
        return (await anext(events)).position


async def test_rolling_restarts_go_on_at_once_and_nothing_is_handled_twice(nats_url: str) -> None:
    async with events_on(nats_url) as events:
        await events.publish(500)
        ending = asyncio.Event()
        services = [await service(nats_url)]
        publishing = asyncio.create_task(_steadily(events, services, ending))
        pauses, began_all = [], time.monotonic()
        for number in range(RESTARTS):
            before = services[-1]
            await before.has((before.given or [0])[-1] + EVENTS_PER_SECOND // 20)
            began = time.monotonic()
            services.append(await service(nats_url))
            if number % 2:  # it is told to end while the next begins
                await before.leave()
            else:
                await before.wait()
                assert before.taken
            await services[-1].has(before.given[-1])
            pauses.append(time.monotonic() - began)
        ending.set()
        await publishing
        rate = events.head / (time.monotonic() - began_all)
        await services[-1].has(events.head)
        await services[-1].leave()
    pauses.sort()
    told = "%d restarts, %d events at %.0f/s, a restart took %.3f s, the slowest %.3f s"
    _log.info(told, RESTARTS, events.head, rate, pauses[len(pauses) // 2], pauses[-1])
    check_handled([one.given for one in services], events.head)
    assert max(pauses) < ANSWER_SECONDS


async def _steadily(events: Events, services: list[Service], ending: asyncio.Event) -> None:
    """Publishes so many events a second; fewer on a machine that cannot handle them."""
    began, already = time.monotonic(), events.head
    while not ending.is_set():
        due = int((time.monotonic() - began) * EVENTS_PER_SECOND) + already - events.head
        room = max((one.given[-1] for one in services if one.given), default=0) + EVENTS_PER_SECOND
        if due > 0 and events.head < room:
            await events.publish(min(due, EVENTS_PER_SECOND // 10))
        await asyncio.sleep(0.02)


def check_handled(given: list[list[int]], head: int) -> None:
    """All events were handled in order, none twice but the last of the one before."""
    handled: list[int] = []
    for positions in given:
        if handled and positions and positions[0] == handled[-1]:
            handled.pop()
        handled += positions
    assert handled == list(range(1, head + 1))


async def test_leaving_has_the_place_on_the_server(nats_url: str) -> None:
    async with events_on(nats_url) as events:
        await events.publish(2_000)
        last = 1
        for number in range(20):
            async with await client(nats_url) as ledger, asyncio.timeout(ANSWER_SECONDS):
                following = ledger.events(name=NAME)
                assert (await anext(following)).position == last  # it was in hand
                for _ in range(97):
                    last = (await anext(following)).position
                if number % 2:
                    await following.aclose()
                # else the client is closed first


async def test_a_dead_process_is_followed_after_its_lease(nats_url: str) -> None:
    async with events_on(nats_url) as events:
        await events.publish(100)
        dead = await service(nats_url, lease_seconds=LEASE_SECONDS)
        await dead.has(100)
        await asyncio.sleep(0.2)  # more than the time between two writes of the place
        await dead.kill()
        await events.publish(1)
        began = time.monotonic()
        assert await first(nats_url, name=NAME) == 101
        assert 0.2 < time.monotonic() - began < LEASE_SECONDS + ANSWER_SECONDS


async def test_the_place_stays_when_making_the_consumer_fails(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Feed._make
    failing = 0

    async def fails(feed: Feed, *arguments: Any) -> api.ConsumerInfo:
        nonlocal failing
        if failing:
            failing -= 1
            await feed._jetstream.delete_consumer(EVENTS_STREAM, feed.consumer)
            raise nats.errors.TimeoutError
        return await make(feed, *arguments)

    async with events_on(nats_url) as events:
        await events.publish(50)
        assert await first(nats_url, name=NAME, after=20) == 21
        async with connected(nats_url) as connection:
            await connection.jetstream().publish("ledger.events.x.y.z", b"{}")  # none of ours
        async with await client(nats_url) as ledger:
            begun = ledger.events(name="new", after="now")
            asked = asyncio.create_task(anext(begun))
            await until_kept(ledger._nats, "new", b'"owner"')
            await events.publish(3)
            assert (await asyncio.wait_for(asked, ANSWER_SECONDS)).position == 51
            await begun.aclose()
        monkeypatch.setattr(Feed, "_make", fails)
        for name, expected in ((NAME, 21), ("new", 51)):
            failing = 2
            assert await first(nats_url, name=name, after="now") == expected
            assert failing == 0


async def test_a_restart_of_the_server_leaves_the_name_to_its_owner(
    nats_server: EmbeddedNats,
) -> None:
    async with events_on(nats_server.url) as events:
        await events.publish(1_000)
        one = await service(nats_server.url)
        for _ in range(3):
            await one.has(events.head)
            nats_server.kill()
            nats_server.start()
            await events.publish(300)
        await one.has(events.head)
        await one.leave()
        check_handled([one.given], events.head)


async def test_who_does_not_ask_for_the_next_event_is_replaced_after_its_lease(
    nats_url: str,
) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        await events.publish(10)
        slow = ledger.events(name=NAME, lease_seconds=LEASE_SECONDS)
        for _ in range(5):
            await anext(slow)
        assert await first(nats_url, name=NAME) == 5  # the one in hand, and no other
        with pytest.raises(EventsTaken):
            await anext(slow)


async def test_the_newest_of_three_gets_the_name(nats_url: str) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        await events.publish(10)
        holding = ledger.events(name=NAME, lease_seconds=30.0)
        await anext(holding)
        waiting = await service(nats_url)
        await until_kept(ledger._nats, NAME, b'"wanted_by"')
        newest = await service(nats_url)
        await waiting.wait()
        assert waiting.taken
        assert waiting.given == []
        with pytest.raises(EventsTaken):
            await anext(holding)
        await newest.has(10)
        assert newest.given == list(range(2, 11))
        await newest.leave()


async def test_one_who_gives_up_waiting_takes_its_wish_back(nats_url: str) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        await events.publish(10)
        holding = ledger.events(name=NAME)
        await anext(holding)
        waiting = await service(nats_url)
        await until_kept(ledger._nats, NAME, b'"wanted_by"')
        await waiting.leave()
        assert waiting.given == []
        assert [(await anext(holding)).position for _ in range(9)] == list(range(2, 11))
        await holding.aclose()


async def test_a_closed_client_ends_its_followers(nats_url: str) -> None:
    async with events_on(nats_url) as events:
        await events.publish(3)
        for options in ({"name": NAME}, {}):
            ledger = await client(nats_url)
            following = ledger.events(**options)  # type: ignore[arg-type]
            await anext(following)
            await ledger.close()
            with pytest.raises(LedgerUnavailable, match="closed"):
                await asyncio.wait_for(_exhausted(following), ANSWER_SECONDS)


async def _exhausted(events: AsyncIterator[LedgerEvent]) -> None:
    async for _ in events:
        pass


async def test_who_finds_no_stream_of_places_is_told(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_keeper, "NO_STREAM_SECONDS", 0.3)
    with pytest.raises(LedgerUnavailable, match="serve publisher"):
        await first(nats_url, name=NAME)


async def test_forgetting_ends_who_follows(nats_url: str) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        await events.publish(10)
        one = await service(nats_url)
        await one.has(10)
        await ledger.forget_events(NAME)
        await one.wait()
        assert one.taken
        assert await first(nats_url, name=NAME, after=4) == 5


async def test_a_position_that_no_event_has_is_told(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "AHEAD_SECONDS", 0.3)
    async with events_on(nats_url) as events:
        await events.publish(10)
        for options in ({}, {"name": NAME}, {"account_id": account_at(1)}):
            with pytest.raises(PositionAhead, match="position 12 is 2 events ahead"):
                await first(nats_url, after=12, **options)
        with pytest.raises(ValueError, match="is no position"):
            await first(nats_url, after=-1)
        assert await first(nats_url, name=NAME, after=9) == 10  # nothing was kept before
        monkeypatch.setattr(event_feed, "AHEAD_SECONDS", ANSWER_SECONDS)
        late = asyncio.create_task(first(nats_url, after=12))  # not published yet
        await asyncio.sleep(0.2)
        await events.publish(3)
        assert await late == 13


async def test_an_accounts_events_are_found_in_a_stream_that_has_lost_its_beginning(
    nats_url: str,
) -> None:
    async with events_on(nats_url) as events:
        async with connected(nats_url) as connection:
            foreign = f"ledger.events.x.y.{account_at(1)}"  # somebody else's, in between
            await connection.jetstream().publish(foreign, b"{}")
            await events.publish_from(5_001, 200)
            await connection.jetstream().publish(foreign, b"{}")
        await events.publish(200)
        for after in (1, 5_000, 5_001, 5_150, 5_199, 5_200, 5_201, 5_396):
            wanted = max(after + 1, 5_001)
            for account in {account_at(position) for position in range(1, 5)}:
                found = await first(nats_url, account_id=account, after=after)
                assert found == next(
                    position
                    for position in range(wanted, events.head + 1)
                    if account_at(position) == account
                )


async def test_the_place_of_a_durable_consumer_is_taken_over(nats_url: str) -> None:
    async with events_on(nats_url) as events, connected(nats_url) as connection:
        await events.publish(50)
        jetstream = connection.jetstream()
        config = api.ConsumerConfig(
            durable_name=NAME, filter_subject="ledger.events.>", ack_policy=api.AckPolicy.ALL
        )
        await jetstream.add_consumer(EVENTS_STREAM, config)
        pulling = await jetstream.pull_subscribe_bind(NAME, EVENTS_STREAM)
        await (await pulling.fetch(30))[-1].ack_sync()
        assert await first(nats_url, name=NAME, after=7) == 31
        assert await first(nats_url, name=NAME) == 31
        info = await jetstream.consumers_info(EVENTS_STREAM)
        assert [one.config.durable_name for one in info] == [None]


async def test_a_record_of_another_version_is_told_and_can_be_forgotten(nats_url: str) -> None:
    async with events_on(nats_url) as events, await client(nats_url) as ledger:
        await events.publish(1)
        subject = f"{FOLLOWERS_PREFIX}.anonymous.{NAME}"
        await ledger._nats.jetstream().publish(subject, b'{"shape": 7}')
        with pytest.raises(UnreadablePlace, match="forget_events"):
            await first(nats_url, name=NAME)
        await ledger.forget_events(NAME)
        assert await first(nats_url, name=NAME) == 1


async def test_a_lease_that_every_hiccup_would_end_is_refused(nats_url: str) -> None:
    async with await client(nats_url) as ledger:
        with pytest.raises(ValueError, match="too short"):
            ledger.events(name=NAME, lease_seconds=0.1)
