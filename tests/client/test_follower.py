"""Following the events: typed, in order, from where a service left off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from uuid_utils.compat import uuid7

from ledger.bus.events import EVENTS_STREAM, LedgerEvent, UnknownEvent, UnreadableEvent
from ledger.client.client import LedgerClient
from ledger.client.follower import EventsMissing, EventsTaken
from ledger.nouns.accounts.events import AccountDeposited
from ledger.operate.embedded.servers import EmbeddedNats
from tests.programs.publishing import Log, connected, published_up_to, running_publisher
from tests.programs.services import ANSWER_SECONDS, client, open_account, running_worker
from tests.write.damage import appended


@pytest.fixture
async def log(database_url: str, nats_url: str) -> AsyncIterator[Log]:
    """A log of 300 events that is published as it grows."""
    log = Log(database_url)
    head = log.grow(300)
    async with running_publisher(database_url, nats_url):
        await published_up_to(database_url, head)
        yield log


@pytest.fixture
async def ledger(nats_url: str) -> AsyncIterator[LedgerClient]:
    async with await client(nats_url) as ledger:
        yield ledger


async def positions(ledger: LedgerClient, up_to: int, **options: object) -> list[int]:
    """The positions that come until `up_to`, which is asked for beyond: all of them are done."""
    found: list[int] = []
    async with asyncio.timeout(ANSWER_SECONDS):
        async with aclosing(ledger.events(**options)) as events:  # type: ignore[arg-type]
            async for event in events:
                found.append(event.position)
                if event.position >= up_to:
                    break
    return found


async def test_events_come_typed_and_in_order_as_they_happen(
    database_url: str, nats_url: str
) -> None:
    async with (
        running_worker(database_url, nats_url),
        running_publisher(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        events = ledger.events(account_id=account_id, event_type="account.deposited")
        outcomes = []
        for amount in ("1.10", "2.20"):
            data = {"asset": "USDT", "amount": amount}
            outcomes.append(await ledger.submit("Deposit", data, account_id=account_id))
        async with asyncio.timeout(ANSWER_SECONDS), aclosing(events):
            for amount, outcome in zip(("1.10", "2.20"), outcomes, strict=True):
                event = await anext(events)
                assert isinstance(event.data, AccountDeposited)
                assert str(event.data.amount) == amount
                assert event.command_id == outcome.command_id
                assert event.position == outcome.position


async def test_a_named_place_is_remembered_and_only_what_was_not_done_comes_again(
    log: Log, ledger: LedgerClient, nats_url: str
) -> None:
    assert await positions(ledger, 120, name="risk") == list(range(1, 121))
    async with await client(nats_url) as other:  # another process, later
        assert await positions(other, 300, name="risk") == list(range(120, 301))
    await ledger.forget_events("risk")
    assert await positions(ledger, 1, name="risk") == [1]


async def test_a_place_that_the_caller_keeps_is_gone_on_from(
    log: Log, ledger: LedgerClient
) -> None:
    assert await positions(ledger, 300, after=250) == list(range(251, 301))
    head = log.grow(2)
    assert await positions(ledger, head, after=300) == [301, 302]


async def test_who_wants_only_what_is_new_gets_only_that(log: Log, ledger: LedgerClient) -> None:
    events = ledger.events(after="now")
    first = asyncio.create_task(anext(events))
    async with connected(ledger._url) as connection:
        jetstream = connection.jetstream()
        async with asyncio.timeout(ANSWER_SECONDS):
            while not (await jetstream.consumers_info(EVENTS_STREAM)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    log.grow(1)
    async with asyncio.timeout(ANSWER_SECONDS):
        assert (await first).position == 301
    await events.aclose()


async def test_following_goes_on_in_order_through_restarts_of_the_server(
    database_url: str, nats_server: EmbeddedNats
) -> None:
    log = Log(database_url)
    log.grow(1_500)
    found: list[int] = []
    async with (
        running_publisher(database_url, nats_server.url, retry_wait_seconds=0.1),
        await client(nats_server.url) as ledger,
        asyncio.timeout(3 * ANSWER_SECONDS),
        aclosing(ledger.events(name="n")) as events,
    ):
        async for event in events:
            found.append(event.position)
            if event.position in (300, 1_450):
                nats_server.kill()
                nats_server.start()
                log.grow(50)
            if event.position == 1_600:
                break
    assert found == list(range(1, 1_601))


async def test_two_under_one_name_are_told(log: Log, ledger: LedgerClient, nats_url: str) -> None:
    first = ledger.events(name="risk")
    assert (await anext(first)).position == 1
    async with await client(nats_url) as other:
        second = other.events(name="risk")
        assert (await anext(second)).position == 1
        with pytest.raises(EventsTaken, match="One process at a time"):
            await asyncio.wait_for(_exhausted(first), ANSWER_SECONDS)
        await second.aclose()
    with pytest.raises(EventsTaken, match="forget_events"):
        await anext(ledger.events(name="risk", account_id=uuid7()))


async def _exhausted(events: AsyncIterator[LedgerEvent]) -> None:
    async for _ in events:
        pass


async def test_events_that_the_stream_no_longer_has_are_missed_aloud(
    log: Log, ledger: LedgerClient, nats_url: str
) -> None:
    assert await positions(ledger, 10, name="slow") == list(range(1, 11))
    async with connected(nats_url) as connection:
        await connection.jetstream().purge_stream(EVENTS_STREAM, seq=101)
    for options in ({}, {"after": 10}):
        with pytest.raises(EventsMissing, match="publisher replay"):
            await anext(ledger.events(name="slow", **options))  # type: ignore[arg-type]
    with pytest.raises(EventsMissing, match="from position 51 to 100"):
        await anext(ledger.events(after=50))
    assert await positions(ledger, 101) == [101]
    assert await positions(ledger, 101, after=100) == [101]


async def test_what_a_service_does_not_know_it_may_pass_or_be_given_as_it_is(
    database_url: str, log: Log, ledger: LedgerClient
) -> None:
    application = appended(database_url, uuid7(), "basket.opened", data='{"of": "a shop"}')
    appended(database_url, account := uuid7(), "account.of_tomorrow", data='{"worth": "1.5"}')
    log.grow(1)
    assert application == 1
    assert await positions(ledger, 303, after=300, unknown="skip") == [303]
    with pytest.raises(UnreadableEvent, match=r"account\.of_tomorrow"):
        await positions(ledger, 303, after=300)
    events = ledger.events(name="raw", after=300, unknown="raw")
    foreign, unknown = await anext(events), await anext(events)
    assert (foreign.type, foreign.account_id, foreign.position) == ("basket.opened", None, 301)
    assert isinstance(unknown.data, UnknownEvent)
    assert unknown.data.payload == {"worth": "1.5"}
    assert (unknown.account_id, unknown.type) == (account, "account.of_tomorrow")
    await events.aclose()
    with pytest.raises(ValueError, match="raise, skip, raw"):
        ledger.events(unknown="ignore")  # type: ignore[arg-type]


async def test_a_named_follower_does_not_meet_again_what_it_passed(
    database_url: str, log: Log, ledger: LedgerClient
) -> None:
    appended(database_url, uuid7(), "account.of_tomorrow")
    assert await positions(ledger, 300, name="n", unknown="skip") == list(range(1, 301))
    async with aclosing(ledger.events(name="n", unknown="skip")) as events:
        following = asyncio.ensure_future(anext(events))
        log.grow(1)
        assert (await asyncio.wait_for(following, ANSWER_SECONDS)).position == 300
        assert (await anext(events)).position == 302


@pytest.mark.parametrize("wrong", ["order.*", "a.b.c", "order filled"])
def test_what_is_no_event_type_is_refused(wrong: str) -> None:
    from ledger.client.follower import EventFilter

    with pytest.raises(ValueError, match=r"order\.filled"):
        EventFilter(None, wrong)
