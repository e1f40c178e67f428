"""What an order would meet, asked over the bus and at the terminal: the same answer, no event."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.bus.queries import QueryRefused
from ledger.client.client import LedgerClient
from ledger.kernel.command import Outcome
from ledger.nouns.limits.answers import RiskCheckAnswer
from tests.cli.running import run
from tests.programs.services import client, list_instrument, open_account, running_worker


class Served(NamedTuple):
    ledger: LedgerClient
    database_url: str
    nats_url: str
    account: UUID
    instrument: str
    directory: Path

    def order(self, quantity: str, **changes: Any) -> dict[str, Any]:
        data = {
            "order_id": str(uuid7()),
            "instrument": self.instrument,
            "side": "BUY",
            "order_type": "LIMIT",
            "quantity": quantity,
            "price": "100",
        }
        return data | changes

    async def limit(self, measure: str, value: str, unit: str, **more: Any) -> None:
        data = {"scope": "ACCOUNT", "reference": str(self.account)} | more
        data |= {"limit_id": str(uuid7()), "measure": measure, "value": value, "unit": unit}
        (await self.ledger.submit("SetLimit", data)).raise_for_rejection()

    def head(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            found = connection.execute("SELECT max(position) FROM event_store").fetchone()
        assert found is not None
        return int(found[0])

    async def ledgerctl(self, *arguments: str) -> tuple[int, str]:
        """Exit code and what was said, by a process of its own."""
        done = await run("limits", *arguments, cwd=self.directory)
        return done.exit_code, done.stdout + done.stderr


@pytest.fixture
async def served(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Served]:
    monkeypatch.setenv("LEDGER_NATS_URL", nats_url)
    monkeypatch.setenv("LEDGER_DATABASE_URL", database_url)
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account = await open_account(ledger, account_type="MARGIN")
        instrument = await list_instrument(ledger)
        deposit = {"asset": "USDT", "amount": "10000"}
        (await ledger.submit("Deposit", deposit, account_id=account)).raise_for_rejection()
        yield Served(ledger, database_url, nats_url, account, instrument, tmp_path)


async def test_what_is_answered_is_what_the_order_then_gets(served: Served) -> None:
    await served.limit("MAX_EXPOSURE", "1000", "USDT", warning_threshold="500")
    for quantity in ("1", "6", "11", "3", "5"):
        order = served.order(quantity)
        before = served.head()
        told = await served.ledger.queries.risk_check(
            "SubmitOrder", order, account_id=served.account
        )
        assert (told.position, served.head()) == (before, before), "no event, and of this position"
        got: Outcome = await served.ledger.submit("SubmitOrder", order, account_id=served.account)
        assert (told.allowed, told.code, told.message) == (got.accepted, got.code, got.message)


async def test_a_change_of_an_order_can_be_asked_about(served: Served) -> None:
    await served.limit("MAX_EXPOSURE", "1000", "USDT")
    order = served.order("5")
    await served.ledger.submit("SubmitOrder", order, account_id=served.account)

    async def asked(quantity: str) -> RiskCheckAnswer:
        change = {"order_id": order["order_id"], "quantity": quantity}
        return await served.ledger.queries.risk_check(
            "RequestReplace", change, account_id=served.account
        )

    assert (await asked("10")).allowed
    refused = await asked("11")
    assert (refused.allowed, refused.code) == (False, "RISK_LIMIT_EXCEEDED")
    assert [str(one.after) for one in refused.failed] == ["1100"]


async def test_what_a_loss_is_compared_with_is_marked_for_the_question_alone(
    served: Served,
) -> None:
    await served.limit("MAX_DAILY_LOSS", "5", "%", scope="SYSTEM", reference=None)
    told = await served.ledger.queries.risk_check(
        "SubmitOrder", served.order("1"), account_id=served.account
    )
    assert told.allowed, told.message


async def test_questions_that_mean_nothing_are_refused(served: Served) -> None:
    with pytest.raises(QueryRefused, match="is no order"):
        await served.ledger.queries.risk_check(
            "Deposit", {"asset": "USDT", "amount": "1"}, account_id=served.account
        )
    order = served.order("1")
    del order["quantity"]
    with pytest.raises(QueryRefused, match="quantity is missing"):
        await served.ledger.queries.risk_check("SubmitOrder", order, account_id=served.account)
    with pytest.raises(QueryRefused, match="there is no account"):
        await served.ledger.queries.limit_use(uuid7())


async def test_what_limits_are_at_is_told(served: Served) -> None:
    await served.limit("MAX_EXPOSURE", "1000", "USDT", warning_threshold="500")
    await served.limit("ORDER_RATE", "100", "ORDERS", window="1h")
    await served.ledger.submit("SubmitOrder", served.order("6"), account_id=served.account)
    answer = await served.ledger.queries.limit_use(served.account)
    used = {one.measure.value: one for one in answer.rows}
    assert str(used["MAX_EXPOSURE"].measured) == "600"
    assert str(used["MAX_EXPOSURE"].percent) == "60"
    assert used["MAX_EXPOSURE"].warning
    assert str(used["ORDER_RATE"].measured) == "1"


async def test_a_risk_check_takes_milliseconds(served: Served) -> None:
    for number in range(20):
        await served.limit("MAX_EXPOSURE", str(10_000 + number), "USDT")
    took = []
    for _ in range(200):
        started = time.perf_counter()
        await served.ledger.queries.risk_check(
            "SubmitOrder", served.order("1"), account_id=served.account
        )
        took.append(time.perf_counter() - started)
    assert sorted(took)[len(took) // 2] < 0.05, "a sanity check; benchmarks.limits measures"


async def test_limits_are_set_checked_and_shown_at_the_terminal(served: Served) -> None:
    of = ("--account", str(served.account))
    code, said = await served.ledgerctl("set", "MAX_EXPOSURE", "1000", "USDT", *of, "--warn", "900")
    assert (code, said.split(": ")[1]) == (0, "in force\n")
    order = ("--instrument", served.instrument, "--side", "BUY", "--price", "100")
    code, said = await served.ledgerctl("check", *of, *order, "--quantity", "10")
    assert (code, said.splitlines()[1]) == (0, "near to MAX_EXPOSURE 1000 USDT: at 1000")
    code, said = await served.ledgerctl("check", *of, *order, "--quantity", "11")
    assert code == 1
    assert "RISK_LIMIT_EXCEEDED" in said
    code, said = await served.ledgerctl("show", *of, "--json")
    assert (code, json.loads(said)["rows"][0]["measured"]) == (0, "0")
    code, said = await served.ledgerctl("preset", "patriot", "--currency", "USDT")
    assert (code, said.count("in force")) == (0, 6)
    code, said = await served.ledgerctl("preset", "patriot", "--currency", "USDT")
    assert (code, said.count("in force")) == (0, 6), "sent again it changes nothing"


async def test_a_halt_asks_for_the_cancel_of_every_open_order_and_needs_no_read_model(
    served: Served,
) -> None:
    other = await open_account(served.ledger)
    deposit = {"asset": "USDT", "amount": "1000"}
    await served.ledger.submit("Deposit", deposit, account_id=other)
    for account, orders in ((served.account, 30), (other, 2)):
        sent = [
            await served.ledger.send("SubmitOrder", served.order("1"), account_id=account)
            for _ in range(orders)
        ]
        assert all([(await one).accepted for one in sent])
    code, said = await served.ledgerctl(
        "halt", "enough", "--account", str(served.account), "--cancel-all"
    )
    assert code == 0, said
    assert "cancels: 30 asked for, 0 asked for before" in said
    refused = await served.ledger.submit(
        "SubmitOrder", served.order("1"), account_id=served.account
    )
    assert refused.code == "TRADING_HALTED"
    code, said = await served.ledgerctl("halt", "all of it", "--system", "--cancel-all")
    assert "cancels: 2 asked for, 30 asked for before" in said
    code, said = await served.ledgerctl("resume", "looked into", "--system")
    assert (code, said) == (0, "resumed\n")
