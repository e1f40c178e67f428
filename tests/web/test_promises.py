"""What the API promises of itself: it stays as it is, shows what was written, costs little."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from ledger.web import problems
from ledger.web.person import Person, Role
from tests import http_operations
from tests.projections.log import Log, account_opened, deposited
from tests.web.serving import Served, served
from tests.web.test_stream import following, growing  # noqa: F401 - a fixture


def test_nothing_that_was_promised_of_the_api_is_gone_and_nothing_more_must_be_given() -> None:
    """Another way to ask is another version of the path, with a year to move."""
    listed = set(http_operations.FILE.read_text(encoding="utf-8").splitlines())
    now = set(http_operations.operations())
    assert listed - now == set()
    operations = {line for line in listed if line.count(" ") == 1}
    demanded = {line for line in now - listed if line.endswith(" required")}
    assert {line for line in demanded if " ".join(line.split()[:2]) in operations} == set()


def test_pages_lose_nothing_and_repeat_nothing_while_the_log_grows(
    growing: tuple[Served, Log],  # noqa: F811
) -> None:
    server, log = growing
    account, events, done = uuid4(), 150, threading.Event()
    log.append(account, account_opened())

    def append() -> None:
        for number in range(events):
            log.append(account, deposited("USDT", str(number + 1)))
        done.set()

    writing = threading.Thread(target=append)
    writing.start()
    client, after = server.client("aurel"), None
    seen: list[int] = []
    while len(seen) < events + 1:
        asked: dict[str, Any] = {"order": "oldest", "limit": 7}
        is_whole = done.is_set()
        answer = client.get(
            "/api/v1/events", params={**asked, **({"after": after} if after else {})}
        )
        rows = answer.json()["rows"]
        if answer.json()["next"] is None and not is_whole:
            continue  # the same page again, when there is more of it
        seen += [row["position"] for row in rows]
        after = answer.json()["next"]
        if after is None:
            break
    writing.join()
    assert seen == list(range(1, events + 2))


def test_however_many_look_on_they_share_ten_connections(
    everything_url: str, tmp_path: Path
) -> None:
    with served(everything_url, tmp_path) as server, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(following(server.client("aurel")))
        clients = [server.client("aurel") for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(one.get, "/api/v1/orders?wait_for=1&user_id=" + str(uuid4()))
                     for one in clients for _ in range(2)]  # fmt: skip
            statuses = {one.result().status_code for one in asked}
        with psycopg.connect(everything_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s",
                [urlsplit(server.web.database.url).username],
            ).fetchone()
    assert statuses == {200}
    assert row is not None
    assert row[0] <= 10


def test_a_statement_that_takes_long_is_ended_and_said_to(
    everything_url: str, tmp_path: Path
) -> None:
    person = Person("ada", Role.ADMIN, "test")
    with (
        served(everything_url, tmp_path, web_statement_seconds=0.05) as server,
        pytest.raises(errors.QueryCanceled) as ended,
        server.web.database.reading(person) as connection,
    ):
        connection.execute("SELECT pg_sleep(5)")
    assert problems.of(ended.value).code == "TOO_SLOW"


def test_a_request_changes_nothing_and_leaves_no_rights_behind(web: Served) -> None:
    person = Person("ada", Role.ADMIN, "test")
    with (
        pytest.raises(errors.ReadOnlySqlTransaction),
        web.web.database.reading(person) as connection,
    ):
        connection.execute("INSERT INTO web_sessions DEFAULT VALUES")
    for _ in range(20):
        with web.web.database.keeping() as connection:
            row = connection.execute(
                "SELECT current_user = session_user, current_setting('app.current_user_id', true)"
            ).fetchone()
        assert row in [(True, None), (True, "")]


def test_the_page_of_the_api_tells_every_code_and_only_paths_there_are(web: Served) -> None:
    page = (http_operations.FILE.parent / "http-api.md").read_text(encoding="utf-8")
    refusals = page.partition("## Refusals")[2].partition("## Versions")[0]
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", refusals, re.MULTILINE)
    told = {
        (int(status), code) for status, text in rows for code in re.findall(r"`([A-Z_]{6,})`", text)
    }
    assert told == {(kind.status, code) for code, kind in problems.PROBLEMS.items()}
    paths = {line.split()[1] for line in http_operations.operations()}
    named = set(re.findall(r"/api/v1/[a-z]+", page)) | {
        f"/api/v1{path}" for path in re.findall(r"`(?:GET |POST )?(/[a-z/{}_]+)`", page)
    }
    known = paths | {path.replace("{event_id}", "{id}") for path in paths}
    known |= {"/api/v1/proof"}
    assert named - known == set()
