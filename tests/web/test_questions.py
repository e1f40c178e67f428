"""The read models by HTTP: who sees what, in which form, as of when."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ledger.kernel import read_side
from tests.projections.everything import OTHER_ACCOUNT, OTHER_USER
from tests.projections.log import ACCOUNT, USER
from tests.web.serving import NAMES, Served

QUESTIONS = sorted(read_side.questions())
OF_ACCOUNTS = [
    name
    for name in QUESTIONS
    if any(path.by in (None, "account_id") for path in read_side.question(name).paths)
]
WITH_PAST = [
    name
    for name in OF_ACCOUNTS
    if read_side.question(name).past is not None and read_side.question(name).first == "account_id"
]


def pages(client: Any, path: str, **asked: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        given = {**asked, **({"after": after} if after else {})}
        answer = client.get(path, params=given)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        after = answer.json()["next"]
        if after is None:
            return rows


def test_an_answer_says_as_of_when_it_is(web: Served) -> None:
    answer = web.client("tom").get("/api/v1/balances", params={"account_id": str(ACCOUNT)})
    assert answer.status_code == 200
    assert answer.json()["rows"]
    assert answer.headers["ledger-position"] == str(answer.json()["position"])
    assert answer.headers["ledger-sealed-to"] == "0"
    known = datetime.fromisoformat(answer.headers["ledger-known-at"])
    assert known.tzinfo is not None


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_user_sees_own_rows_and_an_auditor_all(web: Served, name: str) -> None:
    """Whichever filter names somebody else, there is nothing of theirs."""
    question = read_side.question(name)
    path = f"/api/v1/{name}"
    named = {path.by for path in question.paths}
    others = {"account_id": str(OTHER_ACCOUNT), "user_id": str(OTHER_USER)}
    tom, aurel = web.client("tom"), web.client("aurel")
    for by, value in others.items():
        if by in named:
            answer = tom.get(path, params={by: value})
            assert answer.status_code == 200, answer.text
            if "user_id" in question.table.columns:
                assert answer.json()["rows"] == []
            assert aurel.get(path, params={by: value}).status_code == 200
    if "user_id" in question.table.columns and None in named | {"user_id"} & named:
        rows = pages(tom, path, limit=50)
        assert {row["user_id"] for row in rows} <= {str(USER), None}
    if question.past is not None and "account_id" in named:
        past = tom.get(path, params={"account_id": str(OTHER_ACCOUNT), "known_at": "1"})
        assert (past.status_code, past.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("name", OF_ACCOUNTS)
def test_pages_have_every_row_once(web: Served, name: str) -> None:
    question = read_side.question(name)
    client = web.client("aurel")
    of_somebody = all(path.by is not None for path in question.paths)
    asked = {"account_id": str(ACCOUNT)} if of_somebody else {}
    whole = client.get(f"/api/v1/{name}", params={**asked, "limit": 500}).json()
    assert pages(client, f"/api/v1/{name}", **asked, limit=2) == whole["rows"] or whole["more"]


@pytest.mark.parametrize("name", WITH_PAST)
def test_the_past_has_pages_in_the_order_of_now(web: Served, name: str) -> None:
    client = web.client("tom")
    asked = {"account_id": str(ACCOUNT)}
    answer = client.get(f"/api/v1/{name}", params={**asked, "limit": 500}).json()
    head, now = answer["position"], answer["rows"]
    then = pages(client, f"/api/v1/{name}", **asked, limit=3, known_at=str(head))
    whole = client.get(
        f"/api/v1/{name}", params={**asked, "limit": 500, "known_at": str(head)}
    ).json()["rows"]
    assert then == whole
    if len(now) < 500:
        assert sorted(map(_as_text, then)) == sorted(map(_as_text, now))


def _as_text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def test_a_cursor_is_of_its_question_and_its_filters(web: Served) -> None:
    client = web.client("aurel")
    asked: dict[str, Any] = {"account_id": str(ACCOUNT), "limit": 1}
    following = client.get("/api/v1/transactions", params=asked).json()["next"]
    assert following
    for path, other in (
        ("/api/v1/transactions", {"account_id": str(OTHER_ACCOUNT)}),
        ("/api/v1/transactions", {"account_id": str(ACCOUNT), "known_at": "100"}),
        ("/api/v1/orders", {"account_id": str(ACCOUNT)}),
    ):
        answer = client.get(path, params={**other, "after": following})
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    for broken in ("x", "W10", following[:-3], "♥"):
        answer = client.get("/api/v1/transactions", params={**asked, "after": broken})
        assert answer.status_code == 400


def numbers(value: Any, name: str = "") -> list[str]:
    """The names of all JSON numbers in it."""
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in numbers(part, str(key))]
    if isinstance(value, list):
        return [found for part in value for found in numbers(part, name)]
    return [name] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("name", QUESTIONS)
def test_amounts_are_texts_and_times_have_microseconds_and_a_zone(web: Served, name: str) -> None:
    question = read_side.question(name)
    client = web.client("aurel")
    by = question.paths[0].by
    asked = {} if any(path.by is None for path in question.paths) else {str(by): str(ACCOUNT)}
    rows = client.get(f"/api/v1/{name}", params=asked).json().get("rows", [])
    for row in rows:
        for column, value in row.items():
            kind = question.types.get(column)
            if value is None or kind is None:
                continue
            if kind is Decimal:
                assert isinstance(value, str)
                Decimal(value)
            if kind is datetime:
                assert value.endswith("Z")
                assert len(value) == len("2026-08-01T12:00:00.000000Z")
                assert datetime.fromisoformat(value).tzinfo == UTC
    money = {column for column, kind in question.types.items() if kind is Decimal}
    assert not set(numbers(rows)) & money


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/v1/balances", {}),
        ("/api/v1/balances", {"account_id": "nobody"}),
        ("/api/v1/balances", {"acount_id": str(ACCOUNT)}),
        ("/api/v1/balances", {"account_id": str(ACCOUNT), "known_at": "soon"}),
        ("/api/v1/balances", {"account_id": str(ACCOUNT), "known_at": "999999999"}),
        ("/api/v1/balances", {"account_id": str(ACCOUNT), "limit": "0"}),
        ("/api/v1/balances", {"account_id": str(ACCOUNT), "limit": "501"}),
        ("/api/v1/balances", [("account_id", str(ACCOUNT)), ("account_id", str(OTHER_ACCOUNT))]),
        ("/api/v1/orders", {"account_id": str(ACCOUNT), "status": "DREAMING"}),
        ("/api/v1/orders", {"account_id": str(ACCOUNT), "client_order_id": "\x00"}),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(
    web: Served, path: str, asked: Any
) -> None:
    answer = web.client("aurel").get(path, params=asked)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "INVALID_REQUEST"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_who_waits_for_a_position_is_answered_when_it_is_shown(web: Served) -> None:
    client = web.client("tom")
    asked = {"account_id": str(ACCOUNT)}
    head = client.get("/api/v1/balances", params=asked).json()["position"]
    asked["wait_for"] = str(head)
    answer = client.get("/api/v1/balances", params=asked)
    assert answer.status_code == 200
    assert answer.json()["position"] >= head


def test_nobody_asks_without_saying_who(web: Served) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
        answer = web.client().get("/api/v1/instruments", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "NOT_SIGNED_IN")
        assert answer.headers["www-authenticate"] == "Bearer"
    token = web.token("tom")
    in_url = web.client().get("/api/v1/instruments", params={"token": token})
    assert in_url.status_code in (400, 401)


def test_everybody_of_the_roles_gets_an_answer(web: Served) -> None:
    for name in NAMES:
        assert web.client(name).get("/api/v1/instruments").status_code == 200
        assert web.client(name).get("/api/v1/me").json()["name"] == name
