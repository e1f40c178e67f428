"""Who gets in, for how long, and who does not."""

from pathlib import Path

import orjson
import psycopg
import pytest

from ledger.web import first_token
from ledger.web.person import Role
from ledger.web.private_file import PrivateFileUnusable
from ledger.web.users import UnusableWebUser, UsersFile, web_user
from tests.cli.running import Finished, run
from tests.web.serving import PASSWORD, Served, served


def test_who_has_signed_in_is_known_by_a_cookie_that_no_script_reads(web: Served) -> None:
    client = web.client()
    answer = client.post("/sign-in", data={"name": "ada", "password": PASSWORD, "next": "/orders"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert web.web.sessions.person(client.cookies["ledger"]) is not None


def test_the_database_has_digests_and_nobody_can_be_anybody_by_reading_them(
    web: Served, everything_url: str
) -> None:
    session = web.browser().cookies["ledger"]
    with psycopg.connect(everything_url) as connection:
        rows = connection.execute("SELECT * FROM web_sessions").fetchall()
    assert rows
    assert session not in str(rows)


def test_a_wrong_password_and_a_wrong_name_are_refused_in_the_same_words(own_web: Served) -> None:
    answers = [
        own_web.client().post("/sign-in", data={"name": name, "password": "wrong wrong wrong"})
        for name in ("ada", "nobody")
    ]
    assert [one.status_code for one in answers] == [401, 401]
    assert answers[0].text == answers[1].text
    assert "set-cookie" not in answers[0].headers


def test_passwords_cannot_be_tried_one_after_the_other(own_web: Served) -> None:
    client = own_web.client()
    wrong = {"name": "ada", "password": "wrong wrong wrong"}
    assert [client.post("/sign-in", data=wrong).status_code for _ in range(5)] == [401] * 5
    last = client.post("/sign-in", data={"name": "ada", "password": PASSWORD})
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_led_elsewhere_after_signing_in(web: Served, wanted: str) -> None:
    answer = web.client().post(
        "/sign-in", data={"name": "ada", "password": PASSWORD, "next": wanted}
    )
    assert answer.headers["location"] == "/"


def test_the_one_time_token_signs_in_once(own_web: Served) -> None:
    token = first_token.write(own_web.web.settings.directory)
    client = own_web.client()
    assert client.get("/start", params={"token": token}).status_code == 303
    person = own_web.web.sessions.person(client.cookies["ledger"])
    assert person is not None
    assert person.role is Role.ADMIN
    again = own_web.client().get("/start", params={"token": token})
    assert again.status_code == 401
    assert "used already" in again.text


def test_a_wrong_one_time_token_leaves_the_right_one(own_web: Served) -> None:
    token = first_token.write(own_web.web.settings.directory)
    assert own_web.client().get("/start", params={"token": "wrong"}).status_code == 401
    assert own_web.client().get("/start", params={"token": token}).status_code == 303


def test_a_session_ends_for_whoever_has_its_cookie(own_web: Served) -> None:
    browser = own_web.browser()
    session = browser.cookies["ledger"]
    person = own_web.web.sessions.person(session)
    assert person is not None
    ended = browser.post("/sign-out", data={"csrf": person.csrf})
    assert (ended.status_code, ended.headers["location"]) == (303, "/sign-in")
    assert own_web.web.sessions.person(session) is None


async def test_who_is_signed_in_is_listed_and_sent_out_at_the_terminal(
    own_web: Served, everything_url: str, tmp_path: Path
) -> None:
    sessions = own_web.web.sessions
    first, second = (own_web.browser().cookies["ledger"] for _ in range(2))

    async def at_terminal(*arguments: str) -> Finished:
        return await run(
            *("web", "session", *arguments), cwd=tmp_path, LEDGER_DATABASE_URL=everything_url
        )

    listed = orjson.loads((await at_terminal("list", "--json")).stdout)
    assert first not in str(listed)
    of_ada = [one["id"] for one in listed if one["name"] == "ada"]
    newest, before = of_ada[:2]
    assert (await at_terminal("end", newest, "--by", "olga")).exit_code == 0
    assert sessions.person(second) is None
    assert sessions.person(first) is not None
    assert (await at_terminal("end", newest, "--by", "olga")).exit_code == 1
    assert (await at_terminal("end", "--user", "ada", "--by", "olga")).exit_code == 0
    assert sessions.person(first) is None
    assert before not in (await at_terminal("list")).stdout
    assert (await at_terminal("end", "--by", "olga")).exit_code == 2


def test_a_user_who_is_removed_or_changed_is_out_at_once(own_web: Served) -> None:
    sessions, users = own_web.web.sessions, own_web.web.users
    session = own_web.browser().cookies["ledger"]
    users.put(web_user("ada", Role.AUDITOR, password=PASSWORD))
    assert sessions.person(session) is None
    again = own_web.browser().cookies["ledger"]
    assert sessions.person(again) is not None
    users.remove("ada")
    assert sessions.person(again) is None


def test_a_session_that_nobody_used_is_over(everything_url: str, tmp_path: Path) -> None:
    with served(everything_url, tmp_path, web_session_idle_minutes=0.0001) as server:
        session = server.browser().cookies["ledger"]
        with psycopg.connect(everything_url) as connection:
            connection.execute("UPDATE web_sessions SET last_seen_at = now() - interval '1 minute'")
        assert server.web.sessions.person(session) is None


def test_forms_of_other_sites_do_nothing(own_web: Served) -> None:
    browser = own_web.browser()
    person = own_web.web.sessions.person(browser.cookies["ledger"])
    assert person is not None
    refused = [
        browser.post("/sign-out"),
        browser.post("/sign-out", data={"csrf": "guessed"}),
        browser.post(
            "/sign-out", data={"csrf": person.csrf}, headers={"Origin": "https://evil.example"}
        ),
        browser.post("/sign-out", data={"csrf": person.csrf}, headers={"Origin": "null"}),
        browser.post("/sign-out", headers={"Sec-Fetch-Site": "cross-site"}),
    ]
    assert [one.status_code for one in refused] == [403] * 5
    elsewhere = own_web.client().post(
        "/sign-in",
        data={"name": "ada", "password": PASSWORD},
        headers={"Origin": "https://evil.example"},
    )
    assert elsewhere.status_code == 403
    assert own_web.web.sessions.person(browser.cookies["ledger"]) is not None


def test_the_users_file_has_hashes_and_is_its_owners_alone(tmp_path: Path) -> None:
    users = UsersFile(tmp_path)
    users.put(web_user("ada", Role.ADMIN, password=PASSWORD))
    path = tmp_path / "users.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    assert "$argon2id$" in path.read_text()
    path.chmod(0o640)
    with pytest.raises(PrivateFileUnusable, match="open to others"):
        users.find("ada")


@pytest.mark.parametrize(
    ("name", "role", "password", "why"),
    [
        ("ada", Role.ADMIN, "short", "12 to 256"),
        ("<b>", Role.ADMIN, PASSWORD, "cannot be a name"),
        ("tom", Role.TRADER, PASSWORD, "needs the user"),
    ],
)
def test_nobody_is_added_who_could_be_guessed_or_is_nobody(
    name: str, role: Role, password: str, why: str
) -> None:
    with pytest.raises(UnusableWebUser, match=why):
        web_user(name, role, password=password)


def test_a_token_is_kept_as_a_hash_and_ends_when_it_is_revoked(own_web: Served) -> None:
    token = own_web.token("aurel")
    path = own_web.web.settings.directory / "tokens.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert token.rpartition("_")[2] not in path.read_text()
    assert own_web.web.person_of_token(token) is not None
    own_web.web.tokens.revoke(token.split("_")[1])
    assert own_web.web.person_of_token(token) is None
