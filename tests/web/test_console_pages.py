"""What single pages of the console tell: differences, controls, the calendar, users and keys."""

import csv
import io
import re
import socket
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx2
import msgspec
import psycopg
import pytest

from ledger.nouns import EVENTS
from ledger.nouns.limits.answers import LimitUse, LimitUseAnswer
from ledger.nouns.limits.terms import LimitMeasure, LimitScope
from ledger.operate import told_settings
from ledger.operate.told_settings import ToldSettings
from ledger.web.pages import home
from ledger.web.pages.access import TYPES
from ledger.web.pages.calendar import CalendarDay, weeks
from ledger.web.pages.controls import CONTROLS, ControlState
from ledger.web.person import Role
from ledger.web.users import UsersFile, web_user
from tests.projections.everything import OTHER_ACCOUNT
from tests.projections.log import ACCOUNT
from tests.web.serving import Served, served
from tests.web.test_actions import act

RED = (ControlState.UNSET, ControlState.MISSING)


def looking(server: Served, name: str) -> httpx2.Client:
    client = server.client(name)
    client.headers["Accept"] = "text/html"
    return client


def rows_of(answer: httpx2.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


# --- home -------------------------------------------------------------------------------


def test_the_limits_that_are_used_most_come_first_and_what_is_not_measured_is_left_out() -> None:
    def use(measure: LimitMeasure, percent: str | None) -> LimitUse:
        told = None if percent is None else Decimal(percent)
        return LimitUse(
            limit_id=uuid4(),
            scope=LimitScope.ACCOUNT,
            measure=measure,
            value=Decimal(1),
            unit="ORDERS",
            percent=told,
        )

    rows = (
        use(LimitMeasure.MAX_EXPOSURE, "12"),
        use(LimitMeasure.ORDER_RATE, None),
        use(LimitMeasure.MAX_POSITION, "99.5"),
        use(LimitMeasure.MAX_LEVERAGE, "0"),
        use(LimitMeasure.MAX_DAILY_LOSS, "40"),
    )
    answer = LimitUseAnswer(position=1, measured_at=datetime.now(UTC), rows=rows)
    percents = [one.percent for one in home.most_used(answer)]
    assert percents == [Decimal("99.5"), Decimal("40"), Decimal("12")]


# --- differences ------------------------------------------------------------------------


@pytest.mark.parametrize("account", [ACCOUNT, OTHER_ACCOUNT])
def test_what_differs_between_two_moments_is_what_was_recorded_between(
    web: Served, everything_url: str, account: object
) -> None:
    """Of balances the events add up to each difference; of an account that is whole that way."""
    with psycopg.connect(everything_url) as connection:
        row = connection.execute(
            "SELECT min(position), max(position) FROM event_store WHERE stream_id = %s", [account]
        ).fetchone()
    assert row is not None
    first, last = row
    client = looking(web, "aurel")
    for begin, end in ((first, last), (first, (first + last) // 2), ((first + last) // 2, last)):
        path = f"/differences?account_id={account}&first={begin}&second={end}"
        text = client.get(path).text
        assert "adds up" in text
        assert "does not add up" not in text
        for one in rows_of(client.get(f"{path}&format=csv")):
            if one["column"] == "total":
                change = Decimal(one["after"] or 0) - Decimal(one["before"] or 0)
                assert change == 0 or one["events"], one
    same = client.get(f"/differences?account_id={account}&first={last}&second={last}").text
    assert "The first moment is not before the second." in same


def test_each_side_of_a_difference_opens_to_why_it_was_so(web: Served) -> None:
    client = looking(web, "aurel")
    text = client.get(f"/differences?account_id={ACCOUNT}&first=20").text
    sides = re.findall(r'href="(/why/balance[^"]+)"><data class="n" value="([^"]+)"', text)
    assert sides
    for href, value in sides[:: max(len(sides) // 6, 1)]:
        why = client.get(f"{unescape(href)}&format=json").json()
        assert why["holds"], why
        assert Decimal(why["value"]) == Decimal(value)


def test_a_late_fact_is_a_restatement_and_leads_to_its_event(
    web: Served, everything_url: str
) -> None:
    with psycopg.connect(everything_url) as connection:
        row = connection.execute(
            """SELECT late.account_id, event.position, event.id, event.occurred_at
               FROM late_movements AS late JOIN event_store AS event USING (position)
               ORDER BY position LIMIT 1"""
        ).fetchone()
    if row is None:
        row = _last_event(everything_url)
    account, position, event_id, occurred_at = row
    path = f"/differences?account_id={account}&first={position - 1}&second={position}"
    about = quote(occurred_at.isoformat())
    text = looking(web, "aurel").get(f"{path}&effective_at={about}").text
    assert f"/events/{event_id}" in text
    assert "came late" in text


def _last_event(database_url: str) -> tuple[object, int, object, datetime]:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            """SELECT stream_id, position, id, occurred_at FROM event_store
               WHERE event_type = 'account.deposited' ORDER BY position DESC LIMIT 1"""
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2], row[3]


@pytest.mark.parametrize("page", ["differences", "calendar"])
def test_nothing_is_told_of_accounts_of_others(web: Served, page: str) -> None:
    assert looking(web, "vera").get(f"/{page}?account_id={ACCOUNT}").status_code == 404
    own = looking(web, "tom").get(f"/{page}?account_id={ACCOUNT}")
    assert own.status_code == 200, own.text


# --- controls ---------------------------------------------------------------------------


def test_a_control_that_nothing_shows_is_red_and_each_other_leads_to_its_event(
    web: Served,
) -> None:
    client = looking(web, "aurel")
    lines = rows_of(client.get("/controls?format=csv"))
    assert [one["number"] for one in lines] == [str(one.number) for one in CONTROLS]
    states = {one["state"] for one in lines}
    assert states <= set(ControlState)
    for one in lines:
        if one["state"] == ControlState.SHOWN:
            assert client.get(f"/events/{one['evidence']}").status_code == 200
        if one["state"] in RED:
            assert not one["limits in force"]
    text = client.get("/controls").text
    red = sum(one["state"] in RED for one in lines)
    assert text.count('<tr class="bare">') == red
    early = rows_of(client.get("/controls?format=csv&known_at=1"))
    assert not any(one["evidence"] for one in early)


# --- the calendar -----------------------------------------------------------------------


def test_a_week_sums_up_its_days_of_the_month() -> None:
    begin = date(2026, 6, 29)
    days = [
        CalendarDay(
            begin + timedelta(days=at),
            at >= 2,
            {"total_pnl": Decimal(at), "total_trades": 1} if at != 4 else None,
        )
        for at in range(14)
    ]
    first, second = weeks(days)
    assert first.profit == 2 + 3 + 5 + 6
    assert second.profit == sum(range(7, 14))
    assert [first.trades, second.trades] == [4, 7]


# --- users and keys ---------------------------------------------------------------------


def test_a_token_is_revoked_at_once_and_stays_on_the_page(own_web: Served) -> None:
    ada, aurel = looking(own_web, "ada"), looking(own_web, "aurel")
    program = own_web.client("tom")
    assert program.get("/api/v1/me").status_code == 200
    (token,) = [one for one in own_web.web.tokens.all() if one.name == "tom"]
    page = ada.get("/users").text
    row = next(one for one in page.split("<tr>") if token.id in one)
    assert "never" not in row  # it was used just now
    assert "expires soon" in row  # tomorrow
    assert f"/act/revoke_token?token_id={token.id}" in row
    assert "/act/" not in aurel.get("/users").text
    assert token.digest not in page
    given = {"token_id": token.id}
    assert act(ada, "revoke_token", given).status_code == 400  # not confirmed
    assert act(ada, "revoke_token", given, confirm=token.id).json()["status"] == "DONE"
    assert program.get("/api/v1/me").status_code == 401
    assert "revoked by ada" in ada.get("/users").text
    assert act(ada, "revoke_token", given, confirm=token.id).status_code == 404


def test_a_session_is_ended_by_an_administrator(own_web: Served) -> None:
    browser, ada = own_web.browser(), looking(own_web, "ada")
    assert browser.get("/api/v1/me").status_code == 200
    found = re.search(r"/act/end_session\?session_id=([0-9a-f]{16})", ada.get("/users").text)
    assert found is not None
    assert act(ada, "end_session", {"session_id": found[1]}).json()["status"] == "DONE"
    assert browser.get("/api/v1/me").status_code == 401


def test_who_was_what_is_known_afterwards(tmp_path: Path) -> None:
    users = UsersFile(tmp_path)
    users.put(web_user("ann", Role.AUDITOR))
    between = datetime.now(UTC)
    users.put(web_user("ann", Role.ADMIN))
    users.put(web_user("bea", Role.OPERATOR))
    users.remove("ann")
    assert {name: one.role for name, one in users.at(between).items()} == {"ann": Role.AUDITOR}
    now = users.at(datetime.now(UTC))
    assert {name: one.role for name, one in now.items()} == {"bea": Role.OPERATOR}


# --- who could, who did -----------------------------------------------------------------


def test_every_deed_that_is_looked_for_is_an_event_there_is() -> None:
    assert set(TYPES) <= set(EVENTS)
    by_people = {
        name
        for name, kind in EVENTS.items()
        if name.startswith(("limits.", "projection.", "stream.", "log."))
        and {"actor", "by"} & set(kind.__struct_fields__)
    }
    assert by_people - set(TYPES) == {"limits.registered"}


def test_deeds_and_rights_are_told_of_two_moments(own_web: Served) -> None:
    ada, aurel = looking(own_web, "ada"), looking(own_web, "aurel")
    deeds = rows_of(aurel.get("/who?first=1&format=csv"))
    assert {"limits", "halts", "approvals", "adjustments", "read models"} <= {
        one["kind"] for one in deeds
    }
    assert all(one["person"] for one in deeds if one["event"].startswith("limits."))
    assert [int(one["position"]) for one in deeds] == sorted(
        (int(one["position"]) for one in deeds), reverse=True
    )
    (name, *_) = {one["person"] for one in deeds if one["kind"] == "adjustments"}
    own = rows_of(aurel.get(f"/who?first=1&format=csv&person={name}"))
    assert own
    assert {one["person"] for one in own} == {name}
    halts = rows_of(aurel.get("/who?first=1&format=csv&kind=halts"))
    assert {one["kind"] for one in halts} == {"halts"}
    text = ada.get("/who?first=1").text
    assert "changed" in text  # limits that were not set at first
    for who in ("ada", "olga", "tom"):
        assert f"<bdi>{who}</bdi>" in text
    assert "ledger_http" in text  # a login of the database


# --- settings ---------------------------------------------------------------------------


def test_a_setting_says_where_it_comes_from_and_a_secret_only_that_it_is_set(
    web: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LEDGER_LOG_LEVEL=WARNING\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_COMMAND_BATCH_SIZE", "77")
    monkeypatch.setenv("LEDGER_ALERT_CHANNELS", "ops=mailto://me:hunter2@example.org")
    monkeypatch.setenv("LEDGER_DATABASE_URL", "postgresql://ledger:hunter2@db/ledger")
    text = looking(web, "olga").get("/settings").text
    for name, value, source in (
        ("LEDGER_COMMAND_BATCH_SIZE", "77", "environment"),
        ("LEDGER_LOG_LEVEL", "WARNING", "file"),
        ("LEDGER_ALERT_CHANNELS", "set, secret", "environment"),
        ("LEDGER_DATABASE_URL", "postgresql://ledger:***@db/ledger", "environment"),
    ):
        row = next(one for one in re.split(r"<tr", text) if f"<code>{name}</code>" in one)
        assert f"<code>{value}</code>" in row
        assert source in row
    file = looking(web, "olga").get("/settings/file").text
    assert "LEDGER_COMMAND_BATCH_SIZE=77\n" in file
    assert "# LEDGER_ALERT_CHANNELS=\n" in file
    assert "hunter2" not in text + file


def test_programs_tell_what_they_were_told_and_where_it_differs_is_marked(
    everything_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with served(everything_url, tmp_path, data_dir=tmp_path) as server, ExitStack() as stack:
        page = looking(server, "aurel")
        for program, level in (("commands", "DEBUG"), ("publisher", "ERROR")):
            monkeypatch.setenv("LEDGER_LOG_LEVEL", level)
            stack.enter_context(told_settings.telling(program, tmp_path))
        ended = ToldSettings("clock", socket.gethostname(), 2**22 + 1, datetime.now(UTC), {})
        path = tmp_path / told_settings.DIRECTORY / "clock-ended.json"
        path.write_bytes(msgspec.json.encode(ended))
        for one in path.parent.iterdir():
            if one != path:
                assert one.stat().st_mode & 0o777 == 0o600
        text = page.get("/settings?view=differing").text
        (row,) = [one for one in re.split(r"<tr", text) if "LEDGER_LOG_LEVEL" in one]
        assert "differs" in row
        assert "<code>DEBUG</code>" in row
        assert "<code>ERROR</code>" in row
        assert "<td>clock</td>" not in text
        assert "LEDGER_LOG_LEVEL=DEBUG" in page.get("/settings/file?program=commands").text
        stack.close()
        assert "None but this server." in page.get("/settings").text
