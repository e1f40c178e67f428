"""Every number of the pages is opened, down to the events; and past moments are as they were."""

import os
import re
import sys
from collections import deque
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import psycopg
from uuid_utils.compat import uuid7

from ledger.kernel import read_side
from ledger.write.ledger import Ledger
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.browser import desk as stories
from tests.browser.desk import DESK, RESERVE
from tests.commands import command, list_instrument, open_account, submit_order
from tests.projections.workers import caught_up, running
from tests.web.serving import Served, served

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "0"))
OPENED = 120
"""Numbers that are opened where no rounds are asked for; with rounds, all that there are."""
MOMENTS = min(ROUNDS, 50) or 3
NUMBERED = (
    *("/", "/positions?status=ALL", "/orders?view=all", "/performance", "/explain"),
    *("/questions/fills", "/questions/lots", "/questions/snapshots", "/questions/transactions"),
)
REMEMBERED = (
    *("/", "/positions?status=ALL", "/orders?view=all"),
    *(
        *("/performance", "/explain", "/log", "/risk", "/questions/fills", "/questions/lots"),
        *("/questions/snapshots", "/questions/transactions", "/questions/balances"),
        *("/questions/positions", "/questions/gains"),
    )
    * bool(ROUNDS),
)

TILES = r"<(?:div|a) class=\"tile\".*?</(?:div|a)>"
USUALLY = rf"<tbody>.*?</tbody>|{TILES}"
OF_THE_MOMENT = {"/performance": TILES, "/risk": r"<table><thead>.*?</table>"}
"""What is told of past moments, too: days, measures, and what is used of limits are not."""
OF_NOW = "Active alerts|Limits used"
"""Tiles that tell of now, and are not there in the past."""
ACTS_AND_COUNTS = r"<a class=\"button.*?</a>|chained over \d+"
"""Nothing is done in the past; and its curve is of snapshots, where that of now is of hours."""


def asking(server: Served, name: str = "ada") -> httpx2.Client:
    client = server.client(name)
    client.headers["Accept"] = "text/html"
    return client


def whys_on(text: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'href="(/why/[^"]+)"', text)]


def test_every_number_adds_up_and_ends_in_events(desk: Served) -> None:
    client = asking(desk)
    pending: deque[str] = deque()
    for path in (*NUMBERED, *(_of_questions() if ROUNDS else ())):
        for account in (DESK, RESERVE):
            mark = "&" if "?" in path else "?"
            answer = client.get(f"{path}{mark}account_id={account}")
            if path not in NUMBERED and answer.status_code == 400:
                continue  # a question about something else than an account
            assert answer.status_code == 200, answer.text
            found = whys_on(answer.text)
            assert found or path not in NUMBERED, path
            pending.extend(found if ROUNDS else found[:: max(len(found) // 6, 1)])
    opened: set[str] = set()
    events: set[str] = set()
    wrong: list[object] = []
    while pending and (ROUNDS or len(opened) < OPENED):
        href = pending.popleft()
        if href in opened:
            continue
        opened.add(href)
        why = _told(client, href)
        if not why["holds"]:
            wrong.append((href, why))
        for term in why["terms"]:
            if term["why"] is not None and term["why"].startswith("/why/"):
                pending.append(term["why"])
            elif term["event_id"] is not None:
                events.add(term["event_id"])
            else:
                # A list with its own numbers, or what is nothing and came from nowhere.
                if not (term["why"] or term["value"] in (None, "0") or term["note"]):
                    wrong.append((href, term))
    assert wrong == []
    assert len(opened) >= OPENED
    sys.stdout.write(f"{len(opened)} numbers were opened, down to {len(events)} events\n")
    for event_id in sorted(events)[:: 1 if ROUNDS else max(len(events) // 8, 1)]:
        assert client.get(f"/events/{event_id}").status_code == 200


def _of_questions() -> list[str]:
    """Every question is a page."""
    return [f"/questions/{name}" for name in read_side.questions()]


def _told(client: httpx2.Client, href: str) -> dict[str, Any]:
    answer = client.get(f"{href}&format=json")
    assert answer.status_code == 200, (href, answer.text)
    found: dict[str, Any] = answer.json()
    return found


def test_no_number_of_another_user_is_explained(desk: Served) -> None:
    """vera is another user than the one whose accounts these are."""
    client = asking(desk, "vera")
    every = asking(desk)
    hrefs = whys_on(every.get(f"/positions?account_id={DESK}").text)[:6]
    hrefs += whys_on(every.get(f"/?account_id={DESK}").text)[:4]
    hrefs += whys_on(every.get(f"/questions/fills?account_id={DESK}").text)[:2]
    for href in hrefs:
        assert client.get(href).status_code == 404, href
    assert client.get(f"/positions?account_id={DESK}").status_code == 404


def test_a_page_of_a_past_moment_is_what_it_was_when_it_was_now(
    database_url: str, tmp_path: Path
) -> None:
    projections = all_projections(ProjectionSettings())
    names = [one.name for one in projections]
    batches = list(stories._story(2 if not ROUNDS else 10))
    at = {len(batches) * number // MOMENTS for number in range(1, MOMENTS)} | {len(batches) - 1}
    remembered: dict[int, dict[str, str]] = {}
    with (
        Ledger(database_url) as ledger,
        running(database_url, projections),
        served(database_url, tmp_path) as server,
    ):
        client = asking(server)
        for number, batch in enumerate(batches):
            ledger.execute(batch)
            if number in at:
                caught_up(database_url, *names)
                remembered[_head(database_url)] = _pages(client, "")
        wrong: list[object] = []
        for position, pages in remembered.items():
            then = _pages(client, f"&known_at={position}")
            wrong += [
                (position, path, *_apart(text, then[path]))
                for path, text in pages.items()
                if then[path] != text
            ]
        assert not wrong, "\n".join(map(str, wrong))


def _apart(one: str, other: str) -> tuple[str, str]:
    """From a little before the place where they begin to differ."""
    at = next((n for n, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1), 0)
    begin = max(at - 30, 0)
    return one[begin : at + 50], other[begin : at + 50]


def _head(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT max(position) FROM event_store").fetchone()
    assert row is not None
    return int(row[0])


def _pages(client: httpx2.Client, moment: str) -> dict[str, str]:
    """The tables and tiles of the pages, as text."""
    found = {}
    for path in REMEMBERED:
        mark = "&" if "?" in path else "?"
        answer = client.get(f"{path}{mark}account_id={DESK}{moment}")
        assert answer.status_code == 200, answer.text
        parts = re.findall(OF_THE_MOMENT.get(path, USUALLY), answer.text, re.S)
        parts = [re.sub(ACTS_AND_COUNTS, "", part, flags=re.S) for part in parts]
        cells = [re.sub(r"<[^>]+>", " ", part) for part in parts if not re.search(OF_NOW, part)]
        found[path] = " ".join(" ".join(cells).split())
    return found


def test_pages_of_a_past_moment_lose_no_order_and_show_none_twice(desk: Served) -> None:
    """Several were placed at one time, and were recorded one after the other."""
    client = desk.client("ada")
    asked: dict[str, Any] = {"account_id": str(DESK), "known_at": "150"}
    whole = client.get("/api/v1/orders", params=asked).json()["rows"]
    paged: list[dict[str, Any]] = []
    page: dict[str, Any] = {**asked, "limit": 3}
    while page.get("after", True) is not None:
        answer = client.get("/api/v1/orders", params=page).json()
        paged += answer["rows"]
        page["after"] = answer["next"]
    assert paged == whole
    assert len(whole) > 3


def test_what_others_wrote_is_text_on_every_page(database_url: str, tmp_path: Path) -> None:
    """A name, a reference, a reason: of whoever may send a command."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    account, order = uuid7(), uuid7()
    projections = all_projections(ProjectionSettings())
    with Ledger(database_url) as ledger:
        for one in (
            list_instrument(),
            open_account(account, name=evil),
            command("Deposit", account, asset="USDT", amount="1000", reference=evil),
            submit_order(account, order, quantity="0.1", client_order_id=evil),
            command("RejectOrder", account, order_id=order, reason=evil),
        ):
            ledger.execute([one])
    with running(database_url, projections), served(database_url, tmp_path) as server:
        caught_up(database_url, *(one.name for one in projections))
        client = asking(server)
        seen = 0
        for path in ("/", "/orders?view=all", f"/orders/{order}", "/log", "/statement", "/explain",
                     f"/story/{order}", "/commands", f"/search?q={quote(evil)}",
                     "/questions/transactions", f"/positions?account_id={account}"):  # fmt: skip
            text = client.get(path).text
            assert "<script>alert" not in text, path
            assert "<img" not in text, path
            seen += "&lt;script&gt;" in text
        assert seen > 3
