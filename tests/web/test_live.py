"""Pages that follow the log: what was committed is seen, made once for all who see the same."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

import httpx2
import pytest

from ledger.web.live import LEAST_SECONDS, MOST_SECONDS, LivePages, LiveParts
from ledger.web.log_follower import LogFollower
from ledger.web.pages.frame import NAVIGATION
from tests.projections.log import Log, account_opened, deposited
from tests.web.serving import Served
from tests.web.test_stream import growing  # noqa: F401 - a fixture

PARTS = ('<dl class="standing">', '<div class="tiles">', "<table data-live>")


def part(text: str, begin: str) -> list[str]:
    """What of a page begins like this, but for its numbers, some of which go on by themselves."""
    found = [one.partition("</table>")[0] for one in text.split(begin)[1:]]
    return [re.sub(r"\d[\d.,]*", "#", one) for one in found]


@contextmanager
def moves(client: httpx2.Client, after: int) -> Iterator[Iterator[int]]:
    with client.stream("GET", "/moved", params={"after": after}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line.startswith("id:"))
        yield (int(line[3:]) for line in lines)


@pytest.mark.parametrize("name", ["ada", "tom"])  # who sees all, and who sees what is theirs
def test_what_follows_the_log_is_what_the_page_shows(web: Served, name: str) -> None:
    client = web.client(name)
    client.headers["Accept"] = "text/html"
    compared = 0
    for path in (link.path for _, links in NAVIGATION for link in links):
        whole = client.get(path)
        parts = client.get("/live", params={"page": path})
        if whole.status_code != 200:
            assert parts.status_code == whole.status_code, path
            continue
        if parts.status_code == 404:  # of one person: it has nothing that follows
            assert not any(begin in whole.text for begin in PARTS[1:]), path
            continue
        assert parts.status_code == 200, (path, parts.text)
        if PARTS[0] in whole.text:
            assert int(parts.headers["Ledger-Position"]) > 0
            assert "csrf" not in parts.text
        for begin in PARTS[2:]:
            assert part(parts.text, begin) == part(whole.text, begin), path
            compared += len(part(whole.text, begin))
    assert compared > 5


def test_nothing_but_pages_is_asked_for_in_this_way(web: Served) -> None:
    client = web.client("ada")
    for page in ("/moved", "/live?page=/", "/api/v1/stream", "/static/console.js", "/sign-in", "x"):
        assert client.get("/live", params={"page": page}).status_code in (400, 404), page


def test_nobody_looks_on_without_a_name(web: Served) -> None:
    for path in ("/moved", "/live?page=/"):
        assert web.client().get(path, headers={"Accept": "application/json"}).status_code == 401


def test_what_was_committed_is_told_and_shown(growing: tuple[Served, Log]) -> None:  # noqa: F811
    server, log = growing
    account = uuid4()
    log.append(account, account_opened())
    client = server.client("ada")
    with moves(client, 1) as positions:
        log.append(account, deposited("USDT", "1"))
        assert next(positions) == 2
        shown = server.client("ada").get("/live", params={"page": "/log", "at": 2})
        assert shown.headers["Ledger-Position"] == "2"
        assert "account.deposited" in shown.text
        log.append(account, deposited("USDT", "2"))
        assert next(positions) == 3


def test_a_page_is_made_once_for_all_who_see_the_same(
    growing: tuple[Served, Log],  # noqa: F811
) -> None:
    server, log = growing
    log.append(uuid4(), account_opened())
    live = server.web.live
    with moves(server.client("ada"), 0) as positions:
        at = next(positions)
        texts = {
            server.client("ada").get("/live", params={"page": "/log", "at": at}).content
            for _ in range(5)
        }
        assert len(texts) == 1
        assert len(live._kept) == 1
        server.client("olga").get("/live", params={"page": "/log", "at": at})
        assert len(live._kept) == 2  # another role is shown what is its own
    # Nothing is kept for nobody.
    deadline = time.monotonic() + 30
    while live._kept and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not live._kept


async def test_what_was_made_is_never_older_than_what_was_told() -> None:
    live = LivePages(LogFollower("postgresql://nowhere", 10), 0.25)
    live._watching = 1
    made: list[int] = []

    async def make(position: int, behind: bool = False) -> LiveParts:
        made.append(position)
        return LiveParts(200, b"", position, behind, time.monotonic())

    for told, now in ((1, 1), (1, 2), (2, 3), (2, 4)):
        assert (await live.parts("page", told, partial(make, now))).position >= told
    assert made == [1, 3]
    # Read models that were a moment behind: the same position shows more a moment later.
    await live.parts("other", 5, partial(make, 5, behind=True))
    await live.parts("other", 5, partial(make, 6, behind=True))
    await asyncio.sleep(LEAST_SECONDS)
    await live.parts("other", 5, partial(make, 7))
    assert made == [1, 3, 5, 7]


def test_the_more_work_pages_make_the_later_everybody_is_told() -> None:
    live = LivePages(LogFollower("postgresql://nowhere", 10), 0.25)
    assert live.pause_seconds == LEAST_SECONDS
    live._usual_work = 0.25
    assert live.pause_seconds == 1.0
    live._usual_work = 60.0
    assert live.pause_seconds == MOST_SECONDS
