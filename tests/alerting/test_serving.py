"""`serve alerts`: what the log says, told once on each channel, recorded, tried again, silent."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ledger.client.client import LedgerClient
from ledger.nouns.alerts.state import stream_id
from ledger.operate.settings import Settings
from ledger.programs.alerts import PROGRAM, AlertService
from ledger.programs.registry import Places
from tests.alerting.receiving import SECRET, webhook
from tests.programs.services import ANSWER_SECONDS, client, open_account, rows, running_worker
from tests.projections.workers import wait_until

QUIET = {"alert_look_seconds": 3_600.0, "alert_retry_wait_seconds": 0.05}
"""The vitals of a machine that runs tests are nobody's alert."""


@asynccontextmanager
async def alerting(
    database_url: str, nats_url: str, channels: str, **settings: Any
) -> AsyncIterator[AlertService]:
    """The program's work."""
    stop = threading.Event()
    given = Settings(nats_url=nats_url, alert_channels=SecretStr(channels), **QUIET | settings)
    service = AlertService(Places(given, database_url), stop)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, ANSWER_SECONDS)
        assert not thread.is_alive()


async def until(holds: Any, what: str) -> None:
    await asyncio.to_thread(wait_until, holds, what)


def of_type(database_url: str, event_type: str) -> list[dict[str, Any]]:
    return [
        data
        for (data,) in rows(
            database_url,
            "SELECT event_data::jsonb FROM event_store WHERE event_type = %s ORDER BY position",
            event_type,
        )
    ]


async def halted(ledger: LedgerClient) -> str:
    """An account that was halted: an alert of `account-halted`."""
    account_id = await open_account(ledger)
    outcome = await ledger.submit(
        "HaltAccount", {"actor": "risk", "reason": "a test"}, account_id=account_id
    )
    assert outcome.accepted, outcome
    return str(account_id)


async def test_what_the_log_says_is_told_once_and_by_two_that_run_at_once(
    database_url: str, nats_url: str
) -> None:
    with webhook() as hook:
        channels = f"ops={hook.address}"
        async with (
            running_worker(database_url, nats_url),
            await client(nats_url) as ledger,
            alerting(database_url, nats_url, channels),
            alerting(database_url, nats_url, channels),
        ):
            account_id = await halted(ledger)
            await until(lambda: of_type(database_url, "alert.delivery_ended"), "a delivery")
            (raised,) = of_type(database_url, "alert.raised")
            assert (raised["rule"], raised["entity_id"]) == ("account-halted", account_id)
            assert hook.titles == [f"WARNING: Account {account_id} takes no new risk"]
            assert "a test" in hook.told[0]["message"]
            assert hook.headers[0]["Idempotency-Key"]
            (ended,) = of_type(database_url, "alert.delivery_ended")
            assert ended["status"] == "SENT"
            await ledger.submit("ReactivateAccount", {"actor": "ada"}, account_id=account_id)
            await until(lambda: of_type(database_url, "alert.resolved"), "its resolution")
            (resolved,) = of_type(database_url, "alert.resolved")
            assert resolved["by_itself"]
            assert len(hook.told) == 1
            assert PROGRAM.ready(Places(Settings(nats_url=nats_url), database_url))


async def test_a_channel_that_refuses_is_tried_again_and_nothing_of_its_address_is_recorded(
    database_url: str, nats_url: str
) -> None:
    with webhook(500, 0) as hook:
        async with (
            running_worker(database_url, nats_url),
            await client(nats_url) as ledger,
            alerting(database_url, nats_url, f"ops={hook.address} other=json://127.0.0.1:1"),
        ):
            await halted(ledger)

            def ended() -> list[dict[str, Any]]:
                found = of_type(database_url, "alert.delivery_ended")
                return [one for one in found if one["channel"] == "ops"]

            await until(lambda: len(ended()) == 3, "three attempts")
            refused, lost, sent = ended()
            assert (refused["status"], refused.get("uncertain", False)) == ("FAILED", False)
            assert "error=500" in refused["error"]
            assert (lost["status"], lost["uncertain"]) == ("FAILED", True)
            assert sent["status"] == "SENT"
            begun = of_type(database_url, "alert.delivery_begun")
            repeated = [one.get("repeated", False) for one in begun if one["channel"] == "ops"]
            assert repeated == [False, False, True]
            assert "may be a repetition" not in hook.told[1]["message"]
            assert "may be a repetition" in hook.told[2]["message"]
            (whole,) = rows(
                database_url, "SELECT string_agg(event_data::text, '') FROM event_store"
            )
            assert SECRET not in whole[0]


async def test_what_is_silenced_is_kept_and_told_when_the_silence_is_over(
    database_url: str, nats_url: str
) -> None:
    with webhook() as hook:
        async with (
            running_worker(database_url, nats_url),
            await client(nats_url) as ledger,
            alerting(database_url, nats_url, f"ops={hook.address}"),
        ):
            await ledger.submit("SuppressAlerts", {"rule": "account-halted", "reason": "planned"})
            account_id = await halted(ledger)
            await until(lambda: of_type(database_url, "alert.raised"), "an alert")
            assert of_type(database_url, "alert.raised")[0]["suppressed"]
            assert hook.told == []
            await ledger.submit("UnsuppressAlerts", {"rule": "account-halted"})
            await until(lambda: len(hook.told) == 1, "a message")
            await until(lambda: of_type(database_url, "alert.delivery_ended"), "its end")
            alert_id = str(stream_id("account-halted", "ACCOUNT", account_id))
            acknowledged = await ledger.submit(
                "AcknowledgeAlert", {"alert_id": alert_id, "actor": "ada"}
            )
            assert acknowledged.accepted


async def test_what_is_raised_at_once_goes_in_one_message(database_url: str, nats_url: str) -> None:
    with webhook() as hook:
        async with (
            running_worker(database_url, nats_url),
            await client(nats_url) as ledger,
            alerting(database_url, nats_url, f"ops={hook.address}"),
        ):
            await asyncio.gather(*(halted(ledger) for _ in range(5)))
            await until(
                lambda: len(of_type(database_url, "alert.delivery_ended")) == 5, "five deliveries"
            )
            assert len(hook.told) < 5
            assert sum(one["message"].count("runbook") for one in hook.told) in {0, 5}
            assert "alerts: WARNING: Account" in hook.titles[-1]


async def test_what_the_vitals_say_is_told_and_escalated_when_nobody_looks_after_it(
    database_url: str, nats_url: str, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        """
        [[rule]]
        name = "long-log"
        measure = "head_position"
        limit = 1
        for_seconds = 0
        title = "the log has {value:.0f} events"
        channels = ["ops"]
        escalate_after_minutes = 0.0001
        escalate_to = ["boss"]
        """
    )
    with webhook() as hook, webhook() as boss:
        async with (
            running_worker(database_url, nats_url),
            await client(nats_url) as ledger,
            alerting(
                *(database_url, nats_url, f"ops={hook.address} boss={boss.address}"),
                alert_look_seconds=0.2,
                alert_rules=rules,
            ),
        ):
            await open_account(ledger)
            await open_account(ledger)
            await until(lambda: hook.told and boss.told, "both messages")
            assert all("the log has" in one for one in (*hook.titles, *boss.titles))
            mine = [
                one for one in of_type(database_url, "alert.raised") if one["rule"] == "long-log"
            ]
            assert [one["number"] for one in mine] == [1]
            assert mine[0]["metadata"]["measure"] == "head_position"
