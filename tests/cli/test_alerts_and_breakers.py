"""`ledgerctl alerts` and `ledgerctl breakers`: from a rule that holds to one who lets go on."""

from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest

from ledger.nouns.alerts.state import stream_id
from projections.read_models.alerts import PROJECTION as ALERTS
from projections.read_models.breakers import PROJECTION as BREAKERS
from tests.alerting.receiving import SECRET, webhook
from tests.cli.running import Finished, run
from tests.programs.services import client, running_worker
from tests.projections.workers import caught_up, running


async def test_an_alert_is_listed_acknowledged_resolved_and_silenced(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    async def ledgerctl(*arguments: str) -> Finished:
        return await run(
            *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
        )

    alert = str(stream_id("mine", "ACCOUNT", "a"))
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        given = {"rule": "mine", "entity_type": "ACCOUNT", "entity_id": "a", "severity": "ERROR"}
        await ledger.submit("RaiseAlert", given | {"title": "look here"})
        with running(database_url, [ALERTS]):
            caught_up(database_url, "alerts")
            listed = await ledgerctl("alerts", "list")
            assert "look here" in listed.stdout
            done = await ledgerctl("alerts", "ack", alert, "--by", "ada")
            assert (done.exit_code, done.stdout) == (0, "done\n")
            again = await ledgerctl("alerts", "ack", alert)
            assert again.stdout.startswith("nothing changes")
            await ledgerctl("alerts", "suppress", "mine", "--entity", "account:a")
            assert (await ledgerctl("alerts", "resolve", alert)).exit_code == 0
            caught_up(database_url, "alerts")
            assert orjson.loads((await ledgerctl("alerts", "list", "--json")).stdout) == []
            (one,) = orjson.loads((await ledgerctl("alerts", "list", "--all", "--json")).stdout)
            assert (one["status"], one["acknowledged_by"]) == ("RESOLVED", "ada")
            unknown = await ledgerctl("alerts", "ack", str(uuid4()))
            assert unknown.exit_code == 1
            assert unknown.stderr.startswith("UNKNOWN_ALERT")


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (401, 1)])
async def test_a_channel_is_tried_without_telling_where_it_leads(
    tmp_path: Path, status: int, exit_code: int
) -> None:
    with webhook(status) as hook:
        channels = f"ops={hook.address}"
        done = await run("alerts", "test", "ops", cwd=tmp_path, LEDGER_ALERT_CHANNELS=channels)
    assert done.exit_code == exit_code
    assert SECRET not in done.stdout + done.stderr
    assert len(hook.told) == 1


async def test_a_breaker_is_set_listed_and_removed(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    async def ledgerctl(*arguments: str) -> Finished:
        return await run(
            *arguments, cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
        )

    breaker = str(UUID(int=7))
    async with running_worker(database_url, nats_url):
        words = ("breakers", "set", "DRAWDOWN", "0.1", "--scope", "SYSTEM", "--id", breaker)
        assert (await ledgerctl(*words, "--action", "HALT")).exit_code == 0
        wrong = await ledgerctl("breakers", "set", "DRAWDOWN", "0.1", "--scope", "INSTRUMENT:A:B")
        assert wrong.exit_code == 1
        assert "is measured of" in wrong.stderr
        with running(database_url, [BREAKERS]):
            caught_up(database_url, "breakers")
            (one,) = orjson.loads((await ledgerctl("breakers", "list", "--json")).stdout)
            assert (one["kind"], one["is_active"], one["tripped"]) == ("DRAWDOWN", True, [])
            subject = ("--subject", "ACCOUNT:a", "--reason", "why")
            refused = await ledgerctl("breakers", "resume", breaker, *subject)
            assert refused.stderr.startswith("BREAKER_NOT_TRIPPED")
            assert (await ledgerctl("breakers", "remove", breaker)).stdout == "removed\n"
            caught_up(database_url, "breakers")
            assert "removed" in (await ledgerctl("breakers", "list")).stdout
