"""The examples of services: a strategy in Python, and one in Node, which see the same."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from ledger.bus.events import received
from ledger.client.client import LedgerClient
from tests.docs.pages import ROOT
from tests.programs.publishing import running_publisher
from tests.programs.services import ANSWER_SECONDS, client, open_account, running_worker
from tests.questions.test_query_service import projections, running_queries

__all__ = ["projections"]  # a fixture

NODE_EXAMPLE = ROOT / "examples" / "node"
INSTALL_SECONDS, RUN_SECONDS = 100, 60


@pytest.fixture
async def ledger(
    projections: None, database_url: str, nats_url: str
) -> AsyncIterator[LedgerClient]:
    """A client of a whole ledger."""
    async with (
        running_worker(database_url, nats_url),
        running_publisher(database_url, nats_url),
        running_queries(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        yield ledger


async def output_of(*command: str | Path, cwd: Path, seconds: float, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(seconds):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_the_strategy_buys_sees_its_fills_and_what_it_owns(
    ledger: LedgerClient, nats_url: str
) -> None:
    account_id = await open_account(ledger)
    instrument = {
        "instrument": "BINANCE:BTCUSDT",
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "tick_size": "0.01",
        "step_size": "0.001",
    }
    await ledger.submit("ListInstrument", instrument)
    await ledger.submit("Deposit", {"asset": "USDT", "amount": "2000"}, account_id=account_id)

    async def venue() -> None:
        """Fills the strategy's order in two parts."""
        submitted = ledger.events(account_id=account_id, event_type="order.submitted")
        async with aclosing(submitted) as orders:
            order = await anext(orders)
        for trade_id in ("t-1", "t-2"):
            fill = {
                "order_id": order.stream_id,
                "trade_id": trade_id,
                "last_qty": "0.01",
                "last_px": "49900",
            }
            await ledger.submit("RecordFill", fill, account_id=account_id)

    filling = asyncio.create_task(venue())
    shown = await output_of(
        sys.executable, "-m", "examples.strategy", str(account_id),
        cwd=ROOT, seconds=RUN_SECONDS, LEDGER_NATS_URL=nats_url,
    )  # fmt: skip
    await asyncio.wait_for(filling, ANSWER_SECONDS)
    assert shown.splitlines() == [
        "ACCEPTED ",
        "filled 0.01 at 49900",
        "filled 0.01 at 49900",
        "main BTC 0.02 of which locked 0",
        "main USDT 1002 of which locked 0",
    ]


def test_the_strategy_has_forty_lines() -> None:
    text = (ROOT / "examples" / "strategy.py").read_text(encoding="utf-8")
    body = text.partition('"""\n\n')[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 40


@pytest.fixture
async def node() -> Path:
    """Node, with the packages of the example."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("no Node here: install node and npm to run the example in Node")
    if not (NODE_EXAMPLE / "node_modules" / "nats").exists():
        try:
            await output_of(
                npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts",
                cwd=NODE_EXAMPLE, seconds=INSTALL_SECONDS,
            )  # fmt: skip
        except (AssertionError, TimeoutError) as error:
            pytest.skip(f"npm cannot install the packages of the example: {error}")
    return Path(program)


async def test_a_service_in_node_sees_the_same_outcomes_events_and_balances(
    node: Path, ledger: LedgerClient, nats_url: str
) -> None:
    shown = await output_of(
        node, "service.mjs", cwd=NODE_EXAMPLE, seconds=RUN_SECONDS, LEDGER_NATS_URL=nats_url
    )
    told: dict[str, list[dict[str, Any]]] = {"outcome": [], "event": [], "balances": []}
    for line in shown.splitlines():
        one = orjson.loads(line)
        told[one.pop("kind")].append(one)

    assert [(one["status"], one["code"]) for one in told["outcome"]] == [
        ("ACCEPTED", None),
        ("ACCEPTED", None),
        ("ACCEPTED", None),
        ("REJECTED", "INSUFFICIENT_FUNDS"),
    ]
    for one in told["outcome"]:
        recorded = await ledger.outcome(UUID(one["command_id"]))
        assert orjson.loads(recorded.to_json()) == one

    account_id = UUID(told["event"][0]["subject"])
    last = told["event"][-1]["position"]
    seen = []
    async with asyncio.timeout(ANSWER_SECONDS):
        async with aclosing(ledger.events(account_id=account_id)) as events:
            async for event in events:
                seen.append(event)
                if event.position == last:
                    break
    assert [received(orjson.dumps(one)) for one in told["event"]] == seen
    assert [event.type for event in seen] == [
        "account.opened",
        "account.deposited",
        "account.withdrawn",
    ]
    (answer,) = told["balances"]
    assert [(row["asset"], row["total"]) for row in answer["rows"]] == [
        ("USDT", "99.900000000000000001")
    ]
