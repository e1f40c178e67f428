"""Events as they are recorded: every position once and in order, whatever breaks in between."""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import psycopg
import pytest

from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.projections.log import USER, Log, account_opened, deposited
from tests.projections.workers import wait_until
from tests.web.serving import Served, served

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))


@pytest.fixture
def growing(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Served, Log]]:
    """A server on a log of one account of tom's that can be appended to."""
    with (
        temporary_database(postgres_url, template=TEMPLATE) as url,
        psycopg.connect(url, autocommit=True) as connection,
        served(url, tmp_path, web_stream_heartbeat_seconds=0.3) as server,
    ):
        yield server, Log(connection)


def told(lines: Iterator[str], most: int) -> list[tuple[int, dict[str, Any]]]:
    """The next events of a stream, with their ids."""
    found: list[tuple[int, dict[str, Any]]] = []
    position = 0
    for line in lines:
        if line.startswith("id: "):
            position = int(line[4:])
        elif line.startswith("data: "):
            found.append((position, orjson.loads(line[6:])))
            if len(found) == most:
                break
    return found


@contextmanager
def following(client: httpx2.Client, **headers: str) -> Iterator[Iterator[str]]:
    with client.stream("GET", "/api/v1/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == ": begins"
        yield lines


def test_a_stream_tells_what_was_and_what_comes(growing: tuple[Served, Log]) -> None:
    server, log = growing
    account = uuid4()
    log.append(account, account_opened())
    log.append(account, deposited("USDT", "1"))
    with following(server.client("aurel"), **{"Last-Event-ID": "0"}) as lines:
        assert [position for position, _ in told(lines, 2)] == [1, 2]
        log.append(account, deposited("USDT", "2"))
        ((position, event),) = told(lines, 1)
        assert (position, event["position"]) == (3, 3)
        assert event["event_data"]["amount"] == "2"
        assert ": alive" in next(line for line in lines if line)


def test_connections_may_break_and_no_event_is_lost_or_told_twice(
    growing: tuple[Served, Log],
) -> None:
    server, log = growing
    account, events = uuid4(), 100 * ROUNDS
    log.append(account, account_opened())

    def append() -> None:
        for number in range(events):
            log.append(account, deposited("USDT", str(number + 1)))

    writing = threading.Thread(target=append)
    writing.start()
    chance, seen = random.Random(7), [0]
    client = server.client("aurel")
    while seen[-1] < events + 1:
        with following(client, **{"Last-Event-ID": str(seen[-1])}) as lines:
            wanted = min(chance.randint(1, 9), events + 1 - seen[-1])
            seen += [position for position, _ in told(lines, wanted)]
    writing.join()
    assert seen == list(range(events + 2))


def test_a_user_follows_own_accounts_alone(growing: tuple[Served, Log]) -> None:
    server, log = growing
    other, mine, later = uuid4(), uuid4(), uuid4()
    stranger = uuid4()
    log.append(other, account_opened(user_id=stranger), user_id=stranger)
    log.append(mine, account_opened(user_id=USER))
    with following(server.client("tom"), **{"Last-Event-ID": "0"}) as lines:
        assert [position for position, _ in told(lines, 1)] == [2]
        log.append(other, deposited("USDT", "1"), user_id=stranger)
        log.append(later, account_opened(user_id=USER))
        log.append(other, deposited("USDT", "2"), user_id=stranger)
        log.append(mine, deposited("USDT", "3"), user_id=USER)
        assert [position for position, _ in told(lines, 2)] == [4, 6]


def test_a_stream_ends_with_its_token(growing: tuple[Served, Log]) -> None:
    server, _ = growing
    token = server.token("aurel")
    with following(server.client("aurel")) as lines:
        server.web.tokens.revoke(token.split("_")[1])
        assert all(line in ("", ": alive") for line in lines)  # and then it is over
    wait_until(lambda: server.web.follower.following == 0, "the end of the stream")


@pytest.mark.parametrize("wrong", ["x", "-1", "²", "1" * 30])
def test_a_place_that_is_none_is_refused(web: Served, wrong: str) -> None:
    header = {b"Last-Event-ID": wrong.encode()}
    answer = web.client("aurel").get("/api/v1/stream", headers=header)
    assert answer.status_code == 400
