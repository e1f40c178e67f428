"""`serve risk`: what is too risky is told once, with its numbers; breakers trip once, and act."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from ledger.client.client import LedgerClient
from ledger.operate.settings import Settings
from ledger.programs.registry import Places
from ledger.programs.risk import PROGRAM, RiskService
from tests.programs.services import ANSWER_SECONDS, client, open_account, rows, running_worker
from tests.projections.workers import wait_until


@asynccontextmanager
async def at_work(database_url: str, nats_url: str) -> AsyncIterator[None]:
    stop = threading.Event()
    service = RiskService(Places(Settings(nats_url=nats_url), database_url), stop)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, ANSWER_SECONDS)
        assert not thread.is_alive()


class Desk:
    """An account with 1,000 USDT that trades one instrument."""

    def __init__(self, ledger: LedgerClient, database_url: str, instrument: str) -> None:
        self.ledger, self.database_url, self.instrument = ledger, database_url, instrument
        self.account: UUID
        self._time = datetime.now(UTC) - timedelta(seconds=60)

    async def told(self, command: str, account: bool = True, **data: Any) -> Any:
        outcome = await self.ledger.submit(
            command, data, account_id=self.account if account else None
        )
        assert outcome.accepted, (command, outcome)
        return outcome

    async def price(self, price: str) -> None:
        self._time += timedelta(seconds=1)
        await self.told(
            "RecordPrices",
            account=False,
            source="feed",
            kind="MARK",
            time=self._time.isoformat(),
            prices={self.instrument: price},
        )

    async def order(self, side: str, quantity: str, price: str) -> str:
        order_id = str(uuid7())
        more: dict[str, Any] = {
            "side": side,
            "order_type": "LIMIT",
            "quantity": quantity,
            "price": price,
        }
        await self.told("SubmitOrder", order_id=order_id, instrument=self.instrument, **more)
        return order_id

    async def fill(self, order_id: str, quantity: str, price: str) -> None:
        fill: dict[str, Any] = {"trade_id": str(uuid4()), "last_qty": quantity, "last_px": price}
        await self.told("RecordFill", order_id=order_id, **fill)

    async def trade(self, side: str, quantity: str, price: str) -> None:
        await self.fill(await self.order(side, quantity, price), quantity, price)

    async def breaker(self, kind: str, threshold: str, **data: Any) -> str:
        breaker_id = str(uuid4())
        given: dict[str, Any] = {"scope": "ACCOUNT", "reference": str(self.account)} | data
        await self.told(
            *("SetBreaker", False), breaker_id=breaker_id, kind=kind, threshold=threshold, **given
        )
        return breaker_id

    def events(self, event_type: str) -> list[dict[str, Any]]:
        return [
            data
            for (data,) in rows(
                self.database_url,
                "SELECT event_data::jsonb FROM event_store WHERE event_type = %s ORDER BY position",
                event_type,
            )
        ]

    async def until(self, event_type: str, count: int = 1) -> list[dict[str, Any]]:
        await asyncio.to_thread(
            wait_until, lambda: len(self.events(event_type)) >= count, event_type
        )
        return self.events(event_type)

    async def caught_up(self) -> None:
        """What was told until now is handled."""
        (head,) = rows(self.database_url, "SELECT max(position) FROM event_store")
        await asyncio.to_thread(
            wait_until,
            lambda: (
                rows(
                    self.database_url,
                    "SELECT last_processed_position FROM event_projections "
                    "WHERE projection_name = 'risk'",
                )[0][0]
                >= head[0]
            ),
            "the program to catch up",
        )

    async def refused(self, code: str) -> None:
        more = {"side": "BUY", "order_type": "LIMIT", "quantity": "0.001", "price": "10"}
        outcome = await self.ledger.submit(
            "SubmitOrder",
            {"order_id": str(uuid7()), "instrument": self.instrument, **more},
            account_id=self.account,
        )
        assert outcome.code == code, outcome


@pytest.fixture
async def desk(database_url: str, nats_url: str) -> AsyncIterator[Desk]:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        found = Desk(ledger, database_url, "BINANCE:BTCUSDT")
        outcome = await ledger.submit(
            "ListInstrument",
            {"instrument": found.instrument, "base_asset": "BTC", "quote_asset": "USDT"},
        )
        assert outcome.accepted
        found.account = await open_account(ledger)
        await found.told("Deposit", asset="USDT", amount="1000")
        yield found


async def test_a_limit_that_is_set_between_order_and_fill_makes_the_fill_a_risk_event(
    desk: Desk, database_url: str, nats_url: str
) -> None:
    async with at_work(database_url, nats_url):
        await desk.price("100")
        order_id = await desk.order("BUY", "5", "100")
        limit_id = str(uuid4())
        await desk.told(
            *("SetLimit", False),
            limit_id=limit_id,
            scope="ACCOUNT",
            reference=str(desk.account),
            measure="MAX_POSITION",
            value="4",
            unit="UNITS",
            warning_threshold="3",
        )
        (opened,) = await desk.until("risk.opened")
        assert opened["limit_id"] == limit_id
        await desk.fill(order_id, "5", "100")
        await desk.trade("SELL", "3", "100")
        (resolved,) = await desk.until("risk.resolved")
        assert resolved["by_itself"]
        assert (opened["threshold"], opened["value"], opened["limit"]) == ("LIMIT", "5", "4")
        assert PROGRAM.ready(Places(Settings(nats_url=nats_url), database_url))


async def test_a_drawdown_trips_once_at_its_threshold_and_a_person_resumes_it(
    desk: Desk, database_url: str, nats_url: str
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(at_work(database_url, nats_url))
        breaker_id = await desk.breaker("DRAWDOWN", "0.1")
        await desk.price("100")
        await desk.trade("BUY", "10", "100")
        await desk.caught_up()
        await desk.told("Deposit", asset="USDT", amount="1000")  # no profit
        for price in ("95", "90.01"):
            await desk.price(price)
            await desk.caught_up()
        assert desk.events("breaker.tripped") == []
        await desk.price("90")
        (tripped,) = await desk.until("breaker.tripped")
        assert tripped["measured"] == "0.1"
        assert tripped["inputs"]["equity"] == "1900"
        (halted,) = await desk.until("limits.halted")
        assert (halted["scope"], halted["reference"]) == ("ACCOUNT", str(desk.account))
        await desk.refused("TRADING_HALTED")
        await desk.price("80")
        await desk.caught_up()
        of: dict[str, Any] = {"scope": "ACCOUNT", "reference": str(desk.account)}
        await desk.told(
            *("ResumeBreaker", False), breaker_id=breaker_id, reason="seen to", actor="ada", **of
        )
        await desk.until("limits.resumed")
        await desk.order("BUY", "0.1", "80")
        await desk.price("79")
        await desk.caught_up()
        assert len(desk.events("breaker.tripped")) == 1
        ids = rows(
            database_url,
            "SELECT t.id, h.metadata->>'caused_by', t.event_data->>'cause' FROM event_store AS t, "
            "event_store AS h WHERE t.event_type = 'breaker.tripped' "
            "AND h.event_type = 'limits.halted'",
        )
        assert str(ids[0][0]) == ids[0][1]
        (cause,) = rows(
            database_url, "SELECT event_type FROM event_store WHERE id = %s::uuid", ids[0][2]
        )
        assert cause == ("prices.recorded",)


async def test_a_streak_of_losses_trips_on_a_loss_and_a_win_begins_it_anew(
    desk: Desk, database_url: str, nats_url: str
) -> None:
    async with at_work(database_url, nats_url):
        await desk.breaker("LOSS_STREAK", "2", actions=["HALT", "CANCEL", "EXIT"])
        for sold in ("99", "101", "99"):
            await desk.trade("BUY", "1", "100")
            await desk.trade("SELL", "1", sold)
        await desk.caught_up()
        assert desk.events("breaker.tripped") == []
        await desk.trade("BUY", "3", "100")
        resting = await desk.order("SELL", "1", "150")
        await desk.trade("SELL", "1", "99")
        assert desk.events("breaker.tripped") == []
        order_id = await desk.order("SELL", "1", "99")
        await desk.fill(order_id, "1", "99")
        await desk.fill(resting, "0.5", "99")
        await desk.fill(resting, "0.5", "99")
        (tripped,) = await desk.until("breaker.tripped")
        assert (tripped["measured"], len(tripped["inputs"])) == ("2", 2)
        assert len(await desk.until("breaker.acted", 3)) == 3
        assert len(desk.events("limits.halted")) == 1


async def test_a_spike_of_an_instrument_trips_and_acts_on_all_who_hold_it(
    desk: Desk, database_url: str, nats_url: str
) -> None:
    async with at_work(database_url, nats_url):
        await desk.price("100")
        await desk.trade("BUY", "2", "100")
        resting = await desk.order("BUY", "1", "50")
        await desk.breaker(
            *("VOLATILITY_SPIKE", "0.2"),
            scope="INSTRUMENT",
            reference=desk.instrument,
            window_seconds=10,
            actions=["HALT", "CANCEL", "EXIT"],
        )
        for price in ("100", "110", "119.99"):
            await desk.price(price)
        await desk.caught_up()
        assert desk.events("breaker.tripped") == []
        await desk.price("120")
        (tripped,) = await desk.until("breaker.tripped")
        assert tripped["measured"] == "0.2"
        acted = await desk.until("breaker.acted", 3)
        assert {one["action"]: one["accepted"] for one in acted} == {
            "HALT": 1,
            "CANCEL": 1,
            "EXIT": 1,
        }
        cancelled = "SELECT stream_id FROM event_store WHERE event_type = 'order.cancel_requested'"
        assert rows(database_url, cancelled) == [(UUID(resting),)]
        exits = [one for one in desk.events("order.submitted") if one.get("purpose") == "EXIT"]
        assert [(one["side"], one["quantity"]) for one in exits] == [("SELL", "2")]


async def test_what_does_not_fit_is_a_risk_event_of_its_account(
    desk: Desk, database_url: str, nats_url: str
) -> None:
    async with at_work(database_url, nats_url):
        order_id = await desk.order("BUY", "1", "100")
        await desk.fill(order_id, "1.5", "100")
        (over,) = await desk.until("risk.opened")
        assert (over["event_type"], over["order_id"]) == ("OVERFILLED", order_id)
        await desk.told("RecordWithdrawal", asset="USDT", amount="2000", reference="w")
        await desk.until("risk.opened", 2)
        overdrawn = desk.events("risk.opened")[1]
        assert (overdrawn["event_type"], overdrawn["severity"]) == ("OVERDRAWN", "CRITICAL")
        await desk.told("Deposit", asset="USDT", amount="5000")
        (resolved,) = await desk.until("risk.resolved")
        assert resolved["risk_id"] == overdrawn["risk_id"]
        outcome = await desk.told(
            *("ResolveRiskEvent", False), risk_id=over["risk_id"], reason="the venue's mistake"
        )
        assert len(outcome.events) == 1
