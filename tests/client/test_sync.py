"""The client for code without an event loop: the same methods, which wait."""

import ast
import asyncio
import inspect
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

import ledger.client.client as asynchronous
import ledger.client.questions as asynchronous_questions
from ledger import sync
from ledger.client.submission import LedgerUnavailable
from ledger.kernel.command import CommandRejected
from ledger.nouns.accounts.commands import Deposit, OpenAccount, Withdraw
from tests.client.following import NAME, events_on
from tests.programs.services import ANSWER_SECONDS, running_worker
from tests.questions.test_query_service import running_queries


def connected(nats_url: str) -> sync.LedgerClient:
    return sync.LedgerClient.connect(nats_url, source="test")


@pytest.fixture
async def served(database_url: str, nats_url: str) -> AsyncIterator[str]:
    """The URL of a bus where commands are decided, on this loop: the client waits elsewhere."""
    async with running_worker(database_url, nats_url):
        yield nats_url


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "ledger-client"] == []


def open_account(ledger: sync.LedgerClient) -> UUID:
    account_id = UUID(str(uuid7()))
    ledger.submit(
        OpenAccount(
            account_id=str(account_id),
            user_id=uuid7(),
            exchange="BINANCE",
            name="test",
            account_type="CASH",
            environment="PAPER",
            base_currency="USDT",
        )
    ).raise_for_rejection()
    return account_id


async def test_commands_get_their_outcomes(served: str) -> None:
    def service() -> None:
        with connected(served) as ledger:
            account_id = open_account(ledger)
            deposit = Deposit(account_id=account_id, asset="USDT", amount="100")
            accepted = ledger.submit(deposit)
            assert (accepted.accepted, accepted.rejected) == (True, False)
            accepted.raise_for_rejection()
            assert accepted.command_id is not None
            assert ledger.outcome(accepted.command_id).events == accepted.events

            too_much = ledger.submit(Withdraw(account_id=account_id, asset="USDT", amount=101))
            assert (too_much.accepted, too_much.rejected) == (False, True)
            with pytest.raises(CommandRejected, match="INSUFFICIENT") as refused:
                too_much.raise_for_rejection()
            assert refused.value.outcome == too_much
            assert refused.value.code == too_much.code

    await asyncio.to_thread(service)


async def test_many_commands_are_on_their_way_at_once_and_in_order(served: str) -> None:
    def service() -> None:
        with connected(served) as ledger:
            account_id = open_account(ledger)
            data = {"asset": "USDT", "amount": 1}
            sent = [ledger.send("Deposit", data, account_id=account_id) for _ in range(50)]
            sent[0].received()
            versions = [one.result().events[0].version for one in sent]
            assert versions == list(range(2, 52))
            envelope = {"type": "Deposit", "data": data, "subject": str(account_id)}
            assert ledger.send_envelope(envelope).result().accepted

    await asyncio.to_thread(service)


async def test_read_models_are_asked(served: str, database_url: str) -> None:
    def service() -> None:
        with connected(served) as ledger:
            found = ledger.queries.instruments(limit=10)
            assert found.rows == []
            assert list(ledger.queries.instruments.all()) == []
            assert {row.of for row in ledger.queries.position_of().rows} >= {"log"}
            with pytest.raises(AttributeError, match="there is no question"):
                _ = ledger.queries.horoscope

    async with running_queries(database_url, served):
        await asyncio.to_thread(service)


async def test_events_come_in_order_and_the_next_one_goes_on_where_this_one_left_off(
    nats_url: str,
) -> None:
    def first(number: int) -> list[int]:
        with connected(nats_url) as ledger:
            events = ledger.events(name=NAME)
            positions = [next(events).position for _ in range(number)]
            events.close()  # the last one is not done: nobody asked for the next
            assert next(ledger.events(name=NAME)).position == positions[-1]
        return positions

    def another() -> int:
        with connected(nats_url) as ledger:
            return next(ledger.events(name=NAME)).position

    async with events_on(nats_url) as events:
        await events.publish(5)
        assert await asyncio.to_thread(first, 3) == [1, 2, 3]
        assert await asyncio.to_thread(another) == 3


async def test_what_is_no_follower_is_told_at_once(served: str) -> None:
    def service() -> None:
        with connected(served) as ledger, pytest.raises(ValueError, match="follower's name"):
            ledger.events(name="two words")

    await asyncio.to_thread(service)


async def test_who_waits_is_told_when_another_thread_closes_the_client(nats_url: str) -> None:
    def follow(ledger: sync.LedgerClient, first: threading.Event) -> None:
        events = ledger.events()
        assert next(events).position == 1
        first.set()
        with pytest.raises(LedgerUnavailable):
            next(events)

    def service() -> None:
        ledger = connected(nats_url)
        first = threading.Event()
        waiting = threading.Thread(target=follow, args=(ledger, first))
        waiting.start()
        assert first.wait(ANSWER_SECONDS)
        ledger.close()
        waiting.join(ANSWER_SECONDS)
        assert not waiting.is_alive()
        ledger.close()
        with pytest.raises(LedgerUnavailable, match="closed"):
            ledger.submit("Deposit", account_id=uuid7())

    async with events_on(nats_url) as events:
        await events.publish(1)
        await asyncio.to_thread(service)


def test_a_bus_that_is_not_there_is_named() -> None:
    with pytest.raises(LedgerUnavailable, match=r"no NATS server answers at nats://127\.0\.0\.1:1"):
        sync.LedgerClient.connect("nats://127.0.0.1:1", source="test", connect_timeout=0.2)


async def test_a_program_that_forgets_to_close_its_client_comes_to_its_end(nats_url: str) -> None:
    program = f"""
from ledger.sync import LedgerClient
ledger = LedgerClient.connect({nats_url!r}, source="test")
events = ledger.events()
assert next(events).position == 1
"""
    async with events_on(nats_url) as events:
        await events.publish(1)
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program], capture_output=True, timeout=30
        )
    assert (done.returncode, done.stderr.decode()) == (0, "")


@pytest.mark.parametrize(
    ("waiting", "awaiting"),
    [
        (sync.LedgerClient, asynchronous.LedgerClient),
        (sync.BlockingQueries, asynchronous_questions.Queries),
        (sync.BlockingQuestion, asynchronous_questions.Asking),
    ],
)
def test_both_clients_have_the_same_methods(waiting: type[Any], awaiting: type[Any]) -> None:
    def methods(of: type[Any]) -> dict[str, list[str]]:
        return {
            name: list(map(str, signature(getattr(of, name))))
            for name in dir(of)
            if not name.startswith("_") or name == "__call__"
        }

    def signature(method: Any) -> list[inspect.Parameter]:
        return list(inspect.signature(method).parameters.values()) if callable(method) else []

    expected = methods(awaiting)
    expected.pop("ask", None)  # beneath the questions
    assert methods(waiting) == expected


def test_type_checkers_see_the_same_questions_of_both() -> None:
    def rows_of(module: ModuleType, queries: type[Any]) -> dict[str, str]:
        (found,) = [
            one
            for one in ast.parse(inspect.getsource(module)).body
            if isinstance(one, ast.ClassDef) and one.name == queries.__name__
        ]
        (listed,) = [one.body for one in found.body if isinstance(one, ast.If)]
        return {
            ast.unparse(one.target): ast.unparse(one.annotation).partition("[")[2]
            for one in listed
            if isinstance(one, ast.AnnAssign)
        }

    seen = rows_of(sync, sync.BlockingQueries)
    assert seen == rows_of(asynchronous_questions, asynchronous_questions.Queries)
    assert len(seen) > 10
