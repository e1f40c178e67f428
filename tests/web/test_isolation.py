"""Role by endpoint by somebody else's account, over all that the API's own description lists:
nobody is told what is not theirs, and nothing breaks the server."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from ledger.web.guard import CONTENT_SECURITY
from tests.projections.everything import OTHER_ACCOUNT, OTHER_USER
from tests.projections.log import ACCOUNT, USER
from tests.web.serving import NAMES, PASSWORD, Served

METHODS = ("get", "post", "delete")
MINE = {"tom": (USER, ACCOUNT), "vera": (OTHER_USER, OTHER_ACCOUNT)}


@pytest.fixture(scope="module")
def description(web: Served) -> dict[str, Any]:
    answer = web.client().get("/api/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, described in methods.items():
            assert method in METHODS
            yield method, path, described


@pytest.fixture(scope="module")
def secrets(everything_url: str) -> dict[str, set[str]]:
    """By user of the ledger, the ids that are theirs alone: whoever is told one of another's was
    told too much."""
    found: dict[str, set[str]] = {name: set() for name in MINE}
    with psycopg.connect(everything_url) as connection:
        tables = connection.execute(
            """SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
                   AND a.attname = 'user_id'"""
        ).fetchall()
        for name, (user_id, account_id) in MINE.items():
            found[name] |= {str(account_id)}
            events = connection.execute("SELECT id FROM event_store WHERE user_id = %s", [user_id])
            found[name] |= {str(row[0]) for row in events}
            for (table,) in tables:
                rows = connection.execute(
                    f'SELECT to_jsonb(t) FROM public."{table}" AS t WHERE user_id = %s'.encode(),
                    [user_id],
                )
                for (row,) in rows:
                    ids = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(row))
                    found[name] |= set(ids)
    shared = found["tom"] & found["vera"]
    return {name: ids - shared for name, ids in found.items()}


def values_of(parameter: dict[str, Any], other: tuple[Any, Any], an_id: str) -> list[str]:
    """What to ask with, of the other user: as a parameter is described."""
    user_id, account_id = other
    schema = parameter["schema"]
    name = parameter["name"]
    if name == "account_id":
        return [str(account_id)]
    if name == "user_id":
        return [str(user_id)]
    kinds = [schema, *schema.get("anyOf", [])]
    if any(one.get("format") == "uuid" for one in kinds) or name in ("id", "code", "name"):
        return [an_id, str(account_id)]
    return []


def asked(
    client: httpx2.Client, method: str, path: str, described: dict[str, Any], query: dict[str, str]
) -> httpx2.Response:
    headers = {"Idempotency-Key": str(uuid4())}
    if method == "post":
        body: dict[str, Any] = {"arguments": {}, "reason": "x"}
        if path.endswith("/preview"):
            body = {"arguments": {}}
        elif "/approvals/" in path:
            body = {"decision": "APPROVED"}
        elif path.endswith("/commands"):
            account = query.get("account_id", str(ACCOUNT))
            body = {"type": "Deposit", "account_id": account, "data": {}}
        return client.post(path, json=body, headers=headers)
    return client.request(method, path, params=query, headers=headers)


@pytest.mark.parametrize("name", ["tom", "vera"])
def test_no_endpoint_tells_a_user_anything_of_another(
    web: Served, description: dict[str, Any], secrets: dict[str, set[str]], name: str
) -> None:
    other = "vera" if name == "tom" else "tom"
    theirs = secrets[other]
    assert theirs
    an_id = sorted(theirs - {str(MINE[other][1])})[0]
    client, tried = web.client(name), 0
    for method, path, described in operations(description):
        if path.endswith("/stream"):
            continue  # tests/web/test_stream.py
        parameters = described.get("parameters", [])
        queries: list[dict[str, str]] = [{}]
        place = path
        for parameter in parameters:
            values = values_of(parameter, MINE[other], an_id)
            if parameter["in"] == "path":
                place = place.replace(f"{{{parameter['name']}}}", (values or ["x"])[0])
            elif parameter["in"] == "query":
                queries += [{parameter["name"]: value} for value in values]
        everything = {key: value for query in queries for key, value in query.items()}
        queries.append({**everything, "known_at": "1000"} if "known_at" in str(parameters)
                       else everything)  # fmt: skip
        for query in queries:
            answer = asked(client, method, place, described, query)
            tried += 1
            assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text)
            told = answer.text
            for value in (*query.values(), *place.split("/")):
                told = told.replace(value, "")  # what was asked with is repeated
            leaked = {one for one in theirs if one in told}
            assert leaked == set(), (method, path, query)
    assert tried > 100


def test_nobody_without_a_name_is_told_anything_but_what_can_go_wrong(
    web: Served, description: dict[str, Any]
) -> None:
    open_to_all = {"/api/v1/problems", "/api/v1/problems/{code}"}
    for method, path, described in operations(description):
        place = re.sub(r"\{\w+\}", str(uuid4()), path)
        answer = asked(web.client(), method, place, described, {})
        if path in open_to_all:
            assert answer.status_code in (200, 404)
        else:
            assert answer.status_code == 401, (method, path)


def test_auditors_and_viewers_change_nothing(web: Served, description: dict[str, Any]) -> None:
    for name in ("aurel", "vera"):
        client = web.client(name)
        for method, path, described in operations(description):
            if method == "get":
                continue
            place = re.sub(r"\{\w+\}", str(uuid4()), path)
            answer = asked(client, method, place, described, {})
            assert answer.status_code in (403, 404), (method, path, answer.text)


HEADERS = {
    "content-security-policy": CONTENT_SECURITY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.mark.parametrize(
    "path", ["/sign-in", "/nowhere", "/api/v1/me", "/api/openapi.json", "/start?token=x", "/ready"]
)
def test_every_answer_has_the_headers_that_browsers_go_by(web: Served, path: str) -> None:
    for headers in ({}, {"Accept": "text/html"}):
        answer = web.client().get(path, headers=headers)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "strict-transport-security" not in answer.headers  # it is not by TLS
        assert "server" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 36
    for wish in ("'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:"):
        assert wish not in CONTENT_SECURITY


def test_another_host_is_not_answered(web: Served) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        answer = web.client("ada").get("/api/v1/me", headers={"Host": host})
        assert answer.status_code in (400, 421)


def test_a_request_that_is_too_large_is_refused_whether_it_says_so_or_not(web: Served) -> None:
    client = web.client("ada")
    large = b'{"type": "' + b"x" * 1_100_000 + b'"}'
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    said = client.post("/api/v1/commands", content=large, headers=headers)
    assert (said.status_code, said.json()["code"]) == (413, "TOO_LARGE")

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    unsaid = client.post("/api/v1/commands", content=chunks(), headers=headers)
    assert unsaid.status_code == 413


def test_too_many_requests_are_refused_with_when_to_come_again(
    everything_url: str, tmp_path: Any
) -> None:
    from tests.web.serving import served

    with served(everything_url, tmp_path, web_requests_per_second=5.0) as server:
        client = server.client("aurel")
        statuses = [client.get("/api/v1/me").status_code for _ in range(12)]
        assert statuses[:5] == [200] * 5
        assert 429 in statuses
        last = client.get("/api/v1/me")
        assert int(last.headers["retry-after"]) >= 1
        assert server.client("tom").get("/api/v1/me").status_code == 200  # others are not held up


TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "{{7*7}}${7*7}",
    "=1+1",
    "@SUM(A1)",
    "\u202egnp.exe",
    "' OR 1=1 --",
    "../../etc/passwd",
    "%00",
)


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_of_others_becomes_part_of_a_page(web: Served, text: str) -> None:
    client = web.client()
    page = {"Accept": "text/html"}
    answers = [
        client.get("/sign-in", params={"next": text}, headers=page),
        client.get("/start", params={"token": text}, headers=page),
        client.get(f"/{text}", headers=page),
        client.post(
            "/sign-in", data={"name": text[:100], "password": text, "next": text}, headers=page
        ),
        client.post("/sign-in", data={"name": text * 50, "password": PASSWORD}, headers=page),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert "text/html" in answer.headers["content-type"]
        for raw in ("<script>alert", "<img src=x", "\u202e"):
            assert raw not in answer.text
        assert ">49<" not in answer.text
    api = web.client("aurel").get("/api/v1/orders", params={"account_id": text})
    assert api.headers["content-type"] == "application/problem+json"
    assert "\u202e" not in api.text


def test_every_code_of_a_refusal_is_described(web: Served, description: dict[str, Any]) -> None:
    codes = [one["code"] for one in web.client().get("/api/v1/problems").json()["rows"]]
    documented = str(description)
    for code in codes:
        answer = web.client().get(f"/api/v1/problems/{code}")
        assert answer.json()["title"]
    unseen = [code for code in codes if code not in documented]
    # Of requests that reach no endpoint.
    assert set(unseen) <= {"METHOD_NOT_ALLOWED", "WRONG_HOST", "INTERNAL_ERROR"}


def test_everybody_of_the_file_is_known(web: Served) -> None:
    assert {one.name for one in web.web.users.all()} == set(NAMES)
