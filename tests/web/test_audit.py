"""The log by HTTP: everything for who audits, what is theirs for who trades."""

from typing import Any

import pytest

from tests.projections.everything import OTHER_ACCOUNT, OTHER_USER
from tests.projections.log import ACCOUNT, USER
from tests.web.serving import Served


def events(web: Served, name: str, **asked: Any) -> list[dict[str, Any]]:
    answer = web.client(name).get("/api/v1/events", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def of_others(web: Served, event_type: str = "account.deposited") -> dict[str, Any]:
    """An event that is not tom's."""
    asked = {"account_id": str(OTHER_ACCOUNT), "type": event_type, "order": "oldest"}
    return events(web, "aurel", **asked)[0]


def test_events_are_found_by_what_is_known_of_them_page_by_page(web: Served) -> None:
    client = web.client("aurel")
    asked: dict[str, Any] = {"account_id": str(ACCOUNT), "order": "oldest"}
    whole = events(web, "aurel", **asked, limit=1_000)
    assert whole
    rows, after = [], None
    while True:
        given = {**asked, "limit": 7, **({"after": after} if after else {})}
        answer = client.get("/api/v1/events", params=given).json()
        rows += answer["rows"]
        after = answer["next"]
        if after is None:
            break
    assert rows == whole
    newest = events(web, "aurel", account_id=str(ACCOUNT), limit=1_000)
    assert newest == whole[::-1]
    middle = whole[len(whole) // 2]["position"]
    then = events(web, "aurel", **asked, limit=1_000, known_at=str(middle))
    assert [row["position"] for row in then] == [
        row["position"] for row in whole if row["position"] <= middle
    ]


def test_a_user_reads_events_of_own_accounts_and_of_no_others(web: Served) -> None:
    own = events(web, "tom", limit=1_000)
    assert own
    assert {row["user_id"] for row in own} == {str(USER)}
    assert events(web, "tom", account_id=str(OTHER_ACCOUNT)) == []
    assert events(web, "tom", user_id=str(OTHER_USER), limit=1_000) == own
    other = of_others(web)
    client = web.client("tom")
    for path in (
        f"/api/v1/events/{other['id']}",
        f"/api/v1/events/{other['id']}/proof",
        f"/api/v1/trace/{other['id']}",
        f"/api/v1/explain/positions?account_id={OTHER_ACCOUNT}",
        f"/api/v1/explain/balance?account_id={OTHER_ACCOUNT}&asset=USDT",
        f"/api/v1/statement?account_id={OTHER_ACCOUNT}&from=2020-01-01&to=2030-01-01",
        "/api/v1/decisions",
    ):
        answer = client.get(path)
        assert answer.status_code in (403, 404), (path, answer.text)


def test_a_trader_and_an_auditor_are_told_why_a_balance_is_what_it_is(web: Served) -> None:
    asked = {"account_id": str(ACCOUNT), "asset": "USDT"}
    answers = [
        web.client(name).get("/api/v1/explain/balance", params=asked).json()
        for name in ("tom", "aurel")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["equal"] is True
    few = web.client("tom").get("/api/v1/explain/balance", params={**asked, "limit": 1}).json()
    assert few["postings"] == answers[0]["postings"][-1:]
    assert few["by_reason"] == answers[0]["by_reason"]
    client = web.client("tom")
    order = client.get("/api/v1/orders", params={"account_id": str(ACCOUNT)}).json()["rows"][0]
    told = client.get(f"/api/v1/explain/order/{order['order_id']}").json()
    assert told["order_id"] == order["order_id"]
    assert told["events"]
    trace = client.get(f"/api/v1/trace/{told['events'][0]['event_id']}").json()
    assert trace["roots"]
    positions = client.get("/api/v1/explain/positions", params={"account_id": str(ACCOUNT)})
    assert positions.status_code in (200, 404)


def test_a_statement_adds_up(web: Served) -> None:
    asked = {"account_id": str(ACCOUNT), "from": "2000-01-01", "to": "2100-01-01T00:00:00Z"}
    found = web.client("tom").get("/api/v1/statement", params=asked)
    assert found.status_code == 200, found.text
    assert found.json()["equal"] is True
    assert {entry["kind"] for entry in found.json()["entries"]} >= {"OPENING", "CLOSING"}
    wrong = {**asked, "to": "1999-01-01"}
    assert web.client("tom").get("/api/v1/statement", params=wrong).status_code == 400


def test_what_is_not_sealed_yet_has_no_proof(web: Served) -> None:
    own = events(web, "tom", limit=1)[0]
    answer = web.client("tom").get(f"/api/v1/events/{own['id']}/proof")
    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_PROVABLE")
    assert web.client("tom").get(f"/api/v1/events/{own['id']}").json()["sealed"] is False


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "account.dreamt"},
        {"where": "data.side = "},
        {"contains": "[1]"},
        {"contains": '{"a": "\\u0000"}'},
        {"stream_type": "\x00"},
        {"known_at": "9999999"},
        {"limit": "1001"},
        {"colour": "red"},
    ],
)
def test_a_question_to_the_log_that_cannot_be_answered_is_refused(
    web: Served, asked: dict[str, str]
) -> None:
    answer = web.client("aurel").get("/api/v1/events", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST"), answer.text
