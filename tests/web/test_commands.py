"""Commands by HTTP: one effect for one key, by who may, about what is theirs."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest

from ledger.web.person import Scope
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.programs.services import running_worker
from tests.projections.log import USER
from tests.projections.workers import running
from tests.web.serving import Served, served

KEYS = 40
TRIES = 5


@pytest.fixture
def at_work(database_url: str, nats_url: str, tmp_path: Path) -> Iterator[tuple[Served, str]]:
    """A whole ledger: commands are decided, read models follow, and HTTP is served."""
    stop, works = threading.Event(), threading.Event()

    async def work() -> None:
        async with running_worker(database_url, nats_url):
            works.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    try:
        assert works.wait(30)
        accounts = [one for one in all_projections(ProjectionSettings()) if one.name == "accounts"]
        with (
            running(database_url, accounts),
            served(database_url, tmp_path, nats_url=nats_url) as server,
        ):
            yield server, database_url
    finally:
        stop.set()
        thread.join()


def send(
    client: httpx2.Client, command: dict[str, Any], key: UUID | str | None = None
) -> httpx2.Response:
    headers = {} if key == "" else {"Idempotency-Key": str(key or uuid4())}
    return client.post("/api/v1/commands", json=command, headers=headers)


def an_account(user_id: UUID = USER) -> dict[str, Any]:
    return {
        "type": "OpenAccount",
        "account_id": (account := str(uuid4())),
        "data": {
            "account_id": account,
            "user_id": str(user_id),
            "exchange": "BINANCE",
            "name": "test",
            "account_type": "CASH",
            "environment": "PAPER",
            "base_currency": "USDT",
        },
    }


def deposit(account: str, amount: str = "10") -> dict[str, Any]:
    return {"type": "Deposit", "account_id": account, "data": {"asset": "USDT", "amount": amount}}


def opened(server: Served, user_id: UUID = USER) -> str:
    """An account that the read models show."""
    command = an_account(user_id)
    answer = send(server.client("ada"), command)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "ACCEPTED", answer.text
    asked = {"account_id": command["account_id"], "wait_for": answer.headers["ledger-position"]}
    shown = server.client("aurel").get("/api/v1/accounts", params=asked)
    assert len(shown.json()["rows"]) == 1
    return str(command["account_id"])


def test_a_command_is_decided_once_however_often_its_key_is_sent(
    at_work: tuple[Served, str],
) -> None:
    server, database_url = at_work
    account, client = opened(server), server.client("ada")
    keys = [uuid4() for _ in range(KEYS)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda key: send(client, deposit(account), key), keys * TRIES))
    assert {one.status_code for one in answers} == {200}
    positions: dict[str, set[int]] = {}
    for answer in answers:
        told = answer.json()
        assert told["status"] == "ACCEPTED"
        positions.setdefault(told["command_id"], set()).add(told["events"][0]["position"])
    assert {len(found) for found in positions.values()} == {1}
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM event_store WHERE event_type = 'account.deposited'"
        ).fetchone()
    assert row == (KEYS,)
    other = send(client, deposit(account, "11"), keys[0])
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    again = client.get(f"/api/v1/commands/{keys[0]}")
    assert again.json()["events"] == answers[0].json()["events"]


def test_who_sent_it_is_in_the_log_and_cannot_be_said_otherwise(
    at_work: tuple[Served, str],
) -> None:
    server, database_url = at_work
    account = opened(server)
    suspend = {"type": "SuspendAccount", "account_id": account, "data": {"reason": "a test"}}
    as_another = {**suspend, "data": {"reason": "a test", "actor": "somebody else"}}
    assert send(server.client("ada"), as_another).status_code == 400
    assert send(server.client("ada"), suspend).json()["status"] == "ACCEPTED"
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            """SELECT event_data->>'actor', metadata->>'source', metadata->>'sender'
               FROM event_store WHERE event_type = 'account.suspended'"""
        ).fetchone()
    assert row == ("ada", "web:ada", "anonymous")


def test_each_role_sends_what_it_may_about_what_is_its_own(at_work: tuple[Served, str]) -> None:
    server, _ = at_work
    mine, other = opened(server), opened(server, uuid4())
    order = {
        "type": "SubmitOrder",
        "data": {
            "order_id": str(uuid4()),
            "instrument": "BINANCE:BTCUSDT",
            "side": "BUY",
            "order_type": "MARKET",
            "quantity": "1",
        },
    }
    statuses = {
        name: [
            send(server.client(name), {**order, "account_id": account}).status_code
            for account in (mine, other)
        ]
        + [send(server.client(name), deposit(mine)).status_code]
        for name in ("tom", "vera", "aurel", "olga", "ada")
    }
    assert statuses == {
        "tom": [200, 404, 403],
        "vera": [403, 403, 403],
        "aurel": [403, 403, 403],
        "olga": [403, 403, 403],
        "ada": [200, 200, 200],
    }
    reads_only = server.client("tom", scopes=frozenset({Scope.READ}))
    assert send(reads_only, {**order, "account_id": mine}).status_code == 403
    about_nobody = {"type": "ListInstrument", "data": {}}
    assert send(server.client("tom"), about_nobody).status_code == 403


def test_an_outcome_is_told_to_whose_account_it_is_about(at_work: tuple[Served, str]) -> None:
    server, _ = at_work
    mine, other = opened(server), opened(server, uuid4())
    keys = [uuid4(), uuid4()]
    for account, key in zip((mine, other), keys, strict=True):
        assert send(server.client("ada"), deposit(account), key).status_code == 200
    tom = server.client("tom")
    statuses = [tom.get(f"/api/v1/commands/{key}").status_code for key in (*keys, uuid4())]
    assert statuses == [200, 404, 404]


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (deposit(str(uuid4())), ""),
        (deposit(str(uuid4())), "once"),
        ({"type": "Dream", "data": {}}, uuid4()),
        ({"type": "Deposit", "data": {"asset": "USDT", "amount": "1"}}, uuid4()),
        ({"type": "Deposit", "data": {"account_id": "nobody"}}, uuid4()),
        ({"type": "Deposit", "amount": 1}, uuid4()),
        ({}, uuid4()),
    ],
)
def test_what_is_no_command_is_refused_before_it_is_sent(
    web: Served, command: dict[str, Any], key: UUID | str
) -> None:
    answer = send(web.client("ada"), command, key)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST"), answer.text


def test_without_a_bus_commands_are_refused_and_questions_answered(web: Served) -> None:
    answer = send(web.client("ada"), deposit(str(uuid4())))
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    assert web.client("ada").get("/api/v1/accounts").status_code == 200


def test_what_is_not_decided_in_time_is_received_and_can_be_asked_for(
    database_url: str, nats_url: str, tmp_path: Path
) -> None:
    async def make_streams() -> None:
        async with running_worker(database_url, nats_url):
            pass  # there are streams, and nobody decides

    asyncio.run(make_streams())
    key = uuid4()
    with served(database_url, tmp_path, nats_url=nats_url, web_command_wait_seconds=0.2) as server:
        answer = send(server.client("ada"), an_account(), key)
        assert (answer.status_code, answer.json()["status"]) == (202, "UNKNOWN")
        where = answer.headers["location"]
        assert server.client("ada").get(where).status_code == 404

        async def decide() -> None:
            async with running_worker(database_url, nats_url):
                await asyncio.sleep(0)

        asyncio.run(decide())
        assert server.client("ada").get(where).json()["status"] == "ACCEPTED"
