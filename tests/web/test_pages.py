"""The pages of the console, as who signs in gets them; without a script, and without a browser."""

import re

import psycopg
import pytest

from ledger.web.actions import acts
from ledger.web.person import Role
from ledger.web.rights import RIGHTS
from tests.web.serving import NAMES, Served

PAGES = (
    *("/", "/positions", "/positions?status=ALL", "/orders", "/orders?view=all", "/questions"),
    *("/explain", "/statement", "/chart", "/performance", "/risk", "/kill", "/alerts"),
    *("/calendar", "/differences", "/differences?question=positions"),
    *("/differences?question=snapshots", "/approvals", "/preferences", "/notices", "/proof-page"),
)
OF_THE_LOG = (
    *("/overview", "/log", "/log?order=oldest&after=0", "/log?stream_type=order", "/projections"),
    *("/dead-letters", "/commands", "/integrity", "/search?q=x", "/search"),
    *("/controls", "/controls?known_at=200", "/users", "/log?actor=olga"),
    *("/who", "/who?first=1&person=olga", "/settings", "/settings?view=all"),
)
ACTING = ("/", "/kill", "/risk", "/alerts", "/projections", "/dead-letters", "/users")
"""Pages with buttons."""

OWN_CODE = r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+="
FROM_ELSEWHERE = r"(src|href)=.https?://(?!www\.tradingview|htmx|github)"


@pytest.mark.parametrize("name", ["ada", "olga", "aurel", "tom", "vera"])
def test_every_page_is_there_for_whom_it_is_without_code_and_style_of_its_own(
    web: Served, name: str
) -> None:
    client = web.client(name)
    client.headers["Accept"] = "text/html"
    sees_log = name in ("ada", "olga", "aurel")
    for path in (*PAGES, *OF_THE_LOG):
        answer = client.get(path)
        is_seen = sees_log or path not in OF_THE_LOG
        assert answer.status_code == (200 if is_seen else 403), (path, answer.text)
        if not is_seen:
            assert "position" not in answer.text
        if path != "/proof-page":  # one file with all that it takes
            assert not re.search(OWN_CODE, answer.text), path
            assert not re.search(FROM_ELSEWHERE, answer.text), path


def test_every_question_is_a_page(web: Served) -> None:
    from ledger.kernel import read_side

    client = web.client("aurel")
    client.headers["Accept"] = "text/html"
    for name in read_side.questions():
        answer = client.get(f"/questions/{name}")
        assert answer.status_code == 200, (name, answer.text)


def test_every_kind_of_event_and_of_order_is_a_page(web: Served, everything_url: str) -> None:
    client = web.client("aurel")
    client.headers["Accept"] = "text/html"
    with psycopg.connect(everything_url) as connection:
        events = connection.execute(
            "SELECT DISTINCT ON (event_type) id FROM event_store"
        ).fetchall()
        orders = connection.execute(
            "SELECT DISTINCT ON (status, order_type) order_id FROM orders"
        ).fetchall()
    for (event_id,) in events:
        answer = client.get(f"/events/{event_id}")
        assert answer.status_code == 200, answer.text
    for (order_id,) in orders:
        answer = client.get(f"/orders/{order_id}")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("name", ["ada", "olga", "aurel", "tom", "vera"])
def test_an_action_is_offered_to_whom_it_is_allowed_and_refused_to_others(
    web: Served, name: str
) -> None:
    """By the one table of rights; an auditor is allowed none."""
    client = web.client(name)
    client.headers["Accept"] = "text/html"
    role = NAMES[name][0]
    for action in acts.actions():
        allowed = role in RIGHTS[action].roles
        answer = client.get(f"/act/{action}")
        assert answer.status_code == (200 if allowed else 403), (action, answer.text)
        assert not (allowed and role in (Role.AUDITOR, Role.VIEWER)), action
    offered = set(re.findall(r"/act/(\w+)", " ".join(client.get(path).text for path in ACTING)))
    assert offered <= {action for action in acts.actions() if role in RIGHTS[action].roles}
    assert bool(offered) == (role not in (Role.AUDITOR, Role.VIEWER))
