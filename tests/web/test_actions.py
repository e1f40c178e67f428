"""Acting: previewed, with a reason, by who may, approved by another where two are needed."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest

from ledger.web import rights
from ledger.web.actions import acts
from ledger.web.person import Role, Scope
from tests.projections.everything import OTHER_ACCOUNT
from tests.projections.log import ACCOUNT, USER
from tests.web.serving import NAMES, Served
from tests.web.test_commands import at_work, opened, send  # noqa: F401 - a fixture

READ_MODEL = {"projection": "transfers"}


def act(
    client: httpx2.Client,
    name: str,
    arguments: dict[str, Any],
    key: UUID | None = None,
    **more: str,
) -> httpx2.Response:
    return client.post(
        f"/api/v1/actions/{name}",
        json={"arguments": arguments, "reason": "a test", **more},
        headers={"Idempotency-Key": str(key or uuid4())},
    )


def test_every_action_is_in_the_one_table_of_rights() -> None:
    assert set(acts.actions()) <= set(rights.RIGHTS)
    not_previewed = {name for name in rights.RIGHTS if name not in acts.actions()}
    assert {name for name in not_previewed if not name.startswith(("send_", "read", "end_"))} == {
        "approve"
    }


@pytest.mark.parametrize("name", sorted(acts.actions()))
def test_what_a_role_may_not_do_is_not_offered_and_is_refused(web: Served, name: str) -> None:
    right = rights.RIGHTS[name]
    assert Role.AUDITOR not in right.roles
    assert Role.VIEWER not in right.roles
    for person, (role, _) in NAMES.items():
        client = web.client(person)
        offered = {one["name"] for one in client.get("/api/v1/actions").json()["rows"]}
        assert (name in offered) is (role in right.roles)
        answers = [
            client.post(f"/api/v1/actions/{name}/preview", json={"arguments": {"x": "1"}}),
            act(client, name, {"x": "1"}),
        ]
        expected = 400 if role in right.roles else 403
        assert [one.status_code for one in answers] == [expected] * 2
    only_reads = web.client("ada", scopes=frozenset({Scope.READ}))
    assert only_reads.get("/api/v1/actions").json()["rows"] == []
    assert act(only_reads, name, {}).status_code == 403


def test_a_preview_tells_what_would_happen_and_nothing_does(web: Served) -> None:
    client = web.client("olga")
    before = client.get("/api/v1/standing").json()["position"]
    found = client.post("/api/v1/actions/pause_projection/preview", json={"arguments": READ_MODEL})
    assert found.status_code == 200
    assert found.json()["effect"][0].startswith("transfers is ")
    assert client.get("/api/v1/standing").json()["position"] == before


def test_a_deed_is_in_the_log_with_who_and_why(own_web: Served, everything_url: str) -> None:
    client = own_web.client("olga")
    paused = act(client, "pause_projection", READ_MODEL)
    assert (paused.status_code, paused.json()["status"]) == (200, "DONE"), paused.text
    assert paused.json()["details"] == {"changed": ["transfers"]}
    with psycopg.connect(everything_url) as connection:
        row = connection.execute(
            """SELECT event_data->>'actor', event_data->>'reason', metadata->>'login'
               FROM event_store WHERE event_type = 'projection.paused'
               ORDER BY position DESC LIMIT 1"""
        ).fetchone()
    assert row is not None
    assert row[:2] == ("olga", "a test")
    assert row[2].startswith("login_")  # of the program, and of no owner
    assert act(client, "resume_projection", READ_MODEL).json()["status"] == "DONE"
    assert act(client, "verify_projection", READ_MODEL).json()["details"]["equal"] is True
    log = act(client, "verify_log", {})
    assert log.json()["details"]["standing"] == "consistent"
    unknown = act(client, "pause_projection", {"projection": "dreams"})
    assert unknown.status_code == 404


def test_nothing_is_done_without_a_reason(web: Served) -> None:
    for reason in ("", "  ", "x" * 501, "two\nlines", "\u202eback"):
        answer = act(web.client("olga"), "pause_projection", READ_MODEL, reason=reason)
        assert answer.status_code == 400


def test_what_cannot_be_taken_back_is_confirmed_and_approved_by_another(own_web: Served) -> None:
    olga, ada = own_web.client("olga"), own_web.client("ada")
    unconfirmed = act(olga, "swap_projection", READ_MODEL)
    assert unconfirmed.status_code == 400
    assert "transfers" in unconfirmed.json()["detail"]
    key = uuid4()
    waits = act(olga, "swap_projection", READ_MODEL, key, confirm="transfers")
    assert (waits.status_code, waits.json()["status"]) == (202, "WAITING")
    path = f"/api/v1/approvals/{key}"
    word = {"decision": "APPROVED"}
    assert olga.post(path, json=word).status_code == 409  # it is her own
    for name in ("tom", "vera", "aurel"):
        assert own_web.client(name).post(path, json=word).status_code == 403
        assert own_web.client(name).get("/api/v1/approvals").json()["rows"] == []
    (row,) = [one for one in ada.get("/api/v1/approvals").json()["rows"] if one["id"] == str(key)]
    assert (row["requested_by"], row["waits"]) == ("olga", True)
    refused = ada.post(path, json={"decision": "REJECTED"})
    assert refused.json()["status"] == "REJECTED"
    assert ada.post(path, json=word).status_code == 409


def test_an_adjustment_is_booked_when_another_person_has_approved_it(
    at_work: tuple[Served, str],  # noqa: F811
) -> None:
    server, database_url = at_work
    account, key = opened(server), uuid4()
    given = {"account_id": account, "asset": "USDT", "amount": "-0.5"}
    asked = act(server.client("olga"), "adjust", given, key)
    assert asked.json()["status"] == "WAITING", asked.text
    done = server.client("ada").post(f"/api/v1/approvals/{key}", json={"decision": "APPROVED"})
    assert done.json()["status"] == "ACCEPTED", done.text
    assert done.json()["position"] > 0
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            """SELECT event_data->>'actor', event_data->>'reason', event_data->>'amount',
                   metadata->>'source', metadata->>'command_id'
               FROM event_store WHERE event_type = 'account.adjusted'"""
        ).fetchone()
    assert row == ("olga", "a test (approved by ada)", "-0.5", "web:olga", str(key))


def test_what_was_approved_and_not_done_is_offered_again_and_has_one_effect(
    at_work: tuple[Served, str],  # noqa: F811
) -> None:
    """As a server leaves it that ends between the word and the result."""
    server, database_url = at_work
    account, key, other = opened(server), uuid4(), uuid4()
    olga, ada = server.client("olga"), server.client("ada")
    word, given = {"decision": "APPROVED"}, {"account_id": account, "asset": "USDT"}
    for one, amount in ((key, "-0.5"), (other, "-0.25")):
        assert act(olga, "adjust", {**given, "amount": amount}, one).json()["status"] == "WAITING"
    with psycopg.connect(database_url, autocommit=True) as connection:

        def ended(minutes: int) -> None:
            connection.execute(
                """UPDATE web_approvals SET decision = 'APPROVED', decided_by = 'ada',
                       result = NULL, decided_at = now(),
                       attempted_at = now() - %s * interval '1 minute'""",
                [minutes],
            )

        ended(0)
        assert ada.post(f"/api/v1/approvals/{key}", json=word).status_code == 409  # in work
        ended(2)
        rows = ada.get("/api/v1/approvals").json()["rows"]
        assert {row["id"] for row in rows if row["unfinished"]} == {str(key), str(other)}
        assert olga.post(f"/api/v1/approvals/{key}", json=word).status_code == 409  # her own
        done = ada.post(f"/api/v1/approvals/{key}", json=word).json()
        assert done["status"] == "ACCEPTED", done
        left = ada.post(f"/api/v1/approvals/{other}", json={"decision": "REJECTED"}).json()
        assert left["status"] == "LEFT"
        assert not any(row["unfinished"] for row in ada.get("/api/v1/approvals").json()["rows"])
        ended(2)
        again = ada.post(f"/api/v1/approvals/{key}", json=word).json()
        assert (again["status"], again["position"]) == ("ACCEPTED", done["position"])
        row = connection.execute(
            "SELECT count(*) FROM event_store WHERE event_type = 'account.adjusted'"
        ).fetchone()
    assert row == (1,)


def test_a_limit_that_allows_more_needs_another_person(
    at_work: tuple[Served, str],  # noqa: F811
) -> None:
    server, _ = at_work
    limit = str(uuid4())
    given = {
        "limit_id": limit,
        "scope": "SYSTEM",
        "measure": "MAX_OPEN_ORDERS",
        "value": "5",
        "unit": "ORDERS",
    }
    olga, ada = server.client("olga"), server.client("ada")
    units = act(olga, "set_limit", given).json()
    if units["status"] == "REJECTED":
        pytest.fail(units["message"])
    more = act(olga, "set_limit", {**given, "value": "50"})
    assert more.json()["status"] == "ACCEPTED", more.text
    own = act(olga, "approve_limit", {"limit_id": limit})
    assert own.json()["status"] == "REJECTED"
    other = act(ada, "approve_limit", {"limit_id": limit})
    assert other.json()["status"] == "ACCEPTED", other.text


def test_a_trader_halts_own_accounts_and_cancels_own_orders_alone(
    at_work: tuple[Served, str],  # noqa: F811
) -> None:
    server, _ = at_work
    mine, other = opened(server, USER), opened(server, uuid4())
    tom = server.client("tom")
    halts = [
        act(tom, "halt", {"scope": "ACCOUNT", "reference": mine}),
        act(tom, "halt", {"scope": "ACCOUNT", "reference": other}),
        act(tom, "halt", {"scope": "SYSTEM"}),
        act(tom, "resume", {"scope": "ACCOUNT", "reference": mine}),
    ]
    assert [one.status_code for one in halts] == [200, 404, 403, 403]
    assert halts[0].json()["status"] == "ACCEPTED", halts[0].text
    cancels = [
        act(tom, "cancel_orders", {"account_id": account}).status_code for account in (mine, other)
    ]
    assert cancels == [200, 404]


def test_cancelling_is_foreseen_order_by_order(web: Served) -> None:
    tom = web.client("tom")
    preview = "/api/v1/actions/cancel_orders/preview"
    asked = {"account_id": str(ACCOUNT), "status": "OPEN", "limit": "500"}
    working = tom.get("/api/v1/orders", params=asked).json()["rows"]
    found = tom.post(preview, json={"arguments": {"account_id": str(ACCOUNT)}}).json()
    assert len(found["sends"]) == len(working)
    others = tom.post(preview, json={"arguments": {"account_id": str(OTHER_ACCOUNT)}})
    assert others.status_code == 404
