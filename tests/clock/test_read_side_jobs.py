"""What the clock finds due in the read models."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.alerting.rule_match import said_of
from ledger.alerting.rules import rules_of
from ledger.client.client import LedgerClient
from ledger.clock.job import Job
from ledger.clock.jobs import all_jobs
from ledger.eventstore import reader
from ledger.nouns.alerts.commands import RaiseAlert
from ledger.nouns.risk.events import RiskSeverity
from ledger.operate.settings import Settings
from projections.clock_jobs import EXPIRED
from projections.read_models.accounts import PROJECTION as ACCOUNTS
from projections.read_models.allocations import PROJECTION as ALLOCATIONS
from projections.read_models.orders import PROJECTION as ORDERS
from projections.read_models.risk_events import PROJECTION as RISK_EVENTS
from projections.registry import find
from projections.risk_scores import severity_of
from projections.settings import ProjectionSettings
from tests.clock.test_scheduler import standing
from tests.programs.services import client, list_instrument, open_account, rows, running_worker
from tests.projections.workers import caught_up, running

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def job(name: str) -> Job:
    return {one.name: one for one in all_jobs(Settings())}[name]


async def test_the_cancellation_of_an_order_whose_time_is_over_is_asked_for_once(
    database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        instrument = await list_instrument(ledger)
        terms = {
            "instrument": instrument,
            "side": "BUY",
            "order_type": "LIMIT",
            "quantity": "1",
            "price": "10",
        }
        orders = {}
        for environment, lasts, expires_at in (
            ("PAPER", "GTD", NOON),
            ("PAPER", "DAY", NOON + timedelta(hours=1)),
            ("PAPER", "DAY", None),
            ("BACKTEST", "GTD", NOON),
        ):
            account = await open_account(ledger, environment=environment)
            deposit = {"asset": "USDT", "amount": "100", "reference": str(uuid7())}
            assert (await ledger.submit("Deposit", deposit, account_id=account)).accepted
            order = uuid7()
            said = terms | {"order_id": str(order), "time_in_force": lasts}
            if expires_at is not None:
                said["expires_at"] = expires_at.isoformat()
            assert (await ledger.submit("SubmitOrder", said, account_id=account)).accepted
            orders[order] = account
        with running(database_url, [ORDERS]):
            caught_up(database_url, "orders")
            async with standing(database_url, ledger, job("expiries")) as ticking:
                ticking.begin(NOON - timedelta(seconds=10))
                (run,) = await ticking.turn(NOON)
                assert [one.accepted for one in run.outcomes] == [True]
                caught_up(database_url, "orders")
                (run,) = await ticking.turn(NOON + timedelta(seconds=10))
                assert run.outcomes == []
    asked = rows(
        database_url,
        "SELECT stream_id, event_data::jsonb ->> 'reason' FROM event_store "
        "WHERE event_type = 'order.cancel_requested'",
    )
    assert asked == [(next(iter(orders)), EXPIRED)]


async def test_accounts_with_a_strategy_of_auto_rebalance_are_rebalanced_and_told_of(
    database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        accounts = {}
        for auto in (True, False):
            account = accounts[auto] = await open_account(ledger)
            deposit = {"asset": "USDT", "amount": "100", "reference": str(uuid7())}
            await ledger.submit("Deposit", deposit, account_id=account)
            share = {"strategy_id": "trend", "allocation_percent": "40", "auto_rebalance": auto}
            assert (await ledger.submit("AssignStrategy", share, account_id=account)).accepted
        with running(database_url, [ACCOUNTS, ALLOCATIONS]):
            caught_up(database_url, "accounts", "user_strategy_assignments")
            jobs = (job("rebalances"), job("rebalance_snapshots"))
            async with standing(database_url, ledger, *jobs) as ticking:
                ticking.begin(NOON)
                went = await ticking.turn(NOON + timedelta(days=1))
    assert [[one.accepted for one in run.outcomes] for run in went] == [[True], [True]]
    told = rows(
        database_url,
        "SELECT event_type, coalesce(event_data::jsonb ->> 'account_id', stream_id::text) "
        "FROM event_store WHERE event_type IN ('account.rebalanced', 'clock.snapshots_taken') "
        "ORDER BY event_type",
    )
    both = [str(accounts[True])] * 2
    assert told == list(zip(("account.rebalanced", "clock.snapshots_taken"), both, strict=True))


@pytest.mark.parametrize(
    ("score", "told", "severity"),
    [
        ("70", None, None),
        ("70.01", None, "WARNING"),
        ("90", None, "WARNING"),
        ("90.01", None, "CRITICAL"),
        ("90.01", "WARNING", "CRITICAL"),
        ("85", "CRITICAL", "CRITICAL"),
        ("84.99", "CRITICAL", "WARNING"),
        ("65", "WARNING", "WARNING"),
        ("64.99", "WARNING", None),
        ("64.99", "CRITICAL", None),
    ],
)
def test_a_risk_score_keeps_its_band_until_it_is_well_below(
    score: str, told: str | None, severity: str | None
) -> None:
    known = None if told is None else RiskSeverity(told)
    assert severity_of(Decimal(score), known) == severity


class Hours:
    """An account that holds ten coins. Each hour they have a price, and the clock looks: after a
    fall of a fifth from the highest price the risk score is 100."""

    def __init__(self, ledger: LedgerClient, database_url: str, instrument: str) -> None:
        self._ledger, self._database_url, self._instrument = ledger, database_url, instrument
        self._hour = NOON

    async def told(self, command: str, **data: Any) -> None:
        outcome = await self._ledger.submit(command, data)
        assert outcome.accepted, (command, outcome)
        caught_up(self._database_url, "accounts", "portfolio_snapshots", "risk_events")

    async def price(self, price: str) -> None:
        self._hour += timedelta(hours=1)
        time = self._hour.isoformat()
        prices = {self._instrument: price}
        await self.told("RecordPrices", source="feed", kind="MARK", time=time, prices=prices)
        await self.told("TakeSnapshots", time=time, kind="SCHEDULED")

    async def looked(self, minutes: int = 5) -> list[dict[str, Any]]:
        """The risk events that a look makes."""
        due = self._hour + timedelta(minutes=minutes)
        before = len(self.events())
        async with standing(self._database_url, self._ledger, job("risk_scores")) as ticking:
            ticking.begin(due - timedelta(minutes=5))
            (run,) = await ticking.turn(due)
        assert all(outcome.accepted for outcome in run.outcomes), run.outcomes
        caught_up(self._database_url, "risk_events")
        made = self.events()[before:]
        assert len(made) == len(run.outcomes), "what changes nothing is not sent"
        return made

    def events(self) -> list[dict[str, Any]]:
        return [
            {"type": event_type} | data
            for event_type, data in rows(
                self._database_url,
                "SELECT event_type, event_data::jsonb FROM event_store "
                "WHERE stream_type = 'risk' ORDER BY position",
            )
        ]


async def test_a_risk_score_that_is_too_high_is_told_when_it_reaches_another_band(
    database_url: str, nats_url: str
) -> None:
    read_models = [ACCOUNTS, find("portfolio_snapshots", ProjectionSettings()), RISK_EVENTS]
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        instrument = await list_instrument(ledger)
        accounts = {}
        for environment in ("PAPER", "BACKTEST"):
            account = accounts[environment] = await open_account(ledger, environment=environment)
            coins = {"asset": "BTC", "amount": "10", "reference": str(uuid4())}
            coins["occurred_at"] = NOON.isoformat()
            assert (await ledger.submit("Deposit", coins, account_id=account)).accepted
        with running(database_url, read_models):
            hours = Hours(ledger, database_url, instrument)
            for price, kind, severity in (
                ("100", None, None),
                ("84", "risk.opened", "WARNING"),
                ("85", None, None),
                ("81", "risk.updated", "CRITICAL"),
                ("82.5", None, None),
                ("86.5", "risk.updated", "WARNING"),
            ):
                await hours.price(price)
                made = await hours.looked()
                told = [(one["type"], one["severity"]) for one in made]
                assert told == ([] if kind is None else [(kind, severity)]), price
            (opened,) = (one for one in hours.events() if one["type"] == "risk.opened")
            assert (opened["event_type"], opened["reference"]) == (
                "RISK_SCORE",
                str(accounts["PAPER"]),
            )
            assert Decimal(opened["value"]) == Decimal(opened["data"]["drawdown"]) == 80
            assert opened["message"] == "the risk score is 80 of 100, by its drawdown"
            await hours.told("ResolveRiskEvent", risk_id=opened["risk_id"], reason="it is known")
            assert await hours.looked(minutes=10) == [], "a person has seen this hour's score"
            await hours.price("84")
            (again,) = await hours.looked()
            assert (again["type"], again["number"]) == ("risk.opened", 2)
            await hours.price("90")
            (resolved,) = await hours.looked()
            assert (resolved["type"], resolved["by_itself"]) == ("risk.resolved", True)
    with psycopg.connect(database_url, autocommit=True) as connection:
        log = reader.read(connection, after=0, up_to=reader.head(connection))
    said = [one.data for one in said_of(log, rules_of(None), [])]
    raised = [one.rule for one in said if isinstance(one, RaiseAlert)]
    assert raised == ["risk-warning", "risk-critical", "risk-warning"]
